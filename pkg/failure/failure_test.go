package failure_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/failure"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

var epoch = time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)

// attempts adds attempts to states, one per call.
type attempts struct {
	state  failure.State
	policy *subscription.FailurePolicy
	n      int64
}

func newAttempts(p subscription.FailurePolicy) *attempts {
	return &attempts{state: failure.NewState(), policy: &p}
}

func (a *attempts) at(after time.Duration, result outcome.Result) bool {
	return a.of(1, after, result)
}

func (a *attempts) of(generation int64, after time.Duration, result outcome.Result) bool {
	a.state.Fold(&outcome.Outcome{Result: result, Generation: generation, At: epoch.Add(after)}, a.n, a.policy)
	a.n++
	return a.state.Full(a.policy)
}

const (
	ok   = outcome.ResultSuccess
	down = outcome.ResultServerError
)

func std(d time.Duration) subscription.Duration { return subscription.Duration(d) }

func TestConsecutive(t *testing.T) {
	a := newAttempts(subscription.FailurePolicy{Kind: subscription.FailureConsecutive, Failures: 3})
	for i, want := range []bool{false, false, true, true} {
		require.Equal(t, want, a.at(time.Duration(i)*time.Hour, down), "attempt %d", i)
	}
	require.False(t, a.at(5*time.Hour, ok))
	require.False(t, a.at(5*time.Hour, outcome.ResultClientError), "a 4xx counts as well")
	require.False(t, a.at(5*time.Hour, outcome.ResultTimeout))
	require.False(t, a.at(5*time.Hour, outcome.ResultNone), "a park is no attempt")
	require.True(t, a.at(5*time.Hour, down))
}

// Whatever a policy looks at, it does not look at the forward proxy.
func TestTheProxyIsNotCounted(t *testing.T) {
	for name, p := range map[string]subscription.FailurePolicy{
		"consecutive": {Kind: subscription.FailureConsecutive, Failures: 2},
		"within":      {Kind: subscription.FailureConsecutive, Failures: 2, Within: std(time.Hour)},
		"rate":        {Kind: subscription.FailureRate, Percent: 95, Attempts: 2, Within: std(time.Hour)},
		"lasting":     {Kind: subscription.FailureLasting, Failures: 2, Within: std(time.Hour), For: std(time.Minute)},
		"suspended": {
			Kind: subscription.FailureConsecutive, Failures: 2, Effect: subscription.EffectSuspendRetries,
		},
	} {
		a := newAttempts(p)
		require.False(t, a.at(0, down), name)
		for i := range 5 {
			require.False(t, a.at(time.Duration(i)*time.Minute, outcome.ResultProxy), name)
		}
		require.Zero(t, a.state.Suspended, name)
		a.at(6*time.Minute, down)
		require.Equal(t, 2, a.state.ConsecutiveFailures, name)
		require.True(t, a.at(8*time.Minute, down), name)
	}
}

// The last of as many must be within the time of the first of them, however many there were before.
func TestConsecutiveWithin(t *testing.T) {
	a := newAttempts(subscription.FailurePolicy{Kind: subscription.FailureConsecutive, Failures: 3, Within: std(3 * time.Hour)})
	require.False(t, a.at(0, down))
	require.False(t, a.at(2*time.Hour, down))
	require.False(t, a.at(3*time.Hour+time.Millisecond, down), "three, a millisecond too slowly")
	require.False(t, a.at(5*time.Hour+time.Millisecond, down), "from the second on it is as slow")
	require.True(t, a.at(5*time.Hour+2*time.Millisecond, down))
	require.Len(t, a.state.Times, 3)
	require.False(t, a.at(6*time.Hour, ok))
	require.Empty(t, a.state.Times)
	require.False(t, a.at(6*time.Hour, down))
	require.False(t, a.at(6*time.Hour, down))
	require.True(t, a.at(9*time.Hour, down), "the bound belongs to it")
}

