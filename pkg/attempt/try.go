package attempt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/wire"
)

// try is an attempt that is being made: over a connection of egress, or through a transport of net/http.
type try struct {
	client   *Client
	request  *Request
	deadline time.Time

	method string
	target *target
	over   *roundTrips // if it goes through net/http
	phase  phase       // if it does not

	ctx    context.Context // ends at the deadline; nil until it is needed
	cancel context.CancelFunc
}

// make makes the attempt. After an error res holds what was known until then.
func (t *try) make(ctx context.Context, res *Response) error {
	if err := t.prepare(ctx); err != nil {
		return &requestError{err}
	}
	if t.request.Authorizer == nil {
		return t.send(ctx, "", res)
	}
	return t.authorized(ctx, res)
}

// requestError is a request that cannot be made.
type requestError struct{ cause error }

// Error implements error.
func (e *requestError) Error() string { return e.cause.Error() }

// prepare refuses requests before anything is looked up or connected to. Its errors name the field, never its value.
func (t *try) prepare(ctx context.Context) (err error) {
	if t.method = t.request.Method; t.method == "" {
		t.method = http.MethodPost
	}
	if t.target, err = t.client.targets.get(t.request.URL); err != nil {
		return err
	}
	if err := checkFields(t.request.Header); err != nil {
		return err
	}
	if !wire.ValidMethod(t.method) {
		return errors.New("method: not valid, want an HTTP method")
	}
	if t.client.direct == nil || t.method == http.MethodHead || t.method == http.MethodConnect {
		return t.takeOver(ctx)
	}
	return nil
}

// checkFields refuses what has the request sent twice, and what wire does.
func checkFields(fields []sign.Header) error {
	for _, f := range fields {
		if strings.EqualFold(f.Name, "Idempotency-Key") || strings.EqualFold(f.Name, "X-Idempotency-Key") {
			return fmt.Errorf("headers: %s is reserved", f.Name)
		}
	}
	return wire.CheckFields(fields)
}

// send sends the request, with an Authorization if that is not empty, and reads the response into res.
func (t *try) send(ctx context.Context, authorization string, res *Response) error {
	if t.over == nil {
		return t.exchange(ctx, authorization, res)
	}
	return t.over.send(t, authorization, res) //nolint:contextcheck // its request has one
}

// bounded returns a context that ends with ctx, which is always the same, and at the attempt's deadline.
func (t *try) bounded(ctx context.Context) context.Context {
	if t.ctx == nil {
		t.ctx, t.cancel = context.WithDeadline(ctx, t.deadline)
	}
	return t.ctx
}

// end frees what the attempt held.
func (t *try) end() {
	if t.cancel != nil {
		t.cancel()
	}
}

// again forgets how far the attempt had come.
func (t *try) again() {
	t.phase = phaseStart
	if t.over != nil {
		t.over.trace.reached.Store(int32(phaseStart))
	}
}

// at returns how far the attempt had come when it ended in err.
func (t *try) at(err error) phase {
	switch {
	case errors.As(err, new(*requestError)):
		return phaseStart
	case t.over != nil:
		return t.over.trace.at()
	case errors.As(err, new(*egress.HandshakeError)):
		return phaseTLS
	}
	return t.phase
}
