package outcome_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/outcome"
)

// row is the outcome with the given result, so many minutes after the start.
func row(r outcome.Result, minute int) *outcome.Outcome {
	o := full()
	o.Result, o.At = r, at.Add(time.Duration(minute)*time.Minute)
	switch r {
	case outcome.ResultSuccess:
		o.Verdict = outcome.Delivered
	case outcome.ResultNone:
		o.Verdict = outcome.Parked
	default:
		o.Verdict = outcome.Retry
	}
	return &o
}

func TestFold(t *testing.T) {
	minute := func(n int) time.Time { return at.Add(time.Duration(n) * time.Minute) }
	const (
		ok, refused, down, none = outcome.ResultSuccess, outcome.ResultClientError, outcome.ResultServerError, outcome.ResultNone
	)
	for name, tc := range map[string]struct {
		rows []outcome.Result // at offsets and minutes 0, 1, 2 …
		want outcome.State
	}{
		"never tried":       {nil, outcome.State{Folded: -1}},
		"success":           {[]outcome.Result{ok}, outcome.State{LastSuccess: at}},
		"failure":           {[]outcome.Result{down}, outcome.State{ConsecutiveFailures: 1, Unhealthy: 1, FailingSince: at, LastFailure: at}},
		"4xx":               {[]outcome.Result{refused}, outcome.State{ConsecutiveFailures: 1, FailingSince: at, LastFailure: at}},
		"gone":              {[]outcome.Result{outcome.ResultGone}, outcome.State{ConsecutiveFailures: 1, FailingSince: at, LastFailure: at}},
		"throttled":         {[]outcome.Result{outcome.ResultThrottled}, outcome.State{ConsecutiveFailures: 1, Unhealthy: 1, FailingSince: at, LastFailure: at}},
		"parked, cancelled": {[]outcome.Result{none, none}, outcome.State{Folded: 1}},
		"parks in between": {[]outcome.Result{down, none, down, none}, outcome.State{
			ConsecutiveFailures: 2, Unhealthy: 2, FailingSince: at, LastFailure: minute(2), Folded: 3,
		}},
		"the program fails": {[]outcome.Result{down, outcome.ResultTransformation, down}, outcome.State{
			ConsecutiveFailures: 2, Unhealthy: 2, FailingSince: at, LastFailure: minute(2), Folded: 2,
		}},
		"a 4xx says it is well": {[]outcome.Result{down, down, refused, down}, outcome.State{
			ConsecutiveFailures: 4, Unhealthy: 1, FailingSince: at, LastFailure: minute(3), Folded: 3,
		}},
		"the proxy is nobody's failure": {[]outcome.Result{down, outcome.ResultProxy}, outcome.State{
			ConsecutiveFailures: 1, Unhealthy: 2, FailingSince: at, LastFailure: at, Folded: 1,
		}},
		"recovers": {[]outcome.Result{down, refused, ok}, outcome.State{
			LastFailure: minute(1), LastSuccess: minute(2), Folded: 2,
		}},
		"fails again": {[]outcome.Result{down, ok, none, down}, outcome.State{
			ConsecutiveFailures: 1, Unhealthy: 1, FailingSince: minute(3), LastFailure: minute(3), LastSuccess: minute(1), Folded: 3,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := outcome.NewState()
			for i, r := range tc.rows {
				s = s.Fold(row(r, i), int64(i))
			}
			if s.ConsecutiveFailures > 0 || !s.LastSuccess.IsZero() {
				tc.want.Generation = full().Generation
			}
			require.Empty(t, cmp.Diff(tc.want, s))
		})
	}
}

// Enabling raises the generation: the failures of before count no more, and those of its last attempts do not come back.
func TestFoldCountsPerGeneration(t *testing.T) {
	s := outcome.NewState()
	fail := func(generation int64, minute int) {
		o := row(outcome.ResultServerError, minute)
		o.Generation = generation
		s = s.Fold(o, s.Folded+1)
	}
	fail(1, 0)
	fail(1, 1)
	require.Equal(t, 2, s.ConsecutiveFailures)
	fail(2, 2)
	require.Equal(t, 1, s.ConsecutiveFailures)
	require.Equal(t, at.Add(2*time.Minute), s.FailingSince)
	fail(1, 3)
	require.Equal(t, 1, s.ConsecutiveFailures, "an attempt that was under way when it was enabled")
	fail(2, 4)
	require.Equal(t, 2, s.ConsecutiveFailures)
	require.Equal(t, 5, s.Unhealthy, "the endpoint is as unwell as before")
}

// Whatever is read a second time, and wherever a snapshot cuts the log, the state is the same.
func TestFoldIsTheSameForEveryOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		results := rapid.SliceOf(rapid.SampledFrom(outcome.Results())).Draw(t, "results")
		once := outcome.NewState()
		for i, r := range results {
			once = once.Fold(row(r, i), int64(i))
		}
		cut := rapid.IntRange(0, len(results)).Draw(t, "snapshot after")
		again := rapid.IntRange(0, cut).Draw(t, "read again from")
		twice := outcome.NewState()
		for i := range cut {
			twice = twice.Fold(row(results[i], i), int64(i))
		}
		text, err := json.Marshal(twice)
		require.NoError(t, err)
		var taken outcome.State
		require.NoError(t, json.Unmarshal(text, &taken))
		for i := again; i < len(results); i++ {
			taken = taken.Fold(row(results[i], i), int64(i))
		}
		require.Empty(t, cmp.Diff(once, taken))
	})
}

// Snapshots are read by the version after this one.
func TestStateJSONGolden(t *testing.T) {
	s := outcome.State{
		ConsecutiveFailures: 3, Unhealthy: 2, FailingSince: at, LastSuccess: at.Add(-time.Hour), LastFailure: at.Add(time.Hour), Folded: 9,
	}
	text, err := json.Marshal(s)
	require.NoError(t, err)
	require.Equal(t, `{"consecutive_failures":3,"unhealthy":2,"failing_since":"2026-02-01T08:30:00.123Z",`+
		`"last_success":"2026-02-01T07:30:00.123Z","last_failure":"2026-02-01T09:30:00.123Z","folded":9}`, string(text))
	text, err = json.Marshal(outcome.NewState())
	require.NoError(t, err)
	require.Equal(t, `{"consecutive_failures":0,"unhealthy":0,"folded":-1}`, string(text))
}
