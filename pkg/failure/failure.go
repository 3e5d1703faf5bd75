// Package failure decides when a subscription's failing attempts have consequences. It counts what a failure policy
// looks at, as a fold of the outcomes in log order, so whoever owns the partition next counts the same.
package failure

import (
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// State is what an endpoint's attempts add up to: what every policy has in common, and what its own policy counts. It
// starts with [NewState].
type State struct {
	outcome.State
	Counts
}

// Counts are what a policy remembers of the attempts. Their size is bounded: [subscription.MaxFailuresWithin] times, or as
// many steps of a window as there are.
type Counts struct {
	// Times are of the newest failures in a row, oldest first, in Unix milliseconds; for consecutive failures within a time.
	Times []int64 `json:"times,omitempty"`
	// Steps are of the window of a rate, oldest first, without those in which nothing was attempted.
	Steps []Step `json:"steps,omitempty"`
	// Marks are of the failures in a row before Clock starts, for lasting failures.
	Marks []Mark `json:"marks,omitempty"`
	// Clock is when the time of lasting failures started; zero while it has not.
	Clock time.Time `json:"clock,omitzero"`
	// Suspended is since when retries are suspended; zero while they are not.
	Suspended time.Time `json:"suspended,omitzero"`
}

// Step is a sixtieth of the window of a rate.
type Step struct {
	// At is when it begins, in Unix milliseconds: of steps by a policy that was changed the age is known as well.
	At       int64 `json:"at"`
	Attempts int   `json:"attempts"`
	Failures int   `json:"failures"`
}

// Mark stands for failures in a row that are close to each other.
type Mark struct {
	// At is when the first of them started, in Unix milliseconds.
	At       int64 `json:"at"`
	Failures int   `json:"failures"`
}

const (
	// steps are the parts that the window of a rate moves on by.
	steps = 60
	// marks are the most that are kept: failures within a 96th of the policy's time, which is 15 minutes of a day, share
	// one. The clock of lasting failures may start late by as much, never early.
	marks = 96
)

// NewState returns the state of an endpoint that was never tried.
func NewState() State { return State{State: outcome.NewState()} }

// Clone returns a copy that shares nothing with s.
func (s *State) Clone() State {
	c := *s
	c.Times, c.Steps, c.Marks = slices.Clone(s.Times), slices.Clone(s.Steps), slices.Clone(s.Marks)
	return c
}

// Fold adds the outcome at the given offset, under the policy of its subscription, which may be nil. Outcomes already
// folded in change nothing, and rows that do not tell of the endpoint nothing but the offset.
func (s *State) Fold(o *outcome.Outcome, offset int64, p *subscription.FailurePolicy) {
	if offset <= s.Folded {
		return
	}
	s.Folded = offset
	s.Add(o, p)
}

// Add adds an attempt whose outcome is not in the log yet.
func (s *State) Add(o *outcome.Outcome, p *subscription.FailurePolicy) {
	if !o.OfEndpoint() {
		return
	}
	if o.Generation > s.Generation {
		s.Counts = Counts{}
	}
	s.State = s.State.Add(o)
	if o.Generation < s.Generation || o.Result == outcome.ResultProxy {
		return // of before it was enabled, or it never came to the endpoint
	}
	s.count(o.Result != outcome.ResultSuccess, o.At, p)
	if p.Does(subscription.EffectSuspendRetries) && s.Suspended.IsZero() && s.Full(p) {
		s.Suspended = o.At
	}
}

// count adds an attempt to what the policy looks at.
func (c *Counts) count(failed bool, at time.Time, p *subscription.FailurePolicy) {
	if !failed {
		c.Times, c.Marks, c.Clock, c.Suspended = nil, nil, time.Time{}, time.Time{}
	}
	if p == nil {
		return
	}
	switch p.Kind {
	case subscription.FailureConsecutive:
		if failed && p.Within > 0 {
			c.Times = append(c.Times[max(0, len(c.Times)+1-p.Failures):], at.UnixMilli())
		}
	case subscription.FailureRate:
		c.step(failed, at, p.Within.Std())
	case subscription.FailureLasting:
		if failed && c.Clock.IsZero() {
			c.mark(at, p)
		}
	case subscription.FailureNever:
	}
}

func (c *Counts) step(failed bool, at time.Time, within time.Duration) {
	width := (within / steps).Milliseconds()
	now := at.UnixMilli() / width * width
	if n := len(c.Steps); n == 0 || c.Steps[n-1].At < now {
		c.Steps = append(c.Steps, Step{At: now})
	}
	old := slices.IndexFunc(c.Steps, func(s Step) bool { return s.At > now-steps*width })
	c.Steps = c.Steps[max(0, old):]
	last := &c.Steps[len(c.Steps)-1] // also of an attempt that started in an earlier step and ended now
	last.Attempts++
	if failed {
		last.Failures++
	}
}

func (c *Counts) mark(at time.Time, p *subscription.FailurePolicy) {
	now, within := at.UnixMilli(), p.Within.Std().Milliseconds()
	c.Marks = slices.DeleteFunc(c.Marks, func(m Mark) bool { return m.At < now-within })
	if n := len(c.Marks); n > 0 && now-c.Marks[n-1].At < within/marks {
		c.Marks[n-1].Failures++
	} else {
		c.Marks = append(c.Marks, Mark{At: now, Failures: 1})
	}
	failures := 0
	for _, m := range c.Marks {
		failures += m.Failures
	}
	if failures >= p.Failures && now-c.Marks[0].At >= p.Apart.Std().Milliseconds() {
		c.Marks, c.Clock = nil, at
	}
}

// Full reports whether the measure of the policy is full as of the last attempt that was added, at that time. A nil
// policy's never is, and nobody's is after a success.
func (s *State) Full(p *subscription.FailurePolicy) bool {
	if p == nil || s.ConsecutiveFailures == 0 {
		return false
	}
	switch p.Kind {
	case subscription.FailureConsecutive:
		if p.Within == 0 {
			return s.ConsecutiveFailures >= p.Failures
		}
		n := len(s.Times)
		return n > 0 && n >= p.Failures && s.Times[n-1]-s.Times[n-p.Failures] <= p.Within.Std().Milliseconds()
	case subscription.FailureRate:
		attempts, failures := 0, 0
		for _, step := range s.Steps {
			attempts, failures = attempts+step.Attempts, failures+step.Failures
		}
		return attempts >= p.Attempts && failures*100 >= p.Percent*attempts
	case subscription.FailureLasting:
		return !s.Clock.IsZero() && s.LastFailure.Sub(s.Clock) >= p.For.Std()
	case subscription.FailureNever:
	}
	return false
}
