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

// eventType is the type of all events that say nothing else.
const eventType = "contact.updated"

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
	e := history.Event{ID: fmt.Sprintf("e-%d", n), Tenant: tenant, Type: eventType}
	l.in.history.Events = append(l.in.history.Events, e)
	l.mu.Unlock()
	r := &kgo.Record{
		Topic: l.in.Topic("events"), Key: []byte(e.ID),
		Value: fmt.Appendf(nil, `{"id":%q,"pad":%q}`, e.ID, l.pad),
	}
	for name, v := range map[string]string{
		"ce_specversion": "1.0", "ce_id": e.ID, "ce_source": "verify", "ce_type": e.Type, "ce_tenant": tenant,
		"ce_time": time.Now().UTC().Format(time.RFC3339Nano), "content-type": "application/json",
	} {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(v)})
	}
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

// tick is how often a steady load sends.
const tick = 20 * time.Millisecond

// steady sends rate events a second in the background. The returned function ends it.
func (in *installation) steady(ctx context.Context, rate int, all []rig.Tenant) (end func() error) {
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		l := &load{in: in, pad: strings.Repeat("x", 256)}
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		begin, sent := time.Now(), 0
		for {
			select {
			case <-ticker.C:
				for due := int(time.Since(begin).Seconds() * float64(rate)); sent < due; sent++ {
					l.event(ctx, all[sent%len(all)].UID)
				}
				continue
			case <-stop:
			case <-ctx.Done():
			}
			done <- l.end()
			return
		}
	}()
	return sync.OnceValue(func() error { close(stop); return <-done })
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
