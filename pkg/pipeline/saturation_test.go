package pipeline

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/gate"
)

// What counts is the median since the last look.
func TestSaturated(t *testing.T) {
	h := &metrics.Float64Histogram{Buckets: []float64{math.Inf(-1), 1e-6, 5e-4, 1e-2, math.Inf(1)}, Counts: []uint64{100, 100, 9, 1}}
	require.False(t, saturated(h, make([]uint64, 4)))
	require.True(t, saturated(h, []uint64{100, 96, 5, 0}), "4 short, 5 long")
	require.False(t, saturated(h, []uint64{100, 95, 5, 0}))
	require.False(t, saturated(h, h.Counts), "nothing ran")
}

// Without a processor for more, a lane has one in flight if its endpoint is a quick one, although answers are late; where none ends
// it goes on.
func TestLanesOfABusyProcess(t *testing.T) {
	w := newLaneWorld(t, 8, 100)
	w.limit(w.lane("a"), func(limit *gate.Limit) {
		for range 8 {
			limit.Answered(10*time.Millisecond, true, time.Now())
		}
		for range 24 { // 85 ms on average
			limit.Answered(110*time.Millisecond, true, time.Now())
		}
	})
	w.s.saturated.Store(true)
	w.push("a", 0, 1, 2)
	require.Equal(t, []string{"a:0", "a:1", "a:2"}, w.takes(), "few are in flight at all")
	w.s.bounds.workers, w.s.busy = 100_000, 1000
	w.push("a", 3)
	require.Empty(t, w.takes())
	w.push("b", 4, 5)
	require.Equal(t, []string{"b:4"}, w.takes())
	w.s.saturated.Store(false)
	w.s.hurry()
	require.Equal(t, []string{"a:3", "b:5"}, w.takes())
	w.s.saturated.Store(true)
	w.push("a", 6)
	w.lane("a").moved = time.Now().Add(-overdue * 90 * time.Millisecond)
	w.s.hurry()
	require.Equal(t, []string{"a:6"}, w.takes())
	w.widen("slow")
	w.push("slow", 7, 8)
	require.Equal(t, []string{"slow:7", "slow:8"}, w.takes(), "it is not the processors")
}

// The runtime has the histogram under this name.
func TestSaturationOfThisProcess(t *testing.T) {
	s := newSaturation()
	s.now()
	require.NotEmpty(t, s.before)
}

// What threads wait counts for the time since the last look, by all processors.
func TestSaturationByOthers(t *testing.T) {
	s, now, all := newSaturation(), time.Now(), float64(runtime.GOMAXPROCS(0))
	waits := func(share float64) time.Duration {
		now = now.Add(saturationEvery)
		return s.waited + time.Duration(share*all*float64(saturationEvery))
	}
	require.False(t, s.short(time.Hour, now), "what was before the first look")
	require.True(t, s.short(waits(shortAt+0.01), now))
	require.False(t, s.short(waits(shortAt-0.01), now))
	require.False(t, s.short(waits(-1), now), "threads ended")
}

func TestThreadsWaited(t *testing.T) {
	dir := t.TempDir()
	for thread, text := range map[string]string{"1": "10 2000000 3\n", "2": "5 500000 1\n", "3": ""} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, thread), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, thread, "schedstat"), []byte(text), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "ended"), 0o700))
	require.Equal(t, 2500*time.Microsecond, threadsWaited(dir))
	require.Zero(t, threadsWaited(filepath.Join(dir, "none")))
	if runtime.GOOS == "linux" {
		require.Positive(t, threadsWaited(threadsDir))
	}
}

// Where processors are short a worker stays with its lane, for as many bytes; its tenant's turns pay, if others wait for theirs.
func TestRuns(t *testing.T) {
	for _, saturated := range []bool{false, true} {
		w := newLaneWorld(t, 8, 100)
		w.s.saturated.Store(saturated)
		at := int64(0)
		for range 2 * longestRun / itemOverhead {
			for _, lane := range []string{"a/1", "b/1"} {
				w.push(lane, at)
				at++
			}
		}
		me, run := newWorker(), 1
		for ; ; run++ {
			it := w.s.next(me)
			w.s.release(it.lane)
			if it.lane != w.lane("a/1") {
				break
			}
		}
		size := int64(itemOverhead + len("a/1"))
		if saturated {
			require.Equal(t, int(longestRun/size), run-1)
			require.Equal(t, quantum-longestRun/size*size, w.lane("a/1").tenant.deficit)
			require.Negative(t, w.lane("a/1").tenant.deficit)
		} else {
			require.LessOrEqual(t, run-1, int(quantum/size))
		}
	}
}

// A crowd keeps up most of the rate there is, if all take longer than they count.
func TestCrowdOfARate(t *testing.T) {
	w := newLaneWorld(t, 1, 100)
	few := plenty * runtime.GOMAXPROCS(0)
	require.Equal(t, few, w.s.crowdSize())
	w.s.ends = 1000 * few
	w.s.judge(true, time.Second)
	require.Equal(t, 10*few/4, w.s.crowdSize())
	w.s.judge(true, time.Second)
	require.Equal(t, few, w.s.crowdSize())
}

// While processors are short only so many begin at a time; whoever waits for its endpoint makes room, and without an end or an
// arrival what is left is looked at again.
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 1, 100)
		w.s.saturated.Store(true)
		most, turn := plenty*runtime.GOMAXPROCS(0), int(quantum/itemOverhead)+1
		all := 2*most + turn + 1
		begun, end := make(chan string, all), make(chan struct{})
		var workers sync.WaitGroup
		for range all {
			workers.Go(func() {
				me := newWorker()
				for it := w.s.next(me); it != nil; it = w.s.next(me) {
					begun <- string(it.d.Data)
					<-end
					w.s.release(it.lane)
					w.s.give(it)
					w.o.settling.Done()
				}
			})
		}
		synctest.Wait()
		for i := range all - 1 {
			w.push(fmt.Sprintf("big/%d", i), int64(i))
		}
		w.push("other/one", int64(all-1))
		synctest.Wait()
		require.Len(t, begun, most)
		var first []string
		for range turn {
			end <- struct{}{}
		}
		synctest.Wait()
		for len(begun) > 0 {
			first = append(first, <-begun)
		}
		require.Len(t, first, most+turn)
		require.Contains(t, first, "other/one", "tenants take turns")
		require.Equal(t, all-len(first), w.s.load())

		time.Sleep(2*youth + time.Millisecond)
		synctest.Wait()
		require.NotEmpty(t, begun, "who began waits for an endpoint by now")
		w.s.saturated.Store(false)
		time.Sleep(youth)
		synctest.Wait()
		require.Zero(t, w.s.load(), "there are workers for all")
		close(end)
		synctest.Wait()
		require.Zero(t, w.s.load())
		require.Len(t, begun, all-len(first))
		w.s.close()
		workers.Wait()
	})
}

// Where processors are short and yet few have work, nothing is kept of those that had.
func TestCrowdForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 1, 100)
		w.s.saturated.Store(true)
		me := newWorker()
		for at := range int64(1000) {
			w.push("a", at)
			it := w.s.next(me)
			w.s.release(it.lane)
			w.s.give(it)
			w.o.settling.Done()
			time.Sleep(time.Millisecond)
		}
		require.LessOrEqual(t, len(w.s.crowd.begun), int(youth/time.Millisecond))
	})
}
