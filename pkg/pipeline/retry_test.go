package pipeline

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/backoff"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
)

// tiers is a retrier with the one partition of each tier, fed by what is written to them.
type tierWorld struct {
	t    testing.TB
	b    *broker
	r    *Retrier
	logs map[string]*tierLog
	err  firstError
}

type tierLog struct {
	p    *kafka.Partition
	lose context.CancelFunc
	read int // records handed over
}

func newTierWorld(t testing.TB, buffer int) *tierWorld {
	t.Helper()
	w := &tierWorld{t: t, b: newBroker(t), logs: map[string]*tierLog{}}
	w.r = NewRetrier(RetrierOptions{Buffer: buffer}, w.b, w.err.set)
	for _, topic := range (Topics{}).RetryTopics() {
		ctx, cancel := context.WithCancel(context.Background())
		l := &tierLog{p: kafka.NewPartition(ctx, topic, 0, offset.NewTracker(0, offset.Set{})), lose: cancel}
		w.logs[topic] = l
		require.NoError(t, w.r.Assign(l.p))
	}
	w.r.Start()
	t.Cleanup(func() {
		for _, l := range w.logs {
			w.r.Revoke([]*kafka.Partition{l.p})
			l.lose()
		}
		w.r.Stop()
		require.Empty(t, w.r.timers)
		require.Zero(t, w.r.waiting)
		require.Empty(t, w.r.heads)
	})
	return w
}

// write puts a delivery that is due at the given time into its tier.
func (w *tierWorld) write(n int, due time.Time) {
	d := deliveryOf(subscriptionNamed("one"), n)
	d.Due, d.Pass = due, 1
	w.put((Topics{}).waiting(d, time.Now()))
}

func (w *tierWorld) put(r *kafka.Record) {
	w.b.Produce(context.Background(), r, func(*kafka.Record, error) {})
}

// fetch hands over what partitions that are not held have to give.
func (w *tierWorld) fetch() {
	synctest.Wait()
	for topic, l := range w.logs {
		all := w.b.acknowledged(topic)
		if l.p.Held(kafka.HoldUntil) || l.read == len(all) {
			continue
		}
		var fresh []*kafka.Record
		for _, r := range all[l.read:] {
			l.read++
			if l.p.Tracker().Begin(r.Offset) {
				fresh = append(fresh, r)
			}
		}
		w.r.Records(l.p, fresh)
	}
}

// pass lets time pass, with a fetch every 200 ms.
func (w *tierWorld) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		w.fetch()
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		w.r.mu.Lock()
		require.LessOrEqual(w.t, w.r.waiting, w.r.opts.Buffer)
		w.r.mu.Unlock()
	}
}

func (w *tierWorld) inFlight() (n int) {
	for _, l := range w.logs {
		n += l.p.Tracker().InFlight()
	}
	return n
}

// watch checks every record when it is written: hops go where [backoff.Ready] says, and what goes back to deliveries is due.
// It returns how late each delivery was.
func (w *tierWorld) watch() map[string]time.Duration {
	late := map[string]time.Duration{}
	w.b.refuse = func(r *kafka.Record) error {
		d, err := decode(r)
		require.NoError(w.t, err)
		now := time.Now()
		require.Equal(w.t, 1, d.Pass, "a hop is no pass")
		if r.Topic == "deliveries" {
			require.NotContains(w.t, late, d.EventID, "moved twice")
			late[d.EventID] = now.Sub(d.Due)
			require.False(w.t, now.Before(d.Due), "delivery %s is %s early", d.EventID, d.Due.Sub(now))
			require.Zero(w.t, d.Ready)
			return nil
		}
		wait, ready := backoff.Ready(d.Due, now)
		require.Equal(w.t, (Topics{}).Retry(wait), r.Topic)
		require.True(w.t, ready.Truncate(time.Millisecond).Equal(d.Ready), "ready at %s, want %s", d.Ready, ready)
		return nil
	}
	return late
}

