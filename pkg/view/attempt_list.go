package view

import (
	"context"
	"errors"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

var errLater = errors.New("not yet")

// Statuses returns the last attempt of every event type that was ever attempted at a subscription, by event type.
func (r *Redis) Statuses(ctx context.Context, sub ident.ID) ([]TypeStatus, error) {
	return nil, errLater
}

// LastAttempts returns the n last attempts of a subscription, newest first, of one event type or, if that is "", of all.
// There are [KeptAttempts] at most. Rows that are no attempt are not among them.
func (r *Redis) LastAttempts(ctx context.Context, sub ident.ID, eventType string, n int) ([]Attempt, error) {
	return nil, errLater
}

// Attempts returns a page of a list; see [AttemptPage] for when it is not full. Event types are compared by a hash of 32
// bits: the record tells the rest.
func (r *Redis) Attempts(ctx context.Context, q AttemptQuery) (AttemptPage, error) {
	return AttemptPage{}, errLater
}

// MessageAttempts returns where the rows of a message are, those that are no attempt among them, of all its subscriptions, by
// partition and offset. Since is a time before the first of them, from which on to look: that of the event's entry; zero is
// as far back as there is. The message id names its tenant too. A few positions may be of another message: the record tells.
func (r *Redis) MessageAttempts(ctx context.Context, message ident.ID, since time.Time) ([]delivery.Position, error) {
	return nil, errLater
}

// Health returns how an endpoint did, without the rows that the recorder has not seen yet: see [Redis.Progress].
func (r *Redis) Health(ctx context.Context, q HealthQuery) (Health, error) {
	return Health{}, errLater
}

// Progress is how far the recorder is with a partition of a topic.
type Progress struct {
	Partition int32
	// From is the offset from which on the views have it. If it is above the log's start when that was, something is missing:
	// Redis has lost its data, and "postrider views rebuild" was not run.
	From int64
	// Next is the offset after the last one that is in the views.
	Next int64
	// Time is when the record before Next was written.
	Time time.Time
}

// Progress returns how far the recorder is with a topic, by partition. Partitions that it never read are left out.
func (r *Redis) Progress(ctx context.Context, topic string) ([]Progress, error) { return nil, errLater }

// Ends are the first offset of a partition's log and the one after its last record.
type Ends struct{ Start, End int64 }

// Completeness says what a view has.
type Completeness struct {
	// To is a time up to which every record is in the view, those written later perhaps: now if all of them are. Zero means
	// that it is not known, since a partition was never read.
	To time.Time
	// Behind is how many records are not in it yet.
	Behind int64
	// Rebuild says that older records are missing, because Redis has lost its data: "postrider views rebuild" makes them
	// again.
	Rebuild bool
}

// Complete compares how far the recorder is with the partitions of a log.
func Complete(progress []Progress, log map[int32]Ends, now time.Time) Completeness {
	return Completeness{}
}
