package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

const (
	good   = "00000000-0000-0000-0000-000000000001" // answers 200
	flaky  = "00000000-0000-0000-0000-000000000002" // answers 500, then 200
	broken = "00000000-0000-0000-0000-000000000003" // answers 500
	typed  = "00000000-0000-0000-0000-000000000004" // wants one type; ends
)

// world is a history without a fault: ten events, four subscriptions, two tries at most.
func world() *History {
	h := &History{Resends: map[Pair]int{}, Redrives: map[Pair]int{}}
	for _, id := range []string{good, flaky, broken} {
		h.Subscriptions = append(h.Subscriptions, Subscription{ID: id, Tenant: "acme", Lives: []Life{{From: start}}, MaxTries: 2})
	}
	h.Subscriptions = append(h.Subscriptions, Subscription{
		ID: typed, Tenant: "acme", Types: []string{"a.b"}, Lives: []Life{{start, at(10 * time.Second)}}, MaxTries: 2,
	})
	h.Routed = []Range{{0, 0, 3}, {1, 0, 2}, {0, 4, 6}, {0, 4, 6}}
	h.SourceEnds = map[int32]int64{0: 7, 1: 3}
	for i := range 10 {
		e := Event{ID: fmt.Sprintf("e-%d", i), Tenant: "acme", Type: "a.b", At: at(time.Duration(i) * time.Second)}
		h.Events = append(h.Events, e)
		h.try(e, good, 1, 200, "delivered", "delivered")
		h.try(e, flaky, 1, 500, "retry", "failed")
		h.try(e, flaky, 2, 200, "delivered", "delivered")
		h.try(e, broken, 1, 500, "retry", "failed")
		h.try(e, broken, 2, 500, "dead", "exhausted")
		h.DeadLetters = append(h.DeadLetters, h.record(e, broken))
		if i < 5 {
			h.try(e, typed, 1, 200, "delivered", "delivered")
		} else {
			h.Outcomes = append(h.Outcomes, h.row(e, typed, 0, 0, "cancelled", "disabled"))
		}
	}
	return h
}

func (h *History) try(e Event, sub string, attempt, status int, verdict, reason string) {
	row := h.row(e, sub, attempt, status, verdict, reason)
	h.Outcomes = append(h.Outcomes, row)
	if attempt == 1 {
		h.Deliveries = append(h.Deliveries, h.record(e, sub))
	}
	h.Receipts = append(h.Receipts, Receipt{
		Pair: Pair{e.ID, sub}, Message: "msg_" + e.ID, At: row.At.Add(time.Millisecond), Answered: row.At.Add(2 * time.Millisecond),
		Status: status, Body: 7, Signed: true,
	})
}

func (h *History) row(e Event, sub string, attempt, status int, verdict, reason string) Outcome {
	o := Outcome{
		Delivery: "dlv_" + e.ID + sub, Message: "msg_" + e.ID, Event: e.ID, Subscription: sub, Trigger: "event",
		Attempt: attempt, Pass: max(0, attempt-1), Verdict: verdict, Reason: reason, Result: "any", Status: status,
		At: e.At.Add(time.Duration(attempt) * time.Minute), DurationMS: 3,
	}
	if sub == typed || attempt == 1 {
		o.At = e.At.Add(50 * time.Millisecond)
	}
	if verdict == "retry" {
		due := e.At.Add(2 * time.Minute)
		o.Due = &due
	}
	if verdict == "cancelled" {
		o.Result = "none"
	}
	return o
}

func (h *History) record(e Event, sub string) Record {
	return Record{Pair: Pair{e.ID, sub}, Delivery: "dlv_" + e.ID + sub, Message: "msg_" + e.ID, Trigger: "event"}
}

// drop removes the elements that match.
func drop[T any](list []T, match func(*T) bool) []T {
	var kept []T
	for i := range list {
		if !match(&list[i]) {
			kept = append(kept, list[i])
		}
	}
	return kept
}

func rules() Rules { return Rules{StopWithin: 2 * time.Second} }

func TestAGoodHistoryIsGood(t *testing.T) {
	r := Check(world(), rules())
	require.True(t, r.OK(), "%v", r.Examples)
	require.Equal(t, 40, r.Required)
	require.Equal(t, 25, r.Delivered)
	require.Equal(t, 10, r.Dead)
	require.Equal(t, 5, r.Cancelled)
	require.Zero(t, r.Repeats)
}

