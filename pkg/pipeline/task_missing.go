package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/topics"
)

// MissingWork finds the events of the source topics that a subscription would receive now and that were never attempted for
// it. Operational events are not among them.
//
// An event may not be attempted yet because the router or the deliverer has not come to it. What the router has not, it
// expands for the subscription as it is now, so it is left to it: the ends of the source topics are those of the router's
// commits. What the deliverer has not, is in deliveries above its commit.
type MissingWork struct {
	Topics   Topics
	Registry Registry
	Reader   LogReader
	Rows     OutcomeRows
	Records  RecordFetcher
	// Decoder returns the decoder of a source topic, the router's; nil of other topics.
	Decoder func(topic string) *event.Decoder
	// Router and Deliverer are the names of the consumer groups.
	Router, Deliverer string

	filters filter.Cache
	most    int // items of a part, maxTaskPart if 0
}

var _ TaskWork = (*MissingWork)(nil)

// missingCursor is what is left of the source topics, in their order, and where it is looked for what was attempted.
type missingCursor struct {
	Sources  []missingSource `json:"sources"`
	Outcomes kafka.Ends      `json:"outcomes"`
	// Waiting is the stretch of the subscription's partition of deliveries that may not have been attempted.
	Partition int32      `json:"partition"`
	Waiting   kafka.Ends `json:"waiting"`
}

type missingSource struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	kafka.Ends
}

const (
	// missingSkew is how far the clocks of those who write events and outcomes may be apart.
	missingSkew = time.Hour
	// routerWait is how long a task waits for the router to come to where the source topics end when it begins: as long as
	// a failover. What it has not come to then it will expand itself.
	routerWait = 30 * time.Second
	routerPoll = 250 * time.Millisecond
)

