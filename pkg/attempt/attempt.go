// Package attempt makes one HTTP request for a delivery and says what it came to: a value of outcome.Result, whatever
// the endpoint does. Redirects are not followed, nothing is sent again, nothing is read without a bound, and when the
// deadline passes the caller has its answer.
package attempt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/sign"
)

// MaxBody is how much of a response body is read: 64 KiB. A longer one costs the connection.
const MaxBody = 64 << 10

// errDeadline is the cause of an attempt's own end, as opposed to its caller's.
var errDeadline = errors.New("the attempt's deadline passed")

// Request is what is sent.
type Request struct {
	// Method is POST if empty.
	Method string
	URL    string
	// Header is sent as written. It must not hold Idempotency-Key: Go's transport sends such requests twice.
	Header []sign.Header
	// Body must not be changed any more, nor go back to a pool: the transport may still be writing it when the endpoint
	// has answered already.
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
	// Proto is HTTP/1.1 or HTTP/2.0; empty without a response.
	Proto string
}

// Client makes attempts. It is safe for concurrent use and holds nothing that needs closing.
type Client struct {
	transport http.RoundTripper
	now       func() time.Time
}

// Option changes a [Client].
type Option func(*Client)

// WithClock replaces time.Now as the source of Started and Duration and the reference of Retry-After dates.
func WithClock(now func() time.Time) Option { return func(c *Client) { c.now = now } }

// New returns a client that sends through rt, which is an egress.Transport outside tests.
func New(rt http.RoundTripper, opts ...Option) *Client {
	c := &Client{transport: rt, now: time.Now}
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
	own, cancel := context.WithTimeoutCause(ctx, timeout, errDeadline)
	defer cancel()
	trace := new(tracer)
	req, err := build(own, r, trace)
	if err != nil {
		res.Result, res.Detail = outcome.ResultRequest, err.Error()
		return res, nil
	}
	rt, err := c.transportFor(r)
	if err != nil {
		res.Result, res.Detail = outcome.ResultRequest, err.Error()
		return res, nil
	}
	if r.Authorizer == nil {
		err = c.exchange(rt, req, &res)
	} else {
		err = c.authorized(rt, req, r, &res, trace)
	}
	end := c.now()
	res.Duration = end.Sub(res.Started)
	if err == nil {
		return res, nil
	}
	// The attempt's own deadline is looked at first: a caller that gives up in the same moment must not turn a
	// timeout, which is known, into something unknown.
	switch cause := context.Cause(own); {
	case errors.Is(cause, errDeadline):
		res.Result = outcome.ResultTimeout
		res.Detail = fmt.Sprintf("timed out after %s while %s", timeout, phaseOf(err, trace))
	case cause != nil:
		return res, fmt.Errorf("attempt given up while %s: %w", trace.phase(), cause)
	case errors.As(err, new(*authorizationError)) && !proxyFailed(err):
		res.Result, res.Detail = outcome.ResultAuthorization, detail(err)
	default:
		res.Result, res.Detail = classify(err, trace)
	}
	return res, nil
}

// exchange sends req and reads the response into res. After an error res holds what was known until then.
func (c *Client) exchange(rt http.RoundTripper, req *http.Request, res *Response) error {
	got, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	res.Status, res.Proto = got.StatusCode, got.Proto
	if res.Body, res.Truncated, err = readBody(got); err != nil {
		return err
	}
	res.Result = byStatus(got.StatusCode)
	res.readHeader(got.Header, c.now())
	return nil
}

// readBody reads at most [MaxBody]. A complete body leaves the connection ready for the next attempt.
func readBody(got *http.Response) (body []byte, truncated bool, err error) {
	if got.ContentLength == 0 || got.Body == http.NoBody {
		return nil, false, nil
	}
	size := int64(512) // most answers are shorter: "ok", or a small JSON document
	if got.ContentLength > 0 {
		size = min(got.ContentLength, MaxBody) + 1 // with room for one byte more the end shows without growing
	}
	body = make([]byte, 0, size)
	for len(body) <= MaxBody {
		if len(body) == cap(body) {
			body = slices.Grow(body, min(len(body), MaxBody+1-len(body)))
		}
		n, err := got.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) && len(body) <= MaxBody {
			return body, false, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return body, false, err
		}
	}
	return body[:MaxBody], true, nil
}

// build makes the request. Its errors name the field, never its value. The transport refuses what is left to refuse
// (other schemes, malformed headers) before it looks for a connection.
func build(ctx context.Context, r *Request, trace *tracer) (*http.Request, error) {
	header, err := toHeader(r.Header)
	if err != nil {
		return nil, err
	}
	method := r.Method
	if method == "" {
		method = http.MethodPost
	}
	// The bytes.Reader gives the request a GetBody: the transport may take another connection when the first was gone
	// before a byte was written, which is no second attempt.
	req, err := http.NewRequestWithContext(trace.attach(ctx), method, r.URL, bytes.NewReader(r.Body))
	if err != nil { // its text holds the URL, and so perhaps credentials
		return nil, errors.New("method or url: not valid, want an HTTP method and an absolute URL")
	}
	req.Header = header
	return req, nil
}

// toHeader keeps names as they are written: some receivers compare them byte by byte.
func toHeader(fields []sign.Header) (http.Header, error) {
	header := make(http.Header, len(fields))
	values := make([]string, len(fields))
	for i, f := range fields {
		if strings.EqualFold(f.Name, "Idempotency-Key") || strings.EqualFold(f.Name, "X-Idempotency-Key") {
			return nil, fmt.Errorf("headers: %s is reserved", f.Name)
		}
		values[i] = f.Value
		if earlier, ok := header[f.Name]; ok {
			header[f.Name] = append(earlier, f.Value)
			continue
		}
		header[f.Name] = values[i : i+1 : i+1]
	}
	return header, nil
}
