package view

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// The topics that the views of attempts are made of, without the prefix.
const (
	outcomesTopic = "outcomes"
	statusesTopic = "statuses"
)

// Attempt is what the views know of a row of outcomes. The row itself is in Kafka, at the position; everything else about
// it has to be read there.
type Attempt struct {
	// Position is that of the row in outcomes.
	Position delivery.Position
	// Time is when the attempt started, or when a row that is no attempt was decided, in milliseconds.
	Time    time.Time
	Status  int // the HTTP status code, 0 without a response
	Result  outcome.Result
	Verdict outcome.Verdict
	Reason  outcome.Reason
}

// ID names the row for good: its time in ms, 48 bits, its partition, 32 bits, and its offset, 48 bits, in this order. It is
// also the iterator of [Redis.Attempts].
func (a Attempt) ID() ident.ID { return AttemptID(a.Time, a.Position.Partition, a.Position.Offset) }

// AttemptID is [Attempt.ID] of a row that was read from outcomes: of its member "at", and of its record's place.
func AttemptID(at time.Time, partition int32, offset int64) ident.ID {
	var id ident.ID
	ms, p, o := uint64(max(at.UnixMilli(), 0)), uint64(max(partition, 0)), uint64(max(offset, 0))
	binary.BigEndian.PutUint64(id[:], ms<<16|p>>16)
	binary.BigEndian.PutUint64(id[8:], p<<48|o&(1<<48-1))
	return id
}

// ParseAttemptID returns the time and the partition and offset in outcomes of an [Attempt.ID]. Any id gives some: whether
// there is such a row, and whose it is, the record there tells.
func ParseAttemptID(id ident.ID) (at time.Time, partition int32, offset int64) {
	hi, lo := binary.BigEndian.Uint64(id[:]), binary.BigEndian.Uint64(id[8:])
	return time.UnixMilli(int64(hi >> 16)).UTC(),
		int32(uint32(hi&0xffff)<<16 | uint32(lo>>48)), //nolint:gosec // as it was written
		int64(lo & (1<<48 - 1))
}

// Attempted reports whether the row is one of an attempt, not of a park, a cancellation or a delivery that was not sent.
func (a Attempt) Attempted() bool { return a.Result != outcome.ResultNone }

// TypeStatus is the last attempt of a subscription with an event type: of all, the one that started last.
type TypeStatus struct {
	EventType string
	Attempt
}

// AttemptQuery asks for a list of rows of one subscription, in the order of the day in which they started, and within a day in
// the order in which they were written. The zero value of every field but Subscription and Limit works.
type AttemptQuery struct {
	Subscription ident.ID
	// After and Before are instants between which the attempts started, both left out.
	After, Before time.Time
	// EventTypes, Results, Verdicts and Reasons are what a row has one of; empty is any.
	EventTypes []string
	Results    []outcome.Result
	Verdicts   []outcome.Verdict
	Reasons    []outcome.Reason
	// Status is the status code; 0 is any. StatusClass is its first digit, 1 to 9; 0 is any.
	Status      int
	StatusClass int
	// AllRows lists also rows that are no attempt: parked, cancelled, not sent, and dead because retries are suspended.
	AllRows bool
	// Iterator is where an earlier page ended; the list goes on behind it.
	Iterator ident.ID
	// OldestFirst turns the order round; newest first is the usual one.
	OldestFirst bool
	// Limit is how many rows are returned at most, 1 to [MaxAttemptLimit].
	Limit int
}

// Bounds of [Redis.Attempts].
const (
	// MaxAttemptLimit is the largest page: that of a task that reads on and on. The API's are smaller.
	MaxAttemptLimit = 10_000
	// KeptAttempts is how many of the last attempts are kept for an event type, and for all of a subscription.
	KeptAttempts = 50
)

// AttemptPage is what was found of a list.
type AttemptPage struct {
	Attempts []Attempt
	// Iterator is where the page ended, whether the row there is in the page or not; zero if nothing was looked at.
	Iterator ident.ID
	// Done says that there is nothing behind the iterator. Without it the page may hold fewer rows than asked for, even none:
	// a call looks at 200,000 at most, and a filter may let none of them through. Ask again with the iterator.
	Done bool
}

// HealthQuery asks how an endpoint did. Both ends are widened to whole steps.
type HealthQuery struct {
	Subscription ident.ID
	From, To     time.Time
	// Step is [time.Minute] or [time.Hour]. As much is kept as of attempts.
	Step time.Duration
}

