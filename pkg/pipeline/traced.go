package pipeline

import "github.com/postrider/postrider/pkg/sign"

// Header fields of a W3C trace context.
const (
	traceParentHeader = "Traceparent"
	traceStateHeader  = "Tracestate"
)

// traceContext appends the trace context to the header of an attempt, if the profile wants endpoints to have it: that of the
// attempt's span or, of one that is not traced, the event's own.
func (c *candidate) traceContext(header []sign.Header) []sign.Header {
	if !c.profile.TraceContext {
		return header
	}
	parent, state := c.span.Context()
	if parent == "" {
		parent, state = c.d.TraceParent, c.d.TraceState
	}
	if parent != "" {
		header = append(header, sign.Header{Name: traceParentHeader, Value: parent})
	}
	if state != "" {
		header = append(header, sign.Header{Name: traceStateHeader, Value: state})
	}
	return header
}
