package attempt

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/wire"
)

// roundTrips sends an attempt's requests through a transport of net/http: those whose answers have rules of their own (HEAD, CONNECT), and
// all where the transport is not egress's.
type roundTrips struct {
	transport http.RoundTripper
	request   *http.Request
	trace     *tracer
	sent      bool
}

// takeOver has the attempt go through net/http.
func (t *try) takeOver(ctx context.Context) error {
	rt, err := t.client.transportFor(t.request)
	if err != nil {
		return err
	}
	trace := &tracer{now: t.client.now}
	// The bytes.Reader gives the request a GetBody: the transport may take another connection when the first was gone
	// before a byte was written, which is no second attempt.
	req, err := http.NewRequestWithContext(trace.attach(t.bounded(ctx)), t.method, t.request.URL, bytes.NewReader(t.request.Body))
	if err != nil { // its text holds the URL, and so perhaps credentials
		return errors.New("method or url: not valid, want an HTTP method and an absolute URL")
	}
	req.Header = toHeader(t.request.Header)
	t.over = &roundTrips{transport: rt, request: req, trace: trace}
	return nil
}

// send is as [try.send].
func (s *roundTrips) send(t *try, authorization string, res *Response) error {
	req := s.request
	if s.sent {
		body, err := req.GetBody()
		if err != nil {
			return err
		}
		req = req.Clone(req.Context())
		req.Body = body
	}
	s.sent = true
	if authorization != "" {
		req.Header["Authorization"] = []string{authorization}
	}
	got, err := s.transport.RoundTrip(req)
	s.trace.tell(res)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	answer := wire.Response{Status: got.StatusCode, Proto: got.Proto, Header: got.Header}
	answer.Body, answer.Truncated, err = wire.ReadBody(got, MaxBody)
	return res.take(&answer, err, t.client.now, new([]byte))
}

// toHeader keeps names as they are written: some receivers compare them byte by byte.
func toHeader(fields []sign.Header) http.Header {
	header := make(http.Header, len(fields))
	for _, f := range fields {
		header[f.Name] = append(header[f.Name], f.Value)
	}
	return header
}

// ownTLS is the part of egress.Transport that carries attempts with a TLS of their own.
type ownTLS interface {
	With(own *egress.TLS) http.RoundTripper
}

var _ ownTLS = (*egress.Transport)(nil)

// transportFor returns the transport of r. A client certificate that cannot be shown is an error: the attempt must not be
// made without it.
func (c *Client) transportFor(r *Request) (http.RoundTripper, error) {
	if r.TLS == nil {
		return c.transport, nil
	}
	with, ok := c.transport.(ownTLS)
	if !ok {
		return nil, errors.New("clientIdentity or ca: the transport takes none")
	}
	return with.With(r.TLS), nil
}
