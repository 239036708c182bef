package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The results of a row.
const (
	verified     = "verified"
	contradicted = "contradicted"
	unstable     = "unstable"
	notTested    = "not tested"
)

// finding is a row of the report.
type finding struct {
	ID       string `json:"id"`
	Fact     string `json:"fact"`
	Assumed  string `json:"assumed"`
	Observed string `json:"observed"`
	Result   string `json:"result"`
}

// test tests rows in their order, until ctx ends.
func (s *session) test(ctx context.Context, rows []row, fl *flags) []finding {
	var findings []finding
	for _, r := range rows {
		if ctx.Err() != nil {
			break
		}
		f := finding{r.id, r.fact, r.assumed, "", notTested}
		switch {
		case r.needs != "" && s.results[r.needs] != verified:
			f.Observed = "needs " + r.needs
		case r.flag != "" && !*fl.rows[r.flag]:
			f.Observed = "-" + r.flag + " tests it"
		default:
			f.Observed, f.Result = s.testTwice(ctx, r)
		}
		s.results[r.id] = f.Result
		findings = append(findings, f)
	}
	return findings
}

// testTwice tests a row, and once more with new keys if it is contradicted.
func (s *session) testTwice(ctx context.Context, r row) (observed, result string) {
	observed, result = s.try(ctx, r)
	if result != contradicted {
		return observed, result
	}
	second, again := s.try(ctx, r)
	if again != contradicted {
		return observed + ", in a second try " + second, unstable
	}
	return observed, contradicted
}

func (s *session) try(ctx context.Context, r row) (observed, result string) {
	t := &trial{session: s, ctx: ctx}
	observed, ok := r.observe(t)
	if t.result == "" {
		t.observed, t.result = observed, contradicted
		if ok {
			t.result = verified
		}
	}
	if t.result != verified && s.shared != nil {
		t.made = append(t.made, s.shared)
		s.shared = nil
	}
	for _, k := range slices.Clone(t.made) {
		(&trial{session: s, ctx: ctx}).remove(k.uid) // clean deletes what is left
	}
	return t.observed, t.result
}

func report(w io.Writer, findings []finding, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string][]finding{"rows": findings})
	}
	lines := []string{"Version of Palette (please add):\n", "| | fact | we assume | observed | |", "|---|---|---|---|---|"}
	for _, f := range findings {
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s |", f.ID, f.Fact, f.Assumed, f.Observed, f.Result))
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func exitCode(findings []finding) int {
	has := func(result string) bool {
		return slices.ContainsFunc(findings, func(f finding) bool { return f.Result == result })
	}
	switch {
	case has(unstable):
		return codeFailure
	case has(contradicted):
		return codeContradicted
	}
	return 0
}
