package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/topics"
)

// DeadLettersOptions are what [DeadLetters] need; Log may be nil.
type DeadLettersOptions struct {
	Topics Topics
	// Tail opens the topic deadletters from its start.
	Tail func() (TopicTail, error)
	// From reads single records of it.
	From RecordFetcher
	// Out writes to deliveries, and to deadletters where the record says its partition.
	Out      Producer
	Registry Registry
	// Most is how many open letters are kept in mind; [letter.MaxOpen] by default.
	Most int
	Log  *slog.Logger
}

// DeadLetters knows which dead letters are open, and closes them: by putting them back into deliveries, or by discarding
// them. All methods may be called concurrently; [Letters.Run] once.
type DeadLetters struct {
	Letters[*letter.Dead]
	opts DeadLettersOptions
}

// NewDeadLetters returns the dead letters of an installation. They are known some time after [Letters.Run] was called.
func NewDeadLetters(opts DeadLettersOptions) *DeadLetters {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &DeadLetters{opts: opts, Letters: Letters[*letter.Dead]{
		topic: deadTopic, tail: opts.Tail, read: letter.ReadDead, most: opts.Most, log: opts.Log,
	}}
}

// Redrive puts the letters that the filter lets through back into deliveries, oldest first, and marks each. The trigger stays
// what it was and the pass rises: where a kill between the two makes it be done again, the deliverer drops the second.
// Attempts count on, and the retry policy starts anew. An error says that the rest is as it was; the progress says how far
// it came.
func (d *DeadLetters) Redrive(ctx context.Context, w LetterWork, filter letter.DeadFilter) (LetterProgress, error) {
	return d.run(ctx, w, filter.IDs, filter.Matches, func(ctx context.Context, batch []*letter.Dead, p *LetterProgress) error {
		batch = d.redrivable(batch, p)
		if !w.DryRun {
			var err error
			if batch, err = d.redrive(ctx, batch, p); err == nil {
				err = d.mark(ctx, batch, letter.Redriven, w.By)
			}
			if err != nil {
				return err
			}
		}
		for _, l := range batch {
			p.done(l.Tenant)
		}
		return nil
	})
}

// Discard closes the letters that the filter lets through: nothing more becomes of them.
func (d *DeadLetters) Discard(ctx context.Context, w LetterWork, filter letter.DeadFilter) (LetterProgress, error) {
	return d.run(ctx, w, filter.IDs, filter.Matches, func(ctx context.Context, batch []*letter.Dead, p *LetterProgress) error {
		if !w.DryRun {
			if err := d.mark(ctx, batch, letter.Discarded, w.By); err != nil {
				return err
			}
		}
		for _, l := range batch {
			p.done(l.Tenant)
		}
		return nil
	})
}

// redrivable leaves out those that would not be sent.
func (d *DeadLetters) redrivable(batch []*letter.Dead, p *LetterProgress) []*letter.Dead {
	snap := d.opts.Registry.Snapshot()
	out := batch[:0]
	for _, l := range batch {
		if why := d.skips(snap, l); why != "" {
			p.skip(why)
		} else {
			out = append(out, l)
		}
	}
	return out
}

// skips says why a letter is not redriven; empty if it is.
func (*DeadLetters) skips(snap *registry.Snapshot, l *letter.Dead) Skip {
	sub, ok := snap.Subscription(l.Subscription)
	switch {
	case l.Undecodable():
		return SkipUndecodable
	case !ok:
		return SkipEndpointDeleted
	case sub.Disabled:
		return SkipEndpointDisabled
	}
	return ""
}

// redrive writes the deliveries of letters, waits until Kafka has them, and returns the letters of which there was one.
func (d *DeadLetters) redrive(ctx context.Context, batch []*letter.Dead, p *LetterProgress) ([]*letter.Dead, error) {
	written, out := &acks{}, make([]*letter.Dead, 0, len(batch))
	for range batch {
		p.skip(SkipExpired) // until it is found
	}
	err := fetchEach(ctx, d.opts.From, d.places(batch), func(i int, r *kafka.Record) error {
		again, err := redriven(r)
		switch {
		case errors.Is(err, form.ErrNewer):
			return err // it stays open, for a newer release
		case err != nil:
			p.unskip(SkipExpired)
			p.skip(SkipUndecodable)
			d.opts.Log.Warn("passing over a dead letter", "error", err)
		case again.ID == batch[i].ID: // or the topic was made anew, and another record is in its place
			p.unskip(SkipExpired)
			written.produce(ctx, d.opts.Out, encode(d.opts.Topics.Name(topics.Deliveries), again))
			out = append(out, batch[i])
		}
		return nil
	})
	if waited := written.wait(ctx); err == nil && waited != nil {
		err = fmt.Errorf("writing deliveries: %w", waited)
	}
	return out, err
}

