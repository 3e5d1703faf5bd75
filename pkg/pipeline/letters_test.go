package pipeline

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// letterTail is a TopicTail over what a broker in memory has acknowledged.
type letterTail struct {
	b     *broker
	topic string
	next  int
	// start is the first offset that the log has.
	start int64
}

func (l *letterTail) Poll(ctx context.Context, fn func(*kafka.Record)) error {
	all := l.b.acknowledged(l.topic)
	if l.next == len(all) {
		<-ctx.Done()
		return ctx.Err()
	}
	fn(all[l.next])
	l.next++
	return ctx.Err()
}

func (l *letterTail) Left(ends map[int32]kafka.Ends) int64 {
	return max(0, ends[0].End-max(ends[0].Start, int64(l.next)))
}

func (l *letterTail) Ends(context.Context) (map[int32]kafka.Ends, error) {
	return map[int32]kafka.Ends{0: {Start: l.start, End: int64(len(l.b.acknowledged(l.topic)))}}, nil
}

func (l *letterTail) Close() {}

// Fetch implements RecordFetcher: half of the places at a time, so that the rest has to be asked for again.
func (b *broker) Fetch(_ context.Context, places []kafka.Place, _ int) (map[kafka.Place]*kafka.Record, []kafka.Place, error) {
	found := map[kafka.Place]*kafka.Record{}
	half := places[:(len(places)+1)/2]
	for _, p := range half {
		for _, r := range b.acknowledged(p.Topic) {
			if r.Partition == p.Partition && r.Offset == p.Offset && !b.expired(r) {
				found[p] = r
			}
		}
	}
	return found, places[len(half):], nil
}

// expired reports whether a record was marked as one that the log has no more.
func (b *broker) expired(r *kafka.Record) bool {
	return slices.ContainsFunc(r.Headers, func(h kafka.Header) bool { return h.Key == "expired" })
}

// running starts following a topic and waits until it is read.
func running[L letter.Letter](t *testing.T, l *Letters[L]) *letter.Open[L] {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { _ = l.Run(ctx) })
	t.Cleanup(func() { cancel(); following.Wait() })
	time.Sleep(time.Minute)
	synctest.Wait()
	open, err := l.Open()
	require.NoError(t, err)
	return open
}

func offsets[L letter.Letter](open *letter.Open[L]) (out []string) {
	for l := range open.List(ident.ID{}, letter.Cursor{}, false) {
		out = append(out, letter.CursorOf(l).ID().Base62(delivery.IDPrefix))
	}
	return out
}

// bury writes the dead letters of deliveries, a second after each other.
func bury(t *testing.T, b *broker, ds ...*delivery.Delivery) {
	t.Helper()
	for _, d := range ds {
		d.Reason, d.Attempts, d.Pass = string(outcome.ReasonExhausted), 3, 5
		r := encode("deadletters", d)
		r.Headers = append(r.Headers, kafka.Header{Key: delivery.HeaderResult, Value: []byte("server_error")},
			kafka.Header{Key: delivery.HeaderStatus, Value: []byte("503")}, kafka.Header{Key: delivery.HeaderDetail, Value: []byte("503")})
		r.Timestamp = time.Now()
		require.NoError(t, produceSync(t.Context(), b, r))
		time.Sleep(time.Second)
	}
}

func deadLettersOf(b *broker, most int, subs ...*registered) *DeadLetters {
	return NewDeadLetters(DeadLettersOptions{
		Tail: func() (TopicTail, error) { return &letterTail{b: b, topic: "deadletters"}, nil }, From: b, Out: b, Registry: subs[0], Most: most,
	})
}

func TestLettersAreLoadedFirst(t *testing.T) {
	d := deadLettersOf(newBroker(t), 0, &registered{})
	_, err := d.Redrive(t.Context(), LetterWork{}, letter.DeadFilter{})
	loading, ok := errors.AsType[*LoadingError](err)
	require.True(t, ok)
	require.Equal(t, "deadletters", loading.Topic)
}

