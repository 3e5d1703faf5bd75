package gate_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/gate"
)

// conf has round numbers: open for 10 s, 20 s, 40 s, 60 s, 60 s …; two a second come due after the probes.
var conf = gate.Config{Failures: 3, OpenFor: 10 * time.Second, MaxOpenFor: time.Minute, Probes: 2, RampRate: 2}

// inBubble runs f with a clock that only moves when f sleeps.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func sleepUntil(at time.Time) { time.Sleep(time.Until(at)) }

// attempt makes an attempt that must be let through, and ends it.
func attempt(t *testing.T, b *gate.Breaker, failed bool) (changed bool) {
	t.Helper()
	p, _ := b.Allow(time.Now())
	require.NotNil(t, p, "refused")
	return p.Done(failed, time.Now())
}

// refuse asks for an attempt that must be refused.
func refuse(t *testing.T, b *gate.Breaker) gate.Refusal {
	t.Helper()
	p, r := b.Allow(time.Now())
	require.Nil(t, p, "let through")
	return r
}

// opened returns a breaker that has just opened for the first time.
func opened(t *testing.T) *gate.Breaker {
	t.Helper()
	b := gate.New(conf, gate.State{}, 0, time.Now())
	for i := range conf.Failures {
		require.Equal(t, i == conf.Failures-1, attempt(t, b, true), "only the last one opens it")
	}
	require.Equal(t, gate.State{Until: time.Now().Add(conf.OpenFor), Trips: 1}, b.State())
	return b
}

func TestFailuresInARowOpen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := gate.New(conf, gate.State{}, 0, time.Now())
		for range 5 { // never three in a row
			require.False(t, attempt(t, b, true))
			require.False(t, attempt(t, b, true))
			require.False(t, attempt(t, b, false))
		}
		require.Equal(t, gate.State{}, b.State())
		opened(t)
	})
}

func TestDefaults(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := gate.New(gate.Config{}, gate.State{}, 0, time.Now())
		for range 4 {
			require.False(t, attempt(t, b, true))
		}
		require.True(t, attempt(t, b, true))
		until := time.Now().Add(5 * time.Second)
		require.Equal(t, until, b.State().Until)
		for range 3 {
			require.Equal(t, until, refuse(t, b).Due)
		}
		require.Equal(t, until.Add(time.Second/50), refuse(t, b).Due)
		for range 20 {
			sleepUntil(b.State().Until)
			require.True(t, attempt(t, b, true))
		}
		require.Equal(t, time.Now().Add(15*time.Minute), b.State().Until)
	})
}

func TestRefusalsAreSpread(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := opened(t)
		until := b.State().Until
		for _, after := range []time.Duration{0, 0, 500, 1000, 1500, 2000} {
			require.Equal(t, gate.Refusal{Due: until.Add(after * time.Millisecond)}, refuse(t, b))
			time.Sleep(time.Millisecond) // when it was refused does not matter
		}
	})
}

func TestHalfOpenLetsOneThrough(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := opened(t)
		sleepUntil(b.State().Until.Add(-time.Nanosecond))
		require.False(t, refuse(t, b).Probing)
		require.False(t, b.Probing())
		time.Sleep(time.Nanosecond) // what comes due at Until is let through at Until
		probe, _ := b.Allow(time.Now())
		require.NotNil(t, probe)
		require.True(t, b.Probing())
		for range 10 {
			require.Equal(t, gate.Refusal{Probing: true}, refuse(t, b))
			time.Sleep(time.Hour) // half-open does not expire
		}
		require.True(t, b.State().Open())

		require.True(t, probe.Done(false, time.Now()))
		require.Equal(t, gate.State{}, b.State())
		require.False(t, b.Probing())
		for range conf.Failures - 1 { // the failures before are forgotten
			require.False(t, attempt(t, b, true))
		}
		require.True(t, attempt(t, b, true))
		require.Equal(t, gate.State{Until: time.Now().Add(conf.OpenFor), Trips: 1}, b.State(), "the doubling is forgotten")
	})
}

func TestFailedProbesDouble(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := opened(t)
		for i, want := range []time.Duration{20, 40, 60, 60, 60} {
			refuse(t, b)
			sleepUntil(b.State().Until)
			require.True(t, attempt(t, b, true))
			until := time.Now().Add(want * time.Second)
			require.Equal(t, gate.State{Until: until, Trips: i + 2}, b.State())
			require.Equal(t, until, refuse(t, b).Due, "the spreading starts anew")
			require.Equal(t, until, refuse(t, b).Due)
			require.Equal(t, until.Add(time.Second/2), refuse(t, b).Due)
		}
	})
}

func TestAbandonedProbeOpensForAsLong(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := opened(t)
		sleepUntil(b.State().Until)
		attempt(t, b, true)
		for range 3 {
			sleepUntil(b.State().Until)
			probe, _ := b.Allow(time.Now())
			time.Sleep(3 * time.Second)
			probe.Abandon(time.Now())
			require.Equal(t, gate.State{Until: time.Now().Add(20 * time.Second), Trips: 2}, b.State())
			require.False(t, b.Probing())
			require.False(t, refuse(t, b).Probing)
		}
	})
}

// Nobody knows how an abandoned attempt went: it neither adds to the failures in a row nor ends them.
func TestAbandonWhileClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := gate.New(conf, gate.State{}, 0, time.Now())
		attempt(t, b, true)
		attempt(t, b, true)
		for range 5 {
			p, _ := b.Allow(time.Now())
			p.Abandon(time.Now())
		}
		require.False(t, b.State().Open())
		require.True(t, attempt(t, b, true))
	})
}

