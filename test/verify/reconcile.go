package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/test/verify/history"
)

// reconcile has the product itself account for the whole run, and holds its account against the checker's: it must find
// nothing wrong, prove everything, and count the same deliveries.
func (in *installation) reconcile(ctx context.Context, judged *history.Report) error {
	out, err := in.Run(ctx, "reconcile", "--source", in.Topic("events"), "-o", "json")
	out = out[max(0, strings.IndexByte(out, '{')):] // lines of progress come before
	var report struct {
		Events     struct{ Records int }
		Deliveries struct{ Expected, Delivered, Dead, Cancelled, Parked, Waiting, Missing int }
		Repeated   int
		Unprovable map[string]int
		Found      map[string]int
		Findings   []json.RawMessage
	}
	if decodeErr := json.Unmarshal([]byte(out), &report); decodeErr != nil {
		return fmt.Errorf("reading the reconciliation: %w", errors.Join(decodeErr, err))
	}
	in.want(err == nil, "postrider reconcile finds", "nothing", "%v, unprovable %v", report.Found, report.Unprovable)
	for _, f := range report.Findings[:min(len(report.Findings), 5)] {
		in.tell("for example", "%s", f)
	}
	d := report.Deliveries
	in.want(report.Events.Records == len(in.history.Events) && d.Expected == judged.Required, "reconciled", "every event × subscription",
		"%d events, %d deliveries of %d: %d delivered, %d dead, %d cancelled, %d parked, %d waiting; %d repeated",
		report.Events.Records, d.Expected, judged.Required, d.Delivered, d.Dead, d.Cancelled, d.Parked, d.Waiting, report.Repeated)
	return nil
}
