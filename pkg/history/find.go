package history

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/topics"
)

// EventIndex finds events of a tenant at once; [view.Redis] is one.
type EventIndex interface {
	// Event returns the entry of a message id, or false.
	Event(ctx context.Context, tenant, message ident.ID) (view.EventEntry, bool, error)
	// EventByEventID returns that of the id that an event was published with over HTTP, or false.
	EventByEventID(ctx context.Context, tenant ident.ID, eventID string) (view.EventEntry, bool, error)
}

// Question asks for the life of an event.
type Question struct {
	// ID is msg_…, dlv_…, the source position topic/partition/offset, or the event's own id.
	ID string
	// Tenant is the event's, by uid, UUID or app_ id; events of others are not looked at. Empty is any.
	Tenant string
	// Since is how far back topics are read for what the index does not have.
	Since time.Time
	// Index is asked first if there is a Tenant; nil for none. That it is away is no error.
	Index EventIndex
}

// subject is what a question is about: one of these.
type subject struct {
	message, delivery ident.ID
	place             *delivery.Position
	eventID           string
}

func parseSubject(text string) (s subject, err error) {
	switch {
	case strings.HasPrefix(text, delivery.MessagePrefix):
		s.message, err = ident.ParseBase62(delivery.MessagePrefix, text)
	case strings.HasPrefix(text, delivery.IDPrefix):
		s.delivery, err = ident.ParseBase62(delivery.IDPrefix, text)
	default:
		s.eventID = text
		if place, notOne := delivery.ParsePosition(text); notOne == nil && place.Topic != "" && place.Offset >= 0 {
			s.place = &place
		}
	}
	return s, err
}

// found is a source record that a question may be about.
type found struct {
	rec     *kafka.Record
	ev      *event.Event // nil if it could not be read
	err     error
	tenant  *subscription.Tenant // nil if there is none
	message ident.ID
}

// maxFound bounds how many records are explained: more is a producer that uses one id for everything.
const maxFound = 100

// find returns the source records that the question is about.
func (x *explainer) find(ctx context.Context) error {
	s, err := parseSubject(x.question.ID)
	if err != nil {
		return err
	}
	if !s.delivery.IsZero() {
		if s.place, s.message, err = x.placeOf(ctx, s.delivery); err != nil {
			return err
		}
	}
	if s.place == nil {
		s.place = x.indexed(ctx, s)
	}
	x.orphan = s.message
	switch {
	case s.place == nil:
	case x.opts.Router.Decoder(s.place.Topic) != nil:
		if err := x.fetch(ctx, *s.place); err != nil || len(x.found) > 0 {
			return err
		}
	case s.message.IsZero():
		return fmt.Errorf("no source of the configuration reads topic %q", s.place.Topic)
	}
	if !s.delivery.IsZero() {
		return nil // nothing is known of its event
	}
	return x.scan(ctx, s)
}

// indexed asks the index, if there is one.
func (x *explainer) indexed(ctx context.Context, s subject) *delivery.Position {
	if x.question.Index == nil || x.tenant == nil {
		return nil
	}
	var e view.EventEntry
	var ok bool
	var err error
	if s.message.IsZero() {
		e, ok, err = x.question.Index.EventByEventID(ctx, x.tenant.ID, s.eventID)
	} else {
		e, ok, err = x.question.Index.Event(ctx, x.tenant.ID, s.message)
	}
	if err != nil || !ok || e.Position.Topic == x.opts.topic(topics.Deliveries) {
		return nil // the topics have what it has
	}
	return &e.Position
}

