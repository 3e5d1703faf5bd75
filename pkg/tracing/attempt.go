package tracing

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/outcome"
)

// Attempt begins the span of an attempt at the given time, if its delivery is traced.
func (t *Tracer) Attempt(d *delivery.Delivery, at time.Time) *Span {
	if t == nil || d.Trace == "" {
		return nil
	}
	parent := withState(contextOf(d.Trace), d.TraceState)
	return t.start(parent, "HTTP", trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(at), linked(parent, d.Span), of(d))
}

// Sends says what is sent, as the semantic conventions for HTTP clients have it: body is its length in bytes. The URL may hold
// anything; query, userinfo and fragment are left out.
func (s *Span) Sends(method, address string, body int) {
	if s == nil {
		return
	}
	s.span.SetName(method)
	s.span.SetAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.HTTPRequestBodySize(body))
	u, err := url.Parse(address)
	if err != nil {
		return
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if n, err := strconv.Atoi(port); err == nil {
		s.span.SetAttributes(semconv.ServerPort(n))
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	s.span.SetAttributes(semconv.ServerAddress(u.Hostname()), semconv.URLFull(u.String()))
}

// Tried ends the span of an attempt, whose outcome is row. Proto is that of the response, HTTP/1.1 or HTTP/2.0.
func (s *Span) Tried(row *outcome.Outcome, proto string) {
	if s == nil {
		return
	}
	s.span.SetAttributes(keyAttempt.Int(row.Attempt), keyResult.String(string(row.Result)), keyVerdict.String(string(row.Verdict)),
		keyReason.String(string(row.Reason)))
	if row.Attempt > 1 {
		s.span.SetAttributes(semconv.HTTPRequestResendCount(row.Attempt - 1))
	}
	if row.Status != 0 {
		s.span.SetAttributes(semconv.HTTPResponseStatusCode(row.Status))
		if _, version, ok := strings.Cut(proto, "/"); ok {
			s.span.SetAttributes(semconv.NetworkProtocolVersion(strings.TrimSuffix(version, ".0")))
		}
	}
	s.judge(row)
	took := time.Duration(row.DurationMS * float64(time.Millisecond))
	s.span.End(trace.WithTimestamp(row.At.Add(took)))
}

// judge marks what went wrong. The detail of a response is its status, which stands there already.
func (s *Span) judge(row *outcome.Outcome) {
	switch {
	case row.Result == outcome.ResultSuccess:
	case row.Status != 0:
		s.span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(row.Status)))
		s.span.SetStatus(codes.Error, "")
	default:
		s.span.SetAttributes(semconv.ErrorTypeKey.String(string(row.Result)))
		s.span.SetStatus(codes.Error, row.Detail)
	}
}

// Last makes the span the last attempt of d, which is about to be written.
func (s *Span) Last(d *delivery.Delivery) {
	if s != nil {
		d.Span = s.span.SpanContext().SpanID().String()
	}
}

// GivenUp ends the span of an attempt of which nobody knows how it went; it is repeated.
func (s *Span) GivenUp() {
	if s == nil {
		return
	}
	s.span.SetStatus(codes.Error, "given up: the partition has another owner")
	s.span.End()
}
