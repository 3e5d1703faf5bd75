package history

import (
	"context"
	"fmt"
	"slices"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
)

// extra is a delivery that no account of its event expects.
type extra struct {
	place    delivery.Position
	sub      ident.ID
	registry int64
}

// extraBytes bounds what is read at a time of the events of extra deliveries.
const extraBytes = 32 << 20

// judgeExtras finds out which of the extra deliveries should not be there. A router that was killed between its deliveries and
// its routed record leaves deliveries that its successor may match otherwise, with a later registry: those name the version
// that they were matched with, and there they are right.
func (r *reconciler) judgeExtras(ctx context.Context) error {
	if len(r.extras) == 0 {
		return nil
	}
	fetcher, err := kafka.NewFetcher(r.opts.Kafka)
	if err != nil {
		return err
	}
	defer fetcher.Close()
	var places []kafka.Place
	for _, e := range r.extras {
		places = append(places, kafka.Place(e.place))
	}
	found := map[kafka.Place]*kafka.Record{}
	for len(places) > 0 {
		some, left, err := fetcher.Fetch(ctx, places, extraBytes)
		if err != nil {
			return fmt.Errorf("reading the events of unexpected deliveries: %w", err)
		}
		for id, e := range r.extras {
			rec, ok := some[kafka.Place(e.place)]
			if !ok {
				continue
			}
			found[kafka.Place(e.place)] = nil
			if err := r.judgeExtra(ctx, id, e, rec); err != nil {
				return err
			}
		}
		places = left
	}
	for _, e := range r.extras {
		if _, ok := found[kafka.Place(e.place)]; !ok {
			r.out.cannot(SourceGone, 1)
		}
	}
	return nil
}

func (r *reconciler) judgeExtra(ctx context.Context, id ident.ID, e extra, rec *kafka.Record) error {
	if e.registry < r.knownFrom {
		r.out.cannot(RegistryCompacted, 1)
		return nil
	}
	snap, err := r.past.At(ctx, e.registry)
	if err != nil {
		return err
	}
	if ev, err := r.matcher.Read(rec); err == nil {
		matches, _ := r.matcher.Append(nil, snap, rec.Topic, ev)
		if slices.ContainsFunc(matches, func(m pipeline.Match) bool { return m.Subscription.ID == e.sub }) {
			r.out.Repeated++
			return nil
		}
	}
	r.out.find(Finding{
		Kind: Extra, Partition: e.place.Partition, First: e.place.Offset, Last: e.place.Offset,
		Delivery: id.Base62(delivery.IDPrefix), Subscription: e.sub.UUID(),
		Detail: fmt.Sprintf("was made with registry version %d, at which the subscription does not match the event", e.registry),
	})
	return nil
}
