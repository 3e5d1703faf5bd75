package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/view"
)

// publishing is a publisher with a broker and a Redis in memory.
type publishing struct {
	*Publisher
	t      *testing.T
	b      *broker
	redis  *miniredis.Miniredis
	views  *view.Redis
	reader *EventReader
}

func newPublishing(t *testing.T) *publishing {
	t.Helper()
	p := &publishing{t: t, b: newBroker(t), redis: miniredis.RunT(t)}
	p.redis.SetTime(time.Now())
	var err error
	p.views, err = view.Open(view.Config{Addresses: []string{p.redis.Addr()}, CallTimeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.views.Close()) })
	p.Publisher, err = NewPublisher(PublisherOptions{IndexTimeout: time.Minute}, p.b, p.views)
	require.NoError(t, err)
	p.reader = NewEventReader(EventReaderOptions{Decoder: eventsDecoder(t)}, p)
	return p
}

// eventsDecoder knows the topic events.
func eventsDecoder(t testing.TB) func(string) *event.Decoder {
	t.Helper()
	decoder, err := event.NewDecoder(event.Source{Name: "events"})
	require.NoError(t, err)
	return func(topic string) *event.Decoder {
		if topic == "events" {
			return decoder
		}
		return nil
	}
}

// Fetch implements RecordFetcher over what the broker acknowledged; it leaves what comes after maxBytes.
func (p *publishing) Fetch(_ context.Context, places []kafka.Place, maxBytes int) (map[kafka.Place]*kafka.Record, []kafka.Place, error) {
	found, left := map[kafka.Place]*kafka.Record{}, []kafka.Place(nil)
	for _, at := range places {
		if maxBytes <= 0 {
			left = append(left, at)
			continue
		}
		for _, r := range p.b.acknowledged(at.Topic) {
			if r.Partition == at.Partition && r.Offset == at.Offset {
				found[at] = r
				maxBytes -= len(r.Value)
			}
		}
	}
	return found, left, nil
}

func (p *publishing) publish(pub Publication) Published {
	p.t.Helper()
	pub.Tenant = acme
	out, err := p.Publish(p.t.Context(), pub)
	require.NoError(p.t, err)
	return out
}

// read is what a reader gives for a message id, found through the index.
func (p *publishing) read(message ident.ID) *StoredEvent {
	p.t.Helper()
	entry, ok, err := p.views.Event(p.t.Context(), acme.ID, message)
	require.NoError(p.t, err)
	require.True(p.t, ok)
	got, err := p.reader.Read(p.t.Context(), []view.EventEntry{entry})
	require.NoError(p.t, err)
	require.Equal(p.t, ReadFound, got[0].State)
	return got[0].Event
}

func TestPublishedIsFoundAtOnce(t *testing.T) {
	p := newPublishing(t)
	at := time.Date(2026, 2, 1, 8, 30, 0, 123456789, time.UTC)
	payload := `{"n": 1.50,  "a":"ü"}`
	out := p.publish(Publication{
		EventType: "contact.updated", EventID: "o-1", Payload: []byte(payload), Channels: []string{"eu", "project:1"},
		Tags: []string{"a/b", "c"}, Time: at, TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	})
	require.Equal(t, "o-1", out.EventID)
	require.False(t, out.Unchecked || out.Duplicate)
	records := p.b.acknowledged("events")
	require.Len(t, records, 1)
	require.Equal(t, acme.ID.UUID(), string(records[0].Key))
	require.Equal(t, payload, string(records[0].Value))

	// The router takes it for the same event.
	ev, err := readEvent(eventsDecoder(t)("events"), records[0])
	require.NoError(t, err)
	require.Equal(t, out.Message, delivery.MessageID(acme.ID, ev.Source, ev.ID))
	require.Equal(t, []string{"eu", "project:1"}, ev.Channels)
	require.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ev.TraceParent)

	require.Equal(t, &StoredEvent{
		Message: out.Message, Type: "contact.updated", EventID: "o-1", Source: delivery.PublishedSource,
		Channels: []string{"eu", "project:1"}, Tags: []string{"a/b", "c"}, Time: out.Time, EventTime: at,
		ContentType: "application/json", Payload: []byte(payload), Position: out.Position,
	}, p.read(out.Message))
	entry, ok, err := p.views.EventByEventID(t.Context(), acme.ID, "o-1")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, out.Message, entry.Message)

	without := p.publish(Publication{EventType: "a", Payload: []byte(`{}`)})
	require.Empty(t, without.EventID)
	require.Empty(t, p.read(without.Message).EventID, "the id was made here")
}

