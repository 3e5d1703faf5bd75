package notice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Timing is when notices are sent. Both are wanted.
type Timing struct {
	// Gather is how long the first notice waits for what else goes wrong.
	Gather time.Duration
	// Every is the least time between two notices to a recipient.
	Every time.Duration
}

// Bounds of what is kept and told of a tenant.
const (
	// MaxProblems are the problems of a tenant that are kept; the least bad ones above are not told before others are over.
	MaxProblems = 500
	// MaxLines are the problems that a notice names; it counts the rest.
	MaxLines = 20
	// firstRetry and maxRetry bound the pause after a notice that was not taken.
	firstRetry = time.Minute
	maxRetry   = time.Hour
)

// Tenant is what is wrong at a tenant, and what its recipients were told. The zero value is one that nobody was told
// anything of. It is not safe for concurrent use.
type Tenant struct {
	open map[Problem]opened
	// over are problems that ended well and that somebody was told of, with when that was noticed.
	over map[Problem]time.Time
	// to is what recipients were told, by [Recipient.Key].
	to map[string]*Told
}

// opened is an open problem.
type opened struct {
	since  time.Time
	detail string
}

// Told is what a recipient was told, and how that went.
type Told struct {
	// Problems are those it was told of and not of their end, with when they were noticed.
	Problems map[Problem]time.Time `json:"problems,omitempty"`
	// Sent is when it took a notice last.
	Sent time.Time `json:"sent,omitzero"`
	// Failures are the notices that it did not take since, Error says why, and Retry is when it is tried again.
	Failures int       `json:"failures,omitempty"`
	Error    string    `json:"error,omitempty"`
	Retry    time.Time `json:"retry,omitzero"`
}

// state is what [Tenant.State] writes.
type state struct {
	Version int              `json:"version"`
	To      map[string]*Told `json:"to"`
}

// ReadTenant returns the tenant of a state; nothing is the zero value. Problems that somebody was told of count as open.
func ReadTenant(raw []byte) (*Tenant, error) {
	t := &Tenant{open: map[Problem]opened{}, over: map[Problem]time.Time{}, to: map[string]*Told{}}
	if len(raw) == 0 {
		return t, nil
	}
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return t, fmt.Errorf("reading what a tenant was told: %w", err)
	}
	for key, told := range s.To {
		if told == nil {
			continue
		}
		t.to[key] = told
		for p, since := range told.Problems {
			t.open[p] = opened{since: since}
		}
	}
	return t, nil
}

// State is what has to survive a restart, nil if nobody was told anything.
func (t *Tenant) State() ([]byte, error) {
	if len(t.to) == 0 {
		return nil, nil
	}
	raw, err := json.Marshal(state{Version: 1, To: t.to})
	if err != nil {
		return nil, fmt.Errorf("encoding what a tenant was told: %w", err)
	}
	return raw, nil
}

// Told returns what a recipient was told.
func (t *Tenant) Told(r Recipient) Told {
	if told := t.to[r.Key()]; told != nil {
		return *told
	}
	return Told{}
}

// Fold takes what was found of all endpoints of the tenant.
func (t *Tenant) Fold(findings []Finding, now time.Time) {
	next := map[Problem]opened{}
	slices.SortFunc(findings, func(a, b Finding) int { return a.compare(b.Problem) })
	for _, f := range findings {
		was, open := t.open[f.Problem]
		switch {
		case f.Verdict == Bad && (open || len(next) < MaxProblems):
			if !open {
				was.since = now
			}
			next[f.Problem] = opened{was.since, f.Detail}
			delete(t.over, f.Problem)
		case f.Verdict == Unknown && open:
			next[f.Problem] = was
		case f.Verdict == Well && open:
			t.over[f.Problem] = now
		}
	}
	t.open = next
	t.forget()
}

// forget drops ends that nobody waits for, and what recipients were told of what is neither open nor over.
func (t *Tenant) forget() {
	wanted := map[Problem]bool{}
	for _, told := range t.to {
		maps.DeleteFunc(told.Problems, func(p Problem, _ time.Time) bool {
			_, open := t.open[p]
			_, over := t.over[p]
			return !open && !over
		})
		for p := range told.Problems {
			wanted[p] = true
		}
	}
	maps.DeleteFunc(t.over, func(p Problem, _ time.Time) bool { return !wanted[p] })
}

// Keep forgets recipients that are not the tenant's any more.
func (t *Tenant) Keep(recipients []Recipient) {
	keys := map[string]bool{}
	for _, r := range recipients {
		keys[r.Key()] = true
	}
	maps.DeleteFunc(t.to, func(key string, _ *Told) bool { return !keys[key] })
}

// Item is a problem of a digest.
type Item struct {
	Problem
	Since  time.Time
	Detail string
}

// News is what a recipient has to be told.
type News struct {
	// Bad are new problems and Well those that are over, the worst first. Still is how many it was told of go on.
	Bad, Well []Item
	Still     int
}

// News returns what a recipient was not told yet, and from when on to tell it; false if there is nothing.
func (t *Tenant) News(r Recipient, timing Timing) (n News, due time.Time, ok bool) {
	told := t.Told(r)
	var first time.Time
	noticed := func(at time.Time) {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	for p, o := range t.open {
		if _, known := told.Problems[p]; known {
			n.Still++
			continue
		}
		n.Bad = append(n.Bad, Item{p, o.since, o.detail})
		noticed(o.since)
	}
	for p, at := range t.over {
		if since, known := told.Problems[p]; known {
			n.Well = append(n.Well, Item{Problem: p, Since: since})
			noticed(at)
		}
	}
	if len(n.Bad)+len(n.Well) == 0 {
		return News{}, time.Time{}, false
	}
	for _, items := range [][]Item{n.Bad, n.Well} {
		slices.SortFunc(items, func(a, b Item) int { return cmp.Or(a.compare(b.Problem), a.Since.Compare(b.Since)) })
	}
	due = first.Add(timing.Gather)
	for _, at := range []time.Time{told.Retry, next(told.Sent, timing.Every)} {
		if at.After(due) {
			due = at
		}
	}
	return n, due, true
}

func next(sent time.Time, every time.Duration) time.Time {
	if sent.IsZero() {
		return sent
	}
	return sent.Add(every)
}

// Taken records that a recipient took its news.
func (t *Tenant) Taken(r Recipient, n News, now time.Time) {
	told := t.told(r)
	if told.Problems == nil {
		told.Problems = map[Problem]time.Time{}
	}
	for _, item := range n.Bad {
		told.Problems[item.Problem] = item.Since
	}
	for _, item := range n.Well {
		delete(told.Problems, item.Problem)
	}
	told.Sent, told.Failures, told.Error, told.Retry = now, 0, "", time.Time{}
	t.forget()
}

// NotTaken records that a recipient could not be told, and why. Refused is one that says so itself: it is not asked again soon.
func (t *Tenant) NotTaken(r Recipient, why string, refused bool, now time.Time) {
	told := t.told(r)
	pause := min(maxRetry, firstRetry<<min(told.Failures, 10))
	if refused {
		pause = maxRetry
	}
	told.Failures++
	told.Error, told.Retry = why, now.Add(pause)
}

func (t *Tenant) told(r Recipient) *Told {
	told := t.to[r.Key()]
	if told == nil {
		told = &Told{}
		t.to[r.Key()] = told
	}
	return told
}
