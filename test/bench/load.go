package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/rig"
)

// numberMember stands before the number of an event in its data.
const numberMember = `"n":`

// bodySize is that of a request, in bytes: 1 KiB. envelopeSize is what the profile "standard" adds to the data.
const (
	bodySize     = 1 << 10
	envelopeSize = len(`{"type":"contact.updated","timestamp":"2026-01-02T03:04:05.123456789Z","data":}`)
)

// load produces events and keeps when each was acknowledged.
type load struct {
	in *rig.Installation

	mu    sync.Mutex
	acked []time.Time // by number
	of    []string    // tenant, likewise
	first error
	wait  sync.WaitGroup
}

// data returns the data of event n, of one size whatever n is.
func data(n int) []byte {
	text := fmt.Appendf(make([]byte, 0, bodySize), `{%s%d,"pad":"`, numberMember, n)
	text = append(text, strings.Repeat("x", bodySize-envelopeSize-len(text)-2)...)
	return append(text, `"}`...)
}

// event produces one event; whether it was acknowledged shows in [load.end].
func (l *load) event(ctx context.Context, tenant, eventType string) {
	l.mu.Lock()
	n := len(l.acked)
	l.acked, l.of = append(l.acked, time.Time{}), append(l.of, tenant)
	l.mu.Unlock()
	r := l.in.Event(fmt.Sprintf("e-%d", n), tenant, eventType, data(n))
	r.Key = []byte(tenant) // as the API does
	l.wait.Add(1)
	l.in.Client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		defer l.wait.Done()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.acked[n] = time.Now()
		if err != nil && l.first == nil {
			l.first = err
		}
	})
}

// end waits until all events are acknowledged.
func (l *load) end() error {
	l.wait.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first != nil {
		return fmt.Errorf("producing events: %w", l.first)
	}
	return nil
}

// count is how many events were produced so far.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// times returns when each was acknowledged.
func (l *load) times() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.acked)
}

// burst produces n events at once, to the tenants in turn, and waits until they are acknowledged.
func (l *load) burst(ctx context.Context, n int, tenants []rig.Tenant) error {
	for i := range n {
		l.event(ctx, tenants[i%len(tenants)].UID, rig.EventType)
	}
	return l.end()
}

// steady produces rate events a second for a time, to the tenants in turn, and waits until they are acknowledged. It
// returns how many.
func (l *load) steady(ctx context.Context, rate float64, d time.Duration, tenants []rig.Tenant) (sent int, err error) {
	pacing, stop := context.WithTimeout(ctx, d)
	defer stop()
	rig.Pace(pacing, rate, func(n int) {
		l.event(ctx, tenants[n%len(tenants)].UID, rig.EventType)
		sent++
	})
	return sent, l.end()
}
