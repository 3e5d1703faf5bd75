package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/topics"
)

// Publication is an event to be published for a tenant.
type Publication struct {
	Tenant    *subscription.Tenant
	EventType string
	// EventID is the publisher's own id of the event; empty without one.
	EventID string
	// Payload is the event's data, one JSON value; it is forwarded byte for byte.
	Payload  json.RawMessage
	Channels []string
	// Tags are for finding the event again; they hold no comma, at most 5 of 128 bytes.
	Tags []string
	// Time is when it happened; now if zero.
	Time time.Time
	// IdempotencyKey makes the event's id if it has none of its own, so that what is published twice is one event.
	IdempotencyKey string
	// TraceParent is the W3C trace context it is published in, or empty.
	TraceParent string
}

// Published is an event that Kafka has.
type Published struct {
	Message ident.ID
	// EventID is the publication's; empty if it had none.
	EventID string
	// Time is when it was published, in milliseconds: what lists are ordered and narrowed by.
	Time time.Time
	// Position is where it is in Kafka: in the events topic, or in deliveries if it was sent to one endpoint.
	Position delivery.Position
	// Duplicate says that it was published before with the same idempotency key, and not again now.
	Duplicate bool
	// Unchecked says that Redis was away, so that nobody knows whether it was published before.
	Unchecked bool
}

// DuplicateError says that the tenant has published an event with this id before.
type DuplicateError struct {
	EventID string
	Message ident.ID
	// InProgress says that it is being published at this moment, or that a process died while it was.
	InProgress bool
}

// Error implements error.
func (e *DuplicateError) Error() string {
	if e.InProgress {
		return fmt.Sprintf("eventId: %q is being published at this moment", e.EventID)
	}
	return fmt.Sprintf("eventId: %q was published before", e.EventID)
}

// TooLargeError says that a payload is larger than an event may be.
type TooLargeError struct{ Size, Limit int }

// Error implements error.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("payload: %d bytes: want at most %d", e.Size, e.Limit)
}

// Headers of published events beside those of every CloudEvent, as extension attributes.
const (
	headerTags      = "ce_tags"      // separated by commas
	headerGenerated = "ce_generated" // true: the id was made here, the publisher gave none
)

// Bounds of tags, as the Svix API has them.
const (
	maxTags     = 5
	maxTag      = 128
	maxTagBytes = maxTags * (maxTag + 1)
)

// Times of a publication.
const (
	// publishTimeout bounds the wait for Kafka, below the lifetime of a reservation.
	publishTimeout = 30 * time.Second
	// DefaultIndexTimeout bounds a call of Redis, which answers within milliseconds or is away; indexPause is how long it is
	// left alone then, so that not every publication waits for it.
	DefaultIndexTimeout = time.Second
	indexPause          = time.Second
)

// PublishIndex is what a publisher needs of the index; [view.Redis] is one. All methods may be called concurrently.
type PublishIndex interface {
	EventIndex
	// Event returns the entry of an event.
	Event(ctx context.Context, tenant, message ident.ID) (view.EventEntry, bool, error)
	// ReserveEvent says whether an event may be published, and keeps others from it.
	ReserveEvent(ctx context.Context, tenant, message ident.ID) (view.Reservation, error)
	// ReleaseEvent takes a reservation back.
	ReleaseEvent(ctx context.Context, res view.Reservation) error
}

// PublisherOptions are what a publisher may have.
type PublisherOptions struct {
	Topics Topics
	// IndexTimeout bounds a call of Redis, [DefaultIndexTimeout] if 0.
	IndexTimeout time.Duration
	Log          *slog.Logger
	Metrics      *Metrics
}

// Publisher writes events for the management API. All methods may be called concurrently; records of many calls go to
// Kafka together.
type Publisher struct {
	opts    PublisherOptions
	out     Producer
	index   PublishIndex
	decoder *event.Decoder
	// redis is when Redis failed last, Unix nanoseconds; 0 while it answers.
	redis atomic.Int64
}

