package tracing

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/subscription"
)

// Attributes of Postrider's own. Those that OpenTelemetry has names for have those.
const (
	keyTenant       = attribute.Key("postrider.tenant")       // UUID
	keySubscription = attribute.Key("postrider.subscription") // UUID
	keyDelivery     = attribute.Key("postrider.delivery")     // dlv_…
	keyMessage      = attribute.Key("postrider.message")      // msg_…
	keyEventType    = attribute.Key("postrider.event_type")
	keyDeliveries   = attribute.Key("postrider.deliveries") // how many were made
	keyFiltered     = attribute.Key("postrider.filtered")   // how many were not, because of channels and filters
	keyAttempt      = attribute.Key("postrider.attempt")    // counts from 1 under its trigger
	keyTrigger      = attribute.Key("postrider.trigger")
	keyResult       = attribute.Key("postrider.result")
	keyVerdict      = attribute.Key("postrider.verdict")
	keyReason       = attribute.Key("postrider.reason")
)

// Span is one that is being made. The nil Span is of what is not traced: all its methods do nothing. It is for one goroutine
// at a time.
type Span struct{ span trace.Span }

// start begins a span at the given time, now if that is zero.
func (t *Tracer) start(parent trace.SpanContext, name string, opts ...trace.SpanStartOption) *Span {
	_, span := t.spans.Start(trace.ContextWithRemoteSpanContext(context.Background(), parent), name, opts...)
	return &Span{span}
}

// Route begins the span of an event's way through the router to the subscriptions of a tenant, if it is to be traced.
func (t *Tracer) Route(ev *event.Event, tenant *subscription.Tenant, at delivery.Position) *Span {
	if t == nil {
		return nil
	}
	parent := contextOf(ev.TraceParent)
	if !t.sampling.takes(tenant, parent) {
		return nil
	}
	return t.start(withState(parent, ev.TraceState), "process "+at.Topic, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		semconv.MessagingSystemKafka, semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("process"),
		semconv.MessagingDestinationName(at.Topic), semconv.MessagingKafkaOffset(int(at.Offset)),
		semconv.MessagingDestinationPartitionID(number(int64(at.Partition))),
		keyTenant.String(tenant.ID.UUID()), keyEventType.String(ev.Type),
		keyMessage.String(delivery.MessageID(tenant.ID, ev.Source, ev.ID).Base62(delivery.MessagePrefix)),
	))
}

// Trace makes d a delivery of the routed event.
func (s *Span) Trace(d *delivery.Delivery) {
	if s != nil {
		d.Trace = traceParent(s.span.SpanContext())
	}
}

// Routed ends the span of [Tracer.Route].
func (s *Span) Routed(deliveries, filtered int) {
	if s == nil {
		return
	}
	s.span.SetAttributes(keyDeliveries.Int(deliveries), keyFiltered.Int(filtered))
	s.span.End()
}

// Waited makes the span of a delivery's stay in a retry topic, which is over.
func (t *Tracer) Waited(d *delivery.Delivery, topic string, from, to time.Time) {
	if t == nil || d.Trace == "" {
		return
	}
	parent := withState(contextOf(d.Trace), d.TraceState)
	s := t.start(parent, "wait "+topic, trace.WithTimestamp(from), linked(parent, d.Span), trace.WithAttributes(
		semconv.MessagingSystemKafka, semconv.MessagingDestinationName(topic), keyReason.String(d.Reason),
	), of(d))
	s.span.End(trace.WithTimestamp(to))
}

// of are the attributes of whatever is about a delivery.
func of(d *delivery.Delivery) trace.SpanStartOption {
	return trace.WithAttributes(
		keyTenant.String(d.Tenant.UUID()), keySubscription.String(d.Subscription.UUID()),
		keyDelivery.String(d.ID.Base62(delivery.IDPrefix)), keyMessage.String(d.Message.Base62(delivery.MessagePrefix)),
		keyEventType.String(d.EventType), keyTrigger.String(string(d.Trigger.Kind)),
	)
}

// LogAttrs are for log lines about what the span is of.
func (s *Span) LogAttrs() []slog.Attr {
	if s == nil {
		return nil
	}
	c := s.span.SpanContext()
	return []slog.Attr{slog.String("trace_id", c.TraceID().String()), slog.String("span_id", c.SpanID().String())}
}

// Context is the span's W3C trace context: traceparent, and tracestate if there is one. Both are empty for the nil Span.
func (s *Span) Context() (parent, state string) {
	if s == nil {
		return "", ""
	}
	c := s.span.SpanContext()
	return traceParent(c), c.TraceState().String()
}
