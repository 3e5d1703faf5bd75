package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
)

// RejectedRecordsOptions are what [RejectedRecords] need; Log may be nil.
type RejectedRecordsOptions struct {
	Topics Topics
	// Tail opens the topic rejected from its start.
	Tail func() (TopicTail, error)
	// From reads single records of it.
	From RecordFetcher
	// Out writes to source topics, and to rejected where the record says its partition.
	Out Producer
	// Decoder returns the decoder of a source topic, the router's; nil if no source reads it.
	Decoder func(topic string) *event.Decoder
	// Most is how many open letters are kept in mind; [letter.MaxOpen] by default.
	Most int
	Log  *slog.Logger
}

// RejectedRecords knows which source records could not be read as events and were not put back yet, and puts them back. All
// methods may be called concurrently; [Letters.Run] once.
type RejectedRecords struct {
	Letters[*letter.Rejected]
	opts RejectedRecordsOptions
}

// NewRejectedRecords returns the rejected records of an installation. They are known some time after [Letters.Run] was called.
func NewRejectedRecords(opts RejectedRecordsOptions) *RejectedRecords {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &RejectedRecords{opts: opts, Letters: Letters[*letter.Rejected]{
		topic: rejectedTopic, tail: opts.Tail, read: letter.ReadRejected, most: opts.Most, log: opts.Log,
	}}
}

// Reingest puts the records that the filter lets through back into the topics they came from, oldest first, and marks each.
// Key, bytes, headers and timestamp are those they came with; two headers more say where the record was first, which stays its
// identity where a mapping names no id, and how often it was put back. One that would be rejected again as the sources are
// configured in this process is skipped, unless unchecked says to put back all.
func (d *RejectedRecords) Reingest(
	ctx context.Context, w LetterWork, filter letter.RejectedFilter, unchecked bool,
) (LetterProgress, error) {
	return d.run(ctx, w, filter.IDs, filter.Matches, func(ctx context.Context, batch []*letter.Rejected, p *LetterProgress) error {
		written, out := &acks{}, make([]*letter.Rejected, 0, len(batch))
		for range batch {
			p.skip(SkipExpired) // until it is found
		}
		err := fetchEach(ctx, d.opts.From, d.places(batch), func(i int, r *kafka.Record) error {
			now, _ := letter.ReadRejected(letterRecord(r))
			if now == nil || now.ID != batch[i].ID { // the topic was made anew, and another record is in its place
				return nil
			}
			p.unskip(SkipExpired)
			again := reingested(now, r)
			if why := d.skips(now, again, unchecked); why != "" {
				p.skip(why)
				return nil
			}
			if !w.DryRun {
				written.produce(ctx, d.opts.Out, again)
			}
			out = append(out, batch[i])
			return nil
		})
		if waited := written.wait(ctx); err == nil && waited != nil {
			err = fmt.Errorf("writing source records: %w", waited)
		}
		if err == nil && !w.DryRun {
			err = d.mark(ctx, out, w.By)
		}
		if err != nil {
			return err
		}
		for _, l := range out {
			p.done(l.Tenant)
		}
		return nil
	})
}

// skips says why a record is not put back; empty if it is.
func (d *RejectedRecords) skips(l *letter.Rejected, again *kafka.Record, unchecked bool) Skip {
	decoder := d.opts.Decoder(l.Source.Topic)
	switch {
	case decoder == nil:
		return SkipNoSource
	case l.Cut:
		return SkipIncomplete
	}
	if unchecked {
		return ""
	}
	if _, err := readEvent(decoder, again); err != nil {
		return SkipStillRejected
	}
	return ""
}

// reingested is the source record that a rejected one was made of.
func reingested(l *letter.Rejected, r *kafka.Record) *kafka.Record {
	out := &kafka.Record{Topic: l.Source.Topic, Value: r.Value, Timestamp: r.Timestamp}
	for _, h := range r.Headers {
		switch {
		case h.Key == letter.HeaderRejectKey:
			out.Key = h.Value
		case h.Key == letter.HeaderRejectTime:
			if ms, err := strconv.ParseInt(string(h.Value), 10, 64); err == nil {
				out.Timestamp = time.UnixMilli(ms)
			}
		case strings.HasPrefix(h.Key, rejectPrefix), h.Key == letter.HeaderReingested, h.Key == letter.HeaderReingestCount:
		default:
			out.Headers = append(out.Headers, h)
		}
	}
	out.Headers = append(out.Headers,
		kafka.Header{Key: letter.HeaderReingested, Value: []byte(l.Source.String())},
		kafka.Header{Key: letter.HeaderReingestCount, Value: []byte(strconv.Itoa(int(l.Round) + 1))})
	return out
}

// rejectPrefix begins the headers that the router adds to a record it rejects.
const rejectPrefix = "pr-reject-"

// sourcePosition is where a source record was read first: its identity, where a mapping names no id.
func sourcePosition(r *kafka.Record) delivery.Position {
	for _, h := range r.Headers {
		if h.Key == letter.HeaderReingested {
			return letter.Origin(position(r), string(h.Value))
		}
	}
	return position(r)
}

func (d *RejectedRecords) places(batch []*letter.Rejected) []kafka.Place {
	places := make([]kafka.Place, len(batch))
	for i, l := range batch {
		places[i] = kafka.Place{Topic: d.opts.Topics.Name(rejectedTopic), Partition: l.Partition, Offset: l.Offset}
	}
	return places
}

func (d *RejectedRecords) mark(ctx context.Context, batch []*letter.Rejected, by string) error {
	return d.close(ctx, d.opts.Out, d.opts.Topics, batch, func(l *letter.Rejected) (*letter.Mark, *kafka.Record) {
		source := []byte(l.Source.String())
		r := &kafka.Record{Key: source, Headers: []kafka.Header{{Key: letter.HeaderRejectSource, Value: source}}}
		of := delivery.Position{Topic: d.opts.Topics.Name(rejectedTopic), Partition: l.Partition, Offset: l.Offset}
		return &letter.Mark{Kind: letter.Reingested, ID: l.ID, Of: of, By: by}, r
	})
}

// RejectedRecord is a rejected record with what it holds.
type RejectedRecord struct {
	*letter.Rejected
	// Found says that Kafka still has it; without that there is nothing else.
	Found bool
	// Detail says what is wrong and what is allowed; Now what it would be rejected for today, empty if it would not.
	Detail, Now string
	// Record is as it came from the source topic, but for the two headers that putting it back adds.
	Record *kafka.Record
}

// Read returns rejected records with what they hold, in their order.
func (d *RejectedRecords) Read(ctx context.Context, letters []*letter.Rejected) ([]RejectedRecord, error) {
	out := make([]RejectedRecord, len(letters))
	for i, l := range letters {
		out[i].Rejected = l
	}
	err := fetchEach(ctx, d.opts.From, d.places(letters), func(i int, r *kafka.Record) error {
		now, _ := letter.ReadRejected(letterRecord(r))
		if now == nil || now.ID != letters[i].ID {
			return nil
		}
		out[i].Found, out[i].Record = true, reingested(now, r)
		for _, h := range r.Headers {
			if h.Key == letter.HeaderRejectDetail {
				out[i].Detail = string(h.Value)
			}
		}
		if _, err := readEvent(d.opts.Decoder(now.Source.Topic), out[i].Record); err != nil {
			out[i].Now = err.Error()
		}
		return nil
	})
	return out, err
}
