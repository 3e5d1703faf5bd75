package tracing

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

var (
	acme = &subscription.Tenant{ID: ident.Derive("test", "acme"), UID: "acme"}
	at   = time.Date(2026, 2, 1, 8, 30, 0, 0, time.UTC)
)

func newEvent() *event.Event {
	return &event.Event{Tenant: "acme", Source: "s", ID: "1", Type: "contact.updated", TraceParent: sampledParent, TraceState: "p=1", Data: []byte(`"HUSH"`)}
}

func newDelivery() *delivery.Delivery {
	sub := ident.Derive("test", "sub")
	msg := delivery.MessageID(acme.ID, "s", "1")
	return &delivery.Delivery{
		ID: delivery.ID(msg, sub), Message: msg, Subscription: sub, Tenant: acme.ID, EventType: "contact.updated", Reason: "failed",
		Trigger: delivery.Trigger{Kind: delivery.TriggerEvent}, TraceParent: sampledParent, TraceState: "p=1", Data: []byte(`"HUSH"`),
	}
}

func texts(kvs []attribute.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range kvs {
		out[string(kv.Key)] = kv.Value.String()
	}
	return out
}

func TestSpansOfAnAttempt(t *testing.T) {
	const address = "https://hidden:hush@hooks.example.com:8443/in?token=hush#hush"
	for name, c := range map[string]struct {
		row     outcome.Outcome
		proto   string
		want    map[string]string
		status  codes.Code
		details string
	}{
		"delivered": {
			outcome.Outcome{Attempt: 1, Result: outcome.ResultSuccess, Status: 204, Verdict: outcome.Delivered, Reason: outcome.ReasonDelivered},
			"HTTP/2.0",
			map[string]string{"http.response.status_code": "204", "network.protocol.version": "2", "postrider.verdict": "delivered"},
			codes.Unset, "",
		},
		"refused": {
			outcome.Outcome{Attempt: 3, Result: outcome.ResultServerError, Status: 503, Verdict: outcome.Retry, Reason: outcome.ReasonFailed},
			"HTTP/1.1",
			map[string]string{
				"http.response.status_code": "503", "network.protocol.version": "1.1", "error.type": "503", "http.request.resend_count": "2",
				"postrider.result": "server_error",
			},
			codes.Error, "",
		},
		"no answer": {
			outcome.Outcome{Attempt: 1, Result: outcome.ResultTimeout, Verdict: outcome.Dead, Reason: outcome.ReasonExhausted, Detail: "timed out"},
			"",
			map[string]string{"error.type": "timeout", "postrider.reason": "exhausted"},
			codes.Error, "timed out",
		},
	} {
		t.Run(name, func(t *testing.T) {
			exporter := tracetest.NewInMemoryExporter()
			tracer := New(Sampling{FollowParent: true}, sdk.WithSyncer(exporter))
			d := newDelivery()
			routed := tracer.Route(newEvent(), acme, delivery.Position{Topic: "events", Partition: 3, Offset: 42})
			routed.Trace(d)
			routed.Routed(1, 2)
			s := tracer.Attempt(d, at)
			s.Sends("POST", address, 7)
			row := c.row
			row.At, row.DurationMS = at, 1500
			s.Tried(&row, c.proto)

			spans := exporter.GetSpans()
			require.Len(t, spans, 2)
			route, attempt := spans[0], spans[1]
			require.Equal(t, "process events", route.Name)
			require.Equal(t, "00f067aa0ba902b7", route.Parent.SpanID().String(), "the producer's span")
			require.Subset(t, texts(route.Attributes), map[string]string{
				"messaging.system": "kafka", "messaging.destination.name": "events", "messaging.destination.partition.id": "3",
				"messaging.kafka.offset": "42", "postrider.deliveries": "1", "postrider.filtered": "2", "postrider.tenant": acme.ID.UUID(),
			})
			require.Equal(t, "POST", attempt.Name)
			require.Equal(t, route.SpanContext.SpanID(), attempt.Parent.SpanID())
			require.Equal(t, "p=1", attempt.SpanContext.TraceState().String())
			require.Equal(t, []time.Time{at, at.Add(1500 * time.Millisecond)}, []time.Time{attempt.StartTime, attempt.EndTime})
			require.Equal(t, c.status, attempt.Status.Code)
			require.Equal(t, c.details, attempt.Status.Description)
			got := texts(attempt.Attributes)
			require.Subset(t, got, c.want)
			require.Subset(t, got, map[string]string{
				"http.request.method": "POST", "url.full": "https://hooks.example.com:8443/in", "server.address": "hooks.example.com",
				"server.port": "8443", "http.request.body.size": "7", "postrider.subscription": d.Subscription.UUID(), "postrider.tenant": acme.ID.UUID(),
			})
			for _, s := range spans {
				for key, value := range texts(s.Attributes) {
					require.NotContains(t, value, "hush", key)
					require.NotContains(t, value, "HUSH", key)
				}
			}
		})
	}
}

