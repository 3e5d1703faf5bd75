package egress

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// keepAlive is the interval of TCP keep-alive probes on kept connections: a dead peer is noticed before its idle
// connection is used again.
const keepAlive = 15 * time.Second

// HTTP/2 multiplexes every attempt to a host over one connection, so a dead one would fail all of them until their
// deadlines: a ping after 15 s of silence, answered within 5 s, finds out.
const (
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
)

// Flow-control windows of HTTP/2: what an endpoint may send that nobody has read yet. A stream's is the 64 KiB that an
// attempt reads at most, doubled so that a window update is never waited for; Go's own 4 MiB would be what a hostile
// endpoint may fill per attempt.
const (
	streamWindow = 128 << 10
	connWindow   = 1 << 20
)

// Transport carries attempts to endpoints over HTTP/1.1 and HTTP/2. It follows no redirect, decompresses nothing and
// takes no proxy from the environment.
type Transport struct {
	guard *Guard
	http  *http.Transport
	own   *pool
	// Of connections that are made here: [Transport.Connect] and [Transport.Probe].
	dialContext    dialContext
	tls            *tls.Config // is copied, never used
	idle           *idle
	spoken         spoken
	http2          HTTP2
	forward        *forward // nil without a proxy
	resolver       *net.Resolver
	connectTimeout time.Duration
}

var _ http.RoundTripper = (*Transport)(nil)

// New returns the transport of c. Close its idle connections with [Transport.Close].
func New(c Config) (*Transport, error) {
	guard, err := NewGuard(c)
	if err != nil {
		return nil, err
	}
	return newTransport(c.withDefaults(), guard, guard.Control)
}

// newTransport returns a transport whose connections all passed check. The proxy is in its dials: all else is the same with
// and without.
func newTransport(c Config, guard *Guard, check control) (*Transport, error) {
	forward, err := newForward(c)
	if err != nil {
		return nil, err
	}
	dial := direct(c, check)
	if forward != nil {
		dial = forward.dialContext(c.AllowInternalNames, check)
	}
	secure := tlsConfig(c)
	t := newHTTP(c, dial, secure)
	return &Transport{
		guard: guard, http: t, own: newPool(t.Clone(), secure),
		dialContext: dial, tls: secure, idle: newIdle(c), http2: c.HTTP2,
		forward: forward, resolver: c.Resolver, connectTimeout: c.ConnectTimeout,
	}, nil
}

// control is a net.Dialer's.
type control func(network, address string, conn syscall.RawConn) error

// dialContext is an http.Transport's.
type dialContext func(ctx context.Context, network, address string) (net.Conn, error)

// newHTTP returns net/http's transport over the connections of dial.
func newHTTP(c Config, dial dialContext, secure *tls.Config) *http.Transport {
	t := &http.Transport{
		Proxy:                  nil,
		DialContext:            dial,
		TLSHandshakeTimeout:    c.ConnectTimeout,
		TLSClientConfig:        secure.Clone(), // it adds to it
		MaxIdleConns:           c.MaxIdleConns,
		MaxIdleConnsPerHost:    c.MaxIdleConnsPerHost,
		IdleConnTimeout:        c.IdleTimeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: MaxResponseHeaderBytes,
		Protocols:              new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: pingAfter, PingTimeout: pingTimeout,
			MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: connWindow,
		},
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(c.HTTP2 != HTTP2Off)
	return t
}

func tlsConfig(c Config) *tls.Config {
	return &tls.Config{
		MinVersion:         LowestTLS,
		RootCAs:            c.RootCAs,
		ClientSessionCache: tls.NewLRUClientSessionCache(c.MaxIdleConns),
		// A request is read whole before it is answered: in one record it costs one write, where small records, which
		// let a browser show the start of a page, would cost one per kilobyte.
		DynamicRecordSizingDisabled: true,
	}
}

// direct dials endpoints themselves.
func direct(c Config, check control) dialContext {
	d := &net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: keepAlive, Control: check, Resolver: c.Resolver}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		conn, err := d.DialContext(ctx, network, net.JoinHostPort(asked(host, c.AllowInternalNames), port))
		if err != nil {
			return nil, err
		}
		return newSocket(conn), nil
	}
}

// asked is how a resolver is asked for a host: as it is. With a final dot the search list (five more questions per dial
// in a cluster, with answers from inside it) is left out, unless search wants it.
func asked(host string, search bool) string {
	if _, err := netip.ParseAddr(host); err == nil || search || strings.HasSuffix(host, ".") {
		return host
	}
	return host + "."
}

// lookup returns the addresses of a host, which may be one.
func lookup(ctx context.Context, r *net.Resolver, search bool, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	addrs, err := r.LookupNetIP(ctx, "ip", asked(host, search))
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.http.RoundTrip(req)
}

// With returns the transport for attempts that bring a TLS of their own: the same limits and guard, other connections.
// Use it at once; the next call may return another.
func (t *Transport) With(own *TLS) http.RoundTripper { return t.own.get(own).http }

// HTTP2 reports whether a connection to a busy endpoint may be asked for by [Transport.Open].
func (t *Transport) HTTP2() bool { return t.http2 == HTTP2Busy }

// Guard returns the guard of every dial, for checking URLs at write.
func (t *Transport) Guard() *Guard { return t.guard }

// Close closes the idle connections. Attempts under way keep theirs.
func (t *Transport) Close() {
	t.http.CloseIdleConnections()
	t.own.close()
	t.idle.close()
}
