package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// past is what has happened: Kafka in memory with the events, deliveries and outcomes that it is told of, and a Redis with
// their views.
type past struct {
	*harness
	redis *miniredis.Miniredis
	views *view.Redis

	mu      sync.Mutex
	records map[kafka.Place]*kafka.Record
	ends    map[string]int64
	away    error // of Kafka
	fetched int
	// fetcher and produce are of a broker; without one all is in memory.
	fetcher *kafka.Fetcher
	produce func(*kafka.Record)
}

const historyPartition = 5 // of everything

func newPast(t *testing.T) *past {
	t.Helper()
	p := &past{redis: miniredis.RunT(t), records: map[kafka.Place]*kafka.Record{}, ends: map[string]int64{}}
	p.redis.SetTime(time.Now())
	var err error
	p.views, err = view.Open(view.Config{Addresses: []string{p.redis.Addr()}, CallTimeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.views.Close()) })
	publisher, err := pipeline.NewPublisher(pipeline.PublisherOptions{IndexTimeout: time.Minute}, p, p.views)
	require.NoError(t, err)
	decoder, err := event.NewDecoder(event.Source{Name: "events"})
	require.NoError(t, err)
	decoders := func(string) *event.Decoder { return decoder }
	p.harness = newHarness(t, func(o *Options) {
		o.Publisher, o.Events, o.Attempts, o.EndpointViews = publisher, p.views, p.views, p.views
		o.Breakers, o.System = p.views, p.views
		o.EventReader = pipeline.NewEventReader(pipeline.EventReaderOptions{Decoder: decoders}, p)
		o.Outcomes = pipeline.NewOutcomeReader(pipeline.Topics{}, p, p, p.views)
	})
	return p
}

// Produce implements [pipeline.Producer].
func (p *past) Produce(_ context.Context, r *kafka.Record, promise func(*kafka.Record, error)) {
	p.write(r)
	go promise(r, nil)
}

func (p *past) write(r *kafka.Record) delivery.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Partition, r.Offset = historyPartition, p.ends[r.Topic]
	p.ends[r.Topic]++
	at := kafka.Place{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	p.records[at] = r
	if p.produce != nil {
		p.produce(r)
	}
	return delivery.Position(at)
}