func TestTheNextAttemptLinksToTheLast(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracer := New(Sampling{FollowParent: true}, sdk.WithSyncer(exporter))
	d := newDelivery()
	tracer.Route(newEvent(), acme, delivery.Position{Topic: "events"}).Trace(d)
	first := tracer.Attempt(d, at)
	first.Last(d)
	first.GivenUp()
	tracer.Waited(d, "retry.5s", at, at.Add(5*time.Second))
	tracer.Attempt(d, at).GivenUp()
	spans := exporter.GetSpans()
	require.Len(t, spans, 3)
	for i, s := range spans {
		require.Equal(t, spans[0].Parent, s.Parent, "all are children of the router's")
		if i > 0 {
			require.Len(t, s.Links, 1)
			require.Equal(t, spans[0].SpanContext.SpanID(), s.Links[0].SpanContext.SpanID())
			require.Equal(t, spans[0].SpanContext.TraceID(), s.Links[0].SpanContext.TraceID())
		}
	}
	require.Equal(t, "wait retry.5s", spans[1].Name)
	require.Equal(t, 5*time.Second, spans[1].EndTime.Sub(spans[1].StartTime))
}

// everything does what is done of a delivery that is sent.
func everything(t *Tracer, ev *event.Event, d *delivery.Delivery, row *outcome.Outcome) {
	routed := t.Route(ev, acme, d.Source)
	routed.Trace(d)
	routed.Routed(1, 0)
	s := t.Attempt(d, at)
	s.Sends("POST", "https://hooks.example.com/in", 7)
	_, _ = s.Context()
	_ = s.LogAttrs()
	s.Last(d)
	s.Tried(row, "HTTP/1.1")
	t.Waited(d, "retry.5s", at, at)
}

func TestWhatIsNotTracedAllocatesNothing(t *testing.T) {
	row := &outcome.Outcome{Attempt: 1, At: at, Result: outcome.ResultSuccess}
	for name, c := range map[string]struct {
		tracer *Tracer
		ev     *event.Event
		none   bool
	}{
		"off":                        {nil, newEvent(), true},
		"on, and the producer's not": {New(Sampling{Ratio: 1, FollowParent: true}), &event.Event{TraceParent: unsampledParent, TraceState: "p=1"}, true},
		"on, and the tenant never":   {New(Sampling{Ratio: 1, Tenants: []TenantRatio{{"acme", 0}}}), newEvent(), true},
		"on, and the ratio 0":        {New(Sampling{}), &event.Event{}, true},
		"traced":                     {New(Sampling{Ratio: 1}), newEvent(), false},
	} {
		d := newDelivery()
		n := testing.AllocsPerRun(100, func() { everything(c.tracer, c.ev, d, row) })
		require.Equal(t, c.none, n == 0, "%s: %g allocations", name, n)
		require.Equal(t, c.none, d.Trace == "" && d.Span == "", name)
		require.NoError(t, c.tracer.Close(t.Context()))
	}
}

func BenchmarkDelivery(b *testing.B) {
	row := &outcome.Outcome{Attempt: 1, At: at, Result: outcome.ResultSuccess}
	for _, c := range []struct {
		name   string
		tracer *Tracer
	}{
		{"off", nil},
		{"untraced", New(Sampling{Tenants: []TenantRatio{{"acme", 0}}})},
		{"traced", New(Sampling{Ratio: 1})},
	} {
		b.Run(c.name, func(b *testing.B) {
			ev, d := newEvent(), newDelivery()
			b.ReportAllocs()
			for b.Loop() {
				everything(c.tracer, ev, d, row)
			}
		})
	}
}
