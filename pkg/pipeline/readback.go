package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/topics"
)

// StoredEvent is an event as it is in Kafka.
type StoredEvent struct {
	Message ident.ID
	Type    string
	// EventID is the event's own id; empty if it was published without one.
	EventID string
	// Source is the CloudEvents source, or the name of the source with a mapping.
	Source   string
	Channels []string
	Tags     []string
	// Time is when the record was written, as in the index; EventTime when it happened, as the event says.
	Time, EventTime time.Time
	ContentType     string
	// Payload is the data byte for byte; JSON unless the content type says otherwise.
	Payload  []byte
	Position delivery.Position
}

// ReadState says what became of an entry's record.
type ReadState string

// States of a [ReadEvent].
const (
	// ReadFound: Event is set.
	ReadFound ReadState = "found"
	// ReadExpired: the record is not there any more, or the topic was made anew and another is in its place.
	ReadExpired ReadState = "expired"
	// ReadLeft: the call had read as many bytes as it may before it came to this one. Ask for it again.
	ReadLeft ReadState = "left"
)

// ReadEvent is an entry of the index and its event.
type ReadEvent struct {
	Entry view.EventEntry
	State ReadState
	Event *StoredEvent
}

// RecordFetcher reads records at known places; [kafka.Fetcher] is one. What is not there is left out of found; what it
// did not get to, having read maxBytes, is left.
type RecordFetcher interface {
	Fetch(ctx context.Context, places []kafka.Place, maxBytes int) (found map[kafka.Place]*kafka.Record, left []kafka.Place, err error)
}

// EventReaderOptions are what a reader needs.
type EventReaderOptions struct {
	Topics Topics
	// Decoder returns the decoder of a source topic, the router's.
	Decoder func(topic string) *event.Decoder
	// MaxBytes is what a call reads at most, but for the records on their way; 32 MiB by default.
	MaxBytes int
}

// EventReader reads events that the index has found. All methods may be called concurrently.
type EventReader struct {
	opts EventReaderOptions
	from RecordFetcher
}

// NewEventReader returns a reader.
func NewEventReader(opts EventReaderOptions, from RecordFetcher) *EventReader {
	setDefault(&opts.MaxBytes, 32<<20)
	return &EventReader{opts: opts, from: from}
}

// Read returns the events of entries, in their order. An error is Kafka's.
func (r *EventReader) Read(ctx context.Context, entries []view.EventEntry) ([]ReadEvent, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	places := make([]kafka.Place, len(entries))
	for i, e := range entries {
		places[i] = kafka.Place(e.Position)
	}
	found, left, err := r.from.Fetch(ctx, places, r.opts.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	later := map[kafka.Place]bool{}
	for _, p := range left {
		later[p] = true
	}
	out := make([]ReadEvent, len(entries))
	for i, e := range entries {
		out[i] = ReadEvent{Entry: e, State: ReadExpired}
		rec, ok := found[places[i]]
		switch {
		case ok:
			if out[i].Event = r.decode(e, rec); out[i].Event != nil {
				out[i].State = ReadFound
			}
		case later[places[i]]:
			out[i].State = ReadLeft
		}
	}
	return out, nil
}

// decode reads a record as the entry's event; nil if it is another one.
func (r *EventReader) decode(e view.EventEntry, rec *kafka.Record) *StoredEvent {
	if rec.Topic == r.opts.Topics.Name(topics.Deliveries) {
		return decodeSent(e, rec)
	}
	ev, err := readEvent(r.opts.Decoder(rec.Topic), rec)
	if err != nil || delivery.MessageID(e.Tenant, ev.Source, ev.ID) != e.Message {
		return nil
	}
	stored := &StoredEvent{
		Message: e.Message, Type: ev.Type, EventID: ev.ID, Source: ev.Source, Channels: ev.Channels, Tags: tagsOf(rec),
		Time: e.Time, EventTime: ev.Time, ContentType: ev.ContentType, Payload: ev.Data, Position: e.Position,
	}
	if generatedID(rec) || ev.ID == sourcePosition(rec).String() { // a mapping without an id takes the position
		stored.EventID = ""
	}
	return stored
}

// decodeSent reads a delivery that was written by [Publisher.SendTo]. Its event id was made there.
func decodeSent(e view.EventEntry, rec *kafka.Record) *StoredEvent {
	d, err := decode(rec)
	if err != nil || d.Tenant != e.Tenant || d.Message != e.Message {
		return nil
	}
	return &StoredEvent{
		Message: e.Message, Type: d.EventType, Source: d.EventSource, Time: e.Time, EventTime: d.EventTime,
		ContentType: d.ContentType, Payload: d.Data, Position: e.Position,
	}
}

// generatedID reports whether the event was published without an id of its own.
func generatedID(rec *kafka.Record) bool {
	for _, h := range rec.Headers {
		if h.Key == headerGenerated {
			return string(h.Value) == "true"
		}
	}
	return false
}
