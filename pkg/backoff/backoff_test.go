package backoff_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/backoff"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type duration = subscription.Duration

func list(waits ...time.Duration) (out []duration) {
	for _, w := range waits {
		out = append(out, duration(w))
	}
	return out
}

func fixedRand(v float64) func() float64 { return func() float64 { return v } }

// The schedules that systems promise in public.
var (
	standardWebhooks = subscription.RetryPolicy{
		Kind: subscription.RetryList, Jitter: subscription.JitterProportional,
		List: list(5*time.Second, 5*time.Minute, 30*time.Minute, 2*time.Hour, 5*time.Hour, 10*time.Hour, 14*time.Hour,
			20*time.Hour, 24*time.Hour),
	}
	svix = subscription.RetryPolicy{
		Kind: subscription.RetryList,
		List: list(5*time.Second, 5*time.Minute, 30*time.Minute, 2*time.Hour, 5*time.Hour, 10*time.Hour, 10*time.Hour),
	}
	dixaA      = subscription.RetryPolicy{Kind: subscription.RetryFixed, Interval: duration(time.Minute), MaxTries: 4}
	flexEngage = subscription.RetryPolicy{
		Kind: subscription.RetryExponential, Interval: duration(10 * time.Second), Factor: 2,
		MaxInterval: duration(10 * time.Minute), Jitter: subscription.JitterFull, MaxAge: duration(time.Hour),
	}
)

// ladder plays a policy to its end, every attempt failing the moment it starts, and returns the waits and the reason.
func ladder(p subscription.RetryPolicy, random func() float64) (waits []time.Duration, end outcome.Reason) {
	now := start
	for attempt := 1; ; attempt++ {
		d := backoff.Next(p, backoff.Input{Attempt: attempt, First: start, Now: now, Rand: random})
		if !d.OK {
			return waits, d.Reason
		}
		waits = append(waits, d.Due.Sub(now))
		now = d.Due
	}
}

func TestLadders(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	for name, tc := range map[string]struct {
		policy subscription.RetryPolicy
		random func() float64
		want   []time.Duration
		end    outcome.Reason
	}{
		"Standard Webhooks, exact": {
			standardWebhooks, nil,
			[]time.Duration{5 * s, 5 * m, 30 * m, 2 * h, 5 * h, 10 * h, 14 * h, 20 * h, 24 * h},
			outcome.ReasonExhausted,
		},
		"Standard Webhooks, shortest jitter": {
			standardWebhooks, fixedRand(0),
			[]time.Duration{4 * s, 4 * m, 24 * m, 96 * m, 4 * h, 8 * h, 672 * m, 16 * h, 1152 * m},
			outcome.ReasonExhausted,
		},
		"Svix": {
			svix, fixedRand(0.9),
			[]time.Duration{5 * s, 5 * m, 30 * m, 2 * h, 5 * h, 10 * h, 10 * h},
			outcome.ReasonExhausted,
		},
		"Dixa A: up to 3 more tries, a minute apart": {dixaA, nil, []time.Duration{m, m, m}, outcome.ReasonExhausted},
		"flexEngage, longest jitter: for up to an hour": {
			flexEngage, fixedRand(1),
			[]time.Duration{10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 320 * s, 10 * m, 10 * m, 10 * m, 10 * m},
			outcome.ReasonExpired,
		},
		"flexEngage, half": {
			flexEngage, fixedRand(0.5),
			[]time.Duration{
				5 * s, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 5 * m, 5 * m, 5 * m, 5 * m, 5 * m, 5 * m, 5 * m, 5 * m, 5 * m, 5 * m,
			},
			outcome.ReasonExpired,
		},
		"one try": {
			subscription.RetryPolicy{Kind: subscription.RetryFixed, Interval: duration(m), MaxTries: 1},
			nil, nil,
			outcome.ReasonExhausted,
		},
		"a list cut by tries": {
			subscription.RetryPolicy{Kind: subscription.RetryList, List: list(s, m, h), MaxTries: 3},
			nil,
			[]time.Duration{s, m},
			outcome.ReasonExhausted,
		},
		"a list cut by age": {
			subscription.RetryPolicy{Kind: subscription.RetryList, List: list(s, m, h), MaxAge: duration(m + s)},
			nil,
			[]time.Duration{s, m},
			outcome.ReasonExpired,
		},
	} {
		t.Run(name, func(t *testing.T) {
			waits, end := ladder(tc.policy, tc.random)
			require.Equal(t, tc.want, waits)
			require.Equal(t, tc.end, end)
			require.NoError(t, tc.policy.Validate())
		})
	}
}

func TestRetryAfter(t *testing.T) {
	const m, h = time.Minute, time.Hour
	aged := dixaA
	aged.MaxAge = duration(10 * m)
	for name, tc := range map[string]struct {
		policy subscription.RetryPolicy
		after  time.Duration
		want   time.Duration
		reason outcome.Reason
	}{
		"none":                       {dixaA, 0, m, outcome.ReasonFailed},
		"negative":                   {dixaA, -h, m, outcome.ReasonFailed},
		"shorter does not hurry":     {dixaA, time.Second, m, outcome.ReasonFailed},
		"the same":                   {dixaA, m, m, outcome.ReasonFailed},
		"longer":                     {dixaA, 5 * m, 5 * m, outcome.ReasonRetryAfter},
		"capped at a day":            {dixaA, 100 * h, backoff.MaxRetryAfter, outcome.ReasonRetryAfter},
		"the longest there is":       {dixaA, math.MaxInt64, backoff.MaxRetryAfter, outcome.ReasonRetryAfter},
		"not past the age limit":     {aged, h, 10 * m, outcome.ReasonRetryAfter},
		"inside the age limit":       {aged, 9 * m, 9 * m, outcome.ReasonRetryAfter},
		"past the age limit, absurd": {aged, math.MaxInt64, 10 * m, outcome.ReasonRetryAfter},
	} {
		t.Run(name, func(t *testing.T) {
			got := backoff.Next(tc.policy, backoff.Input{Attempt: 1, Now: start, RetryAfter: tc.after})
			require.Equal(t, backoff.Decision{Due: start.Add(tc.want), OK: true, Reason: tc.reason}, got)
		})
	}
	got := backoff.Next(dixaA, backoff.Input{Attempt: 4, First: start, Now: start, RetryAfter: m})
	require.Equal(t, backoff.Decision{Reason: outcome.ReasonExhausted}, got, "Retry-After gives no further try")
}

