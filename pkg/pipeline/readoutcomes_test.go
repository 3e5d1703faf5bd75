package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// outcomesLog is a log of outcomes, and how far the views are with it.
type outcomesLog struct {
	records map[kafka.Place]*kafka.Record
	left    []kafka.Place
	end     int64
	next    int64
	away    error
	looks   int
}

func (l *outcomesLog) Fetch(_ context.Context, places []kafka.Place, _ int) (map[kafka.Place]*kafka.Record, []kafka.Place, error) {
	found := map[kafka.Place]*kafka.Record{}
	for _, p := range places {
		if rec, ok := l.records[p]; ok {
			found[p] = rec
		}
	}
	return found, l.left, l.away
}

func (l *outcomesLog) Progress(context.Context, string) ([]view.Progress, error) {
	l.looks++
	return []view.Progress{{Partition: 3, Next: l.next, Time: time.UnixMilli(1000).UTC()}}, l.away
}

func (l *outcomesLog) Ends(context.Context, string) (map[int32]kafka.Ends, error) {
	return map[int32]kafka.Ends{3: {Start: 0, End: l.end}}, nil
}

// Rows are read in the order in which they are asked for; those of another tenant, of another topic and what cannot be read
// are not there.
func TestReadOutcomes(t *testing.T) {
	tenant := ident.New()
	row := func(of ident.ID) []byte {
		o := outcome.Outcome{Tenant: of, Detail: "d"}
		return o.AppendJSON(nil)
	}
	log := &outcomesLog{records: map[kafka.Place]*kafka.Record{}}
	for offset, value := range [][]byte{row(tenant), row(ident.New()), []byte("no row"), []byte("{}"), row(tenant), row(tenant)} {
		place := kafka.Place{Topic: "p.outcomes", Partition: 3, Offset: int64(offset)}
		log.records[place] = &kafka.Record{Topic: place.Topic, Partition: 3, Offset: place.Offset, Value: value}
	}
	log.records[kafka.Place{Topic: "other", Partition: 3}] = &kafka.Record{Topic: "other", Partition: 3, Value: row(tenant)}
	log.left = []kafka.Place{{Topic: "p.outcomes", Partition: 3, Offset: 7}}
	r := NewOutcomeReader(Topics{Prefix: "p."}, log, log, log)
	at := func(offset int64) delivery.Position {
		return delivery.Position{Topic: "p.outcomes", Partition: 3, Offset: offset}
	}
	got, err := r.Read(t.Context(), tenant, []delivery.Position{at(5), at(0), at(1), at(2), at(3), at(6), at(7), {Topic: "other", Partition: 3}})
	require.NoError(t, err)
	var states []ReadState
	for _, o := range got {
		states = append(states, o.State)
		require.Equal(t, o.State == ReadFound, o.Outcome != nil)
	}
	require.Equal(t, []ReadState{
		ReadFound, ReadFound, ReadExpired, ReadExpired, ReadExpired, ReadExpired, ReadLeft, ReadExpired,
	}, states)
	require.Equal(t, at(5), got[0].Position)
	want, _ := json.Marshal(outcome.Outcome{Tenant: tenant, Detail: "d"})
	have, _ := json.Marshal(got[0].Outcome)
	require.JSONEq(t, string(want), string(have))

	log.away = errors.New("away")
	_, err = r.Read(t.Context(), tenant, []delivery.Position{at(0)})
	require.ErrorContains(t, err, "reading outcomes: away")
	none, err := r.Read(t.Context(), tenant, nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

// Who asks within a second hears what the one before heard, an error too.
func TestHowFarTheViewsAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &outcomesLog{end: 10, next: 4}
		r := NewOutcomeReader(Topics{}, log, log, log)
		for range 3 {
			got, err := r.Complete(t.Context())
			require.NoError(t, err)
			require.Equal(t, view.Completeness{To: time.UnixMilli(1000).UTC(), Behind: 6}, got)
		}
		require.Equal(t, 1, log.looks)
		log.next = 10
		time.Sleep(completeFor)
		got, err := r.Complete(t.Context())
		require.NoError(t, err)
		require.Equal(t, view.Completeness{To: time.Now().UTC()}, got)
		log.away = errors.New("away")
		time.Sleep(completeFor)
		for range 3 {
			_, err = r.Complete(t.Context())
			require.ErrorContains(t, err, "away")
		}
		require.Equal(t, 3, log.looks)
	})
}
