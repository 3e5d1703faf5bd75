// Package task holds the record of a background task: what it is to do, for whom, and how far it is. It is what the tasks
// topic has, as JSON; see the pipeline for what carries tasks out.
package task

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
)

// Version is the version of the record's form, in every record.
const Version = 1

// IDPrefix begins the written form of a task's id, as in the Svix API.
const IDPrefix = "qtask_"

// Kind says what a task does. The names are those of the Svix API, where it has them.
type Kind string

// Kinds.
const (
	// Recover sends again every delivery of a subscription whose last verdict is dead.
	Recover Kind = "endpoint.recover"
	// ReplayMissing sends the events that match a subscription and were never attempted for it.
	ReplayMissing Kind = "endpoint.replay"
	// BulkReplay sends again the deliveries of a subscription that a filter lets through, whatever became of them.
	BulkReplay Kind = "endpoint.bulk-replay"
	// RedriveLetters puts open dead letters back into delivery, DiscardLetters gives them up. The Svix API has no such tasks.
	RedriveLetters Kind = "dead-letter.redrive"
	DiscardLetters Kind = "dead-letter.discard"
)

// Kinds lists every Kind.
func Kinds() []Kind {
	return []Kind{Recover, ReplayMissing, BulkReplay, RedriveLetters, DiscardLetters}
}

// OfLetters reports whether such a task is about dead letters: [Task.Letters] says which.
func (k Kind) OfLetters() bool { return k == RedriveLetters || k == DiscardLetters }

// Status is where a task is.
type Status string

// Statuses. All but Running are final.
const (
	// Running: it is at work, or waits for an owner.
	Running Status = "running"
	// Finished: it has done all that it found.
	Finished Status = "finished"
	// Failed: it could not go on; see [Task.Error].
	Failed Status = "failed"
	// Cancelled: somebody ended it. What it had sent is sent.
	Cancelled Status = "cancelled"
)

// Statuses lists every Status.
func Statuses() []Status { return []Status{Running, Finished, Failed, Cancelled} }

// Task is a background task.
type Task struct {
	Version int      `json:"version"`
	ID      ident.ID `json:"id"`
	// Tenant is whose it is; zero for a task of an operator about all.
	Tenant ident.ID `json:"tenant"`
	Kind   Kind     `json:"kind"`
	// Subscription is the one that it is about; zero if it is about no single one.
	Subscription ident.ID `json:"subscription,omitzero"`
	Filter       Filter   `json:"filter"`
	// Letters says which dead letters it is about; nil for other kinds.
	Letters *letter.DeadFilter `json:"letters,omitempty"`
	// PerSecond is how many deliveries it writes a second at most.
	PerSecond int `json:"per_second"`
	// DryRun counts what it would do, and does nothing.
	DryRun  bool        `json:"dry_run,omitempty"`
	By      audit.Actor `json:"by"`
	Created time.Time   `json:"created"`
	Updated time.Time   `json:"updated"`
	Status  Status      `json:"status"`
	// Error says why it failed, for people.
	Error    string   `json:"error,omitempty"`
	Progress Progress `json:"progress"`
	// Cursor is where it goes on, in the form of its kind; empty before it began.
	Cursor json.RawMessage `json:"cursor,omitempty"`
	// Marks are for each partition of deliveries that it writes to an offset below which everything that it wrote is
	// counted in Progress. What it wrote above is found there by its next owner.
	Marks map[int32]int64 `json:"marks,omitempty"`
}

// Progress is how far a task is, in deliveries.
type Progress struct {
	// Counted is how many were found so far; Complete says that there are no more.
	Counted  int  `json:"counted"`
	Complete bool `json:"complete,omitempty"`
	// Done is how many were written, Failed how many could not be, because Kafka has their data no more.
	Done   int `json:"done"`
	Failed int `json:"failed,omitempty"`
	// Resumed is how many of those done were found written by an owner that ended before it could count them. They were
	// not written again.
	Resumed int `json:"resumed,omitempty"`
}

// Filter narrows what a task is about. The zero value of a field but Since narrows nothing.
type Filter struct {
	// Since and Until bound the time, Until exclusive: of the last attempt, or of the event's publication where there was none.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// EventTypes are exact names.
	EventTypes []string `json:"event_types,omitempty"`
	// Verdicts and Reasons are those of the last outcome.
	Verdicts []outcome.Verdict `json:"verdicts,omitempty"`
	Reasons  []outcome.Reason  `json:"reasons,omitempty"`
	// StatusClass is the class of the last status code: 100, 200, … 500.
	StatusClass int `json:"status_class,omitempty"`
	// Channel and Tag are of the event.
	Channel string `json:"channel,omitempty"`
	Tag     string `json:"tag,omitempty"`
}

// Bounds of a task.
const (
	// DefaultPerSecond leaves an endpoint that answers in 50 ms room for its events; MaxPerSecond is what a partition takes.
	DefaultPerSecond = 500
	MaxPerSecond     = 10_000
)

