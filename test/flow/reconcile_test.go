package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/history"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// reconcile reconciles all of the events topic.
func reconcile(w *world.World, change ...func(*history.Options)) *history.Report {
	w.T.Helper()
	opts, err := app.HistoryOptions(&w.Conf)
	require.NoError(w.T, err)
	for _, c := range change {
		c(&opts)
	}
	span, err := history.Resolve(w.T.Context(), w.Conf.Kafka, w.Topic(topics.Events), history.Bound{}, history.Bound{})
	require.NoError(w.T, err)
	report, err := history.Reconcile(w.T.Context(), opts, span)
	require.NoError(w.T, err)
	return report
}

func requireNothingFound(w *world.World, r *history.Report) {
	w.T.Helper()
	require.Empty(w.T, r.Findings)
	require.True(w.T, r.OK())
	require.Empty(w.T, r.Unprovable)
}

// tampered writes what a router or a deliverer with a fault would.
type tampered struct {
	w *world.World
}

// records reads all records of a topic.
func (f tampered) records(topic string) (out []*kgo.Record) {
	f.w.Read(topic, func(r *kgo.Record) { out = append(out, r) })
	return out
}

// pass commits a group's offset to the end of a topic, as if it had finished everything.
func (f tampered) pass(group, topic string) {
	f.w.T.Helper()
	admin := kadm.NewClient(f.w.Client)
	ends, err := admin.ListEndOffsets(f.w.T.Context(), f.w.Topic(topic))
	require.NoError(f.w.T, err)
	offsets := ends.Offsets()
	require.NoError(f.w.T, admin.CommitAllOffsets(f.w.T.Context(), f.w.Topic(group), offsets))
}

// routed writes a routed record for one offset of the events topic.
func (f tampered) routed(r *kgo.Record, version int64, expanded, unmatched int) {
	f.w.T.Helper()
	value, err := json.Marshal(pipeline.RoutedRecord{
		Version: 1, Topic: r.Topic, Partition: r.Partition, First: r.Offset, Last: r.Offset, Registry: version,
		Events: 1, Expanded: expanded, Unmatched: unmatched,
	})
	require.NoError(f.w.T, err)
	f.write(&kgo.Record{Topic: f.w.Topic(topics.Routed), Key: fmt.Appendf(nil, "%s/%d", r.Topic, r.Partition), Value: value})
}

func (f tampered) write(r *kgo.Record) {
	f.w.T.Helper()
	require.NoError(f.w.T, f.w.Client.ProduceSync(f.w.T.Context(), r).FirstErr())
}

// deliveries writes the deliveries of a source record to subscriptions, as a router would.
func (f tampered) deliveries(r *kgo.Record, version int64, subs ...*subscription.Subscription) {
	f.w.T.Helper()
	opts, err := app.HistoryOptions(&f.w.Conf)
	require.NoError(f.w.T, err)
	ev, err := pipeline.NewMatcher(opts.Router).Read(r)
	require.NoError(f.w.T, err)
	at := delivery.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	for _, sub := range subs {
		d := pipeline.Expand(ev, f.w.Tenant, sub, at, version)
		rec := &kgo.Record{Topic: f.w.Topic(topics.Deliveries), Key: []byte(sub.ID.UUID()), Value: d.Data}
		for name, value := range d.Headers() {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		f.write(rec)
	}
}

func (f tampered) version() int64 {
	f.w.T.Helper()
	view, done, err := app.OpenView(f.w.T.Context(), &f.w.Conf, nil)
	require.NoError(f.w.T, err)
	defer done()
	return view.Snapshot().Version()
}

// Every event is accounted for, whatever became of it: delivered, filtered, dead, cancelled, waiting and parked deliveries,
// rejected records and events that nobody wanted. What is not finished is said to wait, and is found delivered later.
func TestReconcileAccountsForEveryFate(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		var mended atomic.Bool
		e := newEndpoints(func(_ context.Context, url string, _ int) (attempt.Response, error) {
			switch {
			case strings.HasPrefix(url, "https://refuses."):
				return reply(404), nil
			case strings.HasPrefix(url, "https://down.") && !mended.Load():
				return reply(503), nil
			}
			return reply(200), nil
		})
		once := retryList()
		w.Subscribe("good")
		w.Subscribe("typed", func(s *subscription.Subscription) { s.EventTypes = []string{"order.*"} })
		w.Subscribe("large", func(s *subscription.Subscription) { s.Filter = `data.n > 3` })
		w.Subscribe("refuses", func(s *subscription.Subscription) { s.Retry = once })
		w.Subscribe("down", func(s *subscription.Subscription) { s.Retry = retryList(2*time.Minute, 2*time.Minute, 2*time.Minute) })
		w.Subscribe("off", func(s *subscription.Subscription) { s.Disabled = true })
		gone := w.Subscribe("gone")
		router := start(w, e, "router")
		for i := range 12 { // more than are tried before the breaker of the one that is down opens: four at a time until five have failed
			w.Event(fmt.Sprint(i), "order.created", "", fmt.Sprintf(`{"n":%d}`, i))
		}
		w.Produce("bad", []byte(`{"specversion":"1.0"}`))
		time.Sleep(5 * time.Second)
		r := reconcile(w)
		requireNothingFound(w, r)
		require.Equal(t, history.EventCounts{Records: 13, Matched: 12, Rejected: 1}, r.Events)
		require.Equal(t, history.DeliveryCounts{Expected: 68, Waiting: 68}, r.Deliveries)
		require.Equal(t, 4, r.Filtered)

		w.Put(registry.Delete(registry.Key{Kind: registry.KindSubscription, ID: gone.ID}, registry.Any))
		start(w, e, "deliverer", "retrier")
		time.Sleep(5 * time.Second)
		r = reconcile(w)
		requireNothingFound(w, r)
		require.Equal(t, history.DeliveryCounts{
			Expected: 68, Delivered: 12 + 12 + 8, Dead: 12, Cancelled: 12, Parked: r.Deliveries.Parked, Waiting: r.Deliveries.Waiting,
		}, r.Deliveries)
		require.Equal(t, 12, r.Deliveries.Parked+r.Deliveries.Waiting)
		require.Positive(t, r.Deliveries.Waiting)
		require.Positive(t, r.Deliveries.Parked)

		mended.Store(true)
		time.Sleep(5 * time.Minute)
		require.NoError(t, router.Stop())
		w.Event("late", "contact.updated", "", `{"n":1}`)
		r = reconcile(w)
		require.Empty(t, r.Findings)
		require.Equal(t, map[history.Cause]int64{history.NotRouted: 1}, r.Unprovable)
		require.Equal(t, history.DeliveryCounts{Expected: 68, Delivered: 44, Dead: 12, Cancelled: 12}, r.Deliveries)

		passes := reconcile(w, func(o *history.Options) { o.AtOnce = 10 })
		require.Greater(t, passes.Passes, 4)
		passes.Passes = r.Passes
		require.Equal(t, r, passes, "the number of passes changes nothing")

		w.Cluster.Compact() // it keeps nothing for nine days, as a broker would
		r = reconcile(w)
		require.Empty(t, r.Findings, "what is not known is not guessed")
		require.Equal(t, map[history.Cause]int64{history.NotRouted: 1, history.RegistryCompacted: 13}, r.Unprovable)
	})
}

