package attempt_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/test/forwardproxy"
)

const noContent = "HTTP/1.1 204 No Content\r\n\r\n"

// counted counts connections, and the requests on all of them.
type counted struct{ connections, requests atomic.Int32 }

// serve has answer called for each request of a connection, until that reports false.
func (c *counted) serve(answer func(conn net.Conn, n int32) bool) func(*net.TCPConn) {
	return func(tcp *net.TCPConn) { c.over(tcp, answer) }
}

// over is as [counted.serve].
func (c *counted) over(conn net.Conn, answer func(conn net.Conn, n int32) bool) {
	c.connections.Add(1)
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if !answer(conn, c.requests.Add(1)) {
			return
		}
	}
}

func saying(text string) func(net.Conn, int32) bool {
	return func(conn net.Conn, _ int32) bool {
		_, err := io.WriteString(conn, text)
		return err == nil
	}
}

// A connection is used again exactly when both sides know where it stands.
func TestWhichConnectionsAreKept(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		kept bool
	}{
		"no content":                 {noContent, true},
		"a body":                     {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true},
		"chunks":                     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true},
		"close":                      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false},
		"HTTP/1.0":                   {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false},
		"length and chunks":          {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false},
		"a body that is too long":    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", false},
		"a body that is not allowed": {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", false},
		"an answer to no question":   {noContent + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", false},
	} {
		t.Run(name, func(t *testing.T) {
			var seen counted
			url := "http://" + rawEndpoint(t, seen.serve(saying(c.text)))
			cl := client(t)
			for range 3 {
				res := do(t, cl, &attempt.Request{URL: url})
				require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
				require.NotEqual(t, "forged", string(res.Body))
			}
			require.EqualValues(t, 3, seen.requests.Load())
			want := int32(3)
			if c.kept {
				want = 1
			}
			require.Equal(t, want, seen.connections.Load())
		})
	}
}

// tlsEndpoint serves over TLS by hand, and is the only certificate that its clients trust.
func tlsEndpoint(t *testing.T, config *tls.Config, serve func(net.Conn)) (url string, trust func(*egress.Config)) {
	t.Helper()
	ca := testCA(t)
	config.Certificates = []tls.Certificate{certificate(t, ca, time.Now().Add(time.Hour))}
	addr := rawEndpoint(t, func(tcp *net.TCPConn) {
		conn := tls.Server(tcp, config)
		if conn.HandshakeContext(t.Context()) == nil {
			serve(conn)
		}
	})
	return "https://" + addr, trustingCA(ca)
}

// TLS 1.3 sends session tickets when it likes; what TLS says to itself costs no connection.
func TestSessionTicketsCostNothing(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var seen counted
		config := &tls.Config{MinVersion: version, MaxVersion: version, NextProtos: []string{"http/1.1"}}
		url, trust := tlsEndpoint(t, config, func(c net.Conn) { seen.over(c, saying(noContent)) })
		c := client(t, trust)
		for range 5 {
			require.Equal(t, 204, do(t, c, &attempt.Request{URL: url}).Status)
		}
		require.EqualValues(t, 1, seen.connections.Load())
	}
}

// A request of which a byte was written is not sent again, also if a kept connection ends without an answer: the endpoint may
// have taken it.
func TestNothingIsSentTwice(t *testing.T) {
	for _, size := range []int{10, 1 << 20} {
		var seen counted
		url := "http://" + rawEndpoint(t, seen.serve(func(conn net.Conn, n int32) bool {
			return n != 2 && saying(noContent)(conn, n)
		}))
		c := client(t)
		var results []outcome.Result
		for range 3 {
			results = append(results, do(t, c, &attempt.Request{URL: url, Body: make([]byte, size)}).Result)
		}
		require.Equal(t, []outcome.Result{outcome.ResultSuccess, outcome.ResultReset, outcome.ResultSuccess}, results)
		require.EqualValues(t, 3, seen.requests.Load())
		require.EqualValues(t, 2, seen.connections.Load())
	}
}

// An answer counts although the request was not read to its end, and the attempt does not wait for that.
func TestEarlyAnswers(t *testing.T) {
	const tooLarge = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
	url := "http://" + rawEndpoint(t, func(conn *net.TCPConn) {
		if _, err := conn.Read(make([]byte, 100)); err == nil {
			_, _ = io.WriteString(conn, tooLarge)
			waitClosed(conn)
		}
	})
	c := client(t)
	for range 2 {
		res := do(t, c, &attempt.Request{URL: url, Body: make([]byte, 16<<20)})
		require.Equal(t, 413, res.Status, res.Detail)
	}
}

// Large requests arrive whole, and leave the connection as it was.
func TestLargeRequests(t *testing.T) {
	var seen counted
	url, trust := tlsEndpoint(t, &tls.Config{NextProtos: []string{"http/1.1"}}, func(c net.Conn) { seen.over(c, saying(noContent)) })
	c := client(t, trust)
	for _, size := range []int{0, 1, 15 << 10, 16 << 10, 17 << 10, 1 << 20} {
		require.Equal(t, 204, do(t, c, &attempt.Request{URL: url, Body: make([]byte, size)}).Status)
	}
	require.EqualValues(t, 1, seen.connections.Load())
	require.EqualValues(t, 6, seen.requests.Load())
}

