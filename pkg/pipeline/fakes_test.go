package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// broker is a Producer in memory. It acknowledges in order within a topic, from a goroutine of its own, and holds back the
// acknowledgements of the topics it was told to. While it is full it takes nothing, and whoever produces waits.
type broker struct {
	mu     sync.Mutex
	wake   sync.Cond
	queue  []*produced
	log    []*kafka.Record // acknowledged
	next   map[string]int64
	held   map[string]bool
	refuse func(*kafka.Record) error
	full   bool
	closed bool
	done   chan struct{}
}

type produced struct {
	record  *kafka.Record
	promise func(*kafka.Record, error)
}

func newBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{next: map[string]int64{}, held: map[string]bool{}, done: make(chan struct{})}
	b.wake.L = &b.mu
	go b.run()
	t.Cleanup(b.close)
	return b
}

func (b *broker) close() {
	b.change(func() { b.closed = true })
	<-b.done
}

func (b *broker) change(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn()
	b.wake.Broadcast()
}

// Produce implements Producer.
func (b *broker) Produce(ctx context.Context, r *kafka.Record, promise func(*kafka.Record, error)) {
	defer context.AfterFunc(ctx, func() { b.change(func() {}) })()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.full && ctx.Err() == nil {
		b.wake.Wait()
	}
	if b.full {
		go promise(r, ctx.Err())
		return
	}
	b.queue = append(b.queue, &produced{r, promise})
	b.wake.Broadcast()
}

func (b *broker) run() {
	defer close(b.done)
	for {
		b.mu.Lock()
		i := -1
		for i < 0 {
			i = slices.IndexFunc(b.queue, func(p *produced) bool { return !b.held[p.record.Topic] || b.closed })
			if i < 0 && b.closed {
				b.mu.Unlock()
				return
			}
			if i < 0 {
				b.wake.Wait()
			}
		}
		p := b.queue[i]
		b.queue = slices.Delete(b.queue, i, i+1)
		var err error
		switch {
		case b.held[p.record.Topic]:
			err = errors.New("closed")
		case b.refuse != nil:
			err = b.refuse(p.record)
		}
		if err == nil {
			place := fmt.Sprintf("%s/%d", p.record.Topic, p.record.Partition)
			p.record.Offset = b.next[place]
			b.next[place]++
			kept := *p.record // whoever produced it may use its memory again
			kept.Key, kept.Value = bytes.Clone(kept.Key), bytes.Clone(kept.Value)
			b.log = append(b.log, &kept)
			b.wake.Broadcast()
		}
		b.mu.Unlock()
		p.promise(p.record, err)
	}
}

func (b *broker) hold(topic string)    { b.change(func() { b.held[topic] = true }) }
func (b *broker) release(topic string) { b.change(func() { b.held[topic] = false }) }

// acknowledged returns the records that a topic has, and sent those that were produced and are not acknowledged.
func (b *broker) acknowledged(topic string) (out []*kafka.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.log {
		if r.Topic == topic {
			out = append(out, r)
		}
	}
	return out
}

func (b *broker) sent(topic string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.queue {
		if p.record.Topic == topic {
			n++
		}
	}
	return n
}

// order returns the topics of the acknowledged records.
func (b *broker) order() (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.log {
		out = append(out, r.Topic)
	}
	return out
}

func (b *broker) outcomes(t testing.TB) (rows []outcome.Outcome) {
	t.Helper()
	for _, r := range b.acknowledged("outcomes") {
		var row outcome.Outcome
		require.NoError(t, json.Unmarshal(r.Value, &row))
		rows = append(rows, row)
	}
	return rows
}

// Range implements RangeReader over what was acknowledged.
func (b *broker) Range(
	_ context.Context, topic string, partition int32, from int64, fn func(*kafka.Record) error,
) (kafka.Ends, error) {
	end := int64(0)
	for _, r := range b.acknowledged(topic) {
		if r.Partition != partition {
			continue
		}
		end = r.Offset + 1
		if r.Offset < from {
			continue
		}
		if err := fn(r); err != nil {
			return kafka.Ends{}, err
		}
	}
	return kafka.Ends{End: end}, nil
}

// add puts a record into partition 0 of a log as somebody else's.
func (b *broker) add(topic, key string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	b.change(func() {
		place := topic + "/0"
		b.log = append(b.log, &kafka.Record{Topic: topic, Key: []byte(key), Value: text, Offset: b.next[place]})
		b.next[place]++
	})
}

// registered is a Registry of one snapshot.
type registered struct {
	mu        sync.Mutex
	snap      *registry.Snapshot
	confirmed func() time.Time
}

func (r *registered) Snapshot() *registry.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snap
}

