package main

import (
	"fmt"
	"io"
	"math"
)

// goal is a figure and the most that it may be.
type goal struct {
	measure     string
	most, value float64
	format      string
	isTime      bool // one short round cannot tell
}

func goals(measured []comparison, dialled int, w weight) []goal {
	// against returns the SDK's sample and that of net/http in a scenario.
	against := func(scenario string) (ours, theirs sample) {
		for _, c := range measured {
			if c.Scenario == scenario {
				return c.By[sdk], c.By[netHTTP]
			}
		}
		panic("no scenario " + scenario)
	}
	timed := func(measure, scenario string, most float64) goal {
		ours, _ := against(scenario)
		return goal{measure, most, ours.Times, "%.2f ×", true}
	}
	create, createByHand := against("Create/memory/serial")
	list, listByHand := against("List/memory/serial")
	return []goal{
		timed("Create in memory, time against net/http", "Create/memory/serial", 1.35),
		{"Create in memory, allocations beyond net/http", 14, math.Round(create.Allocs - createByHand.Allocs), "%.0f", false},
		timed("Create on loopback, time against net/http", "Create/loopback/serial", 1.12),
		timed("List of 10,000 in memory, time against net/http", "List/memory/serial", 1.05),
		{"List of 10,000, bytes allocated against io.ReadAll + Unmarshal", 0.70, list.Bytes / listByHand.Bytes, "%.2f ×", false},
		timed("64 goroutines over HTTPS, time against tuned net/http", "Create/https/goroutines=64", 1.20),
		{"Connections for 6,400 creates by 64 goroutines", 64, float64(dialled), "%.0f", false},
		{"Modules linked", 4, float64(len(w.sdk.modules)), "%.0f", false},
		{"Binary over bare net/http", 125, 100 * float64(w.sdk.bytes) / float64(w.netHTTP.bytes), "%.0f %%", false},
	}
}

// printGoals prints each goal and returns how many are not met. It judges times
// only if it is told to.
func printGoals(out io.Writer, goals []goal, judgeTimes bool) (missed int) {
	fmt.Fprint(out, "\n## Goals\n\n| measure | goal | measured | met |\n|---|--:|--:|---|\n")
	for _, g := range goals {
		met := "yes"
		switch {
		case g.isTime && !judgeTimes:
			met = "not judged"
		case !(g.value <= g.most):
			met = "NO"
			missed++
		}
		fmt.Fprintf(out, "| %s | ≤ "+g.format+" | "+g.format+" | %s |\n", g.measure, g.most, g.value, met)
	}
	return missed
}
