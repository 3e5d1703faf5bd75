package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/task"
)

// LetterTasks redrives or discards the open dead letters that a task's filter lets through, oldest first. What dies after the
// task was begun is not among them. What cannot be redriven is not found: records that are no delivery, and letters of endpoints
// that are deleted or disabled.
//
// The mark follows the delivery, so that a kill in between loses nothing: the next owner finds the delivery written, does not
// write it again, and marks its letter. A mark that is there twice changes nothing.
type LetterTasks struct {
	Letters *DeadLetters

	most int // items of a part, maxTaskPart if 0
}

var (
	_ TaskWork   = LetterTasks{}
	_ TaskCloser = LetterTasks{}
)

// letterCursor is what is left: the letters beyond a place that were written before a time.
type letterCursor struct {
	After string    `json:"after,omitempty"`
	Until time.Time `json:"until"`
}

func readLetterCursor(text json.RawMessage) (c letterCursor, after letter.Cursor, err error) {
	if err := json.Unmarshal(text, &c); err != nil {
		return c, after, fmt.Errorf("reading cursor: %w", err)
	}
	after, err = letter.ParseCursor(c.After)
	return c, after, err
}

// Begin implements [TaskWork].
func (LetterTasks) Begin(context.Context, *task.Task) (json.RawMessage, error) {
	return json.Marshal(letterCursor{Until: time.Now().UTC()})
}

// Find implements [TaskWork].
func (w LetterTasks) Find(ctx context.Context, t *task.Task) (TaskPart, error) {
	c, after, err := readLetterCursor(t.Cursor)
	if err != nil {
		return TaskPart{}, err
	}
	open, err := w.open(ctx)
	if err != nil {
		return TaskPart{}, err
	}
	most := w.most
	setDefault(&most, maxTaskPart)
	part := TaskPart{Last: true}
	topic := w.Letters.opts.Topics.Name(deadTopic)
	for l := range open.Select(t.Tenant, t.Letters.IDs, after) {
		if !t.Letters.Matches(l) || !l.Time().Before(c.Until) || w.skips(t, l) != "" {
			continue
		}
		if part.Last = len(part.Items) < most; !part.Last {
			break
		}
		part.Items = append(part.Items, TaskItem{
			Delivery: l.ID, Record: kafka.Place{Topic: topic, Partition: l.Partition, Offset: l.Offset}, Offset: l.At,
		})
	}
	if part.Next = t.Cursor; len(part.Items) > 0 {
		part.Next, err = w.After(t.Cursor, part.Items[len(part.Items)-1])
	}
	return part, err
}

// open waits until the letters are read: that may take minutes, and is no reason to fail.
func (w LetterTasks) open(ctx context.Context) (*letter.Open[*letter.Dead], error) {
	for {
		open, err := w.Letters.Open()
		if _, loading := errors.AsType[*LoadingError](err); !loading {
			return open, err
		}
		if !pause(ctx, letterPause) {
			return nil, context.Cause(ctx)
		}
	}
}

// skips says why a letter is left as it is; empty if it is not.
func (w LetterTasks) skips(t *task.Task, l *letter.Dead) Skip {
	if t.Kind == task.DiscardLetters {
		return ""
	}
	return w.Letters.skips(w.Letters.opts.Registry.Snapshot(), l)
}

// After implements [TaskWork].
func (LetterTasks) After(cursor json.RawMessage, item TaskItem) (json.RawMessage, error) {
	c, _, err := readLetterCursor(cursor)
	if err != nil {
		return nil, err
	}
	c.After = letter.CursorAt(item.Offset, item.Delivery).String()
	return json.Marshal(c)
}

// Load implements [TaskWork]. What was closed meanwhile is nobody's any more.
func (w LetterTasks) Load(ctx context.Context, t *task.Task, items []TaskItem) ([]TaskDelivery, error) {
	found, n := map[kafka.Place]*kafka.Record{}, len(items)
	if t.Kind == task.RedriveLetters {
		var err error
		if found, n, err = fetchItems(ctx, w.Letters.opts.From, items, func(i TaskItem) []kafka.Place { return []kafka.Place{i.Record} }); err != nil {
			return nil, err
		}
	}
	made := make([]TaskDelivery, n)
	for i, item := range items[:n] {
		l, err := w.still(item)
		switch {
		case err != nil:
			return nil, err
		case l == nil || w.skips(t, l) != "":
			made[i].Skip = true
		case t.Kind == task.DiscardLetters:
			made[i].Done = true
		case found[item.Record] != nil:
			made[i].Delivery = w.redriven(found[item.Record], item)
		}
	}
	return made, nil
}

// redriven is the delivery of a letter; nil if it cannot be read, or is another, because its topic was made anew.
func (w LetterTasks) redriven(r *kafka.Record, item TaskItem) *delivery.Delivery {
	d, err := redriven(r)
	if err != nil {
		w.Letters.opts.Log.Warn("passing over a dead letter", "error", err)
		return nil
	}
	if d.ID != item.Delivery {
		return nil
	}
	return d
}

// still returns the letter of an item; nil if that is not open any more.
func (w LetterTasks) still(item TaskItem) (*letter.Dead, error) {
	open, err := w.Letters.Open()
	if err != nil {
		return nil, err
	}
	l, ok := open.Get(item.Delivery)
	if !ok || l.Partition != item.Record.Partition || l.Offset != item.Record.Offset {
		return nil, nil //nolint:nilnil // said above
	}
	return l, nil
}

// Close implements [TaskCloser]: it marks the letters.
func (w LetterTasks) Close(ctx context.Context, t *task.Task, items []TaskItem) error {
	var batch []*letter.Dead
	for _, item := range items {
		l, err := w.still(item)
		if err != nil {
			return err
		}
		if l != nil {
			batch = append(batch, l)
		}
	}
	kind := letter.Redriven
	if t.Kind == task.DiscardLetters {
		kind = letter.Discarded
	}
	return w.Letters.mark(ctx, batch, kind, letterActor(t.By))
}

// letterActor is who closes a letter, as its mark has it.
func letterActor(by audit.Actor) string { return by.Kind + ":" + by.ID }