// What is redriven is written to deliveries with the pass raised, and marked; what would be cancelled stays open and is told.
// Whoever does it again, in another process, which has not heard of it, writes the same passes.
func TestRedrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		one, off, gone := subscriptionNamed("one"), subscriptionNamed("off"), subscriptionNamed("gone")
		off.Disabled = true
		reg := &registered{snap: snapshotOf(t, one, off)}
		bury(t, b, deliveryOf(one, 1), deliveryOf(off, 2), deliveryOf(gone, 3), deliveryOf(one, 4), deliveryOf(one, 5))
		b.acknowledged("deadletters")[4].Headers = append(b.acknowledged("deadletters")[4].Headers, kafka.Header{Key: "expired"})
		require.NoError(t, produceSync(t.Context(), b, &kafka.Record{
			Topic: "deadletters", Value: []byte("x"), Headers: []kafka.Header{{Key: delivery.HeaderReason, Value: []byte("undecodable")}},
		}))
		d, elsewhere := deadLettersOf(b, 0, reg), deadLettersOf(b, 0, reg)
		open := running(t, &d.Letters)
		require.Len(t, offsets(open), 6)
		skipped := map[Skip]int{SkipEndpointDisabled: 1, SkipEndpointDeleted: 1, SkipUndecodable: 1}

		p, err := d.Redrive(t.Context(), LetterWork{DryRun: true}, letter.DeadFilter{})
		require.NoError(t, err)
		require.Equal(t, 3, p.Done, "what is expired only a read can tell")
		require.Equal(t, skipped, p.Skipped)
		require.Empty(t, b.acknowledged("deliveries"))

		running(t, &elsewhere.Letters)
		stale, err := elsewhere.Open()
		require.NoError(t, err)
		p, err = d.Redrive(t.Context(), LetterWork{By: "key:k"}, letter.DeadFilter{})
		require.NoError(t, err)
		skipped[SkipExpired] = 1
		require.Equal(t, 2, p.Done)
		require.Equal(t, map[ident.ID]int{acme.ID: 2}, p.Tenants)
		require.Equal(t, skipped, p.Skipped)
		require.False(t, p.More)
		require.Len(t, offsets(open), 4, "they are closed here at once")
		for _, m := range b.acknowledged("deadletters")[6:] {
			require.Empty(t, m.Value)
			require.Equal(t, one.ID.UUID(), string(m.Key))
			_, mark := letter.ReadDead(letterRecord(m))
			require.Equal(t, letter.Redriven, mark.Kind)
			require.Equal(t, "key:k", mark.By)
		}
		time.Sleep(time.Second)
		require.Len(t, offsets(stale), 4, "and everywhere in a moment")

		late := deadLettersOf(b, 0, reg)
		late.fold = letter.NewOpen[*letter.Dead](0)
		for _, r := range b.acknowledged("deadletters")[:4] {
			late.add(late.fold, r)
		}
		_, err = late.Redrive(t.Context(), LetterWork{}, letter.DeadFilter{})
		require.NoError(t, err)
		out := b.acknowledged("deliveries")
		require.Len(t, out, 4)
		for i := range 2 {
			first, err := decode(out[i])
			require.NoError(t, err)
			second, err := decode(out[2+i])
			require.NoError(t, err)
			require.Equal(t, first.Key(), second.Key())
			require.Equal(t, 6, first.Pass)
			require.Equal(t, 3, first.Base)
		}
	})
}

// Work goes oldest first, batch by batch; whoever goes on at the cursor does what is left, and no letter that came later.
func TestWorkGoesOnAtItsCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, one := newBroker(t), subscriptionNamed("one")
		var ds []*delivery.Delivery
		for n := range 250 {
			ds = append(ds, deliveryOf(one, n))
		}
		bury(t, b, ds...)
		now := time.Now()
		bury(t, b, deliveryOf(one, 1000))
		d := deadLettersOf(b, 0, &registered{snap: snapshotOf(t, one)})
		open := running(t, &d.Letters)
		filter := letter.DeadFilter{Before: now}

		var seen []int
		w := LetterWork{Most: 120, PerSecond: 10, Progress: func(p LetterProgress) { seen = append(seen, p.Done) }}
		began := time.Now()
		p, err := d.Discard(t.Context(), w, filter)
		require.NoError(t, err)
		require.Equal(t, 120, p.Done)
		require.True(t, p.More)
		require.InDelta(t, 11, time.Since(began).Seconds(), 0.5, "the first ten at once")
		require.Len(t, seen, 12)
		require.True(t, slices.IsSorted(seen))

		ended, cancel := context.WithCancel(t.Context())
		w = LetterWork{After: p.Cursor, PerSecond: 50, Progress: func(LetterProgress) { cancel() }}
		p, err = d.Discard(ended, w, filter)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 50, p.Done)
		p, err = d.Discard(t.Context(), LetterWork{After: p.Cursor}, filter)
		require.NoError(t, err)
		require.Equal(t, 80, p.Done)
		require.Equal(t, []string{deliveryOf(one, 1000).ID.Base62("dlv_")}, offsets(open))
		require.Empty(t, b.acknowledged("deliveries"))

		p, err = d.Discard(t.Context(), LetterWork{Tenant: ident.Derive("another")}, letter.DeadFilter{IDs: []ident.ID{deliveryOf(one, 1000).ID}})
		require.NoError(t, err)
		require.Zero(t, p.Done, "it is not that tenant's")
		p, err = d.Discard(t.Context(), LetterWork{Tenant: acme.ID}, letter.DeadFilter{IDs: []ident.ID{deliveryOf(one, 1000).ID}})
		require.NoError(t, err)
		require.Equal(t, 1, p.Done)
	})
}