// Fetch implements [pipeline.RecordFetcher].
func (p *past) Fetch(ctx context.Context, places []kafka.Place, maxBytes int) (map[kafka.Place]*kafka.Record, []kafka.Place, error) {
	if p.fetcher != nil {
		return p.fetcher.Fetch(ctx, places, maxBytes)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found := map[kafka.Place]*kafka.Record{}
	for _, at := range places {
		if r, ok := p.records[at]; ok {
			found[at] = r
		}
	}
	p.fetched += len(places)
	return found, nil, p.away
}

// Ends implements [pipeline.LogEnds].
func (p *past) Ends(ctx context.Context, topic string) (map[int32]kafka.Ends, error) {
	if p.fetcher != nil {
		return p.fetcher.Ends(ctx, topic)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return map[int32]kafka.Ends{historyPartition: {Start: 0, End: p.ends[topic]}}, p.away
}

// forget lets a record expire.
func (p *past) forget(at delivery.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.records, kafka.Place(at))
}

// published is an event that was published with an id.
func (p *past) published(app, eventType, eventID string, more ...string) view.EventEntry {
	p.t.Helper()
	body := fmt.Sprintf(`{"eventType":%q,"eventId":%q,"payload":{"n":%q}`, eventType, eventID, eventID)
	for _, m := range more {
		body += "," + m
	}
	got := p.call(p.operator, http.MethodPost, "/app/"+app+"/msg", body+"}")
	require.Equal(p.t, http.StatusAccepted, got.status, got.body)
	id, ok := messageID(got.json(p.t)["id"].(string))
	require.True(p.t, ok)
	t, ok := p.store.Snapshot().ResolveTenant(app)
	require.True(p.t, ok)
	entry, ok, err := p.views.Event(p.t.Context(), t.ID, id)
	require.NoError(p.t, err)
	require.True(p.t, ok)
	return entry
}

// endpoint makes an endpoint, and returns it.
func (p *past) endpoint(app, uid string, more ...string) *subscription.Subscription {
	p.t.Helper()
	body := fmt.Sprintf(`{"url":"https://%s.example/hook?key=1","uid":%q`, uid, uid)
	for _, m := range more {
		body += "," + m
	}
	got := p.call(p.operator, http.MethodPost, "/app/"+app+"/endpoint", body+"}")
	require.Equal(p.t, http.StatusCreated, got.status, got.body)
	id, err := ident.ParseBase62(subscription.SubscriptionPrefix, got.json(p.t)["id"].(string))
	require.NoError(p.t, err)
	s, ok := p.store.Snapshot().Subscription(id)
	require.True(p.t, ok)
	return s
}

// kind is what a row may be.
type kind func(*outcome.Outcome)

func answered(status int, body string) kind {
	return func(o *outcome.Outcome) {
		o.Status, o.ResponseBody, o.ResponseHeaders = status, body, "content-type: text/plain\nset-cookie: [redacted]\n"
		o.Result, o.Verdict, o.Reason = outcome.ResultSuccess, outcome.Delivered, outcome.ReasonDelivered
		if status >= 300 {
			due := o.At.Add(time.Minute)
			o.Result, o.Verdict, o.Reason, o.Due = outcome.ResultServerError, outcome.Retry, outcome.ReasonFailed, &due
		}
	}
}

func failed(result outcome.Result, detail string) kind {
	return func(o *outcome.Outcome) {
		o.Result, o.Detail, o.Verdict, o.Reason = result, detail, outcome.Dead, outcome.ReasonExhausted
	}
}

func without(v outcome.Verdict, reason outcome.Reason) kind {
	return func(o *outcome.Outcome) {
		o.Result, o.Verdict, o.Reason, o.Attempt = outcome.ResultNone, v, reason, o.Attempt-1
	}
}

func again(attempt, pass int) kind {
	return func(o *outcome.Outcome) { o.Attempt, o.Pass = attempt, pass }
}

func by(trigger delivery.TriggerKind, id string) kind {
	return func(o *outcome.Outcome) { o.Trigger, o.TriggerID = trigger, id }
}

// tried adds an attempt of an event at an endpoint, or what another row says, and returns its row.
func (p *past) tried(s *subscription.Subscription, e view.EventEntry, at time.Time, kinds ...kind) *outcome.Outcome {
	p.t.Helper()
	source := p.records[kafka.Place(e.Position)]
	require.NotNil(p.t, source)
	id := delivery.ID(e.Message, s.ID)
	o := &outcome.Outcome{
		Version: outcome.Version, Delivery: id.Base62(delivery.IDPrefix), Message: e.Message.Base62(delivery.MessagePrefix),
		EventID: "of " + e.Message.UUID(), EventType: e.Type, EventTime: e.Time, Channels: e.Channels, Tenant: e.Tenant, Subscription: s.ID,
		Trigger: delivery.TriggerEvent, Attempt: 1, URL: "https://shown.example/hook", At: at.UTC(), DurationMS: 12.4, Source: e.Position,
	}
	for _, k := range kinds {
		k(o)
	}
	record := &kafka.Record{Topic: "deliveries", Key: []byte(s.ID.UUID()), Value: source.Value}
	d := &delivery.Delivery{
		ID: id, Message: e.Message, Subscription: s.ID, Tenant: e.Tenant, EventID: o.EventID, EventType: e.Type, EventTime: e.Time,
		Trigger: delivery.Trigger{Kind: o.Trigger, ID: o.TriggerID},
	}
	for name, v := range d.Headers() {
		record.Headers = append(record.Headers, kafka.Header{Key: name, Value: v})
	}
	o.Record = p.write(record)
	p.recorded(o, p.write(&kafka.Record{Topic: "outcomes", Key: []byte(s.ID.UUID()), Value: o.AppendJSON(nil)}))
	return o
}

// recorded is what the recorder does with a row.
func (p *past) recorded(o *outcome.Outcome, at delivery.Position) {
	p.t.Helper()
	message, ok := messageID(o.Message)
	require.True(p.t, ok)
	rows := []view.Row{{
		Offset: at.Offset, Tenant: o.Tenant, Subscription: o.Subscription, Message: message, EventType: o.EventType, At: o.At,
		Duration: time.Duration(o.DurationMS * float64(time.Millisecond)), Status: o.Status, Result: o.Result, Verdict: o.Verdict, Reason: o.Reason,
	}}
	require.NoError(p.t, p.views.AddRows(p.t.Context(), at.Partition, rows))
	changed, err := p.views.Changed(p.t.Context(), &view.Seen{}, rows)
	require.NoError(p.t, err)
	require.NoError(p.t, p.views.AddStatus(p.t.Context(), changed))
	require.NoError(p.t, p.views.Advance(p.t.Context(), at.Topic, at.Partition, at.Offset, at.Offset+1, o.At))
}

// get reads a list or an object below /api/v1.
func (p *past) get(path string) reply {
	p.t.Helper()
	got := p.call(p.reader, http.MethodGet, path, nil)
	require.Equal(p.t, http.StatusOK, got.status, "%s: %s", path, got.body)
	return got
}

// members returns a member of each element of a list.
func members(t *testing.T, r reply, name string) []any {
	t.Helper()
	out := []any{}
	for _, e := range r.json(t)["data"].([]any) {
		out = append(out, e.(map[string]any)[name])
	}
	return out
}

// walk reads a list to its end and back, some at a time, and returns a member of each element. Both ways must find the same.
func (p *past) walk(path, name string, limit int) []any {
	p.t.Helper()
	separator := "?"
	for _, c := range path {
		if c == '?' {
			separator = "&"
		}
	}
	read := func(iterator string) (page map[string]any, found []any) {
		at := fmt.Sprintf("%s%slimit=%d", path, separator, limit)
		if iterator != "" {
			at += "&iterator=" + iterator
		}
		got := p.get(at)
		return got.json(p.t), members(p.t, got, name)
	}
	var all, back []any
	page, found := read("")
	for pages := 0; ; pages++ {
		require.Less(p.t, pages, 1000, "a list does not end")
		require.LessOrEqual(p.t, len(found), limit)
		all = append(all, found...)
		if page["done"].(bool) {
			break
		}
		page, found = read(page["iterator"].(string))
	}
	back = found
	for pages := 0; len(back) < len(all); pages++ {
		require.Less(p.t, pages, 1000, "a list does not end backwards")
		page, found = read(page["prevIterator"].(string))
		back = append(found, back...)
	}
	require.Equal(p.t, all, back)
	return all
}

var errAway = errors.New("secret address is away")
