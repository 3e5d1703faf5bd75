package flow

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/canary"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// nest is where canaries are: instances whose receivers share a service, which is away while down is set.
type nest struct {
	w     *world.World
	all   []*canary.Canary
	regs  []*prometheus.Registry
	down  atomic.Bool
	turns atomic.Int64
}

const canaryURL = "http://postrider-api:8070/canary"

// Publish writes an event as the API does; there is no Redis in this world.
func (n *nest) Publish(ctx context.Context, p pipeline.Publication) (pipeline.Published, error) {
	ev := event.Event{
		Tenant: p.Tenant.ID.UUID(), Source: delivery.PublishedSource, ID: p.EventID, Type: p.EventType, Time: time.Now(), ContentType: "application/json",
	}
	rec := &kgo.Record{Topic: n.w.Topic(topics.Events), Value: p.Payload}
	for name, v := range ev.Headers() {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: name, Value: []byte(v)})
	}
	return pipeline.Published{}, n.w.Client.ProduceSync(ctx, rec).FirstErr()
}

// answer is the service: each request goes to the next instance.
func (n *nest) answer(ctx context.Context, r *attempt.Request) attempt.Response {
	if n.down.Load() {
		return reply(503)
	}
	req := httptest.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	for _, h := range r.Header {
		req.Header.Add(h.Name, h.Value)
	}
	w := httptest.NewRecorder()
	n.all[int(n.turns.Add(1))%len(n.all)].ServeHTTP(w, req)
	return reply(w.Code)
}

// Do implements pipeline.Attempter.
func (n *nest) Do(ctx context.Context, r *attempt.Request) (attempt.Response, error) {
	start := time.Now()
	resp := n.answer(ctx, r)
	resp.Started = start
	return resp, nil
}

// figure is the sum of what all instances show of a metric: a counter by its result, a histogram by its count.
func (n *nest) figure(name, result string) (sum float64) {
	n.w.T.Helper()
	for _, reg := range n.regs {
		families, err := reg.Gather()
		require.NoError(n.w.T, err)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == name && (result == "" || m.GetLabel()[0].GetValue() == result) {
					sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()) + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

func (n *nest) events(result string) int {
	return int(n.figure("postrider_canary_events_total", result))
}

// with runs fn while canaries of so many processes run.
func (n *nest) with(instances int, fn func()) {
	conf := n.w.Conf
	err := app.WithStore(n.w.T.Context(), &conf, app.StoreUse{}, func(ctx context.Context, store *registry.Store) error {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		for i := range instances {
			reg := prometheus.NewRegistry()
			n.regs = append(n.regs, reg)
			n.all = append(n.all, canary.New(canary.Options{
				Interval: 10 * time.Second, LostAfter: time.Minute, URL: canaryURL, Instance: string(rune('a' + i)), Registry: store, Publisher: n,
				History: pipeline.Histories{Topics: pipeline.Topics{Prefix: conf.Kafka.Prefix}, From: kafka.NewReader(conf.Kafka)},
				Log:     slog.New(slog.DiscardHandler), Metrics: reg,
			}))
		}
		for _, c := range n.all {
			running.Go(func() { c.Run(ctx) })
		}
		fn()
		return nil
	})
	require.NoError(n.w.T, err)
}

// With one process and with three, whose Service gives each event to any of them, what comes through is not lost; while the
// receivers are away, what does not come through in time is, and the age rises.
func TestTheCanaryGoesTheWholeWay(t *testing.T) {
	for name, instances := range map[string]int{"one process": 1, "three processes": 3} {
		t.Run(name, func(t *testing.T) {
			world.Run(t, func(t *testing.T, w *world.World) {
				n := &nest{w: w}
				w.Start(app.Options{Attempter: n}, "router", "deliverer", "retrier")
				n.with(instances, func() {
					time.Sleep(5*time.Minute + 5*time.Second)
					require.Equal(t, instances*29, n.events("sent"), "the first interval went to the subscription")
					require.Equal(t, instances*29, n.events("received"))
					require.Equal(t, instances*29, int(n.figure("postrider_canary_latency_seconds", "")))
					require.Zero(t, n.events("lost")+n.events("failed")+n.events("refused"))
					require.Less(t, n.figure("postrider_canary_age_seconds", ""), 60*float64(instances))

					n.down.Store(true)
					time.Sleep(5 * time.Minute)
					require.Greater(t, n.figure("postrider_canary_age_seconds", ""), 290*float64(instances))
					require.InDelta(t, instances*23, n.events("lost"), float64(instances*2), "of thirty each, those of more than a minute ago")

					n.down.Store(false)
					time.Sleep(10 * time.Minute) // more than the breaker's last pause
					require.Less(t, n.figure("postrider_canary_age_seconds", ""), 120*float64(instances))
				})
				sub := w.Subscription(canary.Subscription)
				require.Equal(t, canaryURL, sub.URL)
				for _, row := range w.Outcomes() {
					require.Equal(t, canary.Tenant, row.Tenant)
					require.NotEqual(t, outcome.ResultRequest, row.Result, row.Detail)
				}
			})
		})
	}
}

func TestTheCanaryAnswersNobodyElse(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		n := &nest{w: w}
		curious := w.Subscribe("curious")
		w.Start(app.Options{Attempter: n}, "router", "deliverer")
		n.with(1, func() {
			w.Event("1", canary.EventType, "", `{"event":"a-1","sent_us":9999999999999999}`)
			time.Sleep(25 * time.Second)
			require.Positive(t, n.events("refused"), "an event of another tenant is signed with another secret")
			require.Equal(t, n.events("sent"), n.events("received"))
		})
		tried := 0
		for _, row := range w.Outcomes() {
			if row.Subscription == curious.ID {
				require.Equal(t, http.StatusUnauthorized, row.Status)
				tried++
			}
		}
		require.Positive(t, tried)
	})
}
