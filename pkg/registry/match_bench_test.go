package registry

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/subscription"
)

// matchTenants is how many tenants BenchmarkMatching has; n subscriptions belong to the first n of them, or to all in turn.
const matchTenants = 10_000

// population returns the records of the tenants and of n subscriptions, each of which wants a type of its own among its
// tenant's; one in ten has a filter.
func population(b *testing.B, n int) (tenants, subscriptions []entry) {
	b.Helper()
	owners := make([]ident.ID, matchTenants)
	for i := range owners {
		owners[i] = ident.New()
		value, err := encodeTenant(&subscription.Tenant{ID: owners[i], UID: fmt.Sprint("tenant-", i), Name: "a tenant"}, "")
		if err != nil {
			b.Fatal(err)
		}
		tenants = append(tenants, entry{key: Key{KindTenant, owners[i]}.String(), value: value})
	}
	for i := range n {
		s := &subscription.Subscription{
			ID: ident.New(), Tenant: owners[i%matchTenants], URL: fmt.Sprintf("https://h%d.example.com/in", i), Generation: 1,
			EventTypes: []string{kind(i / matchTenants)}, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		}
		if i%10 == 0 {
			s.Filter = "data.amount > 100"
		}
		value, err := encodeSubscription(s, "")
		if err != nil {
			b.Fatal(err)
		}
		subscriptions = append(subscriptions, entry{key: Key{KindSubscription, s.ID}.String(), value: value})
	}
	return tenants, subscriptions
}

func kind(i int) string { return fmt.Sprint("contact.kind", i) }

// matcher finds the subscriptions of events as the router does under load: tenants by name, for a number of events before the
// first is matched, then types and filters. Every event is of any tenant and any type, so nothing is in caches by its order.
type matcher struct {
	filters filter.Cache
	in      filter.Input
	ev      event.Event
	dst     []*subscription.Subscription
	n       int // subscriptions
	random  *rand.Rand
	// ahead are the next events, of buf.
	ahead []match.Ask
	buf   [32]match.Ask // as many as the router reads before it matches the first
}

func newMatcher(n int) *matcher {
	return &matcher{
		n: n, random: rand.New(rand.NewPCG(1, 2)), // a repeatable load
		ev: event.Event{ContentType: "application/json", Data: []byte(`{"amount":150,"note":"` + string(make1KiB()) + `"}`)},
	}
}

func make1KiB() []byte {
	out := make([]byte, 1<<10)
	for i := range out {
		out[i] = 'a' + byte(i%26)
	}
	return out
}

// match finds the one subscription that wants an event, and reports whether it did.
func (m *matcher) match(s *Snapshot, names, kinds []string) bool {
	if len(m.ahead) == 0 && !m.read(s, names, kinds) {
		return false
	}
	ask := m.ahead[0]
	m.ahead = m.ahead[1:]
	m.ev.Type = ask.Type
	m.in.Reset(&m.ev)
	m.dst = s.AppendMatch(m.dst[:0], ask.Tenant, ask.Type, m.keep)
	return len(m.dst) == 1
}

// read makes the next events, and reports whether all their tenants are there.
func (m *matcher) read(s *Snapshot, names, kinds []string) bool {
	for k := range m.buf {
		i := m.random.IntN(m.n)
		tenant, ok := s.ResolveTenant(names[i%len(names)])
		if !ok {
			return false
		}
		m.buf[k] = match.Ask{Tenant: tenant.ID, Type: kinds[i/len(names)]}
	}
	m.ahead = m.buf[:]
	s.MatchAhead(m.ahead)
	return true
}

func (m *matcher) keep(s *subscription.Subscription) bool {
	if s.Filter == "" {
		return !s.Disabled
	}
	program, err := m.filters.Get(s.Filter)
	if err != nil {
		return false
	}
	ok, _ := program.Match(&m.in)
	return ok && !s.Disabled
}

// BenchmarkMatching finds the one subscription that wants an event among many, with the registry at rest and while it
// changes as fast as it can: every change is a snapshot of its own.
func BenchmarkMatching(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		tenants, subscriptions := population(b, n)
		empty := heap()
		s := replay(b, vault{}, tenants)
		alone := heap() - empty
		s = replay(b, vault{}, slices.Concat(tenants, subscriptions))
		each := float64(heap()-empty-alone) / float64(n)
		var names, kinds []string
		for i := range tenants {
			names = append(names, fmt.Sprint("tenant-", i))
		}
		for i := range 1 + (n-1)/matchTenants {
			kinds = append(kinds, kind(i))
		}
		b.Run(fmt.Sprintf("subscriptions=%d", n), func(b *testing.B) {
			m := newMatcher(n)
			b.ReportAllocs()
			for b.Loop() {
				if !m.match(s, names, kinds) {
					b.Fatal("not the one subscription")
				}
			}
			if n >= 10*matchTenants { // of few, the heap says more about the collector
				b.ReportMetric(each, "B/subscription")
			}
		})
		b.Run(fmt.Sprintf("subscriptions=%d/changing", n), func(b *testing.B) {
			m := newMatcher(n)
			var current atomic.Pointer[Snapshot]
			current.Store(s)
			stop := make(chan struct{})
			var updates int
			var wg sync.WaitGroup
			wg.Go(func() { updates = change(&current, subscriptions, stop) })
			b.ReportAllocs()
			began := time.Now()
			for b.Loop() {
				if !m.match(current.Load(), names, kinds) {
					b.Fatal("not the one subscription")
				}
			}
			took := time.Since(began)
			close(stop)
			wg.Wait()
			b.ReportMetric(float64(updates)/took.Seconds(), "updates/s")
		})
	}
}

// heap is what is in use, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// change writes subscriptions again, one after the other, until stop is closed, and returns how many.
func change(current *atomic.Pointer[Snapshot], records []entry, stop chan struct{}) (n int) {
	for ; ; n++ {
		select {
		case <-stop:
			return n
		default:
		}
		r := records[n%len(records)]
		s := current.Load()
		next := s.builder()
		if _, err := next.apply(s.Version(), []byte(r.key), r.value); err != nil {
			panic(err)
		}
		current.Store(next.snapshot(s.Version() + 1))
	}
}
