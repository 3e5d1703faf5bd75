package attempt

import (
	"context"
	"errors"
	"net/http"
)

// authorizationError is the end of an attempt for which there was no authorization.
type authorizationError struct{ cause error }

// Error implements error.
func (e *authorizationError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *authorizationError) Unwrap() error { return e.cause }

// authorized sends the request with the header that the authorizer gives. After a 401 it is sent once more if there is another
// value: the endpoint has refused the request, so it was not accepted twice.
func (t *try) authorized(ctx context.Context, res *Response) error {
	own, authorizer := t.bounded(ctx), t.request.Authorizer
	value, err := authorizer.Authorize(own, "")
	if err != nil {
		return &authorizationError{err}
	}
	if err := t.send(ctx, value, res); err != nil || res.Status != http.StatusUnauthorized {
		return err
	}
	other, err := authorizer.Authorize(own, value)
	if err != nil || other == value {
		return nil //nolint:nilerr // the 401 stands, which is known
	}
	*res = Response{Started: res.Started}
	t.again() // what goes wrong now goes wrong in the second request
	return t.send(ctx, other, res)
}

// phaseOf completes "timed out while …" for attempts that did not come as far as a connection, too.
func phaseOf(err error, at phase) string {
	if errors.As(err, new(*authorizationError)) {
		return "waiting for an access token"
	}
	return at.String()
}