// placeOf finds the event of a delivery: an outcome or any of its records names it.
func (x *explainer) placeOf(ctx context.Context, id ident.ID) (at *delivery.Position, message ident.ID, err error) {
	want := id.Base62(delivery.IDPrefix)
	saw := func(tenant ident.ID, p delivery.Position, m ident.ID) {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.theirs(tenant) {
			return
		}
		if message = m; p.Topic != "" { // one that was sent to one endpoint alone has none
			at = &p
		}
	}
	names := []string{x.opts.topic(topics.Outcomes), x.opts.topic(topics.DeadLetters), x.opts.topic(topics.Deliveries)}
	for _, topic := range append(names, x.opts.Router.Topics.RetryTopics()...) {
		from, err := x.startsAt(ctx, topic, x.question.Since)
		if err != nil {
			return nil, message, err
		}
		err = x.readTopic(ctx, topic, from, topic, func(rec *kafka.Record) error {
			if topic == names[0] {
				if o, err := outcome.Read(rec.Value); err == nil && o.Delivery == want {
					m, _ := ident.ParseBase62(delivery.MessagePrefix, o.Message)
					saw(o.Tenant, o.Source, m)
				}
			} else if header(rec, delivery.HeaderDelivery) == want {
				if d, err := pipeline.DecodeDelivery(rec); err == nil {
					saw(d.Tenant, d.Source, d.Message)
				}
			}
			return nil
		})
		if err != nil || !message.IsZero() {
			return at, message, err
		}
	}
	return nil, message, nil
}

// theirs reports whether a tenant is not the one that is asked for.
func (x *explainer) theirs(tenant ident.ID) bool { return x.tenant != nil && x.tenant.ID != tenant }

// fetch reads the record of a place.
func (x *explainer) fetch(ctx context.Context, at delivery.Position) error {
	fetcher, err := kafka.NewFetcher(x.opts.Kafka)
	if err != nil {
		return err
	}
	defer fetcher.Close()
	records, _, err := fetcher.Fetch(ctx, []kafka.Place{kafka.Place(at)}, extraBytes)
	if err != nil {
		return err
	}
	for _, rec := range records {
		f := x.read(x.matcher, rec)
		if x.tenant == nil || f.tenant == x.tenant {
			x.found = append(x.found, f)
		}
	}
	return nil
}

func (x *explainer) read(m *pipeline.Matcher, rec *kafka.Record) found {
	f := found{rec: rec}
	if f.ev, f.err = m.Read(rec); f.err != nil {
		f.ev = nil
		return f
	}
	if t, ok := x.newest.ResolveTenant(f.ev.Tenant); ok {
		f.tenant, f.message = t, delivery.MessageID(t.ID, f.ev.Source, f.ev.ID)
	}
	return f
}

// scan reads the source topics.
func (x *explainer) scan(ctx context.Context, s subject) error {
	names, err := kafka.TopicNames(ctx, x.opts.Kafka)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(topic string) bool { return x.opts.Router.Decoder(topic) == nil })
	for _, topic := range names {
		from, err := x.startsAt(ctx, topic, x.question.Since)
		if err != nil {
			return err
		}
		// Decoders and the matcher's memory are for one goroutine, and reading is what takes the time.
		err = x.readTopic(ctx, topic, from, topic, func(rec *kafka.Record) error {
			x.mu.Lock()
			defer x.mu.Unlock()
			f := x.read(x.matcher, rec)
			if f.ev == nil || x.tenant != nil && f.tenant != x.tenant {
				return nil
			}
			if s.message.IsZero() && f.ev.ID == s.eventID || !s.message.IsZero() && f.message == s.message {
				x.found = append(x.found, f)
			}
			if len(x.found) > maxFound {
				return fmt.Errorf("more than %d events have the id %q: name a position, topic/partition/offset", maxFound, x.question.ID)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// resolve finds the tenant that the question names.
func (x *explainer) resolve(snap *registry.Snapshot) error {
	x.newest = snap
	if x.question.Tenant == "" {
		return nil
	}
	t, ok := snap.ResolveTenant(x.question.Tenant)
	if !ok {
		return fmt.Errorf("there is no tenant %q", x.question.Tenant)
	}
	x.tenant = t
	return nil
}