// NewPublisher returns a publisher.
func NewPublisher(opts PublisherOptions, out Producer, index PublishIndex) (*Publisher, error) {
	decoder, err := event.NewDecoder(event.Source{Name: topics.Events})
	if err != nil {
		return nil, err
	}
	if opts.IndexTimeout == 0 {
		opts.IndexTimeout = DefaultIndexTimeout
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	return &Publisher{opts: opts, out: out, index: index, decoder: decoder}, nil
}

// Publish writes an event to Postrider's own source topic and returns when all in-sync replicas have it. Then it is in
// the index too, unless Redis is away; the recorder sees to that later.
//
// Errors: [*DuplicateError], [*TooLargeError], [*event.Error] for what else is wrong with the publication; any other is
// Kafka's, and the event may or may not have been written. Published again with the same event id or idempotency key it
// is the same event, and delivered once.
func (p *Publisher) Publish(ctx context.Context, pub Publication) (Published, error) {
	start := time.Now()
	rec, out, err := p.record(pub, start)
	if err != nil {
		p.count("refused")
		return Published{}, err
	}
	checked, err := p.reserve(ctx, pub, out)
	if err != nil {
		p.count("duplicate")
		return Published{}, err
	}
	if checked.seen != nil {
		p.count("duplicate")
		return *checked.seen, nil
	}
	out.Unchecked = checked.unchecked
	if out.Position, err = p.write(ctx, rec); err != nil {
		p.count("failed")
		p.release(ctx, checked.reservation)
		return Published{}, fmt.Errorf("publishing: %w", err)
	}
	p.count("published")
	p.opts.Metrics.publishTime.Observe(time.Since(start).Seconds())
	p.add(ctx, view.EventEntry{
		Tenant: pub.Tenant.ID, Message: out.Message, Position: out.Position, Time: out.Time, Type: pub.EventType,
		Channels: pub.Channels, Tags: pub.Tags,
	})
	return out, nil
}

func (p *Publisher) count(result string) { p.opts.Metrics.published.WithLabelValues(result).Inc() }

// record makes the record of a publication. It is read as the router will read it, so that nothing is accepted which is
// rejected there.
func (p *Publisher) record(pub Publication, now time.Time) (*kafka.Record, Published, error) {
	if size := len(pub.Payload); size > event.MaxBytes {
		return nil, Published{}, &TooLargeError{Size: size, Limit: event.MaxBytes}
	}
	if err := checkTags(pub.Tags); err != nil {
		return nil, Published{}, err
	}
	ev := event.Event{
		Tenant: pub.Tenant.ID.UUID(), Source: delivery.PublishedSource, ID: pub.id(), Type: pub.EventType, Time: pub.Time,
		Channels: pub.Channels, ContentType: "application/json", TraceParent: pub.TraceParent,
	}
	now = now.Truncate(time.Millisecond).UTC()
	if ev.Time.IsZero() {
		ev.Time = now
	}
	rec := &kafka.Record{
		Topic: p.opts.Topics.Name(topics.Events), Key: []byte(ev.Tenant), Value: pub.Payload, Timestamp: now,
	}
	for name, v := range ev.Headers() {
		rec.Headers = append(rec.Headers, kafka.Header{Key: name, Value: []byte(v)})
	}
	if len(pub.Tags) > 0 {
		rec.Headers = append(rec.Headers, kafka.Header{Key: headerTags, Value: []byte(strings.Join(pub.Tags, ","))})
	}
	if pub.EventID == "" {
		rec.Headers = append(rec.Headers, kafka.Header{Key: headerGenerated, Value: []byte("true")})
	}
	if _, err := readEvent(p.decoder, rec); err != nil {
		return nil, Published{}, err
	}
	return rec, Published{
		Message: delivery.MessageID(pub.Tenant.ID, ev.Source, ev.ID), EventID: pub.EventID, Time: now,
	}, nil
}

// id returns the event id of a publication: its own, or one that its idempotency key determines, or a new one.
func (pub *Publication) id() string {
	switch {
	case pub.EventID != "":
		return pub.EventID
	case pub.IdempotencyKey != "":
		return ident.Derive("postrider/idempotent-event", pub.Tenant.ID.UUID(), pub.IdempotencyKey).UUID()
	default:
		return ident.New().UUID()
	}
}

// checkTags says what is wrong with tags.
func checkTags(tags []string) error {
	refuse := func(detail string) error {
		return &event.Error{Reason: event.ReasonUndecodable, Field: "tags", Detail: detail}
	}
	if len(tags) > maxTags {
		return refuse(fmt.Sprintf("%d: want at most %d", len(tags), maxTags))
	}
	for i, tag := range tags {
		if tag == "" || len(tag) > maxTag || strings.Contains(tag, ",") {
			return refuse(fmt.Sprintf("entry %d: want 1 to %d bytes without a comma", i, maxTag))
		}
	}
	return nil
}

// write writes a record and returns where it is.
func (p *Publisher) write(ctx context.Context, rec *kafka.Record) (delivery.Position, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, publishTimeout, errNotAcknowledged)
	defer cancel()
	if err := produceSync(ctx, p.out, rec); err != nil {
		return delivery.Position{}, err
	}
	return position(rec), nil
}

var errNotAcknowledged = fmt.Errorf("not acknowledged by Kafka within %s", publishTimeout)
