package demo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/outcome"
)

// Row is what became of the deliveries of one endpoint. Each delivery is in one of Delivered, Dead, Cancelled, Waiting,
// Lost and Unfollowed.
type Row struct {
	Endpoint, Profile string
	// Expected is how many deliveries the events should have made.
	Expected, Delivered, Dead, Cancelled, Waiting int
	// Lost deliveries were neither received nor given up, and Kafka does not have them; or the outcome says delivered
	// and nobody received them.
	Lost int
	// Unfollowed deliveries were unsettled when the tally had too many to follow.
	Unfollowed int
	// Twice counts deliveries that were accepted more than once: a crash or a late answer, which at-least-once allows.
	Twice int
	// Requests is how many were received; Unverified of them had no good signature, Stray ones nobody asked for, and
	// Altered ones did not have the data that was sent.
	Requests, Unverified, Stray, Altered int
	// Reasons counts why deliveries are dead or cancelled.
	Reasons map[outcome.Reason]int
}

func (r *Row) clone() Row {
	c := *r
	c.Reasons = maps.Clone(r.Reasons)
	return c
}

// add counts one delivery. An unsettled one that goes out of sight is neither waiting nor lost.
func (r *Row) add(d *fate, outOfSight bool) {
	r.Expected++
	if d.received > 1 {
		r.Twice++
	}
	switch {
	case d.settled() && d.verdict == outcome.Delivered:
		r.Delivered++
		return
	case d.settled():
		if d.verdict == outcome.Dead {
			r.Dead++
		} else {
			r.Cancelled++
		}
		if r.Reasons == nil {
			r.Reasons = map[outcome.Reason]int{}
		}
		r.Reasons[d.reason]++
	case outOfSight:
		r.Unfollowed++
	case d.waiting && d.verdict != outcome.Delivered:
		r.Waiting++
	default:
		r.Lost++
	}
}

// Summary is what became of everything that was sent.
type Summary struct {
	// Sent is the number of events; Unwanted of those that no subscription wants.
	Sent, Unwanted int
	// Earlier counts requests for events that this run did not send: of an earlier one, or sent by hand.
	Earlier int
	Rows    []Row
}

// OK reports whether nothing was lost, altered or led astray, and every signature was good.
func (s Summary) OK() bool {
	t := s.total()
	return t.Lost+t.Unverified+t.Stray+t.Altered == 0
}

func (s Summary) total() Row {
	t := Row{Endpoint: "all"}
	for _, r := range s.Rows {
		t.Expected += r.Expected
		t.Delivered += r.Delivered
		t.Dead += r.Dead
		t.Cancelled += r.Cancelled
		t.Waiting += r.Waiting
		t.Lost += r.Lost
		t.Unfollowed += r.Unfollowed
		t.Twice += r.Twice
		t.Requests += r.Requests
		t.Unverified += r.Unverified
		t.Stray += r.Stray
		t.Altered += r.Altered
	}
	return t
}

// String writes the summary as a table and a verdict.
func (s Summary) String() string {
	var b strings.Builder
	b.WriteString(count(s.Sent, "event") + " sent")
	if s.Unwanted > 0 {
		fmt.Fprintf(&b, ", %d of them wanted by no endpoint", s.Unwanted)
	}
	b.WriteString("\n\n")
	line := func(columns ...any) {
		fmt.Fprintf(&b, summaryLine+"\n", columns...)
	}
	line("endpoint", "expected", "delivered", "dead", "waiting", "lost", "twice", "requests", "unverified")
	for _, r := range append(s.Rows, s.total()) {
		line(r.Endpoint, itoa(r.Expected), itoa(r.Delivered), itoa(r.Dead+r.Cancelled), itoa(r.Waiting),
			itoa(r.Lost), itoa(r.Twice), itoa(r.Requests), itoa(r.Unverified))
	}
	b.WriteByte('\n')
	s.profiles(&b)
	s.remarks(&b)
	return b.String()
}

// profiles says how many requests had a good signature, by profile.
func (s Summary) profiles(b *strings.Builder) {
	verified, all := map[string]int{}, map[string]int{}
	var names []string
	for _, r := range s.Rows {
		if _, known := all[r.Profile]; !known {
			names = append(names, r.Profile)
		}
		all[r.Profile] += r.Requests
		verified[r.Profile] += r.Requests - r.Unverified
	}
	fmt.Fprintf(b, profileLine, "profile", "requests", "signature good")
	for _, name := range names {
		fmt.Fprintf(b, profileLine, name, itoa(all[name]), itoa(verified[name]))
	}
	b.WriteByte('\n')
}

const profileLine = "%-14s %8s %14s\n"

const summaryLine = "%-10s %8s %9s %5s %7s %5s %5s %8s %10s"

// remarks says what the numbers mean.
func (s Summary) remarks(b *strings.Builder) {
	t := s.total()
	say := func(n int, format string, args ...any) {
		if n > 0 {
			fmt.Fprintf(b, format+"\n", args...)
		}
	}
	for _, r := range s.Rows {
		say(len(r.Reasons), "Given up at %s: %s.", r.Endpoint, reasons(r.Reasons))
	}
	say(t.Waiting, "%s in Kafka: a start with the same data directory goes on with what waits.", verb(t.Waiting, "delivery waits", "deliveries wait"))
	say(t.Unfollowed, "%s too old to follow and unsettled then.", verb(t.Unfollowed, "delivery was", "deliveries were"))
	say(s.Earlier, "%s for events that this run did not send: an earlier one did, or somebody by hand.", verb(s.Earlier, "request was", "requests were"))
	say(t.Stray, "STRAY: %s at an endpoint that did not ask for it.", count(t.Stray, "request"))
	say(t.Altered, "ALTERED: %s without the data that was sent.", count(t.Altered, "request"))
	say(t.Unverified, "NOT VERIFIED: %s.", count(t.Unverified, "request"))
	say(t.Lost, "LOST: %s.", verb(t.Lost, "delivery", "deliveries"))
	if s.OK() {
		fmt.Fprintln(b, "Nothing was lost, and every signature was good.")
	}
}

func reasons(m map[outcome.Reason]int) string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b outcome.Reason) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	parts := make([]string, 0, len(keys))
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], meaning(k)))
	}
	return strings.Join(parts, ", ")
}

// meaning is a reason in the word of the outcomes, and in others where that does not speak for itself.
func meaning(r outcome.Reason) string {
	switch r { //nolint:exhaustive // the others speak for themselves
	case outcome.ReasonExhausted:
		return string(r) + " (no tries left)"
	case outcome.ReasonExpired:
		return string(r) + " (too old)"
	case outcome.ReasonNotRetryable:
		return string(r) + " (the answer is final)"
	}
	return string(r)
}
