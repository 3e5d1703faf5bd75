package registry

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
)

// load returns the records of n subscriptions over tenants, their secrets sealed by v.
func load(b *testing.B, n, tenants int, v vault) (records []entry) {
	b.Helper()
	var owners []ident.ID
	for i := range tenants {
		t := subscription.Tenant{ID: ident.New(), UID: fmt.Sprint("tenant-", i), Name: "a tenant"}
		value, err := encodeTenant(&t, "")
		if err != nil {
			b.Fatal(err)
		}
		owners = append(owners, t.ID)
		records = append(records, entry{key: Key{KindTenant, t.ID}.String(), value: value})
	}
	for i := range n {
		s, err := v.seal(nil, &subscription.Subscription{
			ID: ident.New(), Tenant: owners[i%tenants], UID: fmt.Sprint("s-", i), URL: fmt.Sprintf("https://h%d.example.com/in", i),
			EventTypes: []string{fmt.Sprint("contact.kind", i%20), "loyalty.*"}, Generation: 1,
			Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		})
		if err != nil {
			b.Fatal(err)
		}
		value, err := encodeSubscription(s, "")
		if err != nil {
			b.Fatal(err)
		}
		records = append(records, entry{key: Key{KindSubscription, s.ID}.String(), value: value})
	}
	return records
}

// replay applies records to an empty snapshot as a role does at its start.
func replay(b *testing.B, v vault, records []entry) *Snapshot {
	b.Helper()
	work := Empty().builder()
	work.vault = v
	for i, r := range records {
		if _, err := work.apply(int64(i), []byte(r.key), r.value); err != nil {
			b.Fatal(err)
		}
	}
	return work.snapshot(int64(len(records)))
}

// BenchmarkReplay measures what a role does at its start, decoding and decryption included, and what it keeps.
func BenchmarkReplay(b *testing.B) {
	keys, err := seal.Generate()
	if err != nil {
		b.Fatal(err)
	}
	v := vault{cipher: keys}
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			records := load(b, n, n/100, v)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var s *Snapshot
			for b.Loop() {
				s = replay(b, v, records)
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

// BenchmarkSealing prints what encryption costs a replay, as a ratio to one of records in clear that run in turn with it.
func BenchmarkSealing(b *testing.B) {
	keys, err := seal.Generate()
	if err != nil {
		b.Fatal(err)
	}
	const n = 10_000
	on, off := vault{cipher: keys}, vault{}
	sealed, plain := load(b, n, n/100, on), load(b, n, n/100, off)
	var with, without time.Duration
	for b.Loop() {
		begin := time.Now()
		replay(b, off, plain)
		middle := time.Now()
		replay(b, on, sealed)
		without, with = without+middle.Sub(begin), with+time.Since(middle)
	}
	b.ReportMetric(with.Seconds()/without.Seconds(), "sealed/clear")
}

// BenchmarkChange measures one changed subscription, published as a snapshot of its own.
func BenchmarkChange(b *testing.B) {
	records := load(b, 100_000, 1000, vault{})
	s := replay(b, vault{}, records)
	last := records[len(records)-1]
	b.ReportAllocs()
	for b.Loop() {
		next := s.builder()
		if _, err := next.apply(s.Version(), []byte(last.key), last.value); err != nil {
			b.Fatal(err)
		}
		s = next.snapshot(s.Version() + 1)
	}
}
