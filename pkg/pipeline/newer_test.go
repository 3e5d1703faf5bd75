package pipeline

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/task"
)

// newer makes a record of a delivery one that a later release wrote, in a form of which this one knows nothing but the version.
func newer(r *kafka.Record) *kafka.Record {
	r.Key = []byte("another key")
	r.Headers = append(r.Headers, kafka.Header{Key: delivery.HeaderDue, Value: []byte("soon")},
		kafka.Header{Key: delivery.HeaderVersion, Value: []byte("3")})
	return r
}

const whyNewer = "record version 3 is newer than this release understands"

func TestANewerDeliveryIsLeftToItsNextOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{}, status(200), sub)
		s.send(encode("deliveries", deliveryOf(sub, 0)), newer(encode("deliveries", deliveryOf(sub, 1))), encode("deliveries", deliveryOf(sub, 2)))
		synctest.Wait()
		require.Len(t, s.b.acknowledged("outcomes"), 2, "what was read beside it is sent")
		require.Empty(t, s.b.acknowledged("deadletters"))
		require.Contains(t, s.p.Halted(), "offset 1: "+whyNewer)
		c, _ := s.p.Tracker().Commit()
		require.EqualValues(t, 1, c.Offset)
		require.True(t, c.Finished.Contains(2))
		s.requireNoFailure()
	})
}

func TestANewerRetryIsLeftToItsNextOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTierWorld(t, 1000)
		w.put(newer(encode("retry.1s", deliveryOf(subscriptionNamed("one"), 0))))
		w.write(1, time.Now().Add(time.Second))
		w.pass(3 * time.Second)
		require.Len(t, w.b.acknowledged("deliveries"), 1, "what was read beside it comes due")
		require.Contains(t, w.logs["retry.1s"].p.Halted(), whyNewer)
		require.Equal(t, 1, w.inFlight())
		require.NoError(t, w.err.get())
	})
}

func TestTheStateOfANewerOwnerIsNotTakenUp(t *testing.T) {
	sub := subscriptionNamed("one")
	row := rowOf(sub, 1, 0, outcome.Retry, outcome.ResultServerError, time.Now())
	row.Version = 3
	for key, value := range map[string]any{
		sub.ID.UUID():                  stateRecord{Version: 3, Breaker: gate.State{Trips: 1}},
		sub.ID.UUID() + disabledSuffix: disabledRecord{Version: 3, Generation: 1},
		checkpointPrefix + "0":         map[string]any{"version": 3, "folded": "otherwise"},
		"":                             row,
	} {
		b, topic := newBroker(t), "endpoint-states"
		if key == "" {
			key, topic = sub.ID.UUID(), "outcomes"
		}
		b.add(topic, key, value)
		d := NewDeliverer(DelivererOptions{}, &registered{snap: snapshotOf(t, sub), confirmed: time.Now},
			profilesForTest(t), status(200), b, b, func(err error) { t.Error(err) })
		err := d.Assign(kafka.NewPartition(t.Context(), "deliveries", 0, nil))
		require.ErrorIs(t, err, form.ErrNewer, "%s %s", topic, key)
		require.Empty(t, d.owned, "%s %s", topic, key)
	}
}

func TestTheRecorderLeavesNewerRowsToItsNextOwner(t *testing.T) {
	p := newPublishing(t)
	r := p.recorder(t)
	records := outcomeRecords(t, 10)
	records[4].Value = []byte(`{"version":3,"at":"some day"}`)
	status, err := json.Marshal(outcome.Status{Version: 3})
	require.NoError(t, err)
	for topic, records := range map[string][]*kafka.Record{
		"outcomes": records, "statuses": {{Topic: "statuses", Partition: 3, Value: status}},
	} {
		part := p.assigned(t, r, topic, records)
		require.Eventually(t, func() bool { return part.Halted() != "" }, time.Minute, time.Millisecond, "%s", topic)
		require.Contains(t, part.Halted(), whyNewer, "%s", topic)
		require.Zero(t, finished(part), "%s", topic)
	}
	require.InDelta(t, 0, figure(t, r.opts.Metrics.unreadableRows), 0)
}

// A task that a newer release took over is not carried on here from where it was.
func TestANewerTaskIsNobodysHere(t *testing.T) {
	l := NewTaskLog(Topics{}, 1, nil, nil, nil)
	one := &task.Task{Version: task.Version, ID: ident.New(), Kind: task.Recover, Status: task.Running}
	fold := func(offset int64, version string) {
		text, err := json.Marshal(one)
		require.NoError(t, err)
		value := fmt.Appendf(nil, `{"version":%s,%s`, version, text[len(`{"version":1,`):])
		l.fold(&kafka.Record{Offset: offset, Key: []byte(one.Key()), Value: value})
	}
	known := func() bool { _, ok := l.get(one.ID); return ok }
	fold(0, "1")
	require.True(t, known())
	fold(1, "2")
	require.False(t, known())
	fold(2, "1")
	require.True(t, known(), "it was given back")
}
