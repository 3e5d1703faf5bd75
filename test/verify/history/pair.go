package history

import (
	"fmt"
	"slices"
	"strings"
)

// identities checks that the same things have the same ids everywhere, and different things different ones.
func (c *checker) identities() {
	messages, deliveries := identity{map[string]string{}, map[string]string{}}, identity{map[string]string{}, map[string]string{}}
	message := func(event, id string) {
		if !messages.same(event, id) {
			c.report.broken(BadIdentity, "message id %s of event %s: it has another one, or another event has it", id, event)
		}
	}
	delivery := func(p Pair, id string) {
		if !deliveries.same(p.Event+"/"+p.Subscription, id) {
			c.report.broken(BadIdentity, "delivery id %s of %s: it has another one, or another delivery has it", id, p)
		}
	}
	for i := range c.h.Receipts {
		message(c.h.Receipts[i].Event, c.h.Receipts[i].Message)
	}
	for i := range c.h.Outcomes {
		o := &c.h.Outcomes[i]
		message(o.Event, o.Message)
		delivery(Pair{o.Event, o.Subscription}, o.Delivery)
	}
	for _, records := range [][]Record{c.h.Deliveries, c.h.DeadLetters} {
		for i := range records {
			message(records[i].Event, records[i].Message)
			delivery(records[i].Pair, records[i].Delivery)
		}
	}
}

// identity is a one-to-one mapping of things and ids.
type identity struct{ ids, things map[string]string }

func (m identity) same(thing, id string) bool {
	if m.ids[thing] == "" {
		m.ids[thing] = id
	}
	if m.things[id] == "" {
		m.things[id] = thing
	}
	return id != "" && m.ids[thing] == id && m.things[id] == thing
}

// fate checks that a required delivery ended, and counts the requests after its 2xx.
func (c *checker) fate(e *Event, s *Subscription) {
	p := Pair{e.ID, s.ID}
	c.report.Required++
	st := c.pairs[p]
	if st == nil {
		c.report.broken(Lost, "%s: no trace of it", p)
		return
	}
	accepted, again := 0, 0
	for _, r := range st.receipts {
		if accepted > 0 {
			again++
		}
		if r.accepted() {
			accepted++
		}
	}
	c.report.Repeats += max(0, again-c.h.Resends[p]) // what was asked for when nothing had been accepted yet is none
	last := map[string]bool{}
	for _, o := range st.rows {
		last[o.Verdict] = true
	}
	switch {
	case accepted > 0:
		c.report.Delivered++
		if !last["delivered"] {
			c.report.broken(Unrecorded, "%s: received, and no outcome says delivered", p)
		}
	case last["delivered"]:
		c.report.broken(Phantom, "%s: an outcome says delivered, and no endpoint accepted it", p)
	case last["dead"] && st.deadLetters == 0:
		c.report.broken(NoDeadLetter, "%s: an outcome says dead, and there is no dead letter", p)
	case last["dead"]:
		c.report.Dead++
	case last["cancelled"] && s.ended():
		c.report.Cancelled++
	default:
		c.report.broken(Lost, "%s: %d requests, verdicts %v", p, len(st.receipts), last)
	}
}

// bytes checks that every try sent the same bytes.
func (c *checker) bytes(p Pair, st *state) {
	for _, r := range st.receipts[min(1, len(st.receipts)):] {
		if r.Body != st.receipts[0].Body {
			c.report.broken(BadBody, "%s at %s", p, clock(r.At))
		}
	}
}

type rowKey struct {
	trigger, id   string
	attempt, pass int
}

// rows checks outcomes and requests against each other.
func (c *checker) rows(p Pair, st *state) {
	seen := map[rowKey]bool{}
	answered := 0
	for _, o := range st.rows {
		k := rowKey{o.Trigger, o.TriggerID, o.Attempt, o.Pass}
		if seen[k] {
			c.report.broken(RowTwice, "%s: %+v", p, k)
		}
		seen[k] = true
		if o.Status > 0 {
			answered++
		}
	}
	switch requests := len(st.receipts); {
	case answered > requests:
		c.report.broken(Phantom, "%s: %d answered attempts in outcomes, %d requests", p, answered, requests)
	case requests > st.attempted() && !c.rules.Crashed:
		c.report.broken(Unrecorded, "%s: %d requests, %d attempts in outcomes", p, requests, st.attempted())
	}
}

func (st *state) attempted() (n int) {
	for _, o := range st.rows {
		if o.attempted() {
			n++
		}
	}
	return n
}

// due checks that nothing was tried before the time that the outcome of the attempt before it set. Requests and attempts
// belong together by their order, so a pair with a request that no outcome tells about is left out: a killed process took
// the outcome with it, and the attempt that repeated it has a later due than the one it stands for. So is one that was
// sent again by hand, which waits for nothing.
func (c *checker) due(p Pair, st *state) {
	if len(st.receipts) != st.attempted() || c.h.Resends[p] > 0 {
		return
	}
	rows := slices.DeleteFunc(slices.Clone(st.rows), func(o *Outcome) bool { return !o.attempted() })
	slices.SortFunc(rows, func(a, b *Outcome) int { return a.At.Compare(b.At) })
	for i, o := range rows[:max(0, len(rows)-1)] {
		if next := st.receipts[i+1]; o.Due != nil && next.At.Before(*o.Due) {
			c.report.broken(Early, "%s: due %s, request at %s, %s early: %s", p, clock(*o.Due), clock(next.At),
				o.Due.Sub(next.At), st)
		}
	}
}

// String tells the story of a pair.
func (st *state) String() string {
	var b strings.Builder
	for _, r := range st.receipts {
		fmt.Fprintf(&b, "[request %s %d] ", clock(r.At), r.Status)
	}
	for _, o := range st.rows {
		fmt.Fprintf(&b, "[%s %s attempt %d pass %d %s/%s %d %.3f ms", clock(o.At), o.Trigger, o.Attempt, o.Pass,
			o.Verdict, o.Reason, o.Status, o.DurationMS)
		if o.Due != nil {
			fmt.Fprintf(&b, " due %s", clock(*o.Due))
		}
		b.WriteString("] ")
	}
	return b.String()
}

// tries checks the number of attempts against the policy.
func (c *checker) tries(p Pair, st *state) {
	s := c.subs[p.Subscription]
	if s == nil || s.MaxTries == 0 {
		return
	}
	rounds := 1 + c.h.Redrives[p]
	for _, o := range st.rows {
		if o.Attempt > s.MaxTries*rounds {
			c.report.broken(TooManyTries, "%s: attempt %d of %d", p, o.Attempt, s.MaxTries*rounds)
		}
		if o.Reason == "exhausted" && o.Attempt%s.MaxTries != 0 {
			c.report.broken(GaveUpEarly, "%s: exhausted after %d of %d", p, o.Attempt, s.MaxTries)
		}
	}
	if limit := s.MaxTries * (rounds + c.h.Resends[p]); len(st.receipts) > limit && !c.rules.Crashed {
		c.report.broken(TooManyTries, "%s: %d requests of %d", p, len(st.receipts), limit)
	}
}