// Whatever is due when, written in whatever order: nothing is early, nothing is late by more than the fetches take, every
// hop is the one that the policy gives, and nothing is left.
func TestRetriesAreNeverEarlyAndOnTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type plan struct{ after, wait time.Duration }
		plans := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plan {
			longest := rapid.SampledFrom([]time.Duration{2 * time.Second, 40 * time.Second, 5 * time.Minute, 15 * time.Minute}).Draw(t, "longest")
			return plan{
				after: time.Duration(rapid.IntRange(0, 5000).Draw(t, "after")) * time.Millisecond,
				wait:  time.Duration(rapid.Int64Range(1000, longest.Milliseconds()).Draw(t, "wait")) * time.Millisecond,
			}
		}), 1, 25).Draw(rt, "plans")
		synctest.Test(t, func(t *testing.T) {
			w := newTierWorld(t, 1000)
			late := w.watch()
			for n, p := range plans {
				time.AfterFunc(p.after, func() { w.write(n, time.Now().Add(p.wait)) })
			}
			for minute := 0; len(late) < len(plans) && minute < 16; minute++ {
				w.pass(time.Minute)
			}
			require.Len(t, late, len(plans))
			for n, d := range late {
				require.LessOrEqual(t, d, 500*time.Millisecond, "delivery %s", n)
			}
			require.Zero(t, w.inFlight())
			require.NoError(t, w.err.get())
		})
	})
}

// More records than the buffer holds are due within one second: none is early, none is left, and the buffer is not exceeded.
func TestRetrierBufferIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTierWorld(t, 10)
		late := w.watch()
		start := time.Now()
		for n := range 300 {
			w.write(n, start.Add(5*time.Second+time.Duration(n)*time.Millisecond))
		}
		w.pass(20 * time.Second)
		require.Len(t, late, 300)
		for n, d := range late {
			require.LessOrEqual(t, d, time.Second, "delivery %s", n)
		}
		require.Zero(t, w.inFlight())
	})
}

// hops counts what was written to the tiers.
func (w *tierWorld) hops() (n int) {
	for _, topic := range (Topics{}).RetryTopics() {
		n += len(w.b.acknowledged(topic))
	}
	return n
}

// The last half minute is waited out in memory as long as there is room, instead of hop by hop.
func TestLittleIsWaitedOutInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTierWorld(t, 1000)
		late := w.watch()
		w.write(0, time.Now().Add(59*time.Second))
		w.pass(time.Minute)
		require.Equal(t, map[string]time.Duration{"0": 0}, late)
		require.Equal(t, 1, w.hops())
	})
}

// Where much waits, what has longest to wait hops, and leaves room for what is due within a second.
func TestLongWaitsLeaveRoomForShortOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTierWorld(t, 20)
		late := w.watch()
		start := time.Now()
		for n := range 100 {
			w.write(n, start.Add(29*time.Second))
		}
		w.pass(6 * time.Second)
		require.Greater(t, w.hops(), 180)
		w.r.mu.Lock()
		require.InDelta(t, 5, w.r.waiting, 4)
		w.r.mu.Unlock()
		for n := range 10 {
			w.write(1000+n, time.Now().Add(1500*time.Millisecond))
		}
		w.pass(3 * time.Second)
		require.Len(t, late, 10)
		for n, d := range late {
			require.LessOrEqual(t, d, early, "delivery %s", n)
		}
		w.pass(25 * time.Second)
		require.Len(t, late, 110)
		require.Zero(t, w.inFlight())
		require.Zero(t, w.r.bytes)
	})
}

// While the head of a partition is far from ready the partition is held; it is read on in time for what comes behind.
func TestWaitingPartitionIsHeldUntilItsHeadIsNearlyReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTierWorld(t, 1000)
		w.watch()
		start := time.Now()
		w.write(1, start.Add(30*time.Second))
		p := w.logs["retry.30s"].p
		require.False(t, p.Held(kafka.HoldUntil))
		w.fetch()
		require.True(t, p.Held(kafka.HoldUntil))
		time.Sleep(29*time.Second - time.Millisecond - time.Since(start))
		synctest.Wait()
		require.True(t, p.Held(kafka.HoldUntil))
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		require.False(t, p.Held(kafka.HoldUntil), "it is %s before the head is ready", ahead)
		w.pass(5 * time.Second)
		require.False(t, p.Held(kafka.HoldUntil), "nothing waits")
	})
}

