package pipeline

import (
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/registry"
)

// routeAhead is how many source records are read before the first of them is matched: the waits for the memory of a large
// registry overlap then, see [match.Index.Ahead].
const routeAhead = 32

// incoming is a source record, what it reads as and whose subscriptions that is for.
type incoming struct {
	rec *kafka.Record
	ev  *event.Event
	err error // why it is no event; ev is nil then
	to  []recipient
}

// ahead reads the first of the records, of which there is one at least.
func (r *Router) ahead(snap *registry.Snapshot, records []*kafka.Record) []incoming {
	records = records[:min(len(records), routeAhead)]
	out := make([]incoming, len(records))
	asks := make([]match.Ask, 0, routeAhead)
	for i, rec := range records {
		in := incoming{rec: rec}
		if in.ev, in.err = r.read(rec); in.err == nil {
			in.to = r.recipients(snap, in.ev, rec.Topic == r.operational)
		}
		for _, to := range in.to {
			asks = append(asks, match.Ask{Tenant: to.tenant.ID, Type: in.ev.Type})
		}
		out[i] = in
	}
	if len(asks) > 1 {
		snap.MatchAhead(asks)
	}
	return out
}
