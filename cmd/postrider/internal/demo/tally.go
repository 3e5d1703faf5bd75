package demo

import (
	"crypto/sha256"
	"sync"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/outcome"
)

// maxEvents is how many events the tally follows: five hours at five a second, and about 100 MB. The fate of older
// events is counted as it is then.
const maxEvents = 100_000

// Tally compares what was sent with what was received and with what the outcomes say. It may be used concurrently.
type Tally struct {
	mu        sync.Mutex
	endpoints []Endpoint
	limit     int
	// events are those that are followed, by message id and by event id; order has the latter, oldest first.
	events     map[string]*followed
	order      []string
	deliveries map[string]*fate // by delivery id
	unsettled  int
	rows       map[string]*Row // what is counted for good
	sent       int
	unwanted   int
	earlier    int
}

// followed is an event and what becomes of it.
type followed struct {
	message string
	data    [sha256.Size]byte
	fates   map[string]*fate // by the name of the endpoint
	ids     []string         // of its deliveries
}

// fate is what became of a delivery.
type fate struct {
	endpoint string
	// received counts the requests that the endpoint accepted.
	received int
	verdict  outcome.Verdict // of the last outcome; empty before
	reason   outcome.Reason
	waiting  bool // Kafka still has it, to be read
}

// settled reports whether nothing more will happen to it.
func (f *fate) settled() bool {
	switch f.verdict {
	case outcome.Delivered:
		return f.received > 0
	case outcome.Dead, outcome.Cancelled:
		return true
	case outcome.Retry, outcome.Parked:
	}
	return false
}

// NewTally returns a tally of the events for the given endpoints.
func NewTally(endpoints []Endpoint) *Tally {
	t := &Tally{
		endpoints: endpoints, limit: maxEvents, events: map[string]*followed{}, deliveries: map[string]*fate{}, rows: map[string]*Row{},
	}
	for _, e := range endpoints {
		t.rows[e.Name] = &Row{Endpoint: e.Name, Profile: e.Profile}
	}
	return t
}

// Sent follows an event. It is called before the event can be received.
func (t *Tally) Sent(ev *Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := &followed{data: ev.Data, fates: map[string]*fate{}}
	for i := range t.endpoints {
		e := &t.endpoints[i]
		if f.message == "" && e.TenantName == ev.Tenant {
			f.message = delivery.MessageID(e.Tenant, ev.Source, ev.ID).Base62(delivery.MessagePrefix)
		}
		if !e.Wants(ev) {
			continue
		}
		d := &fate{endpoint: e.Name}
		id := delivery.ID(delivery.MessageID(e.Tenant, ev.Source, ev.ID), e.Subscription).Base62(delivery.IDPrefix)
		f.fates[e.Name], f.ids = d, append(f.ids, id)
		t.deliveries[id] = d
	}
	t.sent++
	t.unsettled += len(f.ids)
	if len(f.ids) == 0 {
		t.unwanted++
	}
	t.events[ev.ID] = f
	if f.message != "" {
		t.events[f.message] = f
	}
	t.order = append(t.order, ev.ID)
	if len(t.order) > t.limit {
		t.forget(t.order[0], true)
		t.order = t.order[1:]
	}
}

// Withdraw takes back an event that Kafka did not take.
func (t *Tally) Withdraw(ev *Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.events[ev.ID]; f != nil {
		t.sent--
		if len(f.ids) == 0 {
			t.unwanted--
		}
		t.forget(ev.ID, false)
	}
}

// forget ends following an event, and counts what became of it.
func (t *Tally) forget(eventID string, count bool) {
	f := t.events[eventID]
	if f == nil {
		return
	}
	for _, id := range f.ids {
		d := t.deliveries[id]
		if count {
			t.rows[d.endpoint].add(d, true)
		}
		if !d.settled() {
			t.unsettled--
		}
		delete(t.deliveries, id)
	}
	delete(t.events, eventID)
	delete(t.events, f.message)
}

// Received notes a request to an endpoint.
func (t *Tally) Received(r Receipt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := t.rows[r.Endpoint]
	if row == nil {
		return
	}
	row.Requests++
	if r.Err != nil {
		row.Unverified++
		return
	}
	f := t.events[r.Ref]
	if f == nil {
		t.earlier++ // of an earlier run, or no longer followed
		return
	}
	d := f.fates[r.Endpoint]
	if d == nil {
		row.Stray++
		return
	}
	if r.Data != f.data {
		row.Altered++
	}
	if r.Accepted {
		t.change(d, func() { d.received++ })
	}
}

// Outcome notes what an outcome says. Saying it again changes nothing.
func (t *Tally) Outcome(o *outcome.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.deliveries[o.Delivery]; d != nil {
		t.change(d, func() { d.verdict, d.reason = o.Verdict, o.Reason })
	}
}

// Waiting notes that Kafka has a record of the delivery that is still to be read.
func (t *Tally) Waiting(deliveryID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.deliveries[deliveryID]; d != nil {
		d.waiting = true
	}
}

// WaitingEvent notes that Kafka has an event that is still to be expanded.
func (t *Tally) WaitingEvent(eventID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.events[eventID]; f != nil {
		for _, d := range f.fates {
			d.waiting = true
		}
	}
}

// change changes a fate and keeps the count of those that are not settled.
func (t *Tally) change(d *fate, fn func()) {
	before := d.settled()
	fn()
	switch after := d.settled(); {
	case before && !after:
		t.unsettled++
	case !before && after:
		t.unsettled--
	}
}

// Unsettled returns how many deliveries something is still to happen to.
func (t *Tally) Unsettled() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unsettled
}

// Counts returns how many events were sent, and how many of them nobody wants.
func (t *Tally) Counts() (sent, unwanted int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent, t.unwanted
}

// Unverified returns how many requests had no good signature, and how many there were.
func (t *Tally) Unverified() (bad, all int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.rows {
		bad, all = bad+r.Unverified, all+r.Requests
	}
	return bad, all
}

// Summary compares. It is meant for when nothing moves any more and what waits was told.
func (t *Tally) Summary() Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Summary{Sent: t.sent, Unwanted: t.unwanted, Earlier: t.earlier}
	at := map[string]int{}
	for i := range t.endpoints {
		name := t.endpoints[i].Name
		at[name] = len(s.Rows)
		s.Rows = append(s.Rows, t.rows[name].clone())
	}
	for _, d := range t.deliveries {
		s.Rows[at[d.endpoint]].add(d, false)
	}
	return s
}
