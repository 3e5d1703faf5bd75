package pipeline

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/subscription"
)

// sink acknowledges what is produced from one goroutine, as a client does, and keeps nothing.
type sink struct {
	ch   chan *produced
	done chan struct{}
}

func newSink(b *testing.B) *sink {
	b.Helper()
	s := &sink{ch: make(chan *produced, 10_000), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for p := range s.ch {
			p.promise(p.record, nil)
		}
	}()
	b.Cleanup(func() { close(s.ch); <-s.done })
	return s
}

func (s *sink) Produce(_ context.Context, r *kafka.Record, promise func(*kafka.Record, error)) {
	s.ch <- &produced{r, promise}
}

func (*sink) Range(context.Context, string, int32, int64, func(*kafka.Record) error) (kafka.Ends, error) {
	return kafka.Ends{}, nil
}

// baseline is the time of decoding and encoding one delivery, in ns: the least that a stage does with a record.
func baseline(b *testing.B, records []*kafka.Record) float64 {
	b.Helper()
	const rounds = 20
	started := time.Now()
	for range rounds {
		for _, r := range records {
			d, err := decode(r)
			require.NoError(b, err)
			_ = encode("deliveries", d)
		}
	}
	return float64(time.Since(started).Nanoseconds()) / float64(rounds*len(records))
}

func report(b *testing.B, per int, base float64) {
	b.Helper()
	ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N*per)
	b.ReportMetric(ns, "ns/delivery")
	b.ReportMetric(ns/base, "×codec")
}

// BenchmarkDeliver takes records of 1 KiB through lanes, registry, breaker, envelope, signature, verdict and outcome, with
// an attempt that costs nothing.
func BenchmarkDeliver(b *testing.B) {
	for _, of := range []struct{ endpoints, fanOut int }{{1, 1}, {1000, 1}, {1000, 10}} {
		endpoints := of.endpoints
		b.Run(fmt.Sprintf("endpoints=%d/fanout=%d", endpoints, of.fanOut), func(b *testing.B) {
			var subs []*subscription.Subscription
			for i := range endpoints {
				subs = append(subs, subscriptionNamed(fmt.Sprint("s", i)))
			}
			out := newSink(b)
			d := NewDeliverer(DelivererOptions{Workers: 64, MaxBytes: 1 << 40, LaneQueue: 1 << 30}, &registered{snap: snapshotOf(b, subs...), confirmed: time.Now},
				profilesForTest(b), answers(func(context.Context, *attempt.Request) (attempt.Response, error) { return response(200), nil }),
				out, out, func(err error) { b.Error(err) })
			d.Start()
			defer d.Stop()
			const batch = 2000
			records := make([]*kafka.Record, batch)
			data := []byte(`{"data":"` + string(make1KiB()) + `"}`)
			base := 0.0
			next := int64(0)
			p := kafka.NewPartition(context.Background(), "deliveries", 0, offset.NewTracker(0, offset.Set{}))
			require.NoError(b, d.Assign(p))
			defer d.Revoke([]*kafka.Partition{p})
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				for i := range records {
					dl := deliveryOf(subs[i%len(subs)], int(next)/of.fanOut)
					dl.Data = data
					records[i] = encode("deliveries", dl)
					records[i].Topic, records[i].Offset = "deliveries", next
					p.Tracker().Begin(next)
					next++
				}
				if base == 0 {
					base = baseline(b, records)
				}
				b.StartTimer()
				d.Records(p, records)
				for p.Tracker().InFlight() > 0 {
					time.Sleep(50 * time.Microsecond)
				}
			}
			report(b, batch, base)
		})
	}
}

func make1KiB() []byte {
	out := make([]byte, 1000)
	for i := range out {
		out[i] = 'a' + byte(i%26)
	}
	return out
}

// BenchmarkRoute takes events of 1 KiB through decoder, matching and expansion to their finished offsets.
func BenchmarkRoute(b *testing.B) {
	for _, matches := range []int{1, 10} {
		b.Run(fmt.Sprint("matches=", matches), func(b *testing.B) {
			decoder, err := event.NewDecoder(event.Source{Name: "test"})
			require.NoError(b, err)
			subs := subscribers(matches)
			r := NewRouter(RouterOptions{Decoder: func(string) *event.Decoder { return decoder }},
				&registered{snap: snapshotOf(b, subs...), confirmed: time.Now}, newSink(b), func(err error) { b.Error(err) })
			p := kafka.NewPartition(context.Background(), "events", 0, offset.NewTracker(0, offset.Set{}))
			require.NoError(b, r.Assign(p))
			defer r.Revoke([]*kafka.Partition{p})
			const batch = 2000
			records := make([]*kafka.Record, batch)
			var copies []*kafka.Record
			for i := range records {
				records[i] = sourceEvent(i, "wanted")
				records[i].Value = fmt.Appendf(nil,
					`{"specversion":"1.0","id":"%d","source":"test","type":"wanted","tenant":"acme","data":"%s"}`, i, make1KiB())
				copies = append(copies, encode("deliveries", deliveryOf(subs[0], i)))
			}
			base := baseline(b, copies)
			next := int64(0)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				for _, rec := range records {
					rec.Offset = next
					p.Tracker().Begin(next)
					next++
				}
				r.Records(p, records)
				for p.Tracker().InFlight() > 0 {
					time.Sleep(50 * time.Microsecond)
				}
			}
			report(b, batch*matches, base)
		})
	}
}

// BenchmarkLanes is the hand-over from a poll to the workers alone.
func BenchmarkLanes(b *testing.B) {
	s := newScheduler(bounds{concurrency: 1000, queue: 1 << 30, laneBytes: 1 << 40, workers: 64, share: 1 << 40})
	o := &owned{lanes: map[ident.ID]*lane{}}
	var lanes []*delivery.Delivery
	for i := range 1000 {
		lanes = append(lanes, &delivery.Delivery{
			Tenant: ident.Derive("tenant", strconv.Itoa(i%100)), Subscription: ident.Derive("lane", strconv.Itoa(i)),
		})
	}
	var taken sync.WaitGroup
	var workers sync.WaitGroup
	for range 64 {
		workers.Go(func() {
			wk := newWorker()
			for it := s.next(wk); it != nil; it = s.next(wk) {
				s.release(it.lane)
				taken.Done()
			}
		})
	}
	b.ReportAllocs()
	var some []*item
	for n := range b.N {
		taken.Add(1)
		if some = append(some, &item{d: lanes[n%len(lanes)]}); len(some) == queuedAtOnce || n == b.N-1 {
			s.admit(o, some, time.Now())
			some = some[:0]
		}
	}
	taken.Wait()
	s.close()
	workers.Wait()
}