// Key is the key of the record that holds the task.
func (t *Task) Key() string { return t.Tenant.UUID() + "/" + t.ID.UUID() }

// CancelKey is the key of the record that asks for the task's end: whoever writes it overwrites no progress.
func (t *Task) CancelKey() string { return t.Key() + cancelSuffix }

const cancelSuffix = "/cancel"

// ParseKey reads a key of the tasks topic.
func ParseKey(key string) (id ident.ID, cancel, ok bool) {
	key, cancel = strings.CutSuffix(key, cancelSuffix)
	tenant, text, _ := strings.Cut(key, "/")
	id, err := ident.ParseUUID(text)
	_, err2 := ident.ParseUUID(tenant)
	return id, cancel, err == nil && err2 == nil
}

// Ended reports whether t is in a final status.
func (t *Task) Ended() bool { return t.Status != Running }

// Clone returns a copy that shares nothing which is written.
func (t *Task) Clone() *Task {
	c := *t
	c.Cursor = slices.Clone(t.Cursor)
	c.Marks = make(map[int32]int64, len(t.Marks))
	maps.Copy(c.Marks, t.Marks)
	return &c
}

// Validate says what is wrong with a task that is to be started; the text begins with the field.
func (t *Task) Validate(now time.Time) error {
	f := t.Filter
	switch {
	case t.PerSecond < 1 || t.PerSecond > MaxPerSecond:
		return fmt.Errorf("perSecond: %d: want 1 to %d", t.PerSecond, MaxPerSecond)
	case t.Kind.OfLetters() && t.Letters == nil:
		return fmt.Errorf("letters: missing: want which dead letters %s is about", t.Kind)
	case t.Kind.OfLetters():
		return nil
	case t.Letters != nil:
		return fmt.Errorf("letters: want none for %s", t.Kind)
	}
	if t.Kind != BulkReplay && len(f.Verdicts) > 0 {
		return fmt.Errorf("verdicts: want none but for %s", BulkReplay)
	}
	if t.Kind == ReplayMissing && (len(f.Reasons) > 0 || f.StatusClass != 0) {
		return fmt.Errorf("reasons: want none for %s: what was never attempted has none", ReplayMissing)
	}
	switch {
	case !slices.Contains(Kinds(), t.Kind):
		return fmt.Errorf("task: %q: want one of %v", t.Kind, Kinds())
	case f.Since.IsZero():
		return fmt.Errorf("since: missing: want a time")
	case f.Since.After(now):
		return fmt.Errorf("since: want a time that is past")
	case !f.Until.IsZero() && !f.Until.After(f.Since):
		return fmt.Errorf("until: want a time after since")
	case f.StatusClass%100 != 0 || f.StatusClass < 0 || f.StatusClass > 500:
		return fmt.Errorf("statusCodeClass: %d: want 100, 200, 300, 400 or 500", f.StatusClass)
	}
	for _, v := range f.Verdicts {
		if !slices.Contains(FinalVerdicts(), v) {
			return fmt.Errorf("verdicts: %q: want any of %v; others are still being sent", v, FinalVerdicts())
		}
	}
	for _, r := range f.Reasons {
		if !slices.Contains(outcome.Reasons(), r) {
			return fmt.Errorf("reasons: %q: want reasons of outcomes, for example %q", r, outcome.ReasonExhausted)
		}
	}
	return nil
}

// FinalVerdicts are those after which nothing more is done.
func FinalVerdicts() []outcome.Verdict {
	return []outcome.Verdict{outcome.Delivered, outcome.Dead, outcome.Cancelled}
}

// Within reports whether at is in the filter's time.
func (f *Filter) Within(at time.Time) bool {
	return !at.Before(f.Since) && (f.Until.IsZero() || at.Before(f.Until))
}

// Type reports whether the filter lets an event type through.
func (f *Filter) Type(name string) bool {
	return len(f.EventTypes) == 0 || slices.Contains(f.EventTypes, name)
}

// Wants reports whether the task is about a delivery whose last outcome is o. Without verdicts those are that say what became
// of it, delivered and dead, or for a recovery dead alone.
func (t *Task) Wants(o *outcome.Outcome) bool {
	f := &t.Filter
	verdict := o.Verdict == outcome.Dead || o.Verdict == outcome.Delivered && t.Kind != Recover
	if len(f.Verdicts) > 0 {
		verdict = slices.Contains(f.Verdicts, o.Verdict)
	}
	return verdict && f.Within(o.At) && f.Type(o.EventType) &&
		(len(f.Reasons) == 0 || slices.Contains(f.Reasons, o.Reason)) &&
		(f.StatusClass == 0 || o.Status/100*100 == f.StatusClass)
}

// Event reports whether the filter lets the event's channels and tags through.
func (f *Filter) Event(channels, tags []string) bool {
	return (f.Channel == "" || slices.Contains(channels, f.Channel)) && (f.Tag == "" || slices.Contains(tags, f.Tag))
}

// OfEvent reports whether the filter looks at what only the event itself has.
func (f *Filter) OfEvent() bool { return f.Channel != "" || f.Tag != "" }
