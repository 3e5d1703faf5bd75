package notice

import (
	"fmt"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// What it takes to call something a problem.
const (
	// RateWindow is the time of which the success rate is.
	RateWindow = time.Hour
	// minRateAttempts are the attempts below which a rate says nothing: one failure is 5 % of them.
	minRateAttempts = 20
	// minFailures are the attempts at which nothing must have succeeded for an endpoint to be failing: one that gets an
	// event a day is not failing because of the one.
	minFailures = 3
	// FailuresInARow are the last attempts of an event type that must all have failed.
	FailuresInARow = 5
	// stale is the age of its last attempt at which an event type is not told of any more.
	stale = 24 * time.Hour
)

// Facts are what is known of an endpoint.
type Facts struct {
	Subscription ident.ID
	// Disabled is why Postrider disabled it, an outcome's reason; empty if it did not. Off says that a person did.
	Disabled string
	Locked   bool
	Off      bool
	// Types are the event types that were attempted.
	Types []Type
	// Hour are the attempts of [RateWindow], Window those of the tenant's time of failing.
	Hour, Window Counts
}

// Type is how an endpoint does with one event type.
type Type struct {
	Name string
	// At is when the last attempt was, and OK whether it succeeded.
	At time.Time
	OK bool
	// InARow is how many of the last [FailuresInARow] attempts failed without one that succeeded among them. It is wanted
	// of types that are not OK.
	InARow int
}

// Counts are attempts.
type Counts struct{ Attempts, Successes int64 }

// Verdict is what is known of a possible problem.
type Verdict string

// Verdicts. A problem of which nothing is said at all is over, and not worth a word: its endpoint was deleted, or the tenant does
// not want to be told of it any more.
const (
	Bad  Verdict = "bad"
	Well Verdict = "well"
	// Unknown: nothing was tried that would tell. An open problem stays open.
	Unknown Verdict = "unknown"
)

// Finding is what is known of one possible problem.
type Finding struct {
	Problem
	Verdict Verdict
	// Detail is for people, if it is bad.
	Detail string
}

// Judge says what is wrong with an endpoint, and what is not, of that of which the tenant wants to be told.
func Judge(f *Facts, n *subscription.Notices, now time.Time) []Finding {
	var out []Finding
	covered := f.Off
	add := func(kind Kind, name string, v Verdict, detail string) {
		if covered {
			v, detail = Unknown, ""
		}
		out = append(out, Finding{Problem{kind, f.Subscription, name}, v, detail})
	}
	if n.EndpointDisabled {
		v, detail := f.disabled()
		add(Disabled, "", v, detail)
	}
	covered = covered || f.Disabled != ""
	failing, detail := f.failing(n.FailingFor.Std())
	if n.FailingFor != 0 {
		add(Failing, "", failing, detail)
		covered = covered || failing == Bad
	}
	if n.SuccessRate > 0 {
		v, detail := f.rate(n.SuccessRate)
		add(SuccessRate, "", v, detail)
	}
	if n.EventTypeFailing {
		for _, t := range f.Types {
			if v, detail := f.typed(t, now); v != "" {
				add(EventType, t.Name, v, detail)
			}
		}
	}
	return out
}

func (f *Facts) disabled() (Verdict, string) {
	why := map[bool]string{true: " Only your provider can enable it again."}[f.Locked]
	switch f.Disabled {
	case "":
		return Well, ""
	case string(outcome.ReasonGone):
		return Bad, "It was disabled: it answered that it wants no more events." + why
	}
	return Bad, "It was disabled: it has failed for too long." + why
}

func (f *Facts) failing(window time.Duration) (Verdict, string) {
	newest, ok := f.newest()
	switch {
	case f.Window.Successes > 0, ok && newest.OK:
		return Well, ""
	case f.Window.Attempts >= minFailures:
		return Bad, fmt.Sprintf("Nothing has succeeded for %s: %d attempts failed.", words(window), f.Window.Attempts)
	}
	return Unknown, ""
}

// newest is the event type that was attempted last.
func (f *Facts) newest() (last Type, ok bool) {
	for _, t := range f.Types {
		if !ok || t.At.After(last.At) {
			last, ok = t, true
		}
	}
	return last, ok
}

func (f *Facts) rate(bound int) (Verdict, string) {
	failed := f.Hour.Attempts - f.Hour.Successes
	switch {
	case f.Hour.Attempts < minRateAttempts && (failed > 0 || f.Hour.Successes == 0):
		return Unknown, ""
	case f.Hour.Successes*100 >= f.Hour.Attempts*int64(bound):
		return Well, ""
	}
	return Bad, fmt.Sprintf("%d of %d attempts in the last hour failed: a success rate of %d %%, below %d %%.",
		failed, f.Hour.Attempts, f.Hour.Successes*100/f.Hour.Attempts, bound)
}

// typed is the verdict on an event type; empty if it is not worth one any more.
func (f *Facts) typed(t Type, now time.Time) (Verdict, string) {
	switch {
	case t.OK:
		return Well, ""
	case now.Sub(t.At) > stale:
		return "", ""
	case t.InARow < FailuresInARow || !f.othersSucceed(t.Name, now):
		return Unknown, ""
	}
	return Bad, fmt.Sprintf("The last %d attempts with %s failed; other event types succeed.", FailuresInARow, plain(t.Name))
}

func (f *Facts) othersSucceed(name string, now time.Time) bool {
	for _, t := range f.Types {
		if t.Name != name && t.OK && now.Sub(t.At) <= stale {
			return true
		}
	}
	return false
}

// words writes a duration for people.
func words(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := d / unit.of; n > 0 && d%unit.of == 0 {
			if n == 1 {
				return "an " + unit.name
			}
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return d.String()
}
