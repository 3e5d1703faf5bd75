package history

import (
	"fmt"
	"slices"
	"time"
)

// Kind is a kind of broken promise.
type Kind string

// Kinds.
const (
	Lost         Kind = "lost"          // an event × subscription that ended neither delivered nor dead nor cancelled
	Ghost        Kind = "ghost"         // a receipt of what was never produced, or not wanted
	Stop         Kind = "stop"          // a request after the subscription had ended
	Repeated     Kind = "repeated"      // more requests after a 2xx than the rules allow
	BadSignature Kind = "signature"     // an invalid signature
	BadIdentity  Kind = "identity"      // a delivery or message id that changed, or that two things share
	BadBody      Kind = "body"          // other bytes on another try
	Early        Kind = "early"         // a retry before it was due
	TooManyTries Kind = "tries"         // more attempts than the policy gives
	GaveUpEarly  Kind = "gave-up-early" // fewer attempts than the policy gives
	Phantom      Kind = "phantom"       // an outcome of a request that no endpoint saw
	Unrecorded   Kind = "unrecorded"    // a request that no outcome tells about
	RowTwice     Kind = "row-twice"     // two outcomes with one key
	NoDeadLetter Kind = "no-dead-letter"
	BadCommit    Kind = "commit" // a commit that went backwards
	Gap          Kind = "gap"    // source records that the router's accounts leave out
)

// Rules are what a run may do.
type Rules struct {
	// Repeats is how many requests may follow a 2xx in the whole run: zero without faults.
	Repeats int
	// StopWithin is how long after the end of a subscription a request may still start.
	StopWithin time.Duration
	// Crashed says that processes were killed: an attempt whose outcome got lost with its process is no violation.
	Crashed bool
}

// Report is what became of a history.
type Report struct {
	Required  int // event × subscription
	Delivered int // of them
	Dead      int
	Cancelled int
	Receipts  int
	// Repeats is how many requests followed a 2xx without being asked for.
	Repeats int
	// Counts is how often each promise was broken, Examples a few of each in words.
	Counts   map[Kind]int
	Examples []string
}

// OK reports whether no promise was broken.
func (r *Report) OK() bool { return len(r.Counts) == 0 }

// maxExamples is how many of each kind are told in words.
const maxExamples = 3

func (r *Report) broken(k Kind, format string, args ...any) {
	r.Counts[k]++
	if r.Counts[k] <= maxExamples {
		r.Examples = append(r.Examples, string(k)+": "+fmt.Sprintf(format, args...))
	}
}

// checker holds a history by pair.
type checker struct {
	h      *History
	rules  Rules
	report *Report
	events map[string]*Event
	subs   map[string]*Subscription
	pairs  map[Pair]*state
}

type state struct {
	receipts    []*Receipt
	rows        []*Outcome
	records     []*Record
	deadLetters int
}

// Check holds a history against the promises.
func Check(h *History, rules Rules) *Report {
	c := &checker{
		h: h, rules: rules, report: &Report{Counts: map[Kind]int{}, Receipts: len(h.Receipts)},
		events: map[string]*Event{}, subs: map[string]*Subscription{}, pairs: map[Pair]*state{},
	}
	c.index()
	c.ghosts()
	c.identities()
	for _, e := range h.Events {
		for i := range h.Subscriptions {
			if s := &h.Subscriptions[i]; s.wants(&e) {
				c.fate(&e, s)
			}
		}
	}
	for p, st := range c.pairs {
		c.bytes(p, st)
		c.rows(p, st)
		c.due(p, st)
		c.tries(p, st)
	}
	if c.report.Repeats > rules.Repeats {
		c.report.broken(Repeated, "%d requests after a 2xx, allowed are %d", c.report.Repeats, rules.Repeats)
	}
	c.commits()
	c.gaps()
	slices.Sort(c.report.Examples)
	return c.report
}

func (c *checker) index() {
	for i := range c.h.Events {
		c.events[c.h.Events[i].ID] = &c.h.Events[i]
	}
	for i := range c.h.Subscriptions {
		c.subs[c.h.Subscriptions[i].ID] = &c.h.Subscriptions[i]
	}
	for i := range c.h.Receipts {
		r := &c.h.Receipts[i]
		st := c.pair(r.Pair)
		st.receipts = append(st.receipts, r)
	}
	for i := range c.h.Outcomes {
		o := &c.h.Outcomes[i]
		st := c.pair(Pair{o.Event, o.Subscription})
		st.rows = append(st.rows, o)
	}
	for i := range c.h.Deliveries {
		r := &c.h.Deliveries[i]
		st := c.pair(r.Pair)
		st.records = append(st.records, r)
	}
	for _, r := range c.h.DeadLetters {
		c.pair(r.Pair).deadLetters++
	}
	for _, st := range c.pairs {
		slices.SortFunc(st.receipts, func(a, b *Receipt) int { return a.At.Compare(b.At) })
	}
}

func (c *checker) pair(p Pair) *state {
	st := c.pairs[p]
	if st == nil {
		st = &state{}
		c.pairs[p] = st
	}
	return st
}

// wants reports whether an event has to reach the subscription or be accounted for: it matches, and it was produced
// while the subscription lived.
func (s *Subscription) wants(e *Event) bool {
	return s.matches(e) && slices.ContainsFunc(s.Lives, func(l Life) bool {
		return !e.At.Before(l.From) && (l.To.IsZero() || e.At.Before(l.To))
	})
}

func (s *Subscription) matches(e *Event) bool {
	return s.Tenant == e.Tenant && (len(s.Types) == 0 || slices.Contains(s.Types, e.Type))
}

// ended reports whether the subscription has an end.
func (s *Subscription) ended() bool {
	return slices.ContainsFunc(s.Lives, func(l Life) bool { return !l.To.IsZero() })
}

// ghosts checks that every receipt maps to an event and to a subscription that was live.
func (c *checker) ghosts() {
	for i := range c.h.Receipts {
		r := &c.h.Receipts[i]
		e, s := c.events[r.Event], c.subs[r.Subscription]
		switch {
		case e == nil:
			c.report.broken(Ghost, "%s: no such event", r.Pair)
		case s == nil || !s.matches(e):
			c.report.broken(Ghost, "%s: not wanted", r.Pair)
		case !s.live(r.At, c.rules.StopWithin):
			c.report.broken(Stop, "%s: request at %s", r.Pair, clock(r.At))
		}
		if !r.Signed {
			c.report.broken(BadSignature, "%s at %s", r.Pair, clock(r.At))
		}
	}
}

// live reports whether a request may start at t. A life begins for the product a moment before its acknowledgement.
func (s *Subscription) live(t time.Time, grace time.Duration) bool {
	return slices.ContainsFunc(s.Lives, func(l Life) bool { return l.To.IsZero() || !t.After(l.To.Add(grace)) })
}

// String names the pair.
func (p Pair) String() string { return p.Event + " × " + p.Subscription }

func clock(t time.Time) string { return t.Format("15:04:05.000000") }