// Begin implements [TaskWork]. The order matters: what is below a commit is in what is read after it.
func (w *MissingWork) Begin(ctx context.Context, t *task.Task) (json.RawMessage, error) {
	sub, ok := w.Registry.Snapshot().Subscription(t.Subscription)
	if !ok {
		return nil, errNoEndpoint
	}
	c := missingCursor{}
	var err error
	if c.Sources, err = w.sources(ctx, t.Filter.Since); err != nil {
		return nil, err
	}
	attempted, err := w.Reader.Committed(ctx, w.Deliverer)
	if err != nil {
		return nil, err
	}
	name := w.Topics.Name(topics.Deliveries)
	ends, err := w.Reader.Since(ctx, name, time.Time{})
	if err != nil {
		return nil, err
	}
	c.Partition = kafka.PartitionOf([]byte(sub.ID.UUID()), int32(len(ends))) //nolint:gosec // Kafka counts them in 32 bits
	c.Waiting = ends[c.Partition]
	c.Waiting.Start = max(c.Waiting.Start, attempted[name][c.Partition])
	since := t.Filter.Since
	if sub.Created.After(since) {
		since = sub.Created
	}
	if c.Outcomes, err = w.Rows.Bounds(ctx, sub.ID, since.Add(-missingSkew)); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

// sources returns the stretches of the source topics that the router has expanded.
func (w *MissingWork) sources(ctx context.Context, since time.Time) ([]missingSource, error) {
	operational := w.Topics.Name(topics.Operational)
	names, err := w.Reader.Topics(ctx, func(topic string) bool { return topic != operational && w.Decoder(topic) != nil })
	if err != nil {
		return nil, err
	}
	var all []missingSource
	for _, name := range names {
		ends, err := w.Reader.Since(ctx, name, since)
		if err != nil {
			return nil, err
		}
		for _, p := range slices.Sorted(maps.Keys(ends)) {
			if ends[p].Start < ends[p].End {
				all = append(all, missingSource{name, p, ends[p]})
			}
		}
	}
	for limit := time.Now().Add(routerWait); ; {
		routed, err := w.Reader.Committed(ctx, w.Router)
		if err != nil {
			return nil, err
		}
		behind := func(s missingSource) bool { return routed[s.Topic][s.Partition] < s.End }
		if !slices.ContainsFunc(all, behind) {
			return all, nil
		}
		if !time.Now().Before(limit) {
			for i, s := range all {
				all[i].End = min(s.End, routed[s.Topic][s.Partition])
			}
			return slices.DeleteFunc(all, func(s missingSource) bool { return s.Start >= s.End }), nil
		}
		if !pause(ctx, routerPoll) {
			return nil, context.Cause(ctx)
		}
	}
}

// missing is an event of which it is not known yet whether it was attempted.
type missing struct {
	TaskItem
	// cancelled: its last outcome says so, and nothing was attempted. waiting: its last outcome says that it will be.
	cancelled, waiting bool
}

// Find implements [TaskWork]: it collects events from the source topics and takes away what was attempted or will be.
func (w *MissingWork) Find(ctx context.Context, t *task.Task) (TaskPart, error) {
	var c missingCursor
	if err := json.Unmarshal(t.Cursor, &c); err != nil {
		return TaskPart{}, fmt.Errorf("reading cursor: %w", err)
	}
	found, order, err := w.collect(ctx, t, &c)
	if err != nil || len(found) == 0 {
		return w.end(TaskPart{}, &c, err)
	}
	err = w.Rows.Rows(ctx, t.Subscription, c.Outcomes, func(_ int64, row *outcome.Outcome) {
		id, _ := ident.ParseBase62(delivery.IDPrefix, row.Delivery)
		m := found[id]
		switch {
		case m == nil:
		case row.Verdict == outcome.Cancelled:
			m.cancelled, m.waiting = true, false
		case row.Verdict == outcome.Parked && !row.Attempted():
			m.cancelled, m.waiting = false, true
		default:
			delete(found, id)
		}
	})
	if err != nil {
		return TaskPart{}, err
	}
	key := t.Subscription.UUID()
	err = readStretch(ctx, w.Reader, w.Topics.Name(topics.Deliveries), c.Partition, c.Waiting, func(r *kafka.Record) error {
		if string(r.Key) != key {
			return nil
		}
		if d, err := decode(r); err == nil && found[d.ID] != nil && !found[d.ID].cancelled {
			delete(found, d.ID)
		}
		return nil
	})
	part := TaskPart{}
	for _, id := range order {
		if m := found[id]; m != nil && !m.waiting {
			part.Items = append(part.Items, m.TaskItem)
		}
	}
	return w.end(part, &c, err)
}

func (*MissingWork) end(part TaskPart, c *missingCursor, err error) (TaskPart, error) {
	if err != nil {
		return TaskPart{}, err
	}
	part.Last = len(c.Sources) == 0
	part.Next, err = json.Marshal(c)
	return part, err
}

// collect reads on in the source topics and returns the next events that the subscription would receive, and their order.
func (w *MissingWork) collect(ctx context.Context, t *task.Task, c *missingCursor) (map[ident.ID]*missing, []ident.ID, error) {
	most := w.most
	setDefault(&most, maxTaskPart)
	found, order := map[ident.ID]*missing{}, []ident.ID{}
	var in filter.Input
	for len(c.Sources) > 0 && len(found) < most {
		s := &c.Sources[0]
		err := readStretch(ctx, w.Reader, s.Topic, s.Partition, s.Ends, func(r *kafka.Record) error {
			s.Start = r.Offset + 1
			if id, ok := w.wants(t, r, &in); ok && found[id] == nil {
				found[id] = &missing{TaskItem: TaskItem{
					Delivery: id, Record: kafka.Place{Topic: s.Topic, Partition: s.Partition, Offset: r.Offset}, Offset: r.Offset,
				}}
				order = append(order, id)
			}
			if len(found) == most {
				return errRangeEnd
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		if len(found) < most || s.Start >= s.End {
			c.Sources = c.Sources[1:]
		}
	}
	return found, order, nil
}

// wants returns the delivery of a source record to the task's subscription, if that would receive it now.
func (w *MissingWork) wants(t *task.Task, r *kafka.Record, in *filter.Input) (ident.ID, bool) {
	if !t.Filter.Within(r.Timestamp) {
		return ident.ID{}, false
	}
	ev, err := readEvent(w.Decoder(r.Topic), r)
	if err != nil || !t.Filter.Type(ev.Type) || !t.Filter.Event(ev.Channels, tagsOf(r)) {
		return ident.ID{}, false
	}
	tenant, sub, err := w.subscription(t)
	if err != nil {
		return ident.ID{}, false
	}
	of, ok := w.Registry.Snapshot().ResolveTenant(ev.Tenant)
	if !ok || of.ID != tenant.ID || !match.Covers(tenant.EventTypes, ev.Type) || !match.Covers(sub.EventTypes, ev.Type) {
		return ident.ID{}, false
	}
	in.Reset(ev)
	if selection, _ := Select(sub, ev, in, &w.filters); selection != Selected {
		return ident.ID{}, false
	}
	return delivery.ID(delivery.MessageID(tenant.ID, ev.Source, ev.ID), sub.ID), true
}

// subscription returns what the task is about, as it is now.
func (w *MissingWork) subscription(t *task.Task) (*subscription.Tenant, *subscription.Subscription, error) {
	snap := w.Registry.Snapshot()
	sub, ok := snap.Subscription(t.Subscription)
	tenant, ok2 := snap.Tenant(t.Tenant)
	if !ok || !ok2 {
		return nil, nil, errNoEndpoint
	}
	return tenant, sub, nil
}

// After implements [TaskWork].
func (*MissingWork) After(cursor json.RawMessage, item TaskItem) (json.RawMessage, error) {
	var c missingCursor
	if err := json.Unmarshal(cursor, &c); err != nil {
		return nil, fmt.Errorf("reading cursor: %w", err)
	}
	i := slices.IndexFunc(c.Sources, func(s missingSource) bool {
		return s.Topic == item.Record.Topic && s.Partition == item.Record.Partition
	})
	if i < 0 {
		return nil, fmt.Errorf("%s/%d is not among what the task reads", item.Record.Topic, item.Record.Partition)
	}
	c.Sources = c.Sources[i:]
	c.Sources[0].Start = item.Offset + 1
	return json.Marshal(c)
}

// Load implements [TaskWork].
func (w *MissingWork) Load(ctx context.Context, t *task.Task, items []TaskItem) ([]TaskDelivery, error) {
	tenant, sub, err := w.subscription(t)
	if err != nil {
		return nil, err
	}
	found, n, err := fetchItems(ctx, w.Records, items, func(i TaskItem) []kafka.Place { return []kafka.Place{i.Record} })
	if err != nil {
		return nil, err
	}
	made := make([]TaskDelivery, n)
	for i, item := range items[:n] {
		rec := found[item.Record]
		if rec == nil {
			continue
		}
		ev, err := readEvent(w.Decoder(rec.Topic), rec)
		if err != nil {
			continue
		}
		d := Expand(ev, tenant, sub, position(rec), max(tenant.Version, sub.Version))
		if d.ID != item.Delivery {
			continue
		}
		d.Trigger = triggerOf(t)
		made[i].Delivery = d
	}
	return made, nil
}