// When letters were left out and there is room, the topic is read again.
func TestLettersLeftOutComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, one := newBroker(t), subscriptionNamed("one")
		for n := range 6 {
			bury(t, b, deliveryOf(one, n))
		}
		d := deadLettersOf(b, 4, &registered{snap: snapshotOf(t, one)})
		open := running(t, &d.Letters)
		require.Len(t, offsets(open), 4)
		_, err := d.Discard(t.Context(), LetterWork{}, letter.DeadFilter{})
		require.NoError(t, err)
		time.Sleep(letterExpiry + time.Minute)
		open, err = d.Open()
		require.NoError(t, err)
		require.Equal(t, []string{deliveryOf(one, 0).ID.Base62("dlv_"), deliveryOf(one, 1).ID.Base62("dlv_")}, offsets(open))
	})
}

func TestReadDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, one := newBroker(t), subscriptionNamed("one")
		bury(t, b, deliveryOf(one, 1), deliveryOf(one, 2))
		b.acknowledged("deadletters")[0].Headers = append(b.acknowledged("deadletters")[0].Headers, kafka.Header{Key: "expired"})
		d := deadLettersOf(b, 0, &registered{snap: snapshotOf(t, one)})
		letters := slices.Collect(running(t, &d.Letters).List(acme.ID, letter.Cursor{}, false))
		got, err := d.Read(t.Context(), letters)
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.False(t, got[0].Found)
		require.True(t, got[1].Found)
		require.Equal(t, "503", got[1].Detail)
		require.Equal(t, `{}`, string(got[1].Value))
		require.Equal(t, "2", got[1].Delivery.EventID)
	})
}

// A delivery that was sent by hand, or redriven, closes the dead letters that it had when it is delivered, before its outcome
// says so. Others write nothing more.
func TestDeliveredClosesLetters(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*delivery.Delivery, *subscription.Subscription)
		want   []string
	}{
		"event":    {func(*delivery.Delivery, *subscription.Subscription) {}, []string{"outcomes"}},
		"redriven": {func(d *delivery.Delivery, _ *subscription.Subscription) { d.Base = 3 }, []string{"deadletters", "outcomes"}},
		"test":     {func(d *delivery.Delivery, _ *subscription.Subscription) { d.Trigger.Kind = delivery.TriggerTest }, []string{"outcomes"}},
		"resend":   {func(d *delivery.Delivery, _ *subscription.Subscription) { d.Trigger.Kind = delivery.TriggerResend }, []string{"deadletters", "outcomes"}},
		"recover":  {func(d *delivery.Delivery, _ *subscription.Subscription) { d.Trigger.Kind = delivery.TriggerRecover }, []string{"deadletters", "outcomes"}},
		"replay, not sent": {func(d *delivery.Delivery, s *subscription.Subscription) {
			d.Trigger.Kind = delivery.TriggerReplay
			s.Transformation = program(`.cancel = true`)
		}, []string{"deadletters", "outcomes"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sub, d := subscriptionNamed("one"), deliveryOf(subscriptionNamed("one"), 1)
				c.change(d, sub)
				s := newStage(t, DelivererOptions{Workers: 1}, status(200), sub)
				s.sendDelivery(d)
				synctest.Wait()
				require.Equal(t, c.want, s.b.order())
				for _, r := range s.b.acknowledged("deadletters") {
					_, mark := letter.ReadDead(letterRecord(r))
					require.Equal(t, &letter.Mark{Kind: letter.Delivered, ID: d.ID, Place: position(r)}, mark)
				}
			})
		})
	}
}

