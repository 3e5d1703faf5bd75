package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/tracing"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// traced is a world whose spans, and those of a producer, are kept.
type traced struct {
	spans *tracetest.InMemoryExporter
	log   lockedBuffer
	opts  app.Options
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func newTraced(s tracing.Sampling, e *endpoints) *traced {
	tr := &traced{spans: tracetest.NewInMemoryExporter()}
	tr.opts = app.Options{
		Attempter: e, Tracer: tracing.New(s, sdk.WithSyncer(tr.spans)), Log: slog.New(slog.NewJSONHandler(&tr.log, nil)),
	}
	return tr
}

// produce sends an event as a producer does that is traced by franz-go's own plugin.
func (tr *traced) produce(w *world.World, id string, sampler sdk.Sampler) {
	w.T.Helper()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(tr.spans), sdk.WithSampler(sampler))
	hooks := kotel.NewKotel(kotel.WithTracer(kotel.NewTracer(
		kotel.TracerProvider(provider), kotel.TracerPropagator(propagation.TraceContext{}))))
	client, err := kafka.NewClient(w.Conf.Kafka, kgo.WithHooks(hooks.Hooks()...))
	require.NoError(w.T, err)
	defer client.Close()
	state, err := trace.ParseTraceState("shop=1")
	require.NoError(w.T, err)
	parent := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{0xab, 15: byte(len(id))}, SpanID: trace.SpanID{7}, TraceState: state, Remote: true,
	})
	value, err := json.Marshal(map[string]any{"specversion": "1.0", "id": id, "source": "test", "type": "contact.updated", "tenant": "acme", "data": 1})
	require.NoError(w.T, err)
	require.NoError(w.T, client.ProduceSync(trace.ContextWithRemoteSpanContext(w.T.Context(), parent), &kgo.Record{
		Topic: w.Topic(topics.Events), Value: value,
		Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}},
	}).FirstErr())
}

// named returns the spans of a name, in the order in which they ended.
func (tr *traced) named(name string) (found tracetest.SpanStubs) {
	for _, s := range tr.spans.GetSpans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

func attribute(s tracetest.SpanStub, name string) string {
	for _, kv := range s.Attributes {
		if string(kv.Key) == name {
			return kv.Value.String()
		}
	}
	return ""
}

func failingTimes(times int) func(context.Context, string, int) (attempt.Response, error) {
	return func(_ context.Context, _ string, n int) (attempt.Response, error) {
		if n <= times {
			return reply(500), nil
		}
		return reply(200), nil
	}
}

func TestOneTraceFromTheProducerToTheSecondRetry(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		tr := newTraced(tracing.Sampling{FollowParent: true}, newEndpoints(failingTimes(2)))
		sub := w.Subscribe("one", func(s *subscription.Subscription) { s.Retry = retryList(5*time.Second, 65*time.Second) })
		w.Start(tr.opts, "router", "deliverer", "retrier")
		tr.produce(w, "e", sdk.AlwaysSample())
		until(t, 2*time.Minute, func() bool { return len(tr.named("POST")) == 3 })

		produced := tr.named("postrider.events publish")
		require.Len(t, produced, 1)
		routed := tr.named("process postrider.events")
		require.Len(t, routed, 1)
		require.Equal(t, produced[0].SpanContext.SpanID(), routed[0].Parent.SpanID())
		tries := tr.named("POST")
		short, long := tr.named("wait postrider.retry.5s"), tr.named("wait postrider.retry.30s")
		require.Len(t, short, 1)
		require.Len(t, long, 2, "the second retry, and what it had left")
		for _, s := range tr.spans.GetSpans() {
			require.Equal(t, produced[0].SpanContext.TraceID(), s.SpanContext.TraceID(), s.Name)
			require.Equal(t, "shop=1", s.SpanContext.TraceState().String(), s.Name)
		}
		for i, s := range tries {
			require.Equal(t, routed[0].SpanContext.SpanID(), s.Parent.SpanID())
			require.Equal(t, []string{"500", "500", "200"}[i], attribute(s, "http.response.status_code"))
			require.Equal(t, []string{"1", "2", "3"}[i], attribute(s, "postrider.attempt"))
			require.Equal(t, sub.ID.UUID(), attribute(s, "postrider.subscription"))
			require.Equal(t, w.Tenant.ID.UUID(), attribute(s, "postrider.tenant"))
		}
		require.Empty(t, tries[0].Links)
		linked := func(s, to tracetest.SpanStub) {
			require.Len(t, s.Links, 1, s.Name)
			require.Equal(t, to.SpanContext.SpanID(), s.Links[0].SpanContext.SpanID(), s.Name)
		}
		linked(tries[1], tries[0])
		linked(tries[2], tries[1])
		linked(short[0], tries[0])
		linked(long[0], tries[1])
		linked(long[1], tries[1])
		require.InDelta(t, 30, long[0].EndTime.Sub(long[0].StartTime).Seconds(), 1)
		require.InDelta(t, 35, long[1].EndTime.Sub(long[1].StartTime).Seconds(), 1, "the last five seconds in memory")
		tr.log.mu.Lock()
		defer tr.log.mu.Unlock()
		for _, s := range tries {
			require.Contains(t, tr.log.b.String(), `"trace_id":"`+s.SpanContext.TraceID().String()+`","span_id":"`+s.SpanContext.SpanID().String()+`"`)
		}
	})
}

