package main

import (
	"testing"
)

func BenchmarkCreate(b *testing.B) { compare(b, opCreate) }
func BenchmarkGet(b *testing.B)    { compare(b, opGet) }

// BenchmarkList reads 10,000 keys. Its 64 goroutines need some 2 GB of memory.
func BenchmarkList(b *testing.B) { compare(b, opList) }

// compare names its benchmarks so that benchstat compares with -col /client.
func compare(b *testing.B, op operation) {
	for _, over := range networks {
		n := over.start()
		b.Cleanup(n.close)
		for _, goroutines := range []int{1, manyGoroutines} {
			for _, k := range kinds {
				b.Run(over.name+"/"+mode(goroutines)+"/client="+k.name, benchmark(n, k, op, goroutines))
			}
		}
	}
}

// BenchmarkOption shows what the SDK's options add to a create in memory.
func BenchmarkOption(b *testing.B) {
	for _, k := range variants {
		b.Run("option="+k.name, benchmark(inMemory(), k, opCreate, 1))
	}
}