// The ends of attempts that started before the breaker opened say nothing new: not while it is open, not during the
// probe, not after.
func TestPermitsFromBeforeATripDoNotCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := gate.New(conf, gate.State{}, 0, time.Now())
		var old []*gate.Permit
		for range 40 {
			p, _ := b.Allow(time.Now())
			old = append(old, p)
		}
		end := func() { // in each of the three ways
			for i := range 12 {
				switch p := old[i]; i % 3 {
				case 0:
					require.False(t, p.Done(true, time.Now()))
				case 1:
					require.False(t, p.Done(false, time.Now()))
				case 2:
					p.Abandon(time.Now())
				}
			}
			old = old[12:]
		}
		for range conf.Failures {
			old[0].Done(true, time.Now())
			old = old[1:]
		}
		state := b.State()
		require.True(t, state.Open())
		end()
		require.Equal(t, state, b.State())

		sleepUntil(state.Until)
		probe, _ := b.Allow(time.Now())
		end()
		require.Equal(t, state, b.State())
		require.True(t, b.Probing())
		require.True(t, refuse(t, b).Probing)

		require.True(t, probe.Done(false, time.Now()))
		end()
		require.Equal(t, gate.State{}, b.State())
		attempt(t, b, true)
		attempt(t, b, true)
		require.True(t, attempt(t, b, true))
	})
}

func TestRestoreOpen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, remaining := range []time.Duration{time.Nanosecond * 2, time.Second, 45 * time.Second, time.Minute} {
			state := gate.State{Until: time.Now().Add(remaining), Trips: 2}
			b := gate.New(conf, state, 7, time.Now())
			require.Equal(t, state, b.State())
			require.Equal(t, state.Until, refuse(t, b).Due)
			sleepUntil(state.Until)
			require.True(t, attempt(t, b, true))
			require.Equal(t, gate.State{Until: time.Now().Add(40 * time.Second), Trips: 3}, b.State(), "the doubling goes on")
		}
	})
}

func TestRestoreExpired(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, until := range []time.Time{time.Now(), time.Now().Add(-time.Nanosecond), time.Now().Add(-1000 * time.Hour), {}} {
			b := gate.New(conf, gate.State{Until: until, Trips: 1}, 3, time.Now())
			require.True(t, b.State().Open())
			require.Equal(t, gate.Refusal{Due: time.Now()}, refuse(t, b), "in the very same nanosecond")
			time.Sleep(2 * time.Nanosecond)
			probe, _ := b.Allow(time.Now())
			require.NotNil(t, probe)
			require.True(t, refuse(t, b).Probing)
			require.True(t, probe.Done(false, time.Now()))
			require.Equal(t, gate.State{}, b.State())
		}
	})
}

// A previous owner whose clock was ahead, or whose bound was larger, does not keep the endpoint waiting.
// On a clock that does not stand still, a breaker that was taken up after its expiry is half-open again the moment its probe
// failed; the failure counts all the same.
func TestRestoreExpiredOnARunningClock(t *testing.T) {
	for range 100 {
		now := time.Now()
		b := gate.New(conf, gate.State{Until: now.Add(-time.Hour), Trips: 1}, 3, now)
		require.True(t, attempt(t, b, true), "the probe failed")
		require.Equal(t, 2, b.State().Trips)
		refuse(t, b)
	}
}

func TestRestoreIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := gate.New(conf, gate.State{Until: time.Now().Add(24 * time.Hour), Trips: 9}, 3, time.Now())
		latest := time.Now().Add(conf.MaxOpenFor)
		require.Equal(t, gate.State{Until: latest, Trips: 9}, b.State())
		require.Equal(t, latest, refuse(t, b).Due)
		sleepUntil(latest)
		require.True(t, attempt(t, b, false))
	})
}

func TestRestoreClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := gate.New(conf, gate.State{}, conf.Failures-1, time.Now())
		require.False(t, b.State().Open())
		require.True(t, attempt(t, b, true), "the failures before count")

		for _, failures := range []int{conf.Failures, conf.Failures + 100} {
			b = gate.New(conf, gate.State{}, failures, time.Now())
			require.Equal(t, gate.State{Until: time.Now().Add(conf.OpenFor), Trips: 1}, b.State())
			refuse(t, b)
			sleepUntil(b.State().Until)
			require.True(t, attempt(t, b, false))
			require.False(t, attempt(t, b, true), "and are forgotten")
		}
	})
}

// Snapshots are read by the version after this one.
func TestStateJSONGolden(t *testing.T) {
	for want, s := range map[string]gate.State{
		`{}`: {},
		`{"until":"2026-02-01T08:30:00.123Z","trips":3}`: {Until: time.Date(2026, 2, 1, 8, 30, 0, 123e6, time.UTC), Trips: 3},
	} {
		text, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, want, string(text))
		var back gate.State
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, s, back)
		require.Equal(t, s.Trips > 0, back.Open())
	}
}

func TestReset(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := gate.New(conf, gate.State{}, 0, time.Now())
		require.False(t, b.Reset(), "it was closed")
		attempt(t, b, true)
		attempt(t, b, true)
		require.False(t, b.Reset())
		attempt(t, b, true)
		attempt(t, b, true)
		require.False(t, b.State().Open(), "counted anew")
		attempt(t, b, true)
		require.True(t, b.State().Open())
		sleepUntil(b.State().Until)
		probe, _ := b.Allow(time.Now())
		require.NotNil(t, probe)
		require.True(t, b.Reset())
		require.Equal(t, gate.State{}, b.State())
		require.False(t, probe.Done(true, time.Now()), "of before")
		require.False(t, b.Probing())
		attempt(t, b, false)
	})
}
