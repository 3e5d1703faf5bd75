// Package attempt makes one HTTP request for a delivery and says what it came to: a value of outcome.Result, whatever
// the endpoint does. Redirects are not followed, nothing is sent again, nothing is read without a bound, and when the
// deadline passes the caller has its answer.
//
// Requests go over connections of pkg/egress, in the words of pkg/wire or, to endpoints that are busy or have nothing else, over HTTP/2
// by pkg/h2. DESIGN.md says why there are several ways, and what keeps them safe.
package attempt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/sign"
)

// MaxBody is how much of a response body is read: 64 KiB. A longer one costs the connection.
const MaxBody = 64 << 10

// Request is what is sent.
type Request struct {
	// Method is POST if empty.
	Method string
	URL    string
	// Header is sent as written, in the order of its names. It must not hold what frames a request or its connection, nor
	// Idempotency-Key: Go's transport sends such requests twice.
	Header []sign.Header
	// Body must not be changed any more, nor go back to a pool: over HTTP/2 it may still be written when the endpoint has answered
	// already.
	Body []byte
	// Timeout bounds the whole attempt, from DNS to the last byte read; 0 is [DefaultTimeout].
	Timeout time.Duration
	// Authorizer gives the Authorization header, which Header must not hold then; nil for none.
	Authorizer Authorizer
	// TLS is the subscription's own client certificate and authorities; nil for none.
	TLS *egress.TLS
}

// Authorizer gives the Authorization header of attempts whose credentials do not last. It is called once before the
// request, with refused empty, and once more if the endpoint answers 401: then refused is the value it did not like,
// and another value has the request sent again, once. The attempt's deadline holds for all of it.
type Authorizer interface {
	// Authorize returns the header's value. It blocks until ctx ends at the latest, and returns ctx's error then; its other
	// errors become the detail of outcome.ResultAuthorization.
	Authorize(ctx context.Context, refused string) (string, error)
}

// DefaultTimeout is Standard Webhooks' lower recommendation.
const DefaultTimeout = 15 * time.Second

// Response is what came of it.
type Response struct {
	// Result classifies the attempt: by status if the response was complete, else by what went wrong.
	Result outcome.Result
	// Status is the HTTP status, also of a response whose body was cut off; 0 without one.
	Status int
	// Detail says in words what went wrong; empty for complete responses. It holds no secret, no path and no query.
	Detail string
	// RetryAfter is what the endpoint asked for, from the end of the attempt; 0 without.
	RetryAfter time.Duration
	// Disable is the response header webhook-delivery: disable.
	Disable bool
	// AbortMessage is the response header webhook-delivery: abort-message: no more tries of this delivery.
	AbortMessage bool
	// Body is the start of the response body, at most [MaxBody].
	Body []byte
	// Truncated means that there was more.
	Truncated bool
	Started   time.Time
	// Duration is from Started to the last byte read.
	Duration time.Duration
	// Timings are of the connection that was opened for the attempt; zero if it was a kept one.
	Timings egress.Timings
	// FirstByte is from Started to the first byte of the response, the last one if there was another before an authorizer
	// was asked once more; 0 without one.
	FirstByte time.Duration
	// Headers is the response's header as far as it is kept; see [outcome.AppendHeader].
	Headers outcome.Headers
	// HeadersTruncated means that some fields are not in Headers, HeadersRedacted that some values are not.
	HeadersTruncated, HeadersRedacted bool
	// Proto is HTTP/1.1 or HTTP/2.0; empty without a response.
	Proto string
}

// Client makes attempts. It is safe for concurrent use and holds nothing that needs closing.
type Client struct {
	transport http.RoundTripper
	direct    *egress.Transport // nil if transport is something else
	targets   targets
	exchanges sync.Pool // of *exchange
	now       func() time.Time
}

// Option changes a [Client].
type Option func(*Client)

// WithClock replaces time.Now as the source of Started and Duration and the reference of Retry-After dates.
func WithClock(now func() time.Time) Option { return func(c *Client) { c.now = now } }

// New returns a client that sends through rt, which is an egress.Transport outside tests: over its connections, and through
// the transport itself where they do not do. Any other is sent through as it is.
func New(rt http.RoundTripper, opts ...Option) *Client {
	c := &Client{transport: rt, now: time.Now}
	c.direct, _ = rt.(*egress.Transport)
	c.exchanges.New = func() any { return &exchange{now: c.now} }
	for _, o := range opts {
		o(c)
	}
	return c
}

// Do makes one attempt. It blocks for at most the request's timeout. The error is not nil only if ctx ended first:
// then nobody knows whether the endpoint took the delivery, and the response says nothing.
func (c *Client) Do(ctx context.Context, r *Request) (Response, error) {
	res := Response{Started: c.now()}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	t := try{client: c, request: r, deadline: time.Now().Add(timeout)}
	err := t.make(ctx, &res)
	t.end()
	end := c.now()
	res.Duration = end.Sub(res.Started)
	if err == nil {
		return res, nil
	}
	// The attempt's own deadline is looked at first: a caller that gives up in the same moment must not turn a
	// timeout, which is known, into something unknown.
	switch at := t.at(err); {
	case errors.As(err, new(*requestError)):
		res.Result, res.Detail = outcome.ResultRequest, detail(err)
	case !time.Now().Before(t.deadline):
		res.Result = outcome.ResultTimeout
		res.Detail = fmt.Sprintf("timed out after %s while %s", timeout, phaseOf(err, at))
	case ctx.Err() != nil:
		return res, fmt.Errorf("attempt given up while %s: %w", at, context.Cause(ctx))
	case errors.As(err, new(*authorizationError)) && !proxyFailed(err):
		res.Result, res.Detail = outcome.ResultAuthorization, detail(err)
	default:
		res.Result, res.Detail = classify(err, at)
	}
	return res, nil
}
