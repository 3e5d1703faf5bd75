package pipeline

import (
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// Matcher says what a router makes of source records, for those who check or explain what one made. It is for one goroutine.
type Matcher struct {
	router *Router
	sel    *selector
}

// Match is a delivery that an event becomes.
type Match struct {
	Tenant       *subscription.Tenant
	Subscription *subscription.Subscription
}

// NewMatcher returns what matches as a router with these options does.
func NewMatcher(opts RouterOptions) *Matcher {
	m := &Matcher{router: NewRouter(opts, nil, nil, nil)}
	m.sel = newSelector(&m.router.filters, m.router.opts.Profiles, m.router.opts.Metrics)
	return m
}

// Read reads a source record as an event. An error is why the router rejects it.
func (m *Matcher) Read(rec *kafka.Record) (*event.Event, error) { return m.router.read(rec) }

// Append appends to dst the deliveries that the event of a topic becomes, and returns how many others channels and filters
// kept back.
func (m *Matcher) Append(dst []Match, snap *registry.Snapshot, topic string, ev *event.Event) (out []Match, filtered int) {
	for _, to := range m.router.recipients(snap, ev, topic == m.router.operational) {
		subs, kept := m.sel.match(snap, to, ev)
		filtered += kept
		for _, sub := range subs {
			dst = append(dst, Match{Tenant: to.tenant, Subscription: sub})
		}
	}
	return dst, filtered
}

// DecodeDelivery reads a record of deliveries, of a retry tier or of the dead letters. The data is kept, not copied.
func DecodeDelivery(rec *kafka.Record) (*delivery.Delivery, error) { return decode(rec) }
