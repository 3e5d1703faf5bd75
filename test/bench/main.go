// Bench measures what Postrider costs and how it keeps deliveries apart, as real processes on a real Apache Kafka and
// Redis, against a process that stands for the endpoints (sink.go). Everything is also a ratio to the limit of the same
// run: loops that do nothing but send the same requests to the same endpoints (limit.go). So the figures of a slow or
// busy machine say something too.
//
//	go run ./test/bench
//	go run ./test/bench --only cpu,isolation --full --out bench.json
//
// CPU is the kernel's account of each process, see account.go. A run takes five minutes, with --full far longer. It ends
// with 1 if something could not be measured, and with --strict also if a figure misses its target.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider/test/internal/report"
	"github.com/postrider/postrider/test/internal/rig"
)

// scenario is one thing that is measured. It adds its figures to the report; an error means that it could not be measured.
type scenario struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

func scenarios() []scenario {
	return []scenario{
		{"cpu", cpu},
		{"cpu-kfake", cpuKfake},
		{"latency", latency},
		{"isolation", isolation},
		{"tenant", tenant},
		{"recovery", recovery},
		{"matching", matching},
		{"memory", memory},
	}
}

type options struct {
	only, out, binary, logLevel, profiles string

	full, strict, keep, http1 bool
}

// scenarioLimit bounds a scenario, fullLimit one of --full.
const (
	scenarioLimit = 5 * time.Minute
	fullLimit     = 30 * time.Minute
)

func main() {
	if len(os.Args) > 1 && childRoles()[os.Args[1]] != nil {
		if err := runChild(childRoles()[os.Args[1]], os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
			os.Exit(1)
		}
		return
	}
	var o options
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	flag.StringVar(&o.only, "only", "", "run only these scenarios, comma separated: "+strings.Join(names, ", "))
	flag.BoolVar(&o.full, "full", false, "all cases, and as long as it takes")
	flag.BoolVar(&o.strict, "strict", false, "exit code 1 if a figure misses its target")
	flag.StringVar(&o.out, "out", "", "also write the figures to this file, as JSON")
	flag.StringVar(&o.binary, "binary", "", "the postrider to measure; built if empty")
	flag.StringVar(&o.profiles, "profiles", "", "also write CPU profiles of the cpu scenarios to this directory, by role and case")
	flag.StringVar(&o.logLevel, "log-level", "warn", "of its processes; info is one line per attempt")
	flag.BoolVar(&o.http1, "http1", false, "the endpoints speak HTTP/1.1 alone")
	flag.BoolVar(&o.keep, "keep", false, "keep topics, logs and configuration")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go rig.Orphaned(ctx, cancel)
	ok, err := run(ctx, o)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err != nil || o.strict && !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (ok bool, err error) {
	chosen := scenarios()
	if o.only != "" {
		only := strings.Split(o.only, ",")
		chosen = slices.DeleteFunc(chosen, func(s scenario) bool { return !slices.Contains(only, s.name) })
		if len(chosen) != len(only) {
			return false, fmt.Errorf("--only: %q: one of them is no scenario", o.only)
		}
	}
	r := &rig.Rig{Program: "bench", Binary: o.binary, Keep: o.keep, Measured: true}
	if err := r.Open(ctx); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	b := &bench{options: o, rig: r, figures: &report.Report{Program: r.Program, Started: time.Now(), Short: !o.full}}
	for _, s := range chosen {
		err = errors.Join(err, b.measure(ctx, s))
	}
	fmt.Printf("%s\n%s\n\n", b.figures.Started.Format(time.RFC1123), report.ThisMachine())
	b.figures.Print(os.Stdout)
	if o.out != "" {
		err = errors.Join(err, b.figures.Write(o.out))
	}
	return b.figures.OK(), err
}

// measure runs a scenario within its time.
func (b *bench) measure(ctx context.Context, s scenario) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	limit := scenarioLimit
	if b.full {
		limit = fullLimit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %s", limit))
	defer cancel()
	b.name = s.name
	fmt.Fprintf(os.Stderr, "bench: %s …\n", s.name)
	begin := time.Now()
	if err := s.run(ctx, b); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	fmt.Fprintf(os.Stderr, "bench: %s took %s\n", s.name, time.Since(begin).Round(time.Second))
	return nil
}
