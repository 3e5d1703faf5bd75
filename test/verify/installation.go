package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/test/internal/report"
	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// installation is one Postrider with endpoints and a history of its own.
type installation struct {
	*rig.Installation
	report        *report.Report
	short         bool
	subscriptions int // of the registry check
	// now is the release that is verified; before is the previous one, of checks that begin with it.
	now, before rig.Release
	// records is a directory to keep records of the previous release in; empty for none.
	records string

	endpoints *receiver
	history   history.History
}

// partitions of deliveries: enough for two owners, few enough for one small broker.
const partitions = 8

func newInstallation(ctx context.Context, r *rig.Rig, name string, o options, figures *report.Report) (*installation, error) {
	in := &installation{report: figures, short: o.short, subscriptions: o.subscriptions}
	in.history.Resends, in.history.Redrives = map[history.Pair]int{}, map[history.Pair]int{}
	var err error
	if in.endpoints, err = newReceiver(ctx, r.CA); err != nil {
		return nil, err
	}
	if in.Installation, err = r.Install(ctx, name, partitions); err != nil {
		return nil, errors.Join(err, in.endpoints.server.Close())
	}
	return in, nil
}

func (in *installation) close() error {
	err := in.Close()
	_ = in.endpoints.server.Close()
	return err
}

// scale shortens a number for --short.
func (in *installation) scale(n int) int {
	if in.short {
		return max(1, n/10)
	}
	return n
}

// tell adds a figure without a target.
func (in *installation) tell(what, format string, args ...any) {
	in.report.Add(report.Figure{Check: in.Name, What: what, Measured: fmt.Sprintf(format, args...), Verdict: report.Told})
}

// want adds a figure with a target.
func (in *installation) want(ok bool, what, target, format string, args ...any) {
	v := report.Passed
	if !ok {
		v = report.Failed
	}
	in.report.Add(report.Figure{Check: in.Name, What: what, Target: target, Measured: fmt.Sprintf(format, args...), Verdict: v})
}

// wantZero adds a count that has to be zero.
func (in *installation) wantZero(n int, what string) { in.want(n == 0, what, "0", "%d", n) }
