package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"
)

// sample is what one call cost, how many times as long it took as the reference's in
// the same round, and what its client dialled in all.
type sample struct{ NS, Times, Bytes, Allocs, Dials float64 }

// comparison holds what a scenario came to, by the name of the client: the medians of
// a process, or of the processes.
type comparison struct {
	Scenario string
	By       map[string]sample
	spread   map[string][2]float64 // the least and the greatest Times of a process
}

// measurement is what one process measures, or what all of them came to.
type measurement struct {
	Clients []comparison
	Options comparison
}

// effort is how long the clients take turns in a scenario of a process, and how often
// at least.
type effort struct {
	each   time.Duration
	rounds int
}

// inProcesses measures in n processes, one after the other. How a process happens to
// lie in memory and on the cores stays with it for life, and moves the ratio of two
// clients by some hundredths, however long it measures.
func inProcesses(n int, e effort) (measurement, error) {
	var clients [][]comparison // of a scenario, by process
	var options []comparison
	for i := range n {
		one, err := inProcess(e)
		if err != nil {
			return measurement{}, fmt.Errorf("process %d of %d: %w", i+1, n, err)
		}
		clients = append(clients, one.Clients)
		options = append(options, one.Options)
	}
	all := measurement{Options: overProcesses(options)}
	for i := range clients[0] {
		var scenario []comparison
		for _, process := range clients {
			scenario = append(scenario, process[i])
		}
		all.Clients = append(all.Clients, overProcesses(scenario))
	}
	return all, nil
}

// inProcess measures in a process of its own, which runs this program with -raw.
func inProcess(e effort) (m measurement, err error) {
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	process := exec.CommandContext(context.Background(), self, "-raw", "-each", e.each.String(), "-rounds", strconv.Itoa(e.rounds))
	process.Stderr = os.Stderr
	out, err := process.Output()
	if err != nil {
		return m, err
	}
	return m, gob.NewDecoder(bytes.NewReader(out)).Decode(&m)
}

// overProcesses returns the medians of what processes measured in one scenario.
func overProcesses(processes []comparison) comparison {
	samples := map[string][]sample{}
	for _, p := range processes {
		for name, s := range p.By {
			samples[name] = append(samples[name], s)
		}
	}
	c := comparison{processes[0].Scenario, medians(samples), map[string][2]float64{}}
	for name, all := range samples {
		times := sorted(all, func(s sample) float64 { return s.Times })
		c.spread[name] = [2]float64{times[0], times[len(times)-1]}
	}
	return c
}

// measure measures everything in this process.
func measure(e effort) (m measurement, err error) {
	testing.Init()
	if m.Clients, err = measureClients(e); err != nil {
		return m, err
	}
	m.Options, err = takeTurns(e, inMemory(), variants, opCreate, 1)
	return m, err
}

// measureClients compares the clients in every scenario but one: 64 goroutines
// that each hold a list of 10,000 would measure the machine's memory.
func measureClients(e effort) ([]comparison, error) {
	var all []comparison
	for _, op := range []operation{opCreate, opGet, opList} {
		for _, over := range networks {
			for _, goroutines := range []int{1, manyGoroutines} {
				if op.name == opList.name && goroutines > 1 {
					continue
				}
				n := over.start()
				c, err := takeTurns(e, n, kinds, op, goroutines)
				n.close()
				c.Scenario = op.name + "/" + over.name + "/" + mode(goroutines)
				if err != nil {
					return nil, fmt.Errorf("%s/%w", c.Scenario, err)
				}
				all = append(all, c)
			}
		}
	}
	return all, nil
}

// mode names how many goroutines call.
func mode(goroutines int) string {
	if goroutines == 1 {
		return "serial"
	}
	return fmt.Sprintf("goroutines=%d", goroutines)
}

// takeTurns measures the clients one after the other, over and over, and returns the
// medians. What else the machine does hits all of a round alike if it is short, so that
// times are compared within it; goroutines need longer, to open their connections.
// A first round, which finds everything cold, does not count.
func takeTurns(e effort, n network, clients []kind, op operation, goroutines int) (comparison, error) {
	turn := 5 * time.Millisecond
	if goroutines > 1 {
		turn = 40 * time.Millisecond
	}
	if err := flag.Set("test.benchtime", turn.String()); err != nil {
		return comparison{}, err
	}
	samples := map[string][]sample{}
	start := time.Now()
	for round := 0; round <= e.rounds || time.Since(start) < e.each; round++ {
		this := map[string]sample{}
		for _, i := range rand.Perm(len(clients)) { // nobody always follows the same one
			r := testing.Benchmark(benchmark(n, clients[i], op, goroutines))
			if r.N == 0 {
				return comparison{}, fmt.Errorf("client=%s failed; go test -bench tells why", clients[i].name)
			}
			calls := float64(r.N)
			this[clients[i].name] = sample{
				NS: float64(r.T.Nanoseconds()) / calls, Bytes: float64(r.MemBytes) / calls, Allocs: float64(r.MemAllocs) / calls,
				Dials: r.Extra["dials"],
			}
		}
		if round == 0 {
			continue
		}
		var reference, references float64
		for _, k := range clients {
			if k.reference {
				reference += this[k.name].NS
				references++
			}
		}
		for name, s := range this {
			s.Times = s.NS * references / reference
			samples[name] = append(samples[name], s)
		}
	}
	return comparison{By: medians(samples)}, nil
}

func medians(samples map[string][]sample) map[string]sample {
	by := map[string]sample{}
	for name, all := range samples {
		by[name] = sample{
			median(all, func(s sample) float64 { return s.NS }),
			median(all, func(s sample) float64 { return s.Times }),
			median(all, func(s sample) float64 { return s.Bytes }),
			median(all, func(s sample) float64 { return s.Allocs }),
			median(all, func(s sample) float64 { return s.Dials }),
		}
	}
	return by
}

func median(samples []sample, of func(sample) float64) float64 {
	return sorted(samples, of)[len(samples)/2]
}

func sorted(samples []sample, of func(sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values
}