func TestPublishedOnce(t *testing.T) {
	p := newPublishing(t)
	first := p.publish(Publication{EventType: "a", EventID: "1", Payload: []byte(`{}`)})
	_, err := p.Publish(t.Context(), Publication{Tenant: acme, EventType: "b", EventID: "1", Payload: []byte(`{}`)})
	var duplicate *DuplicateError
	require.ErrorAs(t, err, &duplicate)
	require.Equal(t, &DuplicateError{EventID: "1", Message: first.Message}, duplicate)
	require.EqualError(t, err, `eventId: "1" was published before`)

	key := Publication{EventType: "a", IdempotencyKey: "k", Payload: []byte(`{}`)}
	once, again := p.publish(key), p.publish(key)
	require.True(t, again.Duplicate)
	again.Duplicate = false
	require.Equal(t, once, again)
	require.Empty(t, p.read(once.Message).EventID)
	require.Len(t, p.b.acknowledged("events"), 2)
}

func TestOneOfFiftyPublishers(t *testing.T) {
	p := newPublishing(t)
	var won, lost, unchecked atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			out, err := p.Publish(t.Context(), Publication{Tenant: acme, EventType: "a", EventID: "same", Payload: fmt.Appendf(nil, "%d", i)})
			switch duplicate := (*DuplicateError)(nil); {
			case errors.As(err, &duplicate):
				lost.Add(1)
			case err == nil && out.Unchecked:
				unchecked.Add(1)
			case err == nil:
				won.Add(1)
			}
		})
	}
	all.Wait()
	require.Zero(t, unchecked.Load())
	require.EqualValues(t, 49, lost.Load())
	require.EqualValues(t, 1, won.Load())
	require.Len(t, p.b.acknowledged("events"), 1)
}

func TestPublicationsRefused(t *testing.T) {
	p := newPublishing(t)
	for want, pub := range map[string]Publication{
		"payload: 1048577 bytes: want at most 1048576": {EventType: "a", Payload: make([]byte, event.MaxBytes+1)},
		"bad_type: type: ":                     {EventType: "a b", Payload: []byte(`{}`)},
		"undecodable: data: ":                  {EventType: "a", Payload: []byte(`{`)},
		"bad_channels: channels: ":             {EventType: "a", Payload: []byte(`{}`), Channels: []string{"a b"}},
		"no_id: id: ":                          {EventType: "a", Payload: []byte(`{}`), EventID: strings.Repeat("x", 257)},
		"undecodable: tags: entry 0: ":         {EventType: "a", Payload: []byte(`{}`), Tags: []string{"a,b"}},
		"undecodable: tags: 6: want at most 5": {EventType: "a", Payload: []byte(`{}`), Tags: make([]string, 6)},
	} {
		pub.Tenant = acme
		_, err := p.Publish(t.Context(), pub)
		require.ErrorContains(t, err, want)
	}
	require.Empty(t, p.redis.Keys())
	require.Empty(t, p.b.order())
}

func TestPublishWithoutRedis(t *testing.T) {
	p := newPublishing(t)
	p.redis.SetError("LOADING")
	pub := Publication{EventType: "a", EventID: "1", Payload: []byte(`{}`)}
	out := p.publish(pub)
	require.True(t, out.Unchecked)
	require.Equal(t, out.Message, p.publish(pub).Message, "the same event, so it is delivered once")
	require.InDelta(t, 2, figure(t, p.opts.Metrics.unchecked), 0)
	require.InDelta(t, 2, figure(t, p.opts.Metrics.unindexed), 0)

	p.redis.SetError("")
	p.Publisher.redis.Store(1) // long ago
	require.False(t, p.publish(Publication{EventType: "a", EventID: "2", Payload: []byte(`{}`)}).Unchecked)
	require.Zero(t, p.Publisher.redis.Load())
}

// A process dies between the reservation and the record, or Kafka refuses it: the id is free again, in time.
func TestPublishAfterAFailure(t *testing.T) {
	p := newPublishing(t)
	pub := Publication{Tenant: acme, EventType: "a", EventID: "1", Payload: []byte(`{}`)}
	refused := errors.New("refused")
	p.b.change(func() { p.b.refuse = func(*kafka.Record) error { return refused } })
	_, err := p.Publish(t.Context(), pub)
	require.ErrorIs(t, err, refused)
	p.b.change(func() { p.b.refuse = nil })

	message := delivery.MessageID(acme.ID, delivery.PublishedSource, "1")
	res, err := p.views.ReserveEvent(t.Context(), acme.ID, message) // as one that died now
	require.NoError(t, err)
	require.Equal(t, view.EventReserved, res.State)
	_, err = p.Publish(t.Context(), pub)
	require.EqualError(t, err, `eventId: "1" is being published at this moment`)
	p.redis.FastForward(view.ReservationLifetime)
	out, err := p.Publish(t.Context(), pub)
	require.NoError(t, err)
	require.Equal(t, message, out.Message)
}

