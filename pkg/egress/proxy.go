package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Proxy is a forward proxy through which every connection is made, also for http URLs, probes and token endpoints. The
// zero Proxy is none.
//
// The proxy is asked by CONNECT (RFC 9110, section 9.3.6) for an address that was resolved and checked here. A name
// would let it resolve once more, after the check, and lead inside. Requests in absolute form (RFC 9112, section 3.2.2)
// are not made for the same reason, and because nobody could tell the proxy's 407 and 502 from the endpoint's.
type Proxy struct {
	// URL is http://host:port or https://host:port; empty for no proxy. Its address is not the guard's business: it may
	// be internal.
	URL string
	// Username and Password are for Basic authentication (RFC 7617), which is all there is. PasswordFile is a file that
	// holds the password, and wins. The path through an http proxy is not encrypted: who listens reads the password.
	Username     string
	Password     string
	PasswordFile string
}

// Validate names the field that is wrong, and repeats no value, which may hold a password.
func (p Proxy) Validate() error {
	if p.URL == "" {
		return nil
	}
	const want = "url: want http://host:port or https://host:port, and user and password beside it"
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New(want)
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return errors.New(want)
	}
	switch {
	case strings.Contains(p.Username, ":"): // Basic separates by it
		return errors.New("username: holds a colon, want none")
	case p.Username == "" && (p.Password != "" || p.PasswordFile != ""):
		return errors.New("username: missing, want the one that the password belongs to")
	}
	return nil
}

// ProxyError is a connection that the forward proxy did not give. It names neither the proxy, which may be internal, nor
// any of its words.
type ProxyError struct {
	// Status is its answer to CONNECT; 0 if none came.
	Status int
	// Reason says why none came.
	Reason string
}

// Error implements error.
func (e *ProxyError) Error() string {
	if e.Status == 0 {
		return "forward proxy: " + e.Reason
	}
	return strings.TrimSpace(fmt.Sprintf("forward proxy: answered CONNECT with %d %s", e.Status, http.StatusText(e.Status)))
}

// Beyond reports whether the proxy is well as far as it says, and did not get to the address: 502, 503 or 504.
func (e *ProxyError) Beyond() bool {
	switch e.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// forward asks a forward proxy for connections.
type forward struct {
	address       string
	tls           *tls.Config // nil for http
	authorization string      // the value of Proxy-Authorization; empty for none
	dialer        *net.Dialer // has no guard
	timeout       time.Duration
}

// newForward returns nil if c has no proxy. Its errors are of the password file.
func newForward(c Config) (*forward, error) {
	if c.Proxy.URL == "" {
		return nil, nil
	}
	u, err := url.Parse(c.Proxy.URL)
	if err != nil {
		return nil, errors.New("egress: proxy.url: no URL") // the error itself holds it
	}
	f := &forward{
		address: u.Host, timeout: c.ConnectTimeout,
		dialer: &net.Dialer{KeepAlive: keepAlive, Resolver: c.Resolver},
	}
	if u.Scheme == "https" {
		f.tls = &tls.Config{MinVersion: LowestTLS, ServerName: u.Hostname(), RootCAs: c.RootCAs}
	}
	password := c.Proxy.Password
	if c.Proxy.PasswordFile != "" {
		text, err := os.ReadFile(c.Proxy.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("egress: proxy.password_file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	if c.Proxy.Username != "" {
		f.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Proxy.Username+":"+password))
	}
	return f, nil
}

// dialContext connects to the first address of a name that the proxy gets to. search is as for [lookup].
func (f *forward) dialContext(search bool, check control) dialContext {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, f.timeout)
		defer cancel()
		to, err := f.resolve(ctx, search, check, address)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Err: err} // as a dialer's own
		}
		return f.connect(ctx, to)
	}
}

// resolve returns the addresses of host:port that check lets through, or why there is none.
func (f *forward) resolve(ctx context.Context, search bool, check control, address string) ([]netip.AddrPort, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs, err := lookup(ctx, f.dialer.Resolver, search, host)
	if err != nil {
		return nil, err
	}
	var allowed []netip.AddrPort
	for _, a := range addrs {
		to := netip.AddrPortFrom(a, uint16(port))
		network := "tcp4"
		if a.Is6() {
			network = "tcp6"
		}
		if refused := check(network, to.String(), nil); refused == nil {
			allowed = append(allowed, to)
		} else if err == nil {
			err = refused
		}
	}
	if len(allowed) == 0 {
		return nil, err
	}
	return allowed, nil
}

// connect asks for the addresses in turn, and gives each the same share of the time. A proxy that fails is not asked again.
// The error is that of the first address, as a dialer's.
func (f *forward) connect(ctx context.Context, to []netip.AddrPort) (net.Conn, error) {
	to = to[:min(len(to), maxDials)]
	var first error
	for _, a := range to {
		one, cancel := context.WithTimeout(ctx, f.timeout/time.Duration(len(to)))
		conn, err := f.tunnel(one, a)
		cancel()
		if err == nil {
			return conn, nil
		}
		if own, ok := errors.AsType[*ProxyError](err); ok && !own.Beyond() {
			return nil, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// tunnel returns a connection to the address. Its error is a [ProxyError], or says that no answer to CONNECT came in
// time: a proxy that waits for a silent endpoint looks the same as one that is stuck.
func (f *forward) tunnel(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	conn, reason := f.open(ctx)
	if conn == nil {
		return nil, &ProxyError{Reason: reason}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends reads and writes
	status, err := f.ask(conn, to)
	switch ended := !stop(); {
	case ended:
		err = fmt.Errorf("forward proxy: no connection in time: %w", ctx.Err())
	case err != nil:
		err = &ProxyError{Reason: "no answer to CONNECT: it closed the connection, or speaks no HTTP"}
	case status/100 != 2:
		err = &ProxyError{Status: status}
	default:
		return conn, nil
	}
	_ = conn.Close() // it failed already
	return nil, err
}

// open connects to the proxy, or says why not.
func (f *forward) open(ctx context.Context) (conn net.Conn, reason string) {
	conn, err := f.dialer.DialContext(ctx, "tcp", f.address)
	if err != nil {
		return nil, dialReason(err)
	}
	conn = newSocket(conn)
	if f.tls == nil {
		return conn, ""
	}
	secure := tls.Client(conn, f.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // it failed already
		return nil, tlsReason(err, f.tls.MinVersion)
	}
	return secure, ""
}

// ask returns the status of the proxy's answer. What follows its head on the connection is the endpoint's.
func (f *forward) ask(conn net.Conn, to netip.AddrPort) (status int, err error) {
	head := "CONNECT " + to.String() + " HTTP/1.1\r\nHost: " + to.String() + "\r\n"
	if f.authorization != "" {
		head += "Proxy-Authorization: " + f.authorization + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return 0, err
	}
	answer := bufio.NewReader(byByte{io.LimitReader(conn, MaxResponseHeaderBytes)})
	resp, err := http.ReadResponse(answer, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // the body is the tunnel
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

// byByte reads no byte that was not asked for, so that a buffer in front of it holds nothing of the endpoint's. A head of a
// hundred bytes, once for each connection, costs less than a tenth of its TLS handshake.
type byByte struct{ r io.Reader }

// Read implements io.Reader.
func (b byByte) Read(p []byte) (int, error) { return b.r.Read(p[:min(len(p), 1)]) }
