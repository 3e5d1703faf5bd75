package registry

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// load returns the records of n subscriptions over tenants.
func load(b *testing.B, n, tenants int) (records []entry) {
	b.Helper()
	var owners []ident.ID
	for i := range tenants {
		t := subscription.Tenant{ID: ident.New(), UID: fmt.Sprint("tenant-", i), Name: "a tenant"}
		value, err := encodeTenant(&t)
		if err != nil {
			b.Fatal(err)
		}
		owners = append(owners, t.ID)
		records = append(records, entry{key: Key{KindTenant, t.ID}.String(), value: value})
	}
	for i := range n {
		s := subscription.Subscription{
			ID: ident.New(), Tenant: owners[i%tenants], UID: fmt.Sprint("s-", i), URL: fmt.Sprintf("https://h%d.example.com/in", i),
			EventTypes: []string{fmt.Sprint("contact.kind", i%20), "loyalty.*"}, Generation: 1,
			Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		}
		value, err := encodeSubscription(&s)
		if err != nil {
			b.Fatal(err)
		}
		records = append(records, entry{key: Key{KindSubscription, s.ID}.String(), value: value})
	}
	return records
}

// BenchmarkReplay measures what a role does at its start, decoding included.
func BenchmarkReplay(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			records := load(b, n, n/100)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var s *Snapshot
			for b.Loop() {
				work := Empty().builder()
				for i, r := range records {
					if err := work.apply(int64(i), []byte(r.key), r.value); err != nil {
						b.Fatal(err)
					}
				}
				s = work.snapshot(int64(len(records)))
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/subscription")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/subscription")
			runtime.KeepAlive(s)
			runtime.KeepAlive(records)
		})
	}
}

// BenchmarkChange measures one changed subscription, published as a snapshot of its own.
func BenchmarkChange(b *testing.B) {
	records := load(b, 100_000, 1000)
	work := Empty().builder()
	for i, r := range records {
		if err := work.apply(int64(i), []byte(r.key), r.value); err != nil {
			b.Fatal(err)
		}
	}
	s := work.snapshot(int64(len(records)))
	last := records[len(records)-1]
	b.ReportAllocs()
	for b.Loop() {
		next := s.builder()
		if err := next.apply(s.Version(), []byte(last.key), last.value); err != nil {
			b.Fatal(err)
		}
		s = next.snapshot(s.Version() + 1)
	}
}