// bugs are the faults that a pipeline may have, each as what it would leave behind.
var bugs = []struct {
	name  string
	want  Kind
	plant func(h *History)
}{
	{"the router skips an event", Lost, func(h *History) {
		skip := func(event string) bool { return event == "e-3" }
		h.Receipts = drop(h.Receipts, func(r *Receipt) bool { return skip(r.Event) })
		h.Outcomes = drop(h.Outcomes, func(o *Outcome) bool { return skip(o.Event) })
		h.Deliveries = drop(h.Deliveries, func(r *Record) bool { return skip(r.Event) })
		h.DeadLetters = drop(h.DeadLetters, func(r *Record) bool { return skip(r.Event) })
	}},
	{"a commit runs ahead of a delivery in flight", Lost, func(h *History) {
		h.Receipts = drop(h.Receipts, func(r *Receipt) bool { return r.Pair == Pair{"e-1", good} })
		h.Outcomes = drop(h.Outcomes, func(o *Outcome) bool { return o.Event == "e-1" && o.Subscription == good })
	}},
	{"a retry record is not written", Lost, func(h *History) {
		h.Receipts = drop(h.Receipts, func(r *Receipt) bool { return r.Pair == Pair{"e-1", flaky} && r.Status == 200 })
		h.Outcomes = drop(h.Outcomes, func(o *Outcome) bool { return o.Event == "e-1" && o.Subscription == flaky && o.Attempt == 2 })
	}},
	{"a live subscription is cancelled", Lost, func(h *History) {
		h.Receipts = drop(h.Receipts, func(r *Receipt) bool { return r.Pair == Pair{"e-1", good} })
		for i := range h.Outcomes {
			if o := &h.Outcomes[i]; o.Event == "e-1" && o.Subscription == good {
				o.Verdict, o.Result, o.Status = "cancelled", "none", 0
			}
		}
	}},
	{"an event goes to another tenant", Ghost, func(h *History) { h.Subscriptions[0].Tenant = "globex" }},
	{"an event is made up", Ghost, func(h *History) {
		r := h.Receipts[0]
		r.Event, r.Message = "e-99", "msg_e-99"
		h.Receipts = append(h.Receipts, r)
	}},
	{"a disabled subscription is called", Stop, func(h *History) {
		h.try(h.Events[9], typed, 1, 200, "delivered", "delivered")
		h.Receipts[len(h.Receipts)-1].At = at(13 * time.Second)
	}},
	{"a delivery is sent twice", Repeated, func(h *History) {
		r := h.Receipts[0]
		r.At = r.At.Add(time.Second)
		h.Receipts = append(h.Receipts, r)
	}},
	{"a signature is of another body", BadSignature, func(h *History) { h.Receipts[4].Signed = false }},
	{"a retry gets a new delivery id", BadIdentity, func(h *History) { h.Outcomes[2].Delivery = "dlv_new" }},
	{"two deliveries share an id", BadIdentity, func(h *History) { h.Deliveries[1].Delivery = h.Deliveries[0].Delivery }},
	{"an event expanded twice gets a new message id", BadIdentity, func(h *History) { h.Receipts[0].Message = "msg_new" }},
	{"a retry renders another body", BadBody, func(h *History) { h.Receipts[2].Body = 8 }},
	{"a retry comes early", Early, func(h *History) { h.Receipts[2].At = h.Receipts[2].At.Add(-time.Second) }},
	{"the policy's maximum is passed", TooManyTries, func(h *History) {
		h.try(h.Events[0], broken, 3, 500, "dead", "exhausted")
	}},
	{"a delivery is given up early", GaveUpEarly, func(h *History) {
		h.Subscriptions[2].MaxTries = 3
	}},
	{"an attempt is recorded and not made", Phantom, func(h *History) {
		h.Receipts = drop(h.Receipts, func(r *Receipt) bool { return r.Pair == Pair{"e-1", good} })
	}},
	{"an outcome is missing", Unrecorded, func(h *History) {
		h.Outcomes = drop(h.Outcomes, func(o *Outcome) bool { return o.Event == "e-1" && o.Subscription == good })
	}},
	{"an outcome is written twice", RowTwice, func(h *History) { h.Outcomes = append(h.Outcomes, h.Outcomes[0]) }},
	{"a dead letter is missing", NoDeadLetter, func(h *History) { h.DeadLetters = h.DeadLetters[1:] }},
	{"the router leaves out a batch", Gap, func(h *History) { h.Routed[2].First = 7 }},
	{"the router does not come to the end", Gap, func(h *History) { h.SourceEnds[1] = 4 }},
	{"a zombie commits", BadCommit, func(h *History) {
		h.Commits = []Commit{{0, 10}, {1, 3}, {0, 20}, {0, 12}, {1, 4}}
	}},
}

func TestPlantedBugsAreCaught(t *testing.T) {
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			h := world()
			bug.plant(h)
			r := Check(h, rules())
			require.False(t, r.OK())
			require.Positive(t, r.Counts[bug.want], "%v", r.Examples)
		})
	}
}

func TestRepeatsOfACrashAreBounded(t *testing.T) {
	h := world()
	for _, r := range h.Receipts[:1] {
		r.At = r.At.Add(time.Second)
		h.Receipts = append(h.Receipts, r)
	}
	allowed := Rules{Repeats: 1, Crashed: true, StopWithin: 2 * time.Second}
	require.True(t, Check(h, allowed).OK())
	h.Receipts = append(h.Receipts, h.Receipts[len(h.Receipts)-1])
	require.Equal(t, map[Kind]int{Repeated: 1}, Check(h, allowed).Counts)
}

func TestResendsAreAskedFor(t *testing.T) {
	h := world()
	p := Pair{"e-1", good}
	for i := range 2 {
		h.try(h.Events[1], good, 1, 200, "delivered", "delivered")
		o := &h.Outcomes[len(h.Outcomes)-1]
		o.Trigger, o.TriggerID = "resend", fmt.Sprint(i)
	}
	require.False(t, Check(h, rules()).OK())
	h.Resends[p] = 2
	r := Check(h, rules())
	require.True(t, r.OK(), "%v", r.Examples)
}
