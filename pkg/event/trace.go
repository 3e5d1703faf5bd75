package event

import "strings"

// trace is a W3C trace context as it was written: traceparent and tracestate.
type trace struct{ parent, state string }

// set notes a header of a record, if it is one of a trace context.
func (t *trace) set(name string, v []byte) {
	switch name {
	case headerTraceParent:
		t.parent = string(v)
	case headerTraceState:
		t.state = string(v)
	}
}

// of gives the trace context to e if it is one. A state alone says nothing, as the recommendation has it.
func (t *trace) of(e *Event) {
	if parent := traceParent(t.parent); parent != "" {
		e.TraceParent, e.TraceState = parent, traceState(t.state)
	}
}

// traceParent returns s if it is a W3C trace context (version 00) and "" otherwise, as the recommendation asks.
func traceParent(s string) string {
	if len(s) != 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] != "00" {
		return ""
	}
	if strings.Trim(s, "0123456789abcdef-") != "" || strings.Count(s, "-") != 3 {
		return ""
	}
	return s
}

// maxTraceState is how long a tracestate may be, in bytes: what the recommendation wants to be passed on at least
// (Trace Context, section 3.3.1.5).
const maxTraceState = 512

// traceState returns s if it can be passed on, and "" otherwise. Its members are the business of those who wrote them.
func traceState(s string) string {
	if len(s) > maxTraceState || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return s
}