// redriven is the delivery that a dead letter is put back as.
func redriven(deadLetter *kafka.Record) (*delivery.Delivery, error) {
	dead, err := decode(deadLetter)
	if err != nil {
		return nil, fmt.Errorf("reading dead letter %s: %w", position(deadLetter), err)
	}
	d := copyFor(dead, outcome.ReasonRedrive)
	d.Base, d.Parks = d.Attempts, 0
	d.First, d.Due = time.Time{}, time.Time{}
	return d, nil
}

func (d *DeadLetters) places(batch []*letter.Dead) []kafka.Place {
	places := make([]kafka.Place, len(batch))
	for i, l := range batch {
		places[i] = kafka.Place{Topic: d.opts.Topics.Name(deadTopic), Partition: l.Partition, Offset: l.Offset}
	}
	return places
}

// mark closes letters in the log.
func (d *DeadLetters) mark(ctx context.Context, batch []*letter.Dead, kind letter.MarkKind, by string) error {
	return d.close(ctx, d.opts.Out, d.opts.Topics, batch, func(l *letter.Dead) (*letter.Mark, *kafka.Record) {
		r := &kafka.Record{Headers: markHeaders(l)}
		if !l.Undecodable() {
			r.Key = []byte(l.Subscription.UUID())
		}
		of := delivery.Position{Topic: d.opts.Topics.Name(deadTopic), Partition: l.Partition, Offset: l.Offset}
		return &letter.Mark{Kind: kind, ID: l.ID, Of: of, By: by}, r
	})
}

func markHeaders(l *letter.Dead) []kafka.Header {
	out := []kafka.Header{{Key: delivery.HeaderDelivery, Value: []byte(l.ID.Base62(delivery.IDPrefix))}}
	if !l.Message.IsZero() {
		out = append(out, kafka.Header{Key: delivery.HeaderMessage, Value: []byte(l.Message.Base62(delivery.MessagePrefix))})
	}
	if !l.Tenant.IsZero() {
		out = append(out, kafka.Header{Key: delivery.HeaderTenant, Value: []byte(l.Tenant.UUID())})
	}
	return out
}

// closesLetters reports whether the delivery may have a dead letter that closes when it is delivered: it was sent by hand, or
// redriven, in which case the mark of that may be missing.
func closesLetters(d *delivery.Delivery) bool {
	switch d.Trigger.Kind {
	case delivery.TriggerResend, delivery.TriggerRecover, delivery.TriggerReplay:
		return true
	case delivery.TriggerEvent, delivery.TriggerTest:
		return d.Base > 0
	}
	return false
}

// deliveredMark is the record that closes the dead letters which a delivery had before.
func (t Topics) deliveredMark(d *delivery.Delivery) *kafka.Record {
	r := &kafka.Record{Topic: t.Name(deadTopic), Key: []byte(d.Subscription.UUID())}
	r.Headers = markHeaders(&letter.Dead{Head: letter.Head{ID: d.ID, Tenant: d.Tenant}, Message: d.Message})
	r.Headers = append(r.Headers, kafka.Header{Key: letter.HeaderMark, Value: []byte(letter.Delivered)})
	return r
}

// DeadLetter is a dead letter with what its record holds.
type DeadLetter struct {
	*letter.Dead
	// Found says that Kafka still has it; without that there is nothing else.
	Found bool
	// Delivery is nil for a record that is none.
	Delivery *delivery.Delivery
	// Detail says more about the failure, for people.
	Detail string
	// Value is the event's data, or what an undecodable record held.
	Value []byte
}

// Read returns letters with what their records hold, in their order.
func (d *DeadLetters) Read(ctx context.Context, letters []*letter.Dead) ([]DeadLetter, error) {
	out := make([]DeadLetter, len(letters))
	for i, l := range letters {
		out[i].Dead = l
	}
	err := fetchEach(ctx, d.opts.From, d.places(letters), func(i int, r *kafka.Record) error {
		now, _ := letter.ReadDead(letterRecord(r))
		if now == nil || now.ID != letters[i].ID {
			return nil
		}
		out[i].Found, out[i].Value = true, r.Value
		for _, h := range r.Headers {
			if h.Key == delivery.HeaderDetail {
				out[i].Detail = string(h.Value)
			}
		}
		if !now.Undecodable() {
			out[i].Delivery, _ = decode(r) // nil if it is none
		}
		return nil
	})
	return out, err
}
