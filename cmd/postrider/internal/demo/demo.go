// Package demo is what `postrider dev` shows: a stream of sample events of several systems, a receiver whose endpoints verify every signature
// and misbehave where they are meant to, a board that follows the outcomes, and a tally that tells at the end whether
// every event became of what it should. It knows nothing of how the system under it works: it writes to source topics,
// reads outcomes as an analyst would, and answers HTTP as a subscriber would.
package demo

import (
	"path"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Endpoint is a subscription with what its receiver has to know.
type Endpoint struct {
	Subscription ident.ID
	Tenant       ident.ID
	// TenantName is the tenant as events name it.
	TenantName string
	// Name is the subscription's uid, and the path below which the receiver answers for it.
	Name    string
	Profile string
	Secrets []string
	// Types are the event types it wants, or patterns of them; all if empty.
	Types []string
}

// Wants reports whether an event is for e. It has nothing of the real matching, on purpose.
func (e *Endpoint) Wants(ev *Event) bool {
	return e.TenantName == ev.Tenant &&
		(len(e.Types) == 0 || slices.ContainsFunc(e.Types, func(t string) bool { return covers(t, ev.Type) }))
}

// covers reports whether a pattern covers an event type: * stands for one segment between dots, ** as the last for the rest.
func covers(pattern, name string) bool {
	if start, ok := strings.CutSuffix(pattern, "**"); ok {
		return strings.HasPrefix(name, start)
	}
	segments := func(s string) string { return strings.ReplaceAll(s, ".", "/") }
	ok, _ := path.Match(segments(pattern), segments(name)) // a bad pattern covers nothing
	return ok
}

// status is what an attempt came to, in a word: its status, or its result if there was no response.
func status(o *outcome.Outcome) string {
	switch {
	case o.Status != 0:
		return itoa(o.Status)
	case !o.Attempted():
		return "-"
	}
	return string(o.Result)
}
