package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/topics"
)

// OutcomeLog finds outcomes by time; [kafka.Reader] is one. All methods may be called concurrently.
type OutcomeLog interface {
	RangeReader
	// Since returns where the records of a topic since a time start, and where they end.
	Since(ctx context.Context, topic string, at time.Time) (map[int32]kafka.Ends, error)
}

// AttemptIndex knows where the outcomes of a message are; [view.Redis] is one. All methods may be called concurrently.
type AttemptIndex interface {
	// MessageAttempts returns where the outcomes of a message are since a time, a few of others among them.
	MessageAttempts(ctx context.Context, message ident.ID, since time.Time) ([]delivery.Position, error)
	// Progress returns how much of a topic is in the index.
	Progress(ctx context.Context, topic string) ([]view.Progress, error)
}

// Histories reads what was tried of a delivery, from the outcomes topic. All methods may be called concurrently.
type Histories struct {
	Topics Topics
	From   OutcomeLog
	// Index tells where to read, and Records reads there. Without an index, and where it is away or behind, a stretch of the
	// topic is read.
	Index   AttemptIndex
	Records RecordFetcher
}

const (
	// maxHistory bounds the outcomes that are read for one delivery: some 100 MB, a second's work. A partition with more of
	// them between the first attempt and the last gives a history that is not complete.
	maxHistory = 100_000
	// historySlack is how far the clocks of writers and brokers may be apart.
	historySlack = 5 * time.Second
)

var errReadEnough = errors.New("read enough")

// history is what was tried of one delivery.
type history struct {
	d *delivery.Delivery
	// name is the delivery's id as rows have it, end a time after which none of them was written.
	name []byte
	end  time.Time
	rows []outcome.Outcome
	seen map[delivery.Key]map[int]bool
}

// Of returns the outcomes of a delivery between two times, in order, one for each distinct attempt, park or cancellation;
// and whether these are all that the log has.
func (h Histories) Of(ctx context.Context, d *delivery.Delivery, from, to time.Time) ([]outcome.Outcome, bool, error) {
	begin := from.Add(-historySlack)
	since, err := h.From.Since(ctx, h.Topics.Name(topics.Outcomes), begin)
	if err != nil {
		return nil, false, err
	}
	partition := kafka.PartitionOf([]byte(d.Subscription.UUID()), int32(len(since))) //nolint:gosec // Kafka counts them in 32 bits
	made := func() *history {
		return &history{
			d: d, name: []byte(d.ID.Base62(delivery.IDPrefix)), end: to.Add(historySlack), seen: map[delivery.Key]map[int]bool{},
		}
	}
	if found := made(); h.Index != nil && h.indexed(ctx, found, begin, partition, since[partition]) == nil {
		return found.rows, true, nil
	}
	found := made() // what was found through an index that went away is found again
	complete, err := h.scan(ctx, found, partition, since[partition].Start)
	return found.rows, complete, err
}

// errIndexBehind says that the index lacks something.
var errIndexBehind = errors.New("the index is behind")

// indexed reads what the index knows of. An error says that this may not be all.
func (h Histories) indexed(ctx context.Context, found *history, begin time.Time, partition int32, log kafka.Ends) error {
	topic := h.Topics.Name(topics.Outcomes)
	progress, err := h.Index.Progress(ctx, topic)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(progress, func(p view.Progress) bool {
		return p.Partition == partition && p.From <= log.Start && (p.Next >= log.End || p.Time.After(found.end))
	}) {
		return errIndexBehind
	}
	at, err := h.Index.MessageAttempts(ctx, found.d.Message, begin)
	if err != nil {
		return err
	}
	var places []kafka.Place
	for _, p := range at {
		if p.Partition == partition && p.Offset >= log.Start {
			places = append(places, kafka.Place(p))
		}
	}
	if len(places) > maxHistory {
		return errIndexBehind // of one message to many subscriptions; the stretch is as long at most
	}
	var records []*kafka.Record
	err = fetchEach(ctx, h.Records, places, func(_ int, r *kafka.Record) error {
		records = append(records, r)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(records, func(a, b *kafka.Record) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, r := range records {
		if !r.Timestamp.After(found.end) {
			found.add(r)
		}
	}
	if len(found.rows) == 0 {
		return errIndexBehind // it forgets messages sooner than the topic does
	}
	return nil
}

// scan reads a partition from an offset on, and reports whether it came to the end of the time.
func (h Histories) scan(ctx context.Context, found *history, partition int32, from int64) (bool, error) {
	read, complete := 0, true
	_, err := h.From.Range(ctx, h.Topics.Name(topics.Outcomes), partition, from, func(r *kafka.Record) error {
		if r.Timestamp.After(found.end) {
			return errReadEnough
		}
		if read++; read > maxHistory {
			complete = false
			return errReadEnough
		}
		found.add(r)
		return nil
	})
	if err != nil && !errors.Is(err, errReadEnough) {
		return false, fmt.Errorf("reading outcomes: %w", err)
	}
	return complete, nil
}

// add adds a row, if it is one of the delivery's and was not there before. One that nobody can read is not.
func (f *history) add(r *kafka.Record) {
	var row outcome.Outcome
	if !bytes.Contains(r.Value, f.name) || json.Unmarshal(r.Value, &row) != nil {
		return
	}
	key, ok := rowKey(&row)
	if !ok || key.Delivery != f.d.ID || f.seen[key][row.Attempt] {
		return
	}
	if f.seen[key] == nil {
		f.seen[key] = map[int]bool{}
	}
	f.seen[key][row.Attempt] = true
	f.rows = append(f.rows, row)
}
