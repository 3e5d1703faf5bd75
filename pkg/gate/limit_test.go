package gate_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/gate"
)

// limitWorld is a limit and a clock.
type limitWorld struct {
	gate.Limit
	now time.Time
}

func newLimitWorld(most int) *limitWorld {
	return &limitWorld{Limit: gate.NewLimit(most), now: time.Unix(1_800_000_000, 0)}
}

// round answers as many attempts as may be in flight.
func (w *limitWorld) round(took time.Duration, waiting bool) {
	w.now = w.now.Add(took)
	for range w.Value() {
		w.Answered(took, waiting, w.now)
	}
}

func TestLimitDoublesUpToTheMost(t *testing.T) {
	w := newLimitWorld(32)
	got := []int{w.Value()}
	for range 5 {
		w.round(5*time.Millisecond, true)
		got = append(got, w.Value())
	}
	require.Equal(t, []int{4, 8, 16, 32, 32, 32}, got)
	few := gate.NewLimit(2)
	require.Equal(t, 2, few.Value())
}

func TestLimitThatNobodyNeedsStays(t *testing.T) {
	w := newLimitWorld(32)
	for range 100 {
		w.round(5*time.Millisecond, false)
	}
	require.Equal(t, 4, w.Value())
}

func TestLimitRampsAfterARestart(t *testing.T) {
	w := newLimitWorld(64)
	for range 5 {
		w.round(5*time.Millisecond, true)
	}
	require.Equal(t, 64, w.Value())
	w.Restart(w.now)
	got := []int{w.Value()}
	for range 7 {
		w.round(5*time.Millisecond, true)
		got = append(got, w.Value())
	}
	require.Equal(t, []int{1, 2, 4, 8, 16, 32, 32, 33}, got, "doubling to half of what it was, then by one a round")
}

// An endpoint that takes so many at a time and is slower in proportion beyond: the limit settles around it.
func TestLimitFindsWhatTheEndpointTakes(t *testing.T) {
	for _, capacity := range []int{1, 4, 20, 100} {
		w := newLimitWorld(256)
		const quick = 2 * time.Second
		most, sum := 0, 0
		for i := range 2000 {
			took := quick * time.Duration(max(w.Value(), capacity)) / time.Duration(capacity)
			w.round(took, true)
			if i >= 1000 {
				most, sum = max(most, w.Value()), sum+w.Value()
			}
		}
		average := sum / 1000
		require.LessOrEqual(t, most, 8*capacity+16, "of %d", capacity)
		require.GreaterOrEqual(t, average, capacity, "of %d: it is kept busy", capacity)
	}
}

// An endpoint whose answers take very different times, for reasons of its own, is not held back for it.
func TestLimitOfAnEndpointOfManyTimes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, took := range map[string]func() float64{
		"uniform": func() float64 { return 4 * random.Float64() }, "exponential": random.ExpFloat64,
	} {
		w := newLimitWorld(32)
		sum := 0
		for range 5000 {
			w.now = w.now.Add(50 * time.Millisecond)
			w.Answered(time.Duration(took()*float64(time.Second)), true, w.now)
			sum += w.Value()
		}
		require.Greater(t, sum/5000, 28, name)
	}
}

// An endpoint that has become slower, whatever is sent, is not held to what it was.
func TestLimitOfAnEndpointThatHasBecomeSlower(t *testing.T) {
	w := newLimitWorld(32)
	for range 10 {
		w.round(5*time.Millisecond, true)
	}
	least := 32
	for range 200 {
		w.round(3*time.Second, true)
		least = min(least, w.Value())
	}
	require.LessOrEqual(t, least, 2, "it gave way")
	require.Equal(t, 32, w.Value(), "and came back")
}

// A second more says nothing.
func TestLimitDoesNotMindABusyMachine(t *testing.T) {
	w := newLimitWorld(32)
	for range 10 {
		w.round(2*time.Millisecond, true)
	}
	for range 50 {
		w.round(900*time.Millisecond, true)
		require.Equal(t, 32, w.Value())
	}
}

func TestLimitOfAnEndpointThatFallsSilent(t *testing.T) {
	w := newLimitWorld(32)
	for range 5 {
		w.round(5*time.Millisecond, true)
	}
	for range 32 { // all that were in flight, within a moment
		w.now = w.now.Add(time.Millisecond)
		w.Silent(w.now)
	}
	require.Equal(t, 16, w.Value(), "once")
	for range 10 {
		w.now = w.now.Add(time.Second)
		w.Silent(w.now)
	}
	require.Equal(t, 1, w.Value())
}

func TestLimitStaysInItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 4096).Draw(t, "most")
		w := newLimitWorld(most)
		for range rapid.IntRange(1, 300).Draw(t, "ends") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 1e9).Draw(t, "later")))
			switch rapid.IntRange(0, 5).Draw(t, "end") {
			case 0:
				w.Silent(w.now)
			case 1:
				w.Restart(w.now)
			default:
				w.Answered(time.Duration(rapid.IntRange(0, 6e10).Draw(t, "took")), rapid.Bool().Draw(t, "waiting"), w.now)
			}
			require.GreaterOrEqual(t, w.Value(), 1)
			require.LessOrEqual(t, w.Value(), most)
		}
	})
}
