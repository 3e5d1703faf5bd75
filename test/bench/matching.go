package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/postrider/postrider/test/internal/report"
)

// matchingFlat is what the largest registry may cost per event, to the smallest.
const matchingFlat = 3.0

// matching: what finding the subscriptions of an event costs, as a benchmark of pkg/registry measures it.
func matching(ctx context.Context, b *bench) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkMatching$", "github.com/postrider/postrider/pkg/registry")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("running benchmark: %w\n%s", err, out)
	}
	results := parseBenchmark(string(out))
	smallest := 0.0
	for _, r := range results {
		switch {
		case r.name == "":
			continue
		case smallest == 0:
			smallest = r.units["ns/op"]
		}
		f := report.Figure{
			What: r.name, Value: r.units["ns/op"], Unit: "ns", Ratio: r.units["ns/op"] / smallest, Target: fmt.Sprintf("≤ %.0f × the first", matchingFlat),
			Measured: fmt.Sprintf("%.0f ns and %.0f allocations an event, %.1f ×", r.units["ns/op"], r.units["allocs/op"], r.units["ns/op"]/smallest),
		}
		if bytes := r.units["B/subscription"]; bytes > 0 {
			f.Measured += fmt.Sprintf("; %.0f bytes a subscription", bytes)
		}
		if updates := r.units["updates/s"]; updates > 0 {
			f.Measured += fmt.Sprintf("; %.0f updates a second", updates)
			f.Target = "" // matching shares the processor with them
			f.Check = b.name
			b.figures.Add(f)
			continue
		}
		b.add(f.Ratio <= matchingFlat, f)
	}
	if smallest == 0 {
		return fmt.Errorf("reading benchmark: no result in\n%s", out)
	}
	return nil
}

// benchmarkResult is a line of a benchmark's output.
type benchmarkResult struct {
	name  string // after the slash, without the number of processors
	units map[string]float64
}

func parseBenchmark(out string) (all []benchmarkResult) {
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		_, name, _ := strings.Cut(fields[0], "/")
		if cut := strings.LastIndexByte(name, '-'); cut > 0 {
			name = name[:cut]
		}
		r := benchmarkResult{name: name, units: map[string]float64{}}
		for i := 2; i+1 < len(fields); i += 2 {
			r.units[fields[i+1]], _ = strconv.ParseFloat(fields[i], 64)
		}
		all = append(all, r)
	}
	return all
}