func TestSendTo(t *testing.T) {
	p := newPublishing(t)
	sub := subscriptionNamed("one")
	sub.Version = 42
	out, err := p.SendTo(t.Context(), acme, sub, "contact.updated", []byte(`{"a":1}`))
	require.NoError(t, err)
	require.Empty(t, p.b.acknowledged("events"))
	records := p.b.acknowledged("deliveries")
	require.Len(t, records, 1)
	d, err := decode(records[0])
	require.NoError(t, err)
	require.Equal(t, sub.ID, d.Subscription)
	require.Equal(t, delivery.TriggerTest, d.Trigger.Kind)
	require.NotEmpty(t, d.Trigger.ID)
	require.EqualValues(t, 42, d.Registry)
	stored := p.read(out.Message)
	require.Equal(t, `{"a":1}`, string(stored.Payload))
	require.Empty(t, stored.EventID)
	require.Equal(t, "contact.updated", stored.Type)
	again, err := p.SendTo(t.Context(), acme, sub, "contact.updated", []byte(`{"a":1}`))
	require.NoError(t, err)
	require.NotEqual(t, out.Message, again.Message, "asking twice sends twice")
}

func TestReadStates(t *testing.T) {
	p := newPublishing(t)
	var entries []view.EventEntry
	for i := range 3 {
		out := p.publish(Publication{EventType: "a", Payload: fmt.Appendf(nil, "%d", i)})
		entry, _, err := p.views.Event(t.Context(), acme.ID, out.Message)
		require.NoError(t, err)
		entries = append(entries, entry)
	}
	gone, another := entries[0], entries[1]
	gone.Position.Offset, another.Message = 99, ident.New()
	p.reader.opts.MaxBytes = 1
	got, err := p.reader.Read(t.Context(), append([]view.EventEntry{gone, another}, entries[2]))
	require.NoError(t, err)
	require.Equal(t, []ReadState{ReadExpired, ReadExpired, ReadLeft}, []ReadState{got[0].State, got[1].State, got[2].State})
	got, err = p.reader.Read(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, got)
}

// recording is a recorder with one partition of the topic events.
func newRecording(t *testing.T, p *publishing) (*Recorder, *kafka.Partition) {
	t.Helper()
	r := NewRecorder(RecorderOptions{Decoder: eventsDecoder(t)}, &registered{snap: snapshotOf(t), confirmed: time.Now}, p.views, p.b)
	part := kafka.NewPartition(t.Context(), "events", 0, offset.NewTracker(0, offset.Set{}))
	require.NoError(t, r.Assign(part))
	t.Cleanup(func() { r.Revoke([]*kafka.Partition{part}) })
	return r, part
}

// finished is the offset that the partition would commit.
func finished(p *kafka.Partition) int64 {
	c, _ := p.Tracker().Commit()
	return c.Offset
}

func hand(t *testing.T, h kafka.Handler, p *kafka.Partition, records []*kafka.Record) {
	t.Helper()
	for _, r := range records {
		require.True(t, p.Tracker().Begin(r.Offset))
	}
	h.Records(p, records)
}

// After a loss of Redis the recorder makes the same lists of the source topic, whatever is in between.
func TestRecorderMakesTheIndexAgain(t *testing.T) {
	p := newPublishing(t)
	for i := range 1200 {
		p.publish(Publication{EventType: "a", EventID: fmt.Sprint(i), Payload: []byte(`{}`), Tags: []string{"t"}, Channels: []string{"c"}})
	}
	p.b.add("events", "", "no event")
	all := func() (out []view.EventEntry) {
		q := view.EventQuery{Tenant: acme.ID, Limit: 250}
		for {
			page, err := p.views.ListEvents(t.Context(), q)
			require.NoError(t, err)
			out = append(out, page.Events...)
			if page.Done {
				return out
			}
			q.Iterator = page.Iterator
		}
	}
	first, whole := newRecording(t, p) // what was not indexed at once, it adds
	hand(t, first, whole, p.b.acknowledged("events"))
	require.Eventually(t, func() bool { return finished(whole) == 1201 }, time.Minute, time.Millisecond)
	before := all()
	require.Len(t, before, 1200)
	p.redis.FlushAll()
	p.redis.SetError("LOADING")
	r, part := newRecording(t, p)
	hand(t, r, part, p.b.acknowledged("events"))
	require.Eventually(t, func() bool { return figure(t, r.opts.Metrics.recordRetries) > 0 }, time.Minute, time.Millisecond)
	require.True(t, part.Held(kafka.HoldBacklog))
	require.Zero(t, finished(part), "nothing is finished while Redis is away")
	p.redis.SetError("")
	require.Eventually(t, func() bool { return finished(part) == 1201 }, time.Minute, time.Millisecond)
	require.False(t, part.Held(kafka.HoldBacklog))
	require.Equal(t, before, all())
	require.InDelta(t, 1, figure(t, r.opts.Metrics.recorded.WithLabelValues(resultRejected)), 0)
}

func TestRecorderEndsWhileRedisIsAway(t *testing.T) {
	p := newPublishing(t)
	p.publish(Publication{EventType: "a", Payload: []byte(`{}`)})
	p.redis.SetError("LOADING")
	r, part := newRecording(t, p)
	hand(t, r, part, p.b.acknowledged("events"))
	require.Eventually(t, func() bool { return figure(t, r.opts.Metrics.recordRetries) > 0 }, time.Minute, time.Millisecond)
	r.Revoke([]*kafka.Partition{part})
	require.Zero(t, finished(part))
}