func (r *registered) ConfirmedAt() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.confirmed()
}

func (r *registered) set(snap *registry.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snap = snap
}

func (r *registered) Wait(ctx context.Context, version int64) error {
	for r.Snapshot().Version() < version {
		if !pause(ctx, 10*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// records is a registry log in memory.
type registryLog []any

func (l registryLog) Start(context.Context) (int64, error) { return 0, nil }
func (l registryLog) End(context.Context) (int64, error)   { return int64(len(l)), nil }
func (l registryLog) Read(_ context.Context, from int64, yield func(int64, []byte, []byte)) (int64, error) {
	for i := from; i < int64(len(l)); i++ {
		var key string
		switch v := l[i].(type) {
		case *subscription.Tenant:
			key = "tenant/" + v.ID.UUID()
		case *subscription.Subscription:
			key = "subscription/" + v.ID.UUID()
		}
		value, err := json.Marshal(l[i])
		if err != nil {
			return from, err
		}
		yield(i, []byte(key), value)
	}
	return int64(len(l)), nil
}

var (
	acme      = &subscription.Tenant{ID: ident.Derive("test", "acme"), UID: "acme", Name: "Acme"}
	profileFS = fstest.MapFS{"standard.yaml": &fstest.MapFile{Data: []byte(`
name: standard
envelope: raw
signature: standard
success: ["200-299"]
notRetried: [gone, request]
throttle: [429]
disableOnGone: true
timeout: 20s
retry: {kind: fixed, interval: 10s, maxTries: 3, jitter: none}
failure: {kind: lasting, for: 120h, failures: 3, within: 24h, apart: 12h}
`)}}
)

const whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func subscriptionNamed(name string) *subscription.Subscription {
	return &subscription.Subscription{
		ID: ident.Derive("test", name), Tenant: acme.ID, Name: name, URL: "https://user:secret@" + name + ".example.com/in?token=secret",
		Secrets: []string{whsec}, Generation: 1,
	}
}

func snapshotOf(t testing.TB, subs ...*subscription.Subscription) *registry.Snapshot {
	t.Helper()
	log := registryLog{acme}
	for _, s := range subs {
		log = append(log, s)
	}
	view, err := registry.Open(t.Context(), log, registry.Options{})
	require.NoError(t, err)
	return view.Snapshot()
}

func profilesForTest(t testing.TB) profile.Set {
	t.Helper()
	all := fstest.MapFS{}
	maps.Copy(all, profileFS)
	for name, envelope := range map[string]string{"cloudevents": "cloudevents", "dixa": "dixa", "flexengage": "flexengage"} {
		text := strings.NewReplacer("name: standard", "name: "+name, "envelope: raw", "envelope: "+envelope)
		all[name+".yaml"] = &fstest.MapFile{Data: []byte(text.Replace(string(profileFS["standard.yaml"].Data)))}
	}
	set, err := profile.Load(all)
	require.NoError(t, err)
	return set
}

// answers is an Attempter made of a function.
type answers func(ctx context.Context, r *attempt.Request) (attempt.Response, error)

func (a answers) Do(ctx context.Context, r *attempt.Request) (attempt.Response, error) {
	return a(ctx, r)
}

func status(code int) answers {
	return func(context.Context, *attempt.Request) (attempt.Response, error) { return response(code), nil }
}

func response(code int) attempt.Response {
	result := outcome.ResultSuccess
	switch {
	case code == 410:
		result = outcome.ResultGone
	case code == 429:
		result = outcome.ResultThrottled
	case code >= 500:
		result = outcome.ResultServerError
	case code >= 400:
		result = outcome.ResultClientError
	}
	return attempt.Response{Result: result, Status: code, Body: []byte("body")}
}

// deliveryOf is the n-th event's delivery to a subscription.
func deliveryOf(sub *subscription.Subscription, n int) *delivery.Delivery {
	message := delivery.MessageID(acme.ID, "test", fmt.Sprint(n))
	return &delivery.Delivery{
		ID: delivery.ID(message, sub.ID), Message: message, Subscription: sub.ID, Tenant: acme.ID, EventID: fmt.Sprint(n),
		EventType: "contact.updated", EventSource: "test", EventTime: time.Unix(1_750_000_000, 0).UTC(),
		Trigger: delivery.Trigger{Kind: delivery.TriggerEvent}, Source: delivery.Position{Topic: "events", Offset: int64(n)},
		Data: []byte(`{}`),
	}
}

// figure is the value of a gauge or counter.
func figure(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	require.NoError(t, m.Write(&out))
	return out.GetGauge().GetValue() + out.GetCounter().GetValue()
}

// firstError is what a stage could not go on with.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
