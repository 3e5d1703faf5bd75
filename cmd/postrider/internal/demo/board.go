package demo

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Bounds of what a board remembers.
const (
	maxMarks    = 40      // results of an endpoint that are shown
	maxTimes    = 200     // response times of an endpoint that the quantiles are of
	maxRecent   = 30      // outcomes that can be listed
	maxLanes    = 16      // endpoints with a line of their own; more are in the totals only
	maxPending  = 100_000 // deliveries that wait and are counted as such, some 20 MB
	rateSeconds = 10      // the window of rates
)

// Board adds up outcomes for people to look at. It may be used concurrently.
type Board struct {
	mu      sync.Mutex
	name    func(ident.ID) string
	lanes   []*lane
	bySub   map[ident.ID]*lane
	pending map[string]outcome.Verdict // retry or parked, by delivery id
	recent  []outcome.Outcome          // newest last
	total   counts
	rate    meter
	notable func(string)
}

// counts are how many deliveries came to an end, and how many wait now.
type counts struct{ delivered, retrying, parked, dead, cancelled, attempts int }

// lane is what the board knows of one endpoint.
type lane struct {
	name, profile string
	counts
	last  string
	open  bool // its breaker, as far as the outcomes tell
	marks []outcome.Verdict
	times []float64 // of attempts, ms, newest last
}

// NewBoard returns a board with a line for each endpoint. name is what another subscription is called. notable, if not
// nil, is called with a line for what a person wants to know: a dead letter, a breaker that opens or closes.
func NewBoard(endpoints []Endpoint, name func(ident.ID) string, notable func(string)) *Board {
	b := &Board{name: name, bySub: map[ident.ID]*lane{}, pending: map[string]outcome.Verdict{}, notable: notable}
	if notable == nil {
		b.notable = func(string) {}
	}
	for _, e := range endpoints {
		b.lane(e.Subscription, e.Name).profile = e.Profile
	}
	return b
}

// lane returns the line of a subscription, or nil if there are too many.
func (b *Board) lane(id ident.ID, name string) *lane {
	l := b.bySub[id]
	if l == nil && len(b.lanes) < maxLanes {
		l = &lane{name: name, last: "-"}
		b.lanes, b.bySub[id] = append(b.lanes, l), l
	}
	return l
}

// Add adds an outcome that was read at a time.
func (b *Board) Add(o *outcome.Outcome, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lane(o.Subscription, b.name(o.Subscription))
	if l == nil {
		l = &lane{} // counted in the totals only
	}
	before := b.pending[o.Delivery]
	delete(b.pending, o.Delivery)
	if (o.Verdict == outcome.Retry || o.Verdict == outcome.Parked) && len(b.pending) < maxPending {
		b.pending[o.Delivery] = o.Verdict
	}
	for _, c := range []*counts{&b.total, &l.counts} {
		c.leave(before)
		c.add(o, b.pending[o.Delivery] != "")
	}
	b.rate.add(now)
	b.recent = push(b.recent, *o, maxRecent)
	b.follow(l, o)
}

// leave takes back that a delivery waits.
func (c *counts) leave(before outcome.Verdict) {
	switch before {
	case outcome.Retry:
		c.retrying--
	case outcome.Parked:
		c.parked--
	case outcome.Delivered, outcome.Dead, outcome.Cancelled:
	}
}

func (c *counts) add(o *outcome.Outcome, pending bool) {
	if o.Attempted() {
		c.attempts++
	}
	switch {
	case o.Verdict == outcome.Delivered:
		c.delivered++
	case o.Verdict == outcome.Dead:
		c.dead++
	case o.Verdict == outcome.Cancelled:
		c.cancelled++
	case o.Verdict == outcome.Retry && pending:
		c.retrying++
	case o.Verdict == outcome.Parked && pending:
		c.parked++
	}
}

// follow keeps what is told of the endpoint itself.
func (b *Board) follow(l *lane, o *outcome.Outcome) {
	l.marks = push(l.marks, o.Verdict, maxMarks)
	if o.Attempted() {
		if l.profile == "" {
			l.profile = o.Profile
		}
		l.last = status(o)
		l.times = push(l.times, o.DurationMS, maxTimes)
	}
	if o.Verdict == outcome.Dead {
		b.tellDead(l, o)
	}
	switch {
	case o.Reason == outcome.ReasonBreakerOpen && !l.open:
		l.open = true
		b.notable(l.name + ": breaker open: deliveries wait, and a few find out whether it is back")
	case o.OfEndpoint() && !o.Result.Unhealthy() && l.open:
		l.open = false
		b.notable(l.name + ": breaker closed: it is back")
	}
}

// tellDead tells of the first dead letter of an endpoint, and of every tenfold: the totals say the rest.
func (b *Board) tellDead(l *lane, o *outcome.Outcome) {
	switch n := l.dead; {
	case n == 1:
		b.notable(l.name + ": dead letter: " + o.EventType + ", given up after " + count(o.Attempt, "attempt") +
			": " + meaning(o.Reason) + ", last " + status(o))
	case tenfold(n):
		b.notable(l.name + ": " + strconv.Itoa(n) + " dead letters by now")
	}
}

func tenfold(n int) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// push appends v and drops the oldest beyond a number.
func push[T any](list []T, v T, most int) []T {
	list = append(list, v)
	if len(list) > most {
		list = slices.Delete(list, 0, len(list)-most)
	}
	return list
}

// quantile returns the q-quantile of times, 0 without any.
func quantile(times []float64, q float64) float64 {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// meter counts per second over the last few seconds.
type meter struct {
	buckets [rateSeconds]int
	at      int64 // the second of the newest bucket
	since   int64
}

func (m *meter) add(now time.Time) {
	m.roll(now)
	m.buckets[m.at%rateSeconds]++
}

func (m *meter) roll(now time.Time) {
	second := now.Unix()
	if m.since == 0 {
		m.since, m.at = second, second
	}
	for ; m.at < second && second-m.at <= rateSeconds; m.at++ {
		m.buckets[(m.at+1)%rateSeconds] = 0
	}
	if m.at < second {
		m.at, m.buckets = second, [rateSeconds]int{}
	}
}

// perSecond returns the mean of the window, or of the time since the first one if that is shorter.
func (m *meter) perSecond(now time.Time) float64 {
	if m.since == 0 {
		return 0
	}
	m.roll(now)
	sum := 0
	for _, n := range m.buckets {
		sum += n
	}
	return float64(sum) / float64(min(m.at-m.since+1, rateSeconds))
}