func TestRate(t *testing.T) {
	policy := subscription.FailurePolicy{
		Kind: subscription.FailureRate, Percent: 95, Attempts: 100, Within: std(time.Hour),
	}
	a := newAttempts(policy)
	for range 5 {
		require.False(t, a.at(0, ok))
	}
	for range 94 {
		require.False(t, a.at(time.Minute, down), "too few to say")
	}
	require.True(t, a.at(2*time.Minute, down), "95 of 100")
	require.False(t, a.at(2*time.Minute, ok), "never after a success")
	require.False(t, a.at(2*time.Minute, down), "96 of 102")
	require.False(t, a.at(60*time.Minute, down), "the five successes have passed, and one is left: 97 of 98, too few")
	require.False(t, a.at(60*time.Minute, down))
	require.True(t, a.at(60*time.Minute, down), "99 of 100")
	require.False(t, a.at(3*time.Hour, down), "all of the hour before have passed")
	require.Len(t, a.state.Steps, 1)

	spread := newAttempts(policy)
	for i := range 1000 {
		spread.at(time.Duration(i)*10*time.Second, ok)
	}
	require.LessOrEqual(t, len(spread.state.Steps), 60)
}

// A policy that is changed to a longer window goes on with what the shorter one counted, and forgets it in time.
func TestRateOfAnotherWindow(t *testing.T) {
	hour := subscription.FailurePolicy{Kind: subscription.FailureRate, Percent: 95, Attempts: 10, Within: std(time.Hour)}
	day := hour
	day.Within = std(24 * time.Hour)
	a := newAttempts(hour)
	for range 9 {
		a.at(0, down)
	}
	a.policy = &day
	require.True(t, a.at(time.Hour, down), "the tenth")
	require.False(t, a.at(26*time.Hour, down), "a day later they have passed")
	require.Len(t, a.state.Steps, 1)
}

func TestLasting(t *testing.T) {
	policy := subscription.FailurePolicy{
		Kind: subscription.FailureLasting, For: std(5 * 24 * time.Hour), Failures: 3,
		Within: std(24 * time.Hour), Apart: std(12 * time.Hour),
	}
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		fail  []time.Duration // when attempts fail
		clock time.Duration   // when it starts; -1 for never
		full  time.Duration   // the first failure at which it is full; -1 for never
	}{
		"one failure a day starts nothing":    {[]time.Duration{0, day + 1e6, 2*day + 2e6, 3*day + 3e6, 9*day + 4e6}, -1, -1},
		"too few":                             {[]time.Duration{0, 12 * time.Hour, 7 * day}, -1, -1},
		"too close":                           {[]time.Duration{0, time.Hour, 2 * time.Hour, 11 * time.Hour, 7 * day}, -1, -1},
		"three, twelve hours apart":           {[]time.Duration{0, 6 * time.Hour, 12 * time.Hour, 12*time.Hour + 5*day - 1e6, 12*time.Hour + 5*day}, 12 * time.Hour, 12*time.Hour + 5*day},
		"a failure long after the clock":      {[]time.Duration{0, 6 * time.Hour, 12 * time.Hour, 30 * day}, 12 * time.Hour, 30 * day},
		"the first fell out of the day":       {[]time.Duration{0, 20 * time.Hour, 25 * time.Hour, 33 * time.Hour, 33*time.Hour + 5*day}, 33 * time.Hour, 33*time.Hour + 5*day},
		"failures close to each other, many":  {[]time.Duration{0, 1e6, 2e6, 12 * time.Hour, 6 * day}, 12 * time.Hour, 6 * day},
		"the failures of one try share marks": {[]time.Duration{0, 14 * time.Minute, 12 * time.Hour, 6 * day}, 12 * time.Hour, 6 * day},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempts(policy)
			full := time.Duration(-1)
			for _, at := range c.fail {
				if a.at(at, down) && full < 0 {
					full = at
				}
			}
			require.Equal(t, c.full, full)
			if c.clock < 0 {
				require.Zero(t, a.state.Clock)
			} else {
				require.Equal(t, epoch.Add(c.clock), a.state.Clock)
			}
			a.at(40*day, ok)
			require.Zero(t, a.state.Clock, "a success starts everything anew")
			require.False(t, a.at(41*day, down))
		})
	}
	busy := newAttempts(policy)
	for i := range 100_000 {
		busy.at(time.Duration(i)*100*time.Millisecond, down)
	}
	require.LessOrEqual(t, len(busy.state.Marks), 97)
}

func TestSuspension(t *testing.T) {
	a := newAttempts(subscription.FailurePolicy{
		Kind: subscription.FailureConsecutive, Failures: 2, Within: std(time.Hour), Effect: subscription.EffectSuspendRetries,
	})
	a.at(0, down)
	require.Zero(t, a.state.Suspended)
	a.at(time.Minute, down)
	require.Equal(t, epoch.Add(time.Minute), a.state.Suspended)
	require.False(t, a.at(5*time.Hour, down), "too slow to begin it")
	require.Equal(t, epoch.Add(time.Minute), a.state.Suspended, "which does not end it")
	a.at(6*time.Hour, ok)
	require.Zero(t, a.state.Suspended)
}

