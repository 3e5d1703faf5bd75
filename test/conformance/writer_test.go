package conformance

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// entry is something that happened: an attempt or another outcome, or an operational event.
type entry struct {
	at      time.Time
	row     *outcome.Outcome // nil for an operational event about the endpoint
	request *request         // nil if none was sent
	event   *operational.Event
	told    string // the operational event about the attempt
}

// writer writes the history of a case as it goes on.
type writer struct {
	*player
	seen    int       // requests of earlier cases
	began   time.Time // of the first try
	first   *request
	written int
}

// write writes what is new.
func (w *writer) write(t *testing.T, to io.Writer) {
	t.Helper()
	entries := w.entries(t)
	fresh := entries[w.written:]
	w.written = len(entries)
	for len(fresh) > 0 {
		like := 1
		for like < len(fresh) && w.alike(fresh[0], fresh[like]) {
			like++
		}
		w.entry(to, fresh[0])
		if like > 3 {
			fmt.Fprintf(to, "… %d more like it, the last at %s\n", like-1, w.offset(fresh[like-1].at))
			fresh = fresh[like:]
			continue
		}
		fresh = fresh[1:]
	}
}

// entries are all of the case so far.
func (w *writer) entries(t *testing.T) (entries []entry) {
	t.Helper()
	requests := map[string]*request{}
	for _, r := range w.receiver.received()[w.seen:] {
		requests[requestKey(r.at, hash(r.body))] = r
	}
	for _, row := range w.outcomes() {
		e := entry{at: row.At, row: &row}
		if row.Attempted() {
			e.request = requests[requestKey(row.At, row.BodySHA256)]
			delete(requests, requestKey(row.At, row.BodySHA256))
		}
		entries = append(entries, e)
	}
	require.Empty(t, requests, "requests without an outcome")
	endpoint := w.sub.ID.Base62(subscription.SubscriptionPrefix)
	w.w.Read(topics.Operational, func(r *kgo.Record) {
		ev, err := operational.Read(r.Value)
		require.NoError(t, err)
		switch data := ev.Data.(type) {
		case operational.Endpoint:
			if data.Endpoint == endpoint {
				entries = append(entries, entry{at: ev.At, event: &ev})
			}
		case operational.Attempt:
			if data.Endpoint != endpoint {
				return
			}
			of := slices.IndexFunc(entries, func(e entry) bool { return e.row != nil && e.row.Message == data.Message && e.at.Equal(ev.At) })
			require.NotEqual(t, -1, of, "%s of no attempt", ev.Type)
			require.Empty(t, entries[of].told)
			entries[of].told = ev.Type
		}
	})
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order(), b.order())) })
	if len(entries) > 0 {
		w.began = entries[0].at
	}
	return entries
}

func requestKey(at time.Time, sum string) string {
	return at.UTC().Format(time.RFC3339Nano) + " " + sum
}

func hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// order is that of entries at the same time: what follows from an attempt comes behind it.
func (e entry) order() string {
	if e.event != nil {
		return "~" + e.event.Type
	}
	return e.row.EventID
}

// alike reports whether an entry says the same as another of another event.
func (w *writer) alike(a, b entry) bool {
	if a.row == nil || b.row == nil || a.row.Delivery == b.row.Delivery || a.row.Attempt != b.row.Attempt {
		return false
	}
	wait := func(e entry) time.Duration {
		if e.row.Due == nil {
			return 0
		}
		return e.row.Due.Sub(e.at)
	}
	return a.result() == b.result() && a.row.Verdict == b.row.Verdict && a.row.Reason == b.row.Reason && wait(a) == wait(b) && a.told == b.told
}

// result is what an attempt came to.
func (e entry) result() string {
	switch {
	case !e.row.Attempted():
		return "no request"
	case e.row.Status > 0:
		return fmt.Sprintf("%d %s", e.row.Status, e.row.Result)
	default:
		return string(e.row.Result)
	}
}

// said is what an outcome says.
func (w *writer) said(e entry) string {
	text := e.result() + " → " + string(e.row.Verdict)
	if e.row.Due != nil {
		text += " at " + w.offset(*e.row.Due)
	}
	if string(e.row.Reason) != string(e.row.Verdict) {
		text += ": " + string(e.row.Reason)
	}
	if e.told != "" {
		text += ", and an operational event says " + e.told
	}
	return text
}

func (w *writer) entry(to io.Writer, e entry) {
	if e.event != nil {
		fmt.Fprintf(to, "%s an operational event says %s\n", w.offset(e.at), w.tells(*e.event))
		return
	}
	fmt.Fprintf(to, "%s %s, try %d: %s\n", w.offset(e.at), w.sent[e.row.EventID], e.row.Attempt, w.said(e))
	if e.request == nil {
		return
	}
	lines := e.request.lines
	if w.first != nil {
		lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return slices.Contains(w.first.lines, l) })
	}
	for _, line := range lines {
		fmt.Fprintf(to, "\t%s\n", line)
	}
	if w.first == nil || w.withoutID(w.first.body) != w.withoutID(e.request.body) {
		fmt.Fprintf(to, "\n\t%s\n", strings.ReplaceAll(string(e.request.body), "\n", "\n\t"))
	}
	if w.first == nil {
		w.first = e.request
	}
}

// withoutID is a body without the id of its event.
func (w *writer) withoutID(body []byte) string {
	text := string(body)
	for id := range w.sent {
		text = strings.Replace(text, `"`+id+`"`, `""`, 1)
	}
	return text
}

// tells is what an operational event says.
func (w *writer) tells(e operational.Event) string {
	data, _ := e.Data.(operational.Endpoint)
	text := e.Type
	if data.Trigger != "" {
		text += ", " + data.Trigger + ": " + data.Reason
	}
	if data.Locked {
		text += ", locked"
	}
	if data.FailSince != nil {
		text += ", failing since " + w.offset(*data.FailSince)
	}
	return text
}

// offset is the time since the case's first try.
func (w *writer) offset(at time.Time) string {
	return "+" + at.Sub(w.began).Round(time.Millisecond).String()
}