// When its caller gives up an attempt ends at once, wherever it is, and its connection with it.
func TestAttemptsAreCutOff(t *testing.T) {
	arrived := make(chan struct{}, 1)
	ended, over := make(chan struct{}, 1), make(chan struct{}, 10)
	hangs := func(text string) func(*net.TCPConn) {
		return func(conn *net.TCPConn) {
			_, _ = conn.Read(make([]byte, 1))
			_, _ = io.WriteString(conn, text)
			arrived <- struct{}{}
			hang(conn)
			ended <- struct{}{}
		}
	}
	for name, c := range map[string]struct {
		scheme string
		serve  func(*net.TCPConn)
		size   int
	}{
		"handshake":          {"https", hangs(""), 1},
		"no answer":          {"http", hangs(""), 1},
		"half a head":        {"http", hangs("HTTP/1.1 200"), 1},
		"half a body":        {"http", hangs("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"), 1},
		"half a chunk":       {"http", hangs("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok"), 1},
		"a body without end": {"http", hangs("HTTP/1.1 200 OK\r\n\r\nok"), 1},
		"a large request": {"http", func(conn *net.TCPConn) {
			_, _ = conn.Read(make([]byte, 1))
			arrived <- struct{}{}
			<-over // until then nothing more is read
			hang(conn)
			ended <- struct{}{}
		}, 16 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			revoked := errors.New("revoked")
			go func() { <-arrived; cancel(revoked) }()
			_, err := client(t).Do(ctx, &attempt.Request{
				URL: c.scheme + "://" + rawEndpoint(t, c.serve), Body: make([]byte, c.size), Timeout: generous,
			})
			require.ErrorIs(t, err, revoked)
			over <- struct{}{}
			<-ended
		})
	}
}

// Through a proxy that is itself spoken to over TLS, connections are kept and looked at as any other.
func TestKeptConnectionsThroughAProxy(t *testing.T) {
	for _, secure := range []bool{false, true} {
		var seen counted
		srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if seen.requests.Add(1) == 3 {
				w.Header().Set("Connection", "close")
			}
			w.WriteHeader(http.StatusNoContent)
		}))
		t.Cleanup(srv.Close)
		p := forwardproxy.Start(t, srv.Listener.Addr().String(), secure)
		c := client(t, trusting(srv), func(conf *egress.Config) {
			conf.Proxy, conf.ConnectTimeout = egress.Proxy{URL: p.URL}, generous
			conf.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		})
		for range 5 {
			res := do(t, c, &attempt.Request{URL: srv.URL})
			require.Equal(t, 204, res.Status, res.Detail)
		}
		require.Len(t, p.Asked(), 2, "one until the endpoint closed it, and one after")
	}
}

// Whatever an endpoint chooses when it is offered HTTP/1.1, or does about the offer, it is spoken to; and it is asked once.
func TestWhoSpeaksWhat(t *testing.T) {
	onlyHTTP2 := func(hello *tls.ClientHelloInfo) []string {
		if len(hello.SupportedProtos) == 1 {
			return []string{"nothing that anybody has"} // an alert
		}
		return []string{"h2"}
	}
	for name, c := range map[string]struct {
		protocols func(*tls.ClientHelloInfo) []string
		proto     string
		shaken    int // hands, in three attempts
	}{
		"HTTP/1.1":                         {func(*tls.ClientHelloInfo) []string { return []string{"http/1.1"} }, "HTTP/1.1", 1},
		"both":                             {func(*tls.ClientHelloInfo) []string { return []string{"h2", "http/1.1"} }, "HTTP/1.1", 1},
		"HTTP/2, and ignores the offer":    {func(*tls.ClientHelloInfo) []string { return []string{"h2"} }, "HTTP/2.0", 2},
		"HTTP/2, and refuses the offer":    {onlyHTTP2, "HTTP/2.0", 2},
		"HTTP/1.1, and ignores all offers": {func(*tls.ClientHelloInfo) []string { return nil }, "HTTP/1.1", 2},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			shaken := 0
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			srv.EnableHTTP2 = true
			srv.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				mu.Lock()
				defer mu.Unlock()
				shaken++
				config := srv.TLS.Clone()
				config.GetConfigForClient, config.NextProtos = nil, c.protocols(hello)
				return config, nil
			}}
			srv.StartTLS()
			t.Cleanup(srv.Close)
			cl := client(t, trusting(srv), patient)
			for range 3 {
				res := do(t, cl, &attempt.Request{URL: srv.URL})
				require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
				require.Equal(t, c.proto, res.Proto)
			}
			mu.Lock()
			defer mu.Unlock()
			require.Equal(t, c.shaken, shaken)
		})
	}
}

// Who keeps to HTTP/1.1 does not ask for more.
func TestWithoutHTTP2(t *testing.T) {
	var connections atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.EnableHTTP2 = true
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	res := do(t, client(t, trusting(srv), func(c *egress.Config) { c.HTTP2 = egress.HTTP2Off }), &attempt.Request{URL: srv.URL})
	require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
	require.Equal(t, "HTTP/1.1", res.Proto)
	require.EqualValues(t, 1, connections.Load())
}