// Subscriptions are added, edited, disabled and deleted while events are routed: each event is held against the registry as it
// was, and nothing is found. Then a hole, a missed match, a lost delivery and one too many are planted in the same range, and
// each is found where it is, and nothing else.
func TestReconcileFindsWhatIsPlanted(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(always(200))
		steady := w.Subscribe("steady")
		edited := w.Subscribe("edited", func(s *subscription.Subscription) { s.EventTypes = []string{"a"} })
		deleted := w.Subscribe("deleted")
		p := start(w, e, "router", "deliverer", "retrier")
		send := func(prefix string) {
			time.Sleep(3 * time.Second) // the router has read what was changed before
			w.Event(prefix+"-a", "a", "", `{}`)
			w.Event(prefix+"-b", "b", "", `{}`)
			time.Sleep(3 * time.Second)
		}
		send("1") // steady 2, edited 1, deleted 2
		now := w.Subscription(edited.ID)
		changed := *now
		changed.EventTypes = []string{"b"}
		w.Put(registry.PutSubscription(&changed).Anyway())
		send("2") // as before, edited the other
		w.Put(registry.Delete(registry.Key{Kind: registry.KindSubscription, ID: deleted.ID}, registry.Any))
		send("3") // steady 2, edited 1
		changed.Disabled = true
		w.Put(registry.PutSubscription(&changed).Anyway())
		send("4") // steady 2
		newest := w.Subscribe("new")
		send("5") // steady 2, new 2
		r := reconcile(w)
		requireNothingFound(w, r)
		require.Equal(t, history.DeliveryCounts{Expected: 19, Delivered: 19}, r.Deliveries)
		require.NoError(t, p.Stop())

		f := tampered{w}
		version := f.version()
		plant := func(id string) *kgo.Record {
			w.Event(id, "a", "", `{}`)
			all := f.records(topics.Events)
			for _, rec := range all {
				if strings.Contains(string(rec.Value), `"id":"`+id+`"`) {
					return rec
				}
			}
			return nil
		}
		hole := plant("hole")
		missed := plant("missed")
		f.deliveries(missed, version, steady)
		f.routed(missed, version, 2, 0)
		extra := plant("extra")
		f.deliveries(extra, version, steady, newest, edited)
		f.routed(extra, version, 3, 0)
		f.pass("router", topics.Events)

		deliverer := start(w, e, "deliverer")
		time.Sleep(5 * time.Second)
		require.NoError(t, deliverer.Stop())
		lost := plant("lost")
		f.deliveries(lost, version, steady, newest)
		f.routed(lost, version, 2, 0)
		f.pass("router", topics.Events)
		f.pass("deliverer", topics.Deliveries)
		r = reconcile(w)
		require.Equal(t, map[history.Kind]int{history.Hole: 1, history.Missed: 1, history.Extra: 1, history.Counts: 1, history.Lost: 2}, r.Found)
		byKind := map[history.Kind]history.Finding{}
		for _, found := range r.Findings {
			byKind[found.Kind] = found
		}
		at := func(kind history.Kind, rec *kgo.Record) {
			t.Helper()
			require.Equal(t, []int64{int64(rec.Partition), rec.Offset, rec.Offset},
				[]int64{int64(byKind[kind].Partition), byKind[kind].First, byKind[kind].Last}, kind)
		}
		at(history.Hole, hole)
		at(history.Missed, missed)
		at(history.Extra, extra)
		at(history.Counts, extra)
		at(history.Lost, lost)
		require.Equal(t, newest.ID.UUID(), byKind[history.Missed].Subscription)
		require.Equal(t, edited.ID.UUID(), byKind[history.Extra].Subscription)
		require.Equal(t, 1, r.Events.InHoles)
		require.Equal(t, history.DeliveryCounts{Expected: 25, Delivered: 22, Missing: 3}, r.Deliveries)
	})
}
