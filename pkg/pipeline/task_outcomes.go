package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/topics"
)

// OutcomeRows reads the outcomes of one subscription. [KafkaRows] reads the partition that they are in; an index that knows
// where they are may read less. All methods may be called concurrently.
type OutcomeRows interface {
	// Bounds returns an offset at or before the first outcome that was written since a time, and the end.
	Bounds(ctx context.Context, sub ident.ID, since time.Time) (kafka.Ends, error)
	// Rows calls fn for every outcome of the subscription in [bounds.Start, bounds.End), in order. Those that were deleted
	// meanwhile are left out.
	Rows(ctx context.Context, sub ident.ID, bounds kafka.Ends, fn func(offset int64, row *outcome.Outcome)) error
}

// KafkaRows is an [OutcomeRows] that needs nothing but the topic.
type KafkaRows struct {
	topic      string
	reader     LogReader
	partitions atomic.Int32 // 0 until known; it never changes
}

// NewKafkaRows returns one.
func NewKafkaRows(names Topics, reader LogReader) *KafkaRows {
	return &KafkaRows{topic: names.Name(topics.Outcomes), reader: reader}
}

// Bounds implements [OutcomeRows].
func (k *KafkaRows) Bounds(ctx context.Context, sub ident.ID, since time.Time) (kafka.Ends, error) {
	all, err := k.reader.Since(ctx, k.topic, since)
	if err != nil {
		return kafka.Ends{}, err
	}
	k.partitions.Store(int32(len(all))) //nolint:gosec // Kafka counts them in 32 bits
	return all[kafka.PartitionOf([]byte(sub.UUID()), k.partitions.Load())], nil
}

// errRangeEnd ends the reading of a stretch.
var errRangeEnd = errors.New("read up to the end of the stretch")

// Rows implements [OutcomeRows].
func (k *KafkaRows) Rows(ctx context.Context, sub ident.ID, bounds kafka.Ends, fn func(int64, *outcome.Outcome)) error {
	if k.partitions.Load() == 0 {
		if _, err := k.Bounds(ctx, sub, time.Time{}); err != nil {
			return err
		}
	}
	key := sub.UUID()
	partition := kafka.PartitionOf([]byte(key), k.partitions.Load())
	return readStretch(ctx, k.reader, k.topic, partition, bounds, func(r *kafka.Record) error {
		if string(r.Key) != key {
			return nil
		}
		row, err := outcome.Read(r.Value)
		if err != nil {
			return fmt.Errorf("reading outcome %s: %w", position(r), err)
		}
		fn(r.Offset, row)
		return nil
	})
}

// readStretch calls fn for the records in [bounds.Start, bounds.End) that the partition still has.
func readStretch(
	ctx context.Context, reader RangeReader, topic string, partition int32, bounds kafka.Ends, fn func(*kafka.Record) error,
) error {
	if bounds.Start >= bounds.End {
		return nil
	}
	_, err := reader.Range(ctx, topic, partition, bounds.Start, func(r *kafka.Record) error {
		if r.Offset >= bounds.End {
			return errRangeEnd
		}
		if err := fn(r); err != nil {
			return err
		}
		if r.Offset == bounds.End-1 {
			return errRangeEnd
		}
		return nil
	})
	if errors.Is(err, errRangeEnd) {
		return nil
	}
	return err
}

// maxTaskPart is how many items a part has at most. They are in memory, some 100 bytes each; of what is more, the log is read
// once more for each part.
const maxTaskPart = 50_000

// OutcomeWork finds the deliveries of a subscription by their last outcome: one that the task's filter lets through. That of
// a recovery lets the dead through. What follows a task is not looked at: the end of the log is fixed when it begins.
//
// A delivery is found where its last outcome is, so the cursor is an offset, and a part needs no memory of those before.
type OutcomeWork struct {
	// Decoder returns the decoder of a source topic, for filters that look at the event.
	Decoder func(topic string) *event.Decoder
	Rows    OutcomeRows
	Records RecordFetcher

	most int // items of a part, maxTaskPart if 0
}

var _ TaskWork = (*OutcomeWork)(nil)

// outcomeCursor is the stretch of outcomes that is left.
type outcomeCursor struct {
	Next int64 `json:"next"`
	End  int64 `json:"end"`
}

// Begin implements [TaskWork].
func (w *OutcomeWork) Begin(ctx context.Context, t *task.Task) (json.RawMessage, error) {
	// A row is written after its attempt began, so none of a later attempt is before it.
	bounds, err := w.Rows.Bounds(ctx, t.Subscription, t.Filter.Since)
	if err != nil {
		return nil, err
	}
	return json.Marshal(outcomeCursor{bounds.Start, bounds.End})
}

