// Command benchmarks compares the SDK with raw resty and with a client written by
// hand on net/http, side by side, and says whether the SDK meets its goals.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
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
	rounds := flags.Int("rounds", 45, "how often the clients take turns; the median counts")
	benchtime := flags.Duration("benchtime", 40*time.Millisecond, "how long a client is measured in a round")
	quick := flags.Bool("quick", false, "one short round: allocations and counts are exact, times are not judged")
	check := flags.Bool("check", false, "fail if a goal is not met")
	cold := flags.Bool("cold", false, "also time builds with an empty build cache")
	_ = flags.Parse(args) // ExitOnError
	if *quick {
		*rounds, *benchtime = 1, 10*time.Millisecond
	}
	testing.Init()
	if err := flag.Set("test.benchtime", benchtime.String()); err != nil {
		return err
	}

	fmt.Fprintf(out, "%s\n\n%d rounds of %v.\n", machine(), *rounds, *benchtime)
	measured, err := measureClients(*rounds)
	if err != nil {
		return err
	}
	printClients(out, measured)
	options, err := measureOptions(*rounds)
	if err != nil {
		return err
	}
	printOptions(out, options)
	heavy, err := weigh(*cold)
	if err != nil {
		return err
	}
	printWeight(out, heavy)
	dialled, err := connections(6_400, false, false)
	if err != nil {
		return err
	}
	missed := printGoals(out, goals(measured, dialled, heavy), !*quick)
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

// sample is what one call cost, how many times as long it took as the first client's
// in the same round, and what its client dialled in all.
type sample struct{ ns, times, bytes, allocs, dials float64 }

// comparison holds the samples of a scenario by the name of the client.
type comparison struct {
	scenario string
	by       map[string]sample
}

// measureClients compares the clients in every scenario but one: 64 goroutines
// that each hold a list of 10,000 would measure the machine's memory.
func measureClients(rounds int) ([]comparison, error) {
	var all []comparison
	for _, op := range []operation{opCreate, opGet, opList} {
		for _, over := range networks {
			for _, goroutines := range []int{1, manyGoroutines} {
				if op.name == opList.name && goroutines > 1 {
					continue
				}
				n := over.start()
				c, err := takeTurns(rounds, n, kinds, op, goroutines)
				n.close()
				c.scenario = op.name + "/" + over.name + "/" + mode(goroutines)
				if err != nil {
					return nil, fmt.Errorf("%s/%w", c.scenario, err)
				}
				all = append(all, c)
			}
		}
	}
	return all, nil
}

func measureOptions(rounds int) (comparison, error) {
	return takeTurns(rounds, inMemory(), variants, opCreate, 1)
}

// mode names how many goroutines call.
func mode(goroutines int) string {
	if goroutines == 1 {
		return "serial"
	}
	return fmt.Sprintf("goroutines=%d", goroutines)
}

// takeTurns measures the clients one after the other, over and over, and returns the
// medians. What else the machine does hits all of a short round alike, so that times
// are compared within it.
func takeTurns(rounds int, n network, clients []kind, op operation, goroutines int) (comparison, error) {
	samples := map[string][]sample{}
	for round := range rounds {
		for i := range clients {
			k := clients[(i+round)%len(clients)] // nobody always comes first
			r := testing.Benchmark(benchmark(n, k, op, goroutines))
			if r.N == 0 {
				return comparison{}, fmt.Errorf("client=%s failed; go test -bench tells why", k.name)
			}
			calls := float64(r.N)
			samples[k.name] = append(samples[k.name], sample{
				ns: float64(r.T.Nanoseconds()) / calls, bytes: float64(r.MemBytes) / calls, allocs: float64(r.MemAllocs) / calls,
				dials: r.Extra["dials"],
			})
		}
		first := samples[clients[0].name][round].ns
		for _, k := range clients {
			s := &samples[k.name][round]
			s.times = s.ns / first
		}
	}
	c := comparison{by: map[string]sample{}}
	for name, s := range samples {
		c.by[name] = sample{
			median(s, func(s sample) float64 { return s.ns }),
			median(s, func(s sample) float64 { return s.times }),
			median(s, func(s sample) float64 { return s.bytes }),
			median(s, func(s sample) float64 { return s.allocs }),
			median(s, func(s sample) float64 { return s.dials }),
		}
	}
	return c, nil
}

func median(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func printClients(out io.Writer, all []comparison) {
	fmt.Fprint(out, "\n## Clients\n\n"+
		"| scenario | client | µs/call | × nethttp | KiB/call | × nethttp | allocs/call | − nethttp | dials |\n"+
		"|---|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, c := range all {
		base := c.by[netHTTP]
		for _, k := range kinds {
			s := c.by[k.name]
			fmt.Fprintf(out, "| %s | %s | %.1f | %.2f | %.1f | %.2f | %.0f | %+.0f | %.0f |\n", c.scenario, k.name,
				s.ns/1e3, s.times, s.bytes/1024, s.bytes/base.bytes, s.allocs, s.allocs-base.allocs, s.dials)
		}
	}
}

func printOptions(out io.Writer, c comparison) {
	fmt.Fprint(out, "\n## What an option adds to a create in memory\n\n"+
		"| option | µs/call | + µs | + B | + allocs |\n|---|--:|--:|--:|--:|\n")
	base := c.by[variants[0].name]
	for _, k := range variants {
		s := c.by[k.name]
		fmt.Fprintf(out, "| %s | %.2f | %+.2f | %+.0f | %+.0f |\n", k.name,
			s.ns/1e3, (s.ns-base.ns)/1e3, s.bytes-base.bytes, s.allocs-base.allocs)
	}
}
