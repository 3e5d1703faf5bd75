package tracing

import (
	"strconv"

	"go.opentelemetry.io/otel/trace"
)

// lengths of the parts of a traceparent of version 00 (Trace Context, section 3.2.2): 00-trace-span-flags.
const (
	traceAt, traceEnd = 3, 35
	spanAt, spanEnd   = 36, 52
	flagsAt, flagsEnd = 53, 55
)

// contextOf reads a traceparent; one that is none gives the context that is not valid.
func contextOf(parent string) trace.SpanContext {
	if len(parent) != flagsEnd {
		return trace.SpanContext{}
	}
	traceID, err := trace.TraceIDFromHex(parent[traceAt:traceEnd])
	if err != nil {
		return trace.SpanContext{}
	}
	spanID, err := trace.SpanIDFromHex(parent[spanAt:spanEnd])
	if err != nil {
		return trace.SpanContext{}
	}
	flags, err := strconv.ParseUint(parent[flagsAt:flagsEnd], 16, 8)
	if err != nil {
		return trace.SpanContext{}
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags), Remote: true,
	})
}

// withState adds a tracestate to c. One that is none is left out.
func withState(c trace.SpanContext, state string) trace.SpanContext {
	states, err := trace.ParseTraceState(state)
	if err != nil || state == "" {
		return c
	}
	return c.WithTraceState(states)
}

// traceParent writes the traceparent of c.
func traceParent(c trace.SpanContext) string {
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// linked links to another span of the trace; an empty id links to none.
func linked(in trace.SpanContext, span string) trace.SpanStartOption {
	id, err := trace.SpanIDFromHex(span)
	if err != nil {
		return trace.WithLinks()
	}
	return trace.WithLinks(trace.Link{SpanContext: in.WithSpanID(id)})
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
