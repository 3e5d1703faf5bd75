package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// load produces events as an upstream service does: CloudEvents in binary mode, without a look at what becomes of them.
type load struct {
	in  *installation
	pad string // makes the data longer

	mu    sync.Mutex
	first error
	wait  sync.WaitGroup
}

// event produces one event for a tenant. Whether it was acknowledged shows in [load.end].
func (l *load) event(ctx context.Context, tenant string) history.Event {
	l.mu.Lock()
	n := len(l.in.history.Events)
	e := history.Event{ID: fmt.Sprintf("e-%d", n), Tenant: tenant, Type: rig.EventType}
	l.in.history.Events = append(l.in.history.Events, e)
	l.mu.Unlock()
	r := l.in.Event(e.ID, tenant, e.Type, fmt.Appendf(nil, `{"id":%q,"pad":%q}`, e.ID, l.pad))
	l.wait.Add(1)
	l.in.Client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		defer l.wait.Done()
		l.mu.Lock()
		defer l.mu.Unlock()
		if err != nil && l.first == nil {
			l.first = err
		}
		l.in.history.Events[n].At = time.Now()
	})
	return e
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

// produce sends n events, to the tenants in turn, and waits until they are acknowledged.
func (in *installation) produce(ctx context.Context, n int, all []rig.Tenant) error {
	l := &load{in: in, pad: strings.Repeat("x", 256)}
	for i := range n {
		l.event(ctx, all[i%len(all)].UID)
	}
	return l.end()
}

// steady sends rate events a second in the background. The returned function ends it.
func (in *installation) steady(ctx context.Context, rate int, all []rig.Tenant) (end func() error) {
	l := &load{in: in, pad: strings.Repeat("x", 256)}
	pacing, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		rig.Pace(pacing, float64(rate), func(n int) { l.event(ctx, all[n%len(all)].UID) })
	}()
	return sync.OnceValue(func() error { stop(); <-done; return l.end() })
}

// pairs is how many deliveries the events so far make.
func (in *installation) pairs() (n int) {
	by := map[string]int{}
	for i := range in.history.Subscriptions {
		by[in.history.Subscriptions[i].Tenant]++
	}
	for i := range in.history.Events {
		n += by[in.history.Events[i].Tenant]
	}
	return n
}

// drained waits until every pair was accepted once. That it did not happen is no error: the history tells.
func (in *installation) drained(ctx context.Context, limit time.Duration) error {
	want := int64(in.pairs())
	begin := time.Now()
	err := rig.Await(ctx, limit, func() (bool, error) { return in.endpoints.accepted.Load() >= want, nil })
	in.want(err == nil, "drained", "within "+limit.String(), "%d of %d accepted after %s",
		in.endpoints.accepted.Load(), want, time.Since(begin).Round(100*time.Millisecond))
	return ctx.Err()
}