// maxHealthSteps bounds a series: a day of minutes, a month of hours.
const maxHealthSteps = 24 * 60

// Health is how an endpoint did.
type Health struct {
	Step time.Duration
	// Total is the sum of the series.
	Total Counts
	// Series has an entry for every step that had rows, oldest first.
	Series []HealthStep
}

// HealthStep is one step of the series.
type HealthStep struct {
	Start time.Time
	Counts
}

// Counts are numbers of rows by what they are, by the time at which the attempt started.
type Counts struct {
	// Attempts by result; those without any are left out. Rows that are no attempt are not among them.
	Results map[outcome.Result]int64
	// Durations are those of all attempts, each to a quarter of a percent.
	Durations Histogram
	// Parked, Cancelled, NotSent and Dead are the rows that are no attempt; Dead those of deliveries that ended without a last
	// try, their retries being suspended.
	Parked, Cancelled, NotSent, Dead int64
}

// Attempts is how many were made.
func (c *Counts) Attempts() int64 { return c.Durations.Count() }

// Successes is how many of them succeeded.
func (c *Counts) Successes() int64 { return c.Results[outcome.ResultSuccess] }

// SuccessRate is the successes among the attempts, 0 to 1; false if there was no attempt.
func (c *Counts) SuccessRate() (rate float64, ok bool) {
	if c.Attempts() == 0 {
		return 0, false
	}
	return float64(c.Successes()) / float64(c.Attempts()), true
}

// Add adds others to c.
func (c *Counts) Add(o *Counts) {
	if c.Results == nil && len(o.Results) > 0 {
		c.Results = map[outcome.Result]int64{}
	}
	for result, n := range o.Results {
		c.Results[result] += n
	}
	c.Durations.Add(&o.Durations)
	c.Parked += o.Parked
	c.Cancelled += o.Cancelled
	c.NotSent += o.NotSent
	c.Dead += o.Dead
}

// The codes under which values stand in entries. They are in Redis: a list may be added to at its end and nothing else.
//
//nolint:gochecknoglobals // constants
var (
	resultCodes = []outcome.Result{
		outcome.ResultNone, outcome.ResultSuccess, outcome.ResultRedirect, outcome.ResultClientError, outcome.ResultGone,
		outcome.ResultThrottled, outcome.ResultServerError, outcome.ResultTimeout, outcome.ResultDNS, outcome.ResultRefused,
		outcome.ResultUnreachable, outcome.ResultReset, outcome.ResultTLS, outcome.ResultProtocol, outcome.ResultBlocked,
		outcome.ResultRequest, outcome.ResultAuthorization, outcome.ResultProxy, outcome.ResultTransformation,
	}
	verdictCodes = []outcome.Verdict{outcome.Delivered, outcome.Retry, outcome.Dead, outcome.Cancelled, outcome.Parked}
	reasonCodes  = []outcome.Reason{
		outcome.ReasonDelivered, outcome.ReasonNotSent, outcome.ReasonFailed, outcome.ReasonRetryAfter, outcome.ReasonExhausted,
		outcome.ReasonExpired, outcome.ReasonNotRetryable, outcome.ReasonGone, outcome.ReasonAborted,
		outcome.ReasonRetriesSuspended, outcome.ReasonUndecodable, outcome.ReasonBreakerOpen, outcome.ReasonRateLimited,
		outcome.ReasonLaneFull, outcome.ReasonTenantShare, outcome.ReasonWindowFull, outcome.ReasonNoProfile,
		outcome.ReasonNoKey, outcome.ReasonDeleted, outcome.ReasonDisabled, outcome.ReasonRedrive, outcome.ReasonFailing,
		outcome.ReasonPaused,
	}
)

// code returns the place of v in a list; what the list does not have, of a later version, is the highest of so many bits.
func code[T comparable](list []T, v T, bits int) uint64 {
	if i := slices.Index(list, v); i >= 0 {
		return uint64(i)
	}
	return 1<<bits - 1
}

// valueOf returns what stands at a place of a list, or other.
func valueOf[T any](list []T, code uint64, other T) T {
	if code < uint64(len(list)) {
		return list[code]
	}
	return other
}

// unknown is how a value of a later version reads.
const unknown = "unknown"

var errEntry = errors.New("reading the views of attempts: an entry is cut off or has another form")
