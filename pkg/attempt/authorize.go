package attempt

import (
	"errors"
	"net/http"

	"github.com/postrider/postrider/pkg/egress"
)

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

// authorizationError is the end of an attempt for which there was no authorization.
type authorizationError struct{ cause error }

// Error implements error.
func (e *authorizationError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *authorizationError) Unwrap() error { return e.cause }

// authorized sends req with the header that r's authorizer gives. After a 401 it is sent once more if there is another
// value: the endpoint has refused the request, so it was not accepted twice.
func (c *Client) authorized(rt http.RoundTripper, req *http.Request, r *Request, res *Response, trace *tracer) error {
	value, err := r.Authorizer.Authorize(req.Context(), "")
	if err != nil {
		return &authorizationError{err}
	}
	req.Header["Authorization"] = []string{value}
	if err := c.exchange(rt, req, res); err != nil || res.Status != http.StatusUnauthorized {
		return err
	}
	other, err := r.Authorizer.Authorize(req.Context(), value)
	if err != nil || other == value {
		return nil //nolint:nilerr // the 401 stands, which is known
	}
	again := req.Clone(req.Context())
	if again.Body, err = req.GetBody(); err != nil {
		return err
	}
	again.Header["Authorization"] = []string{other}
	*res = Response{Started: res.Started}
	trace.reached.Store(int32(phaseStart)) // what goes wrong now goes wrong in the second request
	return c.exchange(rt, again, res)
}

// phaseOf completes "timed out while …" for attempts that did not come as far as the transport, too.
func phaseOf(err error, trace *tracer) string {
	if errors.As(err, new(*authorizationError)) {
		return "waiting for an access token"
	}
	return trace.phase()
}
