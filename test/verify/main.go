// Verify is the slow proof of the whole: the roles run as real processes on a real Apache Kafka, a receiver that checks
// every signature stands for the endpoints, processes are killed and stopped under load, and the history of each run is
// held against what was promised (package history). Every check works under a topic prefix of its own.
//
//	go run ./test/verify
//	go run ./test/verify --only kill-deliverer --short
//
// It prints a table of figures and ends with 1 if one of them misses its target. The broker and the
// Redis are those of POSTRIDER_TEST_KAFKA and POSTRIDER_TEST_REDIS, else such as are started; one that was given is not
// restarted. Endpoints are https://127.0.0.1 under an authority of its own, which
// the processes trust through SSL_CERT_FILE.
//
// Two promises are proven elsewhere: what happens when a deliverer is cut off from the registry alone, by test/flow
// (TestADisabledSubscriptionStopsWhileTheRegistryIsCutOff); what bad input says, by the scripts of cmd/postrider.
package main

import (
	"cmp"
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

// check is one proof. It adds its figures to the run's report; an error means that it could not be made.
type check struct {
	name string
	make func(ctx context.Context, in *installation) error
	// beside makes it begin with the previous release.
	beside bool
	limit  time.Duration // checkLimit if 0
}

func checks() []check {
	return []check{
		{name: "fault-free", make: faultFree},
		{name: "kill-deliverer", make: killDeliverer},
		{name: "kill-router", make: killRouter},
		{name: "by-hand", make: byHand},
		{name: "recover", make: recoverAfterKills},
		{name: "sigterm", make: sigterm},
		{name: "sigterm-slow", make: sigtermSlow},
		{name: "scaling", make: scaling},
		{name: "autoscaling", make: autoscaling},
		{name: "retry-latency", make: retryLatency},
		{name: "idle", make: idle},
		{name: "stop", make: stop},
		{name: "counter", make: counter},
		{name: "registry", make: bigRegistry},
		{name: "views", make: views},
		{name: "views-rebuild", make: viewsRebuild},
		{name: "portal", make: portalPages},
		{name: "reconcile", make: reconciliation},
		{name: "upgrade", make: upgrade, beside: true, limit: 2 * checkLimit},
	}
}

type options struct {
	only, out, binary, previous, records string
	short, keep                          bool
	subscriptions                        int
}

// checkLimit bounds one check; the longest takes about three minutes. With many subscriptions it is a multiple.
const checkLimit = 6 * time.Minute

func main() {
	var o options
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	flag.StringVar(&o.only, "only", "", "make only these checks, comma separated: "+strings.Join(names, ", "))
	flag.BoolVar(&o.short, "short", false, "a tenth of the load, a third of the time")
	flag.StringVar(&o.out, "out", "", "also write the figures to this file, as JSON")
	flag.StringVar(&o.binary, "binary", "", "the postrider to verify; built if empty")
	flag.StringVar(&o.previous, "previous", "", "the release that the upgrade check begins with, a tag or commit; the last one if empty")
	flag.StringVar(&o.records, "records", "", "have the upgrade check write what the previous release wrote to this directory, some records of each form")
	flag.BoolVar(&o.keep, "keep", false, "keep topics, logs and configuration of the checks")
	flag.IntVar(&o.subscriptions, "subscriptions", registrySubscriptions, "how many the registry check has, in steps of 100000")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go rig.Orphaned(ctx, cancel)
	ok, err := run(ctx, o)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (ok bool, err error) {
	chosen := checks()
	if o.only != "" {
		only := strings.Split(o.only, ",")
		chosen = slices.DeleteFunc(chosen, func(c check) bool { return !slices.Contains(only, c.name) })
		if len(chosen) != len(only) {
			return false, fmt.Errorf("--only: %q: one of them is no check", o.only)
		}
	}
	r := &rig.Rig{Program: "verify", Binary: o.binary, Keep: o.keep}
	if err := r.Open(ctx); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	figures := &report.Report{Program: r.Program, Started: time.Now(), Short: o.short}
	for _, c := range chosen {
		if ctx.Err() != nil {
			break
		}
		if err := c.in(ctx, r, o, figures); err != nil {
			figures.Add(report.Figure{Check: c.name, What: "could be made", Target: "yes", Measured: err.Error(), Verdict: report.Failed})
		}
	}
	figures.Print(os.Stdout)
	if o.out != "" {
		if err := figures.Write(o.out); err != nil {
			return false, err
		}
	}
	return figures.OK(), context.Cause(ctx)
}

// in makes the check in an installation of its own and ends everything that it started.
func (c check) in(ctx context.Context, r *rig.Rig, o options, figures *report.Report) (err error) {
	limit := cmp.Or(c.limit, checkLimit) * time.Duration(max(1, o.subscriptions/registrySubscriptions/3))
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %s", limit))
	defer cancel()
	fmt.Fprintf(os.Stderr, "verify: %s …\n", c.name)
	now, before := rig.Release{Name: "this one", Binary: r.Binary}, rig.Release{}
	if c.beside {
		if before, err = r.Previous(ctx, o.previous); err != nil {
			return err
		}
		r = r.Running(before)
	}
	in, err := newInstallation(ctx, r, c.name, o, figures)
	if err != nil {
		return err
	}
	in.now, in.before, in.records = now, before, o.records
	defer func() { //nolint:contextcheck // what was started has to end, also when ctx has ended
		if err != nil {
			fmt.Fprintf(os.Stderr, "verify: %s: %v\n%s", c.name, err, in.Logs())
		}
		err = errors.Join(err, in.close())
	}()
	return c.make(ctx, in)
}