// policies draws any policy, most of them senseless.
func policies() *rapid.Generator[subscription.RetryPolicy] {
	return rapid.Custom(func(t *rapid.T) subscription.RetryPolicy {
		wait := rapid.Custom(func(t *rapid.T) duration {
			if rapid.Bool().Draw(t, "sane") {
				return duration(rapid.Int64Range(int64(time.Second), int64(7*24*time.Hour)).Draw(t, "wait"))
			}
			return duration(rapid.Int64().Draw(t, "any wait"))
		})
		return subscription.RetryPolicy{
			Kind: rapid.SampledFrom([]subscription.RetryKind{
				subscription.RetryFixed, subscription.RetryList, subscription.RetryExponential, "",
			}).Draw(t, "kind"),
			Interval: wait.Draw(t, "interval"), List: rapid.SliceOfN(wait, 0, 12).Draw(t, "list"),
			Factor: rapid.Float64().Draw(t, "factor"), MaxInterval: wait.Draw(t, "maxInterval"),
			Jitter: rapid.SampledFrom([]subscription.Jitter{
				subscription.JitterNone, subscription.JitterFull, subscription.JitterProportional, "",
			}).Draw(t, "jitter"),
			MaxTries: rapid.IntRange(-1, 200).Draw(t, "maxTries"), MaxAge: wait.Draw(t, "maxAge"),
		}
	})
}

// validPolicies draws what Validate accepts, without an age limit.
func validPolicies() *rapid.Generator[subscription.RetryPolicy] {
	return rapid.Custom(func(t *rapid.T) subscription.RetryPolicy {
		p := policies().Draw(t, "policy")
		wait := rapid.Map(rapid.IntRange(1, 24*3600), func(s int) duration { return duration(time.Duration(s) * time.Second) })
		p.MaxAge, p.MaxTries, p.Factor = 0, 100, 0
		p.MaxInterval = rapid.SampledFrom([]duration{0, duration(24 * time.Hour)}).Draw(t, "cap")
		p.Interval, p.List = wait.Draw(t, "interval"), nil
		switch p.Kind {
		case subscription.RetryList:
			p.Interval, p.List = 0, rapid.SliceOfN(wait, 1, 50).Draw(t, "list")
		case subscription.RetryExponential:
			p.Factor = rapid.Float64Range(1, 10).Draw(t, "factor")
		default:
			p.Kind = subscription.RetryFixed
		}
		require.NoError(t, p.Validate())
		return p
	})
}

// TestNextAlwaysMakesSense: for any policy at all, the next try is never before now, never beyond the caps, never past
// the age limit, and there are never more than the limit of tries.
func TestNextAlwaysMakesSense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		in := backoff.Input{
			Attempt:    rapid.IntRange(-3, 1<<40).Draw(t, "attempt"),
			Now:        start,
			First:      start.Add(-time.Duration(rapid.Int64Range(0, int64(40*24*time.Hour)).Draw(t, "age"))),
			RetryAfter: time.Duration(rapid.Int64().Draw(t, "retryAfter")),
			Rand:       fixedRand(rapid.Float64Range(0, 0.999999).Draw(t, "rand")),
		}
		d := backoff.Next(p, in)
		if !d.OK {
			require.True(t, d.Due.IsZero())
			require.Contains(t, []outcome.Reason{outcome.ReasonExhausted, outcome.ReasonExpired}, d.Reason)
			return
		}
		require.Contains(t, []outcome.Reason{outcome.ReasonFailed, outcome.ReasonRetryAfter}, d.Reason)
		require.Less(t, in.Attempt, subscription.MaxRetryTries)
		require.False(t, d.Due.Before(start), "due %s before now", d.Due)
		require.LessOrEqual(t, d.Due.Sub(start), max(subscription.MaxRetryInterval, backoff.MaxRetryAfter))
		if p.MaxAge > 0 {
			require.False(t, d.Due.After(in.First.Add(p.MaxAge.Std())), "due past the age limit")
		}
	})
}

// TestJitterStaysInside: full jitter stays in [0, delay], proportional in ± 20 % and under the cap.
func TestJitterStaysInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := validPolicies().Draw(t, "policy")
		attempt := rapid.IntRange(1, 99).Draw(t, "attempt")
		d := backoff.Next(p, backoff.Input{
			Attempt: attempt, Now: start, Rand: fixedRand(rapid.Float64Range(0, 0.999999).Draw(t, "rand")),
		})
		if !d.OK {
			return
		}
		got, want := d.Due.Sub(start), backoff.Delay(p, attempt)
		switch p.Jitter {
		case subscription.JitterFull:
			require.LessOrEqual(t, got, want)
		case subscription.JitterProportional:
			require.InDelta(t, float64(want), float64(got), 0.2*float64(want)+1)
			if p.MaxInterval > 0 {
				require.LessOrEqual(t, got, p.MaxInterval.Std())
			}
		default:
			require.Equal(t, want, got)
		}
	})
}