func TestATenantIsTracedByItsOwnRatio(t *testing.T) {
	for name, c := range map[string]struct {
		ratio    float64
		producer sdk.Sampler
	}{
		"never":  {0, sdk.AlwaysSample()},
		"always": {1, sdk.NeverSample()},
	} {
		t.Run(name, func(t *testing.T) {
			world.Run(t, func(t *testing.T, w *world.World) {
				e := newEndpoints(failingTimes(1))
				tr := newTraced(tracing.Sampling{Ratio: 1 - c.ratio, FollowParent: true, Tenants: []tracing.TenantRatio{{Tenant: "acme", Ratio: c.ratio}}}, e)
				w.Subscribe("one", func(s *subscription.Subscription) { s.Retry = retryList(time.Second) })
				w.Start(tr.opts, "router", "deliverer", "retrier")
				tr.produce(w, "e", c.producer)
				until(t, time.Minute, func() bool { return w.Lag("deliverer", topics.Deliveries) == 0 && e.total() == 2 })
				require.Len(t, tr.named("process postrider.events"), int(c.ratio))
				require.Len(t, tr.named("POST"), 2*int(c.ratio))
				require.Len(t, tr.named("wait postrider.retry.1s"), int(c.ratio))
				w.Read(topics.Deliveries, func(r *kgo.Record) {
					headers := map[string]string{}
					for _, h := range r.Headers {
						headers[h.Key] = string(h.Value)
					}
					require.Equal(t, c.ratio == 1, headers[delivery.HeaderTrace] != "")
					require.NotEmpty(t, headers[delivery.HeaderTraceParent], "the event's own goes along")
				})
			})
		})
	}
}

// What an endpoint gets is the profile's choice. Without one that wants it, no trace leaves.
func TestEndpointsGetTheTraceWhereTheProfileSaysSo(t *testing.T) {
	own, err := configs.Profiles.ReadFile("profiles/standard.yaml")
	require.NoError(t, err)
	dir := t.TempDir()
	text := strings.Replace(string(own), "name: standard", "name: open\ntraceContext: true", 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "open.yaml"), []byte(text), 0o600))
	world.Run(t, func(t *testing.T, w *world.World) {
		w.Conf.ProfilesDir = dir
		e := newEndpoints(always(200))
		tr := newTraced(tracing.Sampling{FollowParent: true}, e)
		w.Subscribe("closed")
		open := w.Subscribe("open", func(s *subscription.Subscription) { s.Profile = "open" })
		w.Start(tr.opts, "router", "deliverer")
		tr.produce(w, "e", sdk.AlwaysSample())
		until(t, time.Minute, func() bool { return e.total() == 2 })
		tr.produce(w, "e2", sdk.NeverSample())
		until(t, time.Minute, func() bool { return e.total() == 4 })
		e.mu.Lock()
		defer e.mu.Unlock()
		for i, h := range e.hits {
			parent := h.header.Get("traceparent")
			switch {
			case h.url != open.URL:
				require.Empty(t, parent)
				require.Empty(t, h.header.Get("tracestate"))
			case i < 2:
				require.Equal(t, "shop=1", h.header.Get("tracestate"))
				var ids []string
				for _, s := range tr.named("POST") {
					if attribute(s, "postrider.subscription") == open.ID.UUID() {
						ids = append(ids, "00-"+s.SpanContext.TraceID().String()+"-"+s.SpanContext.SpanID().String()+"-01")
					}
				}
				require.Equal(t, []string{parent}, ids, "the attempt's span")
			default:
				require.Regexp(t, "^00-ab.*-00$", parent, "of what is not traced, the event's own")
			}
		}
	})
}
