package attempt

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/h2"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/wire"
)

// exchange is what a request and its response need for a moment. It is used again.
type exchange struct {
	now    func() time.Time
	fields []sign.Header
	from   firstRead
	header []byte      // of what came back
	shared h2.Response // over a shared connection
	out    []byte
	in     [4096]byte // what nearly all heads fit into, with a short body
}

const (
	// smallRequest is up to which size, in bytes, a request is written at once, in one TLS record, before the response is
	// read. No endpoint can hinder that: its system takes so much (64 KiB on Linux) whether it reads or not.
	smallRequest = 16 << 10
	// maxKept bounds the buffer that is used again, in bytes.
	maxKept = 64 << 10
)

var limits = wire.Limits{ //nolint:gochecknoglobals // a constant
	Head: egress.MaxResponseHeaderBytes, Body: MaxBody,
}

// exchange sends the request over a connection of egress.
//
// Nothing is sent twice: a kept connection on which not a byte could be written gives way to another; as soon as one was,
// the endpoint may have read it. Over HTTP/2 it may say that it has not.
func (t *try) exchange(ctx context.Context, authorization string, res *Response) error {
	c := t.client
	x := c.exchanges.Get().(*exchange) //nolint:forcetypeassert // the pool holds nothing else
	defer func() {
		x.from = firstRead{} // and not the connection with it
		if cap(x.out) <= maxKept {
			clear(x.fields)
			c.exchanges.Put(x)
		}
	}()
	x.fields = append(x.fields[:0], t.request.Header...)
	if authorization != "" {
		x.fields = append(x.fields, sign.Header{Name: "Authorization", Value: authorization})
	}
	return t.through(ctx, c.targets.way(t.target, t.request.TLS), x, res)
}

// maxRefused is how often a request is sent again that no endpoint has looked at.
const maxRefused = 4

// through sends the request over connections of a way until one has taken it.
func (t *try) through(ctx context.Context, way *way, x *exchange, res *Response) error {
	shared := way.latest.Load()
	for refused := 0; ; {
		if shared == nil {
			conn, found, err := t.connect(ctx, way, res)
			switch {
			case err != nil:
				return err
			case conn != nil:
				again, err := t.alone(ctx, way, x, conn, res)
				if again {
					continue
				}
				return err
			}
			shared = found
		}
		err := t.together(ctx, shared, x, res)
		if !unprocessed(err) {
			return err
		}
		if cause := shared.Err(); cause != nil || !errors.Is(err, h2.ErrNoRoom) {
			if refused++; refused > maxRefused {
				return cmp.Or(cause, err)
			}
		}
		if errors.Is(err, h2.ErrHTTP1) || shared.Refused() { // which [way.forget] may not have come to
			shared.Leave()
			way.avoid()
		}
		shared, res.Timings = way.other(), egress.Timings{}
	}
}

// connect opens a connection, or takes one that is kept. One of HTTP/2 is shared; it may be another's.
func (t *try) connect(ctx context.Context, way *way, res *Response) (alone *egress.Conn, shared *h2.Conn, err error) {
	t.phase = phaseConnect
	if way.only.Load() {
		if err := t.await(ctx, way.turn); err != nil {
			return nil, nil, err
		}
		defer func() { <-way.turn }()
		if shared = way.other(); shared != nil { // somebody has opened it meanwhile
			return nil, shared, nil
		}
	}
	if t.client.direct.HTTP2() && way.crowded() {
		if alone, shared, err = t.ask(ctx, way, res); alone != nil || shared != nil || err != nil {
			return alone, shared, err
		}
	}
	conn, err := t.client.direct.Connect(ctx, t.target.to, t.request.TLS, t.deadline, &res.Timings)
	if err != nil {
		return nil, nil, err
	}
	if way.only.Load() != conn.HTTP2() { // nearly always it is what it was, and others read it
		way.only.Store(conn.HTTP2())
	}
	if !conn.HTTP2() {
		return conn, nil, nil
	}
	shared, err = way.share(t.bounded(ctx), conn, t.client.now)
	return nil, shared, err
}

// ask asks a busy endpoint for HTTP/2. Where it fails for what was asked, it returns nothing: HTTP/1.1 may do.
func (t *try) ask(ctx context.Context, way *way, res *Response) (alone *egress.Conn, shared *h2.Conn, err error) {
	defer way.asking.Store(false)
	defer func() {
		if shared == nil && err == nil && ctx.Err() == nil { // it is not what was asked for, and nobody has called it off
			way.avoid()
		}
	}()
	alone, err = t.client.direct.Open(ctx, t.target.to, t.request.TLS, t.deadline, &res.Timings)
	switch {
	case errors.As(err, new(*egress.HandshakeError)):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case !alone.HTTP2():
		return alone, nil, nil
	}
	shared, _ = way.share(t.bounded(ctx), alone, t.client.now) // nothing was sent
	return nil, shared, nil
}