// Enabling raises the generation: all is counted anew, and what was under way then counts for nothing.
func TestEnablingResets(t *testing.T) {
	for _, p := range policies() {
		a := newAttempts(p)
		for i := range 200 {
			a.of(1, time.Duration(i)*time.Hour, down)
		}
		a.of(2, 201*time.Hour, down)
		require.Equal(t, 1, a.state.ConsecutiveFailures, string(p.Kind))
		fresh := newAttempts(p)
		fresh.of(2, 201*time.Hour, down)
		require.Equal(t, fresh.state.Counts, a.state.Counts, string(p.Kind))
		before := a.state.Clone()
		a.of(1, 202*time.Hour, down)
		require.Equal(t, before.Counts, a.state.Counts, string(p.Kind))
	}
}

// That a subscription's own program fails says nothing of its endpoint: it fills no measure, and ends no run of failures.
func TestTransformationsDoNotCount(t *testing.T) {
	for _, p := range policies() {
		a := newAttempts(p)
		a.at(0, down)
		before := a.state.Clone()
		for i := range 200 {
			require.False(t, a.at(time.Duration(i)*time.Hour, outcome.ResultTransformation), string(p.Kind))
		}
		require.Equal(t, before.Counts, a.state.Counts, string(p.Kind))
		require.Equal(t, 1, a.state.ConsecutiveFailures, string(p.Kind))
	}
}

func TestNoPolicy(t *testing.T) {
	a := &attempts{state: failure.NewState()}
	never := newAttempts(subscription.FailurePolicy{Kind: subscription.FailureNever})
	for i := range 1000 {
		require.False(t, a.at(time.Duration(i)*time.Hour, down))
		require.False(t, never.at(time.Duration(i)*time.Hour, down))
	}
	require.Equal(t, failure.Counts{}, a.state.Counts)
	require.Equal(t, failure.Counts{}, never.state.Counts)
}

func policies() []subscription.FailurePolicy {
	return []subscription.FailurePolicy{
		{Kind: subscription.FailureConsecutive, Failures: 15, Effect: subscription.EffectSuspendRetries},
		{Kind: subscription.FailureConsecutive, Failures: 25, Within: std(3 * time.Hour)},
		{Kind: subscription.FailureRate, Percent: 95, Attempts: 10, Within: std(time.Hour), Effect: subscription.EffectLock},
		{Kind: subscription.FailureLasting, For: std(5 * 24 * time.Hour), Failures: 3, Within: std(24 * time.Hour), Apart: std(12 * time.Hour)},
	}
}

// An owner that takes up a snapshot and folds the rest, some of it twice, counts what the first owner counts.
func TestTakingUp(t *testing.T) {
	for _, p := range policies() {
		random := rand.New(rand.NewPCG(1, 2))
		live := failure.NewState()
		taken := failure.NewState()
		var rows []outcome.Outcome
		for i := range 500 {
			row := outcome.Outcome{
				Result: down, Generation: 1 + int64(i/200), At: epoch.Add(time.Duration(i) * time.Duration(1+random.IntN(20)) * time.Minute),
			}
			if random.IntN(30) == 0 {
				row.Result = ok
			}
			rows = append(rows, row)
			live.Fold(&rows[i], int64(i), &p)
			taken.Fold(&rows[i], int64(i), &p)
			if random.IntN(10) > 0 {
				continue
			}
			raw, err := json.Marshal(taken)
			require.NoError(t, err)
			taken = failure.State{}
			require.NoError(t, json.Unmarshal(raw, &taken))
			for j := max(0, i-20); j <= i; j++ {
				taken.Fold(&rows[j], int64(j), &p)
			}
			require.Equal(t, live, taken, "%s after %d", p.Kind, i)
			require.Equal(t, live.Full(&p), taken.Full(&p))
		}
	}
}

func TestClone(t *testing.T) {
	for _, p := range policies() {
		a := newAttempts(p)
		a.at(0, down)
		before := a.state.Clone()
		raw, err := json.Marshal(before)
		require.NoError(t, err)
		a.at(1, down)
		a.at(time.Minute, down)
		after, err := json.Marshal(before)
		require.NoError(t, err)
		require.Equal(t, string(raw), string(after), string(p.Kind))
	}
}
