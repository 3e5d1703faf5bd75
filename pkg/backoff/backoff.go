// Package backoff says when a failed delivery is tried again: the schedule of a retry policy, what a Retry-After
// header may change about it, and the retry tiers through which a record waits until it is due. Everything here is a
// pure function of its arguments; the caller gives the time and the random numbers.
package backoff

import (
	"math"
	"time"

	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// MaxRetryAfter caps what an endpoint may ask for with Retry-After: a day, the largest tier. An endpoint that wants
// longer is asked again then.
const MaxRetryAfter = 24 * time.Hour

// proportional is the spread of [subscription.JitterProportional]: ± 20 %.
const proportional = 0.2

// defaultFactor is the factor of an exponential policy that names none.
const defaultFactor = 2

// Input is what is known after a failed attempt.
type Input struct {
	// Attempt is the number of the attempt that just failed, from 1.
	Attempt int
	// First is when the first attempt started; zero means that this one was the first, at Now.
	First time.Time
	Now   time.Time
	// RetryAfter is what the endpoint asked for, from Now; 0 without.
	RetryAfter time.Duration
	// Rand returns a number in [0, 1); it is called at most once, and never for policies without jitter.
	Rand func() float64
}

// Decision is whether and when a failed delivery is tried again.
type Decision struct {
	// Due is when the next attempt starts; zero if there is none.
	Due time.Time
	// OK reports whether there is a next attempt.
	OK bool
	// Reason is ReasonFailed or ReasonRetryAfter with a next attempt, ReasonExhausted or ReasonExpired without.
	Reason outcome.Reason
}

// Next decides about the attempt after the one that just failed. The policy alone decides whether there is one;
// Retry-After may only move it later, by at most [MaxRetryAfter] and never past the policy's age limit. It gives a
// defined answer for policies that [subscription.RetryPolicy.Validate] refuses, too.
func Next(p subscription.RetryPolicy, in Input) Decision {
	if exhausted(p, in.Attempt) {
		return Decision{Reason: outcome.ReasonExhausted}
	}
	first := in.First
	if first.IsZero() {
		first = in.Now
	}
	due := in.Now.Add(spread(p, Delay(p, in.Attempt), in.Rand))
	limit := first.Add(p.MaxAge.Std())
	if p.MaxAge > 0 && due.After(limit) {
		return Decision{Reason: outcome.ReasonExpired}
	}
	asked := in.Now.Add(min(in.RetryAfter, MaxRetryAfter))
	if p.MaxAge > 0 && asked.After(limit) {
		asked = limit
	}
	if in.RetryAfter > 0 && asked.After(due) {
		return Decision{Due: asked, OK: true, Reason: outcome.ReasonRetryAfter}
	}
	return Decision{Due: due, OK: true, Reason: outcome.ReasonFailed}
}

func exhausted(p subscription.RetryPolicy, attempt int) bool {
	switch {
	case attempt >= subscription.MaxRetryTries:
		return true
	case p.MaxTries > 0 && attempt >= p.MaxTries:
		return true
	case p.Kind == subscription.RetryList:
		return attempt > len(p.List)
	default:
		return false
	}
}

// Delay is the policy's wait after the given attempt (from 1) failed, before jitter: never negative and never above
// the cap, which is MaxInterval or, unset, [subscription.MaxRetryInterval].
func Delay(p subscription.RetryPolicy, attempt int) time.Duration {
	attempt = max(attempt, 1)
	d := p.Interval.Std()
	switch p.Kind {
	case subscription.RetryList:
		d = 0
		if attempt <= len(p.List) {
			d = p.List[attempt-1].Std()
		}
	case subscription.RetryExponential:
		d = exponential(d, p.Factor, attempt-1, ceiling(p))
	case subscription.RetryFixed:
	}
	return min(max(d, 0), ceiling(p))
}

// exponential compares in floating point before it converts: interval × factor^n leaves the range of a Duration after
// a few dozen tries, and such a conversion may give anything.
func exponential(interval time.Duration, factor float64, n int, ceil time.Duration) time.Duration {
	if factor == 0 {
		factor = defaultFactor
	}
	grown := float64(interval) * math.Pow(factor, float64(n))
	if !(grown < float64(ceil)) { // also NaN and infinity
		return ceil
	}
	return time.Duration(grown)
}

func ceiling(p subscription.RetryPolicy) time.Duration {
	if p.MaxInterval > 0 {
		return min(p.MaxInterval.Std(), subscription.MaxRetryInterval)
	}
	return subscription.MaxRetryInterval
}

// spread applies the jitter inside the cap: added after it, the longest delays would leave the promised schedule.
func spread(p subscription.RetryPolicy, d time.Duration, random func() float64) time.Duration {
	if random == nil {
		return d
	}
	switch p.Jitter {
	case subscription.JitterFull:
		return time.Duration(random() * float64(d))
	case subscription.JitterProportional:
		d = time.Duration(float64(d) * (1 - proportional + 2*proportional*random()))
		return min(d, ceiling(p))
	case subscription.JitterNone:
	}
	return d
}