// await waits for a turn.
func (t *try) await(ctx context.Context, turn chan<- struct{}) error {
	select {
	case turn <- struct{}{}:
		return nil
	default:
	}
	ctx = t.bounded(ctx)
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// alone makes the exchange over HTTP/1.1, and reports whether it is to be made again.
func (t *try) alone(ctx context.Context, way *way, x *exchange, conn *egress.Conn, res *Response) (again bool, err error) {
	body := t.request.Body
	x.out = wire.AppendHead(x.out[:0], t.method, t.target.origin, x.fields, len(body))
	if len(x.out)+len(body) <= smallRequest {
		x.out, body = append(x.out, body...), nil
	}
	t.phase = phaseSent
	way.busy.Add(1)
	defer way.busy.Add(-1)
	var got wire.Response
	stale, err := x.on(ctx, conn, body, &got)
	if stale {
		return true, nil
	}
	if got.Begun {
		t.phase = phaseAnswer
		res.FirstByte = x.from.at.Sub(res.Started)
	}
	return false, res.take(&got, err, t.client.now, &x.header)
}

// together makes it over a connection of HTTP/2.
func (t *try) together(ctx context.Context, conn *h2.Conn, x *exchange, res *Response) error {
	t.phase = phaseSent
	wire.Sort(x.fields)
	got := &x.shared
	*got = h2.Response{Lines: x.in[:0]}
	defer func() { *got = h2.Response{} }()
	err := conn.Do(ctx, &h2.Request{
		Method: t.method, Authority: t.target.origin.Host, Path: t.target.origin.Path, Fields: x.fields, Body: t.request.Body,
		Deadline: t.deadline,
	}, got)
	if unprocessed(err) {
		return err
	}
	answer := wire.Response{Status: got.Status, Lines: got.Lines, Body: got.Body, Truncated: got.Truncated}
	if !got.At.IsZero() {
		t.phase = phaseAnswer
		res.FirstByte = got.At.Sub(res.Started)
	}
	if got.Status != 0 {
		answer.Proto = "HTTP/2.0"
	}
	return res.take(&answer, err, t.client.now, &x.header)
}

// unprocessed reports whether the endpoint has not looked at the request.
func unprocessed(err error) bool {
	return errors.Is(err, h2.ErrNoRoom) || errors.Is(err, h2.ErrUnprocessed) || errors.Is(err, h2.ErrHTTP1)
}

// firstRead is a connection to read from that notes when the first byte came.
type firstRead struct {
	conn *egress.Conn
	now  func() time.Time
	at   time.Time
}

// Read implements io.Reader.
func (f *firstRead) Read(p []byte) (int, error) {
	n, err := f.conn.Read(p)
	if n > 0 && f.at.IsZero() {
		f.at = f.now()
	}
	return n, err
}

// take takes what came back. The header is made in scratch.
func (r *Response) take(got *wire.Response, err error, now func() time.Time, scratch *[]byte) error {
	r.Status, r.Proto, r.Body, r.Truncated = got.Status, got.Proto, got.Body, got.Truncated
	r.takeHeader(got, scratch)
	if err != nil {
		return err
	}
	r.Result = byStatus(got.Status)
	r.readHeader(got, now)
	return nil
}

// on makes the exchange on conn, and gives conn back. body is what is not in x.out yet. It reports whether conn was a kept one
// that had gone stale: not a byte was written, so that the request may go over another.
func (x *exchange) on(ctx context.Context, conn *egress.Conn, body []byte, got *wire.Response) (stale bool, err error) {
	x.from = firstRead{conn: conn, now: x.now}
	switch {
	case !conn.CutAt(ctx):
		err = errStale
	case len(body) == 0:
		err = x.small(conn, got)
	default:
		err = x.large(conn, body, got)
	}
	whole := ctx.Err() == nil // else it was cut, or is about to be
	stale = whole && !conn.Fresh() && conn.Untouched()
	if err == nil && got.Reusable && whole && !stale {
		conn.Keep()
		return false, nil
	}
	if err != nil || stale {
		conn.Cut() // no farewell, which might have to wait
	}
	conn.Close()
	return stale, err
}

// small writes the request, and then reads the response: also if the request was not taken, as there may be an answer that
// says why.
func (x *exchange) small(conn *egress.Conn, got *wire.Response) error {
	writing := conn.Ask(x.out)
	if writing != nil && conn.Untouched() {
		return writing
	}
	err := got.Read(&x.from, x.in[:], limits)
	got.Reusable = got.Reusable && writing == nil && conn.Asked()
	return err
}

// errStale is the end of a kept connection, before anything was written.
var errStale = errors.New("the connection has ended")

// writeOn is how long a large request may still be written when the response is there, as in net/http: the endpoint may
// have read all of it before the writer here comes to say so.
const writeOn = 50 * time.Millisecond

// large writes the request while it reads the response, which may come before all was taken. When it returns, nobody reads
// body any more.
func (x *exchange) large(conn *egress.Conn, body []byte, got *wire.Response) error {
	if !conn.Fresh() && !conn.Quiet() {
		return errStale
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := conn.Write(x.out)
		if err == nil {
			_, err = conn.Write(body)
		}
		wrote <- err
	}()
	err := got.Read(&x.from, x.in[:], limits)
	if err != nil || !got.Reusable || conn.SetWriteDeadline(time.Now().Add(writeOn)) != nil {
		conn.Cut()
	}
	if writing := <-wrote; writing != nil {
		got.Reusable = false
	}
	return err
}