// What was rejected goes back as it came, marked; a mapping without an id gives it the identity that it had. What would be
// rejected again stays, unless it is to go back unchecked, and then it is the same record, put back once.
func TestReingest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mapping := event.Mapping{Type: "kind", Tenant: "org"}
		decoder := func(m event.Mapping) func(string) *event.Decoder {
			made, err := event.NewDecoder(event.Source{Name: "shop", Format: event.FormatJSON, Mapping: m})
			require.NoError(t, err)
			return func(topic string) *event.Decoder {
				if topic != "events" {
					return nil
				}
				return made
			}
		}
		s := newSource(t, RouterOptions{Decoder: decoder(mapping)}, subscribers(1)...)
		written := time.UnixMilli(1_700_000_000_123)
		came := &kafka.Record{
			Key: []byte("k\xff"), Value: []byte(`{"type":"contact.updated","org":"acme","n":1.0}`), Timestamp: written,
			Headers: []kafka.Header{{Key: "own", Value: []byte("1")}, {Key: "own", Value: []byte("\xff")}},
		}
		s.send(came, &kafka.Record{Value: []byte(`[`)}, &kafka.Record{Value: []byte(`{}`), Headers: make([]kafka.Header, maxCarriedHeaders)})
		time.Sleep(time.Second)
		require.Len(t, s.b.acknowledged("rejected"), 3)

		mapping.Type = "type"
		d := NewRejectedRecords(RejectedRecordsOptions{
			Tail: func() (TopicTail, error) { return &letterTail{b: s.b, topic: "rejected"}, nil }, From: s.b, Out: s.b, Decoder: decoder(mapping),
		})
		open := running(t, &d.Letters)
		want := map[Skip]int{SkipStillRejected: 1, SkipIncomplete: 1}
		p, err := d.Reingest(t.Context(), LetterWork{DryRun: true}, letter.RejectedFilter{}, false)
		require.NoError(t, err)
		require.Equal(t, 1, p.Done)
		require.Equal(t, want, p.Skipped)
		require.Empty(t, s.b.acknowledged("events"))
		p, err = d.Reingest(t.Context(), LetterWork{By: "key:k"}, letter.RejectedFilter{}, false)
		require.NoError(t, err)
		require.Equal(t, 1, p.Done)
		require.Equal(t, want, p.Skipped)

		back := s.b.acknowledged("events")[0]
		require.Equal(t, came.Key, back.Key)
		require.Equal(t, came.Value, back.Value)
		require.True(t, written.Equal(back.Timestamp))
		require.Equal(t, append(slices.Clone(came.Headers),
			kafka.Header{Key: letter.HeaderReingested, Value: []byte("events/3/0")},
			kafka.Header{Key: letter.HeaderReingestCount, Value: []byte("1")}), back.Headers)
		back.Partition, back.Offset = 7, 70
		ev, err := readEvent(decoder(mapping)("events"), back)
		require.NoError(t, err)
		require.Equal(t, "events/3/0", ev.ID, "the identity stays")
		require.True(t, written.Equal(ev.Time))

		p, err = d.Reingest(t.Context(), LetterWork{}, letter.RejectedFilter{}, true)
		require.NoError(t, err)
		require.Equal(t, 1, p.Done)
		letters, _ := open.Len()
		require.Equal(t, 1, letters, "the one that is not complete")
		again := s.b.acknowledged("events")[1]
		s.send(&kafka.Record{Value: again.Value, Headers: again.Headers})
		time.Sleep(time.Minute)
		rejected := slices.Collect(open.List(ident.ID{}, letter.Cursor{}, true))
		require.Len(t, rejected, 2)
		require.EqualValues(t, 1, rejected[0].Round, "put back, and rejected again")
		require.Equal(t, "events/3/1", rejected[0].Source.String())
		read, err := d.Read(t.Context(), rejected)
		require.NoError(t, err)
		require.Contains(t, read[0].Now, "undecodable")
		require.NotEmpty(t, read[0].Detail)
		require.Equal(t, `[`, string(read[0].Record.Value))
	})
}