// Find implements [TaskWork]: it collects the first deliveries that the filter lets through, and reads on to the end to
// drop those that have a later outcome. A later one that the filter lets through is of a later part.
func (w *OutcomeWork) Find(ctx context.Context, t *task.Task) (TaskPart, error) {
	var c outcomeCursor
	if err := json.Unmarshal(t.Cursor, &c); err != nil {
		return TaskPart{}, fmt.Errorf("reading cursor: %w", err)
	}
	most := w.most
	setDefault(&most, maxTaskPart)
	found, next, names := map[ident.ID]TaskItem{}, c.End, interned{}
	err := w.Rows.Rows(ctx, t.Subscription, kafka.Ends{Start: c.Next, End: c.End}, func(offset int64, row *outcome.Outcome) {
		id, err := ident.ParseBase62(delivery.IDPrefix, row.Delivery)
		if err != nil {
			return
		}
		delete(found, id)
		if offset >= next || !t.Wants(row) {
			return
		}
		if len(found) == most {
			next = offset
			return
		}
		item := TaskItem{Delivery: id, Record: names.place(row.Record), Offset: offset}
		if t.Filter.OfEvent() {
			item.Event = names.place(row.Source)
		}
		found[id] = item
	})
	if err != nil {
		return TaskPart{}, err
	}
	part := TaskPart{Items: make([]TaskItem, 0, len(found)), Last: next == c.End}
	for _, item := range found {
		part.Items = append(part.Items, item)
	}
	slices.SortFunc(part.Items, func(a, b TaskItem) int { return cmp.Compare(a.Offset, b.Offset) })
	part.Next, err = json.Marshal(outcomeCursor{next, c.End})
	return part, err
}

// interned keeps one copy of each topic's name.
type interned map[string]string

func (n interned) place(p delivery.Position) kafka.Place {
	name, ok := n[p.Topic]
	if !ok {
		name = p.Topic
		n[name] = name
	}
	return kafka.Place{Topic: name, Partition: p.Partition, Offset: p.Offset}
}

// After implements [TaskWork].
func (*OutcomeWork) After(cursor json.RawMessage, item TaskItem) (json.RawMessage, error) {
	var c outcomeCursor
	if err := json.Unmarshal(cursor, &c); err != nil {
		return nil, fmt.Errorf("reading cursor: %w", err)
	}
	c.Next = item.Offset + 1
	return json.Marshal(c)
}

// Load implements [TaskWork].
func (w *OutcomeWork) Load(ctx context.Context, t *task.Task, items []TaskItem) ([]TaskDelivery, error) {
	places := func(i TaskItem) []kafka.Place { return []kafka.Place{i.Record} }
	if t.Filter.OfEvent() {
		places = func(i TaskItem) []kafka.Place { return []kafka.Place{i.Record, i.Event} }
	}
	found, n, err := fetchItems(ctx, w.Records, items, places)
	if err != nil {
		return nil, err
	}
	made := make([]TaskDelivery, n)
	for i, item := range items[:n] {
		if t.Filter.OfEvent() && !w.passes(t, found[item.Event]) {
			made[i].Skip = true
			continue
		}
		if rec := found[item.Record]; rec != nil {
			made[i].Delivery = againIf(rec, item.Delivery, triggerOf(t))
		}
	}
	return made, nil
}

// passes reports whether the filter lets the event of a source record through. What cannot be read any more has no channel.
func (w *OutcomeWork) passes(t *task.Task, rec *kafka.Record) bool {
	if rec == nil {
		return false
	}
	ev, err := readEvent(w.Decoder(rec.Topic), rec)
	return err == nil && t.Filter.Event(ev.Channels, tagsOf(rec))
}

// triggerOf is the trigger of what a task sends: of all its deliveries the same, so that one written twice is sent once.
func triggerOf(t *task.Task) delivery.Trigger {
	kind := delivery.TriggerReplay
	if t.Kind == task.Recover {
		kind = delivery.TriggerRecover
	}
	return delivery.Trigger{Kind: kind, ID: t.ID.UUID()}
}

// maxTaskBytes is how much of deliveries is in memory at a time, for each task at work, but for the last ones read.
const maxTaskBytes = 8 << 20

// fetchItems reads the records of the first items, one at least, and returns them and how many items they are of.
func fetchItems(
	ctx context.Context, from RecordFetcher, items []TaskItem, places func(TaskItem) []kafka.Place,
) (map[kafka.Place]*kafka.Record, int, error) {
	for {
		var wanted []kafka.Place
		for _, item := range items {
			wanted = append(wanted, places(item)...)
		}
		found, left, err := from.Fetch(ctx, wanted, maxTaskBytes)
		if err != nil {
			return nil, 0, err
		}
		later := map[kafka.Place]bool{}
		for _, p := range left {
			later[p] = true
		}
		n := slices.IndexFunc(items, func(item TaskItem) bool {
			return slices.ContainsFunc(places(item), func(p kafka.Place) bool { return later[p] })
		})
		switch {
		case n < 0:
			return found, len(items), nil
		case n > 0:
			return found, n, nil
		case len(items) == 1:
			return nil, 0, errors.New("the reader did not get to the one delivery it was asked for")
		}
		items = items[:1] // the first one was not among what it got to
	}
}
