package gate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/gate"
)

func TestPaceKeepsTheRate(t *testing.T) {
	for _, rate := range []int{1, 2, 9, 10, 11, 50, 1000, 65535} {
		var p gate.Pace
		start := time.Unix(1_800_000_000, 0)
		now, taken := start, 0
		for now.Sub(start) < 10*time.Second {
			at := p.Take(now, rate)
			if at.IsZero() {
				taken++
				continue
			}
			require.True(t, at.After(now), "no spinning")
			now = at
		}
		require.InDelta(t, 10*rate, taken, float64(rate/10+1), "at %d a second", rate)
	}
}

// Nothing is saved up, and no timer that is a little late costs throughput.
func TestPaceSavesNothingUp(t *testing.T) {
	var p gate.Pace
	now := time.Unix(1_800_000_000, 0)
	require.Zero(t, p.Take(now, 100))
	now = now.Add(time.Hour)
	burst := 0
	for p.Take(now, 100).IsZero() {
		burst++
	}
	require.Equal(t, 10, burst, "a tenth of a second's")
}

func TestPaceAfterAClockThatWasSetBack(t *testing.T) {
	var p gate.Pace
	now := time.Unix(1_800_000_000, 0)
	for p.Take(now, 1).IsZero() {
		continue
	}
	require.Zero(t, p.Take(now.Add(-time.Hour), 1), "an hour is not waited out")
}

// Whatever the rate and its changes: in no second more than the highest rate and what the slack allows.
func TestPaceBoundsEverySecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p gate.Pace
		now := time.Unix(1_800_000_000, 0)
		rate := rapid.IntRange(1, 500).Draw(t, "rate")
		var starts []time.Time
		for range rapid.IntRange(1, 400).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2e7).Draw(t, "later")))
			if p.Take(now, rate).IsZero() {
				starts = append(starts, now)
			}
		}
		for i := range starts {
			n := 0
			for _, s := range starts[i:] {
				if s.Before(starts[i].Add(time.Second)) {
					n++
				}
			}
			require.LessOrEqual(t, n, rate+rate/10+1)
		}
	})
}
