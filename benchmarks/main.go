// Command benchmarks compares the SDK with raw resty and with a client written by
// hand on net/http, side by side, and says whether the SDK meets its goals.
package main

import (
	"encoding/gob"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, args []string) error {
	flags := flag.NewFlagSet("benchmarks", flag.ExitOnError)
	processes := flags.Int("processes", 9, "how many processes measure, one after the other; their median counts")
	each := flags.Duration("each", 3*time.Second, "how long the clients take turns in a scenario of a process")
	rounds := flags.Int("rounds", 4, "how often they take turns at least, also if a call takes long")
	raw := flags.Bool("raw", false, "be one of the processes: print what it measures, as a gob")
	quick := flags.Bool("quick", false, "one round: allocations and counts are exact, times are not judged")
	check := flags.Bool("check", false, "fail if a goal is not met")
	cold := flags.Bool("cold", false, "also time builds with an empty build cache")
	_ = flags.Parse(args) // ExitOnError
	if *quick {
		*processes, *each, *rounds = 1, 0, 1
	}
	if *processes < 1 || *rounds < 1 {
		return errors.New("-processes and -rounds are at least 1")
	}
	e := effort{*each, *rounds}
	if *raw {
		m, err := measure(e)
		if err != nil {
			return err
		}
		return gob.NewEncoder(out).Encode(m)
	}

	fmt.Fprintf(out, "%s\n\n%d processes, %v a scenario in each.\n", machine(), *processes, *each)
	measured, err := inProcesses(*processes, e)
	if err != nil {
		return err
	}
	printClients(out, measured.Clients)
	printOptions(out, measured.Options)
	heavy, err := weigh(*cold)
	if err != nil {
		return err
	}
	printWeight(out, heavy)
	dialled, err := connections(6_400, false, false)
	if err != nil {
		return err
	}
	missed := printGoals(out, goals(measured.Clients, dialled, heavy), !*quick)
	if *check && missed > 0 {
		return fmt.Errorf("%d goals are not met", missed)
	}
	return nil
}

// machine says what the figures were measured on.
func machine() string {
	cpu := "unknown CPU"
	info, _ := os.ReadFile("/proc/cpuinfo") // Linux has it
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			cpu = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%s/%s, %s, %d cores, %s", runtime.GOOS, runtime.GOARCH, cpu, runtime.GOMAXPROCS(0), runtime.Version())
}

func printClients(out io.Writer, all []comparison) {
	fmt.Fprint(out, "\n## Clients\n\n"+
		"| scenario | client | µs/call | × nethttp | least–most | KiB/call | × nethttp | allocs/call | − nethttp | dials |\n"+
		"|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, c := range all {
		base := c.By[netHTTP]
		for _, k := range kinds {
			s := c.By[k.name]
			fmt.Fprintf(out, "| %s | %s | %.1f | %.2f | %.2f–%.2f | %.1f | %.2f | %.0f | %+.0f | %.0f |\n", c.Scenario, k.name,
				s.NS/1e3, s.Times, c.spread[k.name][0], c.spread[k.name][1], s.Bytes/1024, s.Bytes/base.Bytes, s.Allocs, s.Allocs-base.Allocs, s.Dials)
		}
	}
}

func printOptions(out io.Writer, c comparison) {
	fmt.Fprint(out, "\n## What an option adds to a create in memory\n\n"+
		"| option | µs/call | + µs | + B | + allocs |\n|---|--:|--:|--:|--:|\n")
	base := c.By[variants[0].name]
	for _, k := range variants {
		s := c.By[k.name]
		fmt.Fprintf(out, "| %s | %.2f | %+.2f | %+.0f | %+.0f |\n", k.name,
			s.NS/1e3, (s.NS-base.NS)/1e3, s.Bytes-base.Bytes, s.Allocs-base.Allocs)
	}
}
