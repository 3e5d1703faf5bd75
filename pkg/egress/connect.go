package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"time"
)

// HandshakeError is a TLS handshake with an endpoint that failed: its words are those of the cause.
type HandshakeError struct{ cause error }

// Error implements error.
func (e *HandshakeError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error { return e.cause }

// handshakeTimeout is the cause of a handshake's end that took longer than [Config.ConnectTimeout].
type handshakeTimeout struct{}

var _ net.Error = handshakeTimeout{}

// Error implements error.
func (handshakeTimeout) Error() string { return "TLS handshake timeout" }

// Timeout implements net.Error.
func (handshakeTimeout) Timeout() bool { return true }

// Temporary implements net.Error.
func (handshakeTimeout) Temporary() bool { return true }

// Connect returns a connection for an exchange of HTTP/1.1, whose deadline is set: the one that was used last of those
// that are kept, or a new one. Whether a kept one is still good shows when it is used, see [Conn.Ask]. To an endpoint that has only
// HTTP/2 it is a new one of that: [Conn.HTTP2] tells. own is what the attempt brings to the handshake, nil for nothing. It blocks until
// the deadline or the end of ctx at most. Its error is a [HandshakeError] or that of the dial. What opening a new one took is put into
// took, also if it failed.
func (t *Transport) Connect(ctx context.Context, to Target, own *TLS, deadline time.Time, took *Timings) (*Conn, error) {
	r := route{to: to, own: own.Key()}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !time.Now().Before(deadline) {
		return nil, context.DeadlineExceeded
	}
	for {
		c := t.idle.take(r)
		if c == nil {
			break
		}
		if c.reused = true; c.begin(deadline) {
			return c, nil
		}
		c.Close()
	}
	return t.add(ctx, r, deadline, took, func(ctx context.Context, watch *Stopwatch) (net.Conn, error) {
		return t.open(ctx, to, own, watch)
	})
}

// Open is as [Transport.Connect] for a new connection to an https endpoint, which may choose between HTTP/2 and HTTP/1.1: [Conn.HTTP2]
// tells.
func (t *Transport) Open(ctx context.Context, to Target, own *TLS, deadline time.Time, took *Timings) (*Conn, error) {
	r := route{to: to, own: own.Key()}
	return t.add(ctx, r, deadline, took, func(ctx context.Context, watch *Stopwatch) (net.Conn, error) {
		conn, err := t.secure(ctx, to, own, watch, protocols...)
		return asConn(conn), err
	})
}

// add opens a connection of a route.
func (t *Transport) add(
	ctx context.Context, r route, deadline time.Time, took *Timings, open func(context.Context, *Stopwatch) (net.Conn, error),
) (*Conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	watch := new(Stopwatch)
	conn, err := open(httptrace.WithClientTrace(ctx, watch.Trace()), watch)
	*took = watch.Took()
	if err != nil {
		return nil, err
	}
	c := newConn(conn, socketOf(conn))
	c.idle = t.idle
	t.idle.opened(c, r)
	if !c.begin(deadline) {
		c.Close()
		return nil, net.ErrClosed
	}
	return c, nil
}

// open dials. HTTP/1.1 is all that it offers, as a single exchange costs least over it. To an endpoint that
// does not choose it, and of which nothing is known, it goes once more to ask for both.
func (t *Transport) open(ctx context.Context, to Target, own *TLS, watch *Stopwatch) (net.Conn, error) {
	if !to.Secure {
		conn, err := t.dialContext(ctx, "tcp", to.Address)
		if err == nil {
			watch.connected()
		}
		return conn, err
	}
	known := t.spoken.of(to.Address)
	if known == speaksHTTP2 {
		conn, err := t.secure(ctx, to, own, watch, protocols...)
		return asConn(conn), err
	}
	conn, err := t.secure(ctx, to, own, watch, protocols[1:]...)
	if t.http2 == HTTP2Off || known != speaksUnknown || !undecided(conn, err) {
		return asConn(conn), err
	}
	if conn != nil {
		_ = conn.Close() // nothing was sent
	}
	if conn, err = t.secure(ctx, to, own, watch, protocols...); err != nil {
		return nil, err
	}
	speaks := speaksHTTP1
	if conn.ConnectionState().NegotiatedProtocol == protocols[0] {
		speaks = speaksHTTP2
	}
	t.spoken.set(to.Address, speaks)
	return conn, nil
}

// protocols are the names of HTTP/2 and HTTP/1.1 (RFC 7301, section 6).
var protocols = []string{"h2", "http/1.1"} //nolint:gochecknoglobals // a constant

// asConn returns a nil interface for a nil pointer.
func asConn(conn *tls.Conn) net.Conn {
	if conn == nil {
		return nil
	}
	return conn
}

// undecided reports whether a handshake that offered HTTP/1.1 leaves open what the endpoint has: it ignored the offer, as
// servers of old do and Go's with HTTP/2 alone, or took it for an affront (RFC 7301, section 3.2).
func undecided(conn *tls.Conn, err error) bool {
	if err == nil {
		return conn.ConnectionState().NegotiatedProtocol == ""
	}
	const noApplicationProtocol = tls.AlertError(120)
	var op *net.OpError
	// The alert's type over TCP is not exported; its words are those of the one that is.
	return errors.As(err, &op) && op.Op == "remote error" && op.Err.Error() == noApplicationProtocol.Error()
}

// secure dials and shakes hands.
func (t *Transport) secure(ctx context.Context, to Target, own *TLS, watch *Stopwatch, offer ...string) (*tls.Conn, error) {
	plain, err := t.dialContext(ctx, "tcp", to.Address)
	if err != nil {
		return nil, err
	}
	config := t.tls
	if own != nil {
		config = t.own.get(own).tls
	}
	config = config.Clone()
	config.ServerName, config.NextProtos = to.host(), offer
	ctx, cancel := context.WithTimeoutCause(ctx, t.connectTimeout, handshakeTimeout{})
	defer cancel()
	conn := tls.Client(plain, config)
	watch.shakeHands()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close() // it failed already
		if errors.Is(context.Cause(ctx), handshakeTimeout{}) {
			err = handshakeTimeout{}
		}
		return nil, &HandshakeError{err}
	}
	watch.shookHands()
	return conn, nil
}

// protocol is what an endpoint speaks.
type protocol int

const (
	speaksUnknown protocol = iota
	speaksHTTP1            // and perhaps more
	speaksHTTP2            // and nothing else
)

const (
	// spokenFor is how long an endpoint is not asked again what it speaks.
	spokenFor = time.Hour
	// maxSpoken bounds the endpoints that are remembered, about 100 bytes each. At the bound the memory starts anew.
	maxSpoken = 16_384
)

// spoken remembers what the endpoints speak that did not choose HTTP/1.1 when it alone was offered.
type spoken struct {
	mu sync.Mutex
	m  map[string]spokenEntry // by address
}

type spokenEntry struct {
	protocol protocol
	until    time.Time
}

func (s *spoken) of(address string) protocol {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[address]
	if !ok || time.Now().After(e.until) {
		return speaksUnknown
	}
	return e.protocol
}

func (s *spoken) set(address string, p protocol) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil || len(s.m) >= maxSpoken {
		s.m = map[string]spokenEntry{}
	}
	s.m[address] = spokenEntry{protocol: p, until: time.Now().Add(spokenFor)}
}