// A head that is large in records or bytes is held although it is ready soon.
func TestHeadIsBounded(t *testing.T) {
	for name, size := range map[string]struct{ records, bytes int }{"records": {maxHeadBytes/itemOverhead + 1, 2}, "bytes": {3, maxHeadBytes / 2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTierWorld(t, 1<<20)
				w.b.hold("deliveries")
				start := time.Now()
				for n := range size.records {
					d := deliveryOf(subscriptionNamed("one"), n)
					d.Due, d.Data = start.Add(time.Second), make([]byte, size.bytes)
					w.put((Topics{}).waiting(d, start))
				}
				w.fetch()
				p := w.logs["retry.1s"].p
				require.True(t, p.Held(kafka.HoldUntil))
				w.pass(2 * time.Second)
				require.False(t, p.Held(kafka.HoldUntil), "all of it is on its way")
				require.Equal(t, size.records, p.Tracker().InFlight())
				w.b.release("deliveries")
				synctest.Wait()
				require.Zero(t, p.Tracker().InFlight())
			})
		})
	}
}

// A revoke forgets what waits and waits, for a bounded time, for what is being moved; nothing is finished without its
// acknowledgement.
func TestRetrierRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTierWorld(t, 1000)
		start := time.Now()
		for n := range 3 {
			w.write(n, start.Add(time.Second))
		}
		w.write(3, start.Add(1900*time.Millisecond))
		w.b.hold("deliveries")
		w.pass(1200 * time.Millisecond)
		p := w.logs["retry.1s"].p
		require.Equal(t, 3, w.b.sent("deliveries"))
		require.Equal(t, 4, p.Tracker().InFlight())
		at := time.Now()
		time.AfterFunc(500*time.Millisecond, func() { w.b.release("deliveries") })
		w.r.Revoke([]*kafka.Partition{p})
		require.Equal(t, 500*time.Millisecond, time.Since(at))
		require.Equal(t, 1, p.Tracker().InFlight())
		time.Sleep(time.Minute)
		require.Len(t, w.b.acknowledged("deliveries"), 3, "what waited is the next owner's")
		w.r.Records(p, []*kafka.Record{{}}) // too late: nothing happens
	})
}

func TestRetrierFinishesNothingThatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTierWorld(t, 1000)
		w.write(1, time.Now().Add(1500*time.Millisecond))
		broken := errors.New("refused")
		synctest.Wait()
		w.b.change(func() { w.b.refuse = func(*kafka.Record) error { return broken } })
		w.pass(5 * time.Second)
		require.Equal(t, 1, w.inFlight())
		require.ErrorIs(t, w.err.get(), broken)
	})
}

// A record that is no delivery goes to deliveries as it is, where it is buried, and holds nobody up.
func TestRetrierPassesOnWhatItCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTierWorld(t, 1000)
		w.put(&kafka.Record{Topic: "retry.1s", Key: []byte("poison"), Value: []byte("\xff"), Headers: []kafka.Header{{Key: "h", Value: []byte("v")}}})
		w.write(1, time.Now().Add(time.Second))
		w.pass(3 * time.Second)
		got := w.b.acknowledged("deliveries")
		require.Len(t, got, 2)
		require.Equal(t, "poison \xff [{h [118]}]", fmt.Sprintf("%s %s %v", got[0].Key, got[0].Value, got[0].Headers))
		require.Zero(t, w.inFlight())
	})
}

// A record without a due time, and one whose time has long come, go back at once.
func TestOverdueRecordsGoBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTierWorld(t, 1)
		d := deliveryOf(subscriptionNamed("one"), 1)
		w.put(encode("retry.24h", d))
		d = deliveryOf(subscriptionNamed("one"), 2)
		d.Due, d.Ready = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
		w.put(encode("retry.24h", d))
		w.fetch()
		time.Sleep(10 * time.Millisecond)
		require.Len(t, w.b.acknowledged("deliveries"), 2)
	})
}
