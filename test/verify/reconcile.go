package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// reconciled is what postrider reconcile says, as far as it is looked at.
type reconciled struct {
	Events     struct{ Records int }
	Deliveries struct{ Expected, Delivered, Dead, Cancelled, Parked, Waiting, Missing int }
	Repeated   int
	Unprovable map[string]int
	Found      map[string]int
	Findings   []struct {
		Kind         string
		Partition    int32
		First, Last  int64
		Subscription string
		Detail       string
	}
}

// runReconcile runs the command over all events. clean says that it found nothing and proved everything.
func (in *installation) runReconcile(ctx context.Context) (r reconciled, clean bool, err error) {
	begin := time.Now()
	out, failed := in.Run(ctx, "reconcile", "--source", in.Topic("events"), "-o", "json")
	took := time.Since(begin)
	out = out[max(0, strings.IndexByte(out, '{')):] // lines of progress come before
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return r, false, fmt.Errorf("reading the reconciliation: %w", errors.Join(err, failed))
	}
	in.tell("reconcile took", "%s for %d events, %d deliveries", took.Round(10*time.Millisecond), r.Events.Records, r.Deliveries.Expected)
	return r, failed == nil, nil
}

// reconcile has the product itself account for the whole run, and holds its account against the checker's: it must find
// nothing wrong, prove everything, and count the same deliveries.
func (in *installation) reconcile(ctx context.Context, judged *history.Report) error {
	r, clean, err := in.runReconcile(ctx)
	if err != nil {
		return err
	}
	in.wantClean(r, clean)
	d := r.Deliveries
	in.want(r.Events.Records == len(in.history.Events) && d.Expected == judged.Required, "reconciled", "every event × subscription",
		"%d events, %d deliveries of %d: %d delivered, %d dead, %d cancelled, %d parked, %d waiting; %d repeated",
		r.Events.Records, d.Expected, judged.Required, d.Delivered, d.Dead, d.Cancelled, d.Parked, d.Waiting, r.Repeated)
	return nil
}

func (in *installation) wantClean(r reconciled, clean bool) {
	in.want(clean, "postrider reconcile finds", "nothing", "%v, unprovable %v", r.Found, r.Unprovable)
	for _, f := range r.Findings[:min(len(r.Findings), 5)] {
		in.tell("for example", "%+v", f)
	}
}

// reconciliation: subscriptions are edited, disabled, deleted and made while events are routed and routers and deliverers are
// killed. Nothing may be found; then a hole and missed matches are planted, and found where they are, and nothing else.
func reconciliation(ctx context.Context, in *installation) error {
	all := in.tenants(8, 6, patient)
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	roles, err := in.StartReady(ctx, "router", "retry", "deliver", "deliver")
	if err != nil {
		return err
	}
	end := in.steady(ctx, 300, all)
	roles, err = in.change(ctx, all, roles)
	if err := errorsOf(err, end()); err != nil {
		return err
	}
	for _, group := range []string{"router", "deliverer"} {
		err := rig.Await(ctx, time.Minute, func() (bool, error) {
			lag, err := in.Lag(ctx, group)
			return lag == 0, err
		})
		if err != nil {
			return fmt.Errorf("waiting for group %s to finish: %w", group, err)
		}
	}
	r, clean, err := in.runReconcile(ctx)
	if err != nil {
		return err
	}
	in.wantClean(r, clean)
	in.want(r.Events.Records == len(in.history.Events), "events accounted for", "all", "%d of %d", r.Events.Records, len(in.history.Events))
	in.tell("deliveries", "%+v, %d repeated", r.Deliveries, r.Repeated)
	if _, _, err := roles[0].Term(ctx); err != nil {
		return err
	}
	return in.plant(ctx, all)
}

// change edits the first tenants' subscriptions, a tenant a round, and kills a router and a deliverer meanwhile. It returns the
// roles as they are then. The last tenant stays as it was.
func (in *installation) change(ctx context.Context, all []rig.Tenant, roles []*rig.Process) ([]*rig.Process, error) {
	for i := range len(all) - 1 {
		if err := rig.Pause(ctx, time.Second); err != nil {
			return nil, err
		}
		t := &all[i]
		fresh := in.tenants(1, 1, patient)[0].Subscriptions[0]
		t.Subscriptions[1].Types = []string{"other.type"}
		t.Subscriptions[2].Disabled = true
		t.Subscriptions = append(t.Subscriptions[:3], t.Subscriptions[4], t.Subscriptions[5], fresh) // the fourth is deleted
		if err := in.Apply(ctx, all, "--prune"); err != nil {
			return nil, err
		}
		for _, victim := range map[int][]int{2: {0}, 4: {2}}[i] {
			roles[victim].Kill(ctx)
			again, err := in.Start(ctx, []string{"router", "", "deliver"}[victim])
			if err != nil {
				return nil, err
			}
			roles[victim] = again
		}
	}
	return roles, roles[0].Ready(ctx)
}

// plant makes a hole and missed matches, as a router with a fault would, and wants them found.
func (in *installation) plant(ctx context.Context, all []rig.Tenant) error {
	steady := all[len(all)-1]
	version, err := in.End(ctx, "registry")
	if err != nil {
		return err
	}
	var planted []*kgo.Record
	for _, id := range []string{"hole", "missed"} {
		r := in.Event(id, steady.UID, rig.EventType, []byte(`{}`))
		if err := in.Client.ProduceSync(ctx, r).FirstErr(); err != nil {
			return fmt.Errorf("producing an event: %w", err)
		}
		planted = append(planted, r)
	}
	hole, missed := planted[0], planted[1]
	account := &kgo.Record{
		Topic: in.Topic("routed"), Key: fmt.Appendf(nil, "%s/%d", missed.Topic, missed.Partition),
		Value: fmt.Appendf(nil, `{"version":1,"topic":%q,"partition":%d,"first":%d,"last":%d,"registry_version":%d,"events":1,"expanded":%d}`,
			missed.Topic, missed.Partition, missed.Offset, missed.Offset, version, len(steady.Subscriptions)),
	}
	if err := in.Client.ProduceSync(ctx, account).FirstErr(); err != nil {
		return fmt.Errorf("producing a routed record: %w", err)
	}
	ends, err := in.Admin.ListEndOffsets(ctx, in.Topic("events"))
	if err != nil {
		return fmt.Errorf("listing ends of events: %w", err)
	}
	committed := ends.Offsets()
	committed.KeepFunc(func(o kadm.Offset) bool { return o.Topic == hole.Topic })
	if err := in.Admin.CommitAllOffsets(ctx, in.Topic("router"), committed); err != nil {
		return fmt.Errorf("committing for the router: %w", err)
	}
	r, _, err := in.runReconcile(ctx)
	if err != nil {
		return err
	}
	exact := len(r.Findings) == 1+len(steady.Subscriptions) && r.Found["hole"] == 1 && r.Found["missed"] == len(steady.Subscriptions)
	for _, f := range r.Findings {
		at := map[string]*kgo.Record{"hole": hole, "missed": missed}[f.Kind]
		exact = exact && at != nil && f.Partition == at.Partition && f.First == at.Offset && f.Last == at.Offset
	}
	in.want(exact && len(r.Unprovable) == 0, "a planted hole and an event that was never expanded are found", "these and nothing else",
		"%v, unprovable %v", r.Found, r.Unprovable)
	return nil
}
