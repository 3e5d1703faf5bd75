package view_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/test/redistest"
)

// realRedis is a Redis that a benchmark has alone, and what says how much CPU it has used, in µs.
func realRedis(b *testing.B) (r *view.Redis, used func() float64) {
	b.Helper()
	if os.Getenv(redistest.AddrVar) == "" && testing.Short() {
		b.Skip("starts a Redis")
	}
	s := redistest.Start(b)
	client := redis.NewClient(&redis.Options{Addr: s.Addr})
	b.Cleanup(func() { require.NoError(b, client.Close()) })
	r, err := view.Open(view.Config{Addresses: []string{s.Addr}, Prefix: "postrider."})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, r.Close()) })
	return r, func() (us float64) {
		text, err := client.Info(b.Context(), "cpu").Result()
		require.NoError(b, err)
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if name == "used_cpu_user" || name == "used_cpu_sys" {
				n, err := strconv.ParseFloat(value, 64)
				require.NoError(b, err)
				us += n * 1e6
			}
		}
		return us
	}
}

// BenchmarkAddRows says what a row costs Redis and this process, for one busy subscription and for many rare ones.
func BenchmarkAddRows(b *testing.B) {
	for _, subs := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("subscriptions=%d", subs), func(b *testing.B) {
			r, used := realRedis(b)
			var seen view.Seen
			ids := make([]ident.ID, subs)
			for i := range ids {
				ids[i] = subscriptionOf(i)
			}
			const batch = 3000
			random, rows, offset, start := rand.New(rand.NewPCG(1, 1)), make([]view.Row, batch), int64(0), time.Now().Add(-time.Minute)
			before := used()
			b.ReportAllocs()
			for b.Loop() {
				for i := range rows {
					rows[i] = kinds[0]
					rows[i].Offset, rows[i].Subscription, rows[i].EventType = offset, ids[random.IntN(subs)], "order.created"
					rows[i].At, rows[i].Duration, rows[i].Message = start.Add(time.Duration(offset)*time.Microsecond), 3*time.Millisecond, ident.New()
					offset++
				}
				record(b, r, &seen, 3, rows)
			}
			b.ReportMetric((used()-before)/float64(b.N*batch), "redis-µs/row")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*batch), "µs/row")
		})
	}
}

// BenchmarkAddEvents says what an event costs, of one tenant and of many.
func BenchmarkAddEvents(b *testing.B) {
	for _, tenants := range []int{1, 1000} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			r, used := realRedis(b)
			ids := make([]ident.ID, tenants)
			for i := range ids {
				ids[i] = ident.Derive("tenant", strconv.Itoa(i))
			}
			const batch = 3000
			random, events, offset, start := rand.New(rand.NewPCG(1, 1)), make([]view.EventEntry, batch), int64(0), time.Now().Add(-time.Minute)
			before := used()
			b.ReportAllocs()
			for b.Loop() {
				for i := range events {
					events[i] = view.EventEntry{
						Tenant: ids[random.IntN(tenants)], Message: ident.Derive("event", strconv.FormatInt(offset, 10)), Type: "order.created",
						Position: delivery.Position{Topic: "postrider.events", Partition: 3, Offset: offset},
						Time:     start.Add(time.Duration(offset) * time.Microsecond),
					}
					offset++
				}
				require.NoError(b, r.AddEvents(b.Context(), events))
			}
			b.ReportMetric((used()-before)/float64(b.N*batch), "redis-µs/event")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*batch), "µs/event")
		})
	}
}
