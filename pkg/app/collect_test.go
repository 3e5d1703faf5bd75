package app

import (
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPercent(t *testing.T) {
	for held, want := range map[uint64]int{
		0: 1600, 1 << 20: 1600, 8 << 20: 800, 40 << 20: 150, 64 << 20: 100, 1 << 30: 100,
	} {
		require.Equal(t, want, percent(held, 64<<20), "%d held", held)
	}
}

func TestFresh(t *testing.T) {
	for limit, want := range map[int64]uint64{
		math.MaxInt64: 128 << 20, 0: 64 << 20, 100 << 20: 64 << 20, 512 << 20: 128 << 20, 1 << 30: 256 << 20, 64 << 30: 256 << 20,
	} {
		require.Equal(t, want, fresh(limit), "a limit of %d", limit)
	}
}

// With little in memory the collector waits until much was allocated, and as before when it is told to stop.
func TestCollectLess(t *testing.T) {
	t.Setenv("GOGC", "") // the default
	stop := CollectLess()
	defer stop()
	c := collections(t, 48<<20)
	require.LessOrEqual(t, c, 3, "collections for 48 MiB")
	stop()
	t.Setenv("GOGC", "50")
	CollectLess()() // nothing
}

// collections counts those during the allocation of so many bytes, of which nothing is kept.
func collections(t *testing.T, allocate int) int {
	t.Helper()
	runtime.GC() // and with it the first adaption
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range allocate >> 10 {
		kept = make([]byte, 1<<10)
	}
	kept = nil
	runtime.ReadMemStats(&after)
	return int(after.NumGC - before.NumGC)
}

var kept []byte // it has what is made escape
