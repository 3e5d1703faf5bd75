package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// outcomeLog has its rows at one a second.
type outcomeLog struct{ *broker }

func (l outcomeLog) Since(_ context.Context, topic string, at time.Time) (map[int32]kafka.Ends, error) {
	all := l.acknowledged(topic)
	start := slices.IndexFunc(all, func(r *kafka.Record) bool { return !r.Timestamp.Before(at) })
	if start < 0 {
		start = len(all)
	}
	return map[int32]kafka.Ends{0: {Start: int64(start), End: int64(len(all))}}, nil
}

// The history of a delivery are its rows within the time, each once, and nobody else's.
func TestHistory(t *testing.T) {
	b, one := newBroker(t), subscriptionNamed("one")
	mine, start := deliveryOf(one, 1), time.Unix(1_750_000_000, 0)
	for i := range 100 {
		row := &outcome.Outcome{Delivery: mine.ID.Base62(delivery.IDPrefix), Trigger: delivery.TriggerEvent, Attempt: i / 2}
		if i%4 > 1 {
			row.Detail, row.Delivery = row.Delivery, deliveryOf(one, 2).ID.Base62(delivery.IDPrefix)
		}
		b.add("outcomes", "", row)
		b.acknowledged("outcomes")[i].Timestamp = start.Add(time.Duration(i) * time.Second)
	}
	h := Histories{From: outcomeLog{b}}
	rows, complete, err := h.Of(t.Context(), mine, start.Add(20*time.Second), start.Add(30*time.Second))
	require.NoError(t, err)
	require.True(t, complete)
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprint(r.Attempt))
	}
	require.Equal(t, "8 10 12 14 16", strings.Join(got, " "))
}

// attemptIndex is an AttemptIndex that knows all outcomes, so far.
type attemptIndex struct {
	*broker
	progress []view.Progress
	away     error
	asked    int
}

func (x *attemptIndex) Progress(context.Context, string) ([]view.Progress, error) {
	return x.progress, nil
}

func (x *attemptIndex) MessageAttempts(context.Context, ident.ID, time.Time) (out []delivery.Position, err error) {
	x.asked++
	for _, r := range x.acknowledged("outcomes") {
		out = append(out, position(r))
	}
	return out, x.away
}

// unread is an OutcomeLog that counts the stretches which are read.
type unread struct {
	outcomeLog
	stretches int
}

func (u *unread) Range(ctx context.Context, topic string, p int32, from int64, fn func(*kafka.Record) error) (kafka.Ends, error) {
	u.stretches++
	return u.outcomeLog.Range(ctx, topic, p, from, fn)
}

// A history is read where the index says; if that is away, or may lack something, a stretch of the topic is.
func TestHistoryByTheIndex(t *testing.T) {
	b, one, start := newBroker(t), subscriptionNamed("one"), time.Unix(1_750_000_000, 0)
	mine := deliveryOf(one, 1)
	for i := range 20 {
		of := deliveryOf(one, 1+i%2)
		b.add("outcomes", "", &outcome.Outcome{Delivery: of.ID.Base62(delivery.IDPrefix), Trigger: delivery.TriggerEvent, Attempt: i})
		b.acknowledged("outcomes")[i].Timestamp = start.Add(time.Duration(10*i) * time.Second)
	}
	for name, c := range map[string]struct {
		index     attemptIndex
		stretches int
	}{
		"it has all":                     {attemptIndex{progress: []view.Progress{{From: 0, Next: 20}}}, 0},
		"it has all of the time":         {attemptIndex{progress: []view.Progress{{From: 4, Next: 15, Time: start.Add(140 * time.Second)}}}, 0},
		"it is behind":                   {attemptIndex{progress: []view.Progress{{Next: 9, Time: start.Add(80 * time.Second)}}}, 1},
		"it has lost the beginning":      {attemptIndex{progress: []view.Progress{{From: 12, Next: 20}}}, 1},
		"it never read the partition":    {attemptIndex{progress: []view.Progress{{Partition: 1, Next: 20}}}, 1},
		"it goes away when it is needed": {attemptIndex{progress: []view.Progress{{Next: 20}}, away: errors.New("Redis is away")}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			index, log := c.index, &unread{outcomeLog: outcomeLog{b}}
			index.broker = b
			h := Histories{From: log, Index: &index, Records: b}
			rows, complete, err := h.Of(t.Context(), mine, start.Add(60*time.Second), start.Add(100*time.Second))
			require.NoError(t, err)
			require.True(t, complete)
			var got []int
			for _, r := range rows {
				got = append(got, r.Attempt)
			}
			require.Equal(t, []int{6, 8, 10}, got)
			require.Equal(t, c.stretches, log.stretches)
		})
	}
}
