package attempt_test

import (
	"bufio"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
)

// Timeouts of tests. An attempt that is to end at its deadline gets short, in which a busy machine still connects;
// what an attempt may take there is generous, and still far below what the hostile endpoints would like.
const (
	short    = 3 * time.Second
	generous = time.Minute
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// client returns a client that may reach this machine, over the real transport.
func client(t testing.TB, change ...func(*egress.Config)) *attempt.Client {
	t.Helper()
	return attempt.New(transport(t, change...))
}

func transport(t testing.TB, change ...func(*egress.Config)) *egress.Transport {
	t.Helper()
	config := egress.Config{AllowHTTP: true, AnyPort: true, AllowNetworks: loopback}
	for _, c := range change {
		c(&config)
	}
	tr, err := egress.New(config)
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	return tr
}

// patient gives handshakes as long: the first one without authorities of its own reads the system's.
func patient(c *egress.Config) { c.ConnectTimeout = generous }

// trusting makes the client trust srv's certificate.
func trusting(srv *httptest.Server) func(*egress.Config) {
	return func(c *egress.Config) {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(srv.Certificate())
	}
}

// tlsServer serves h over TLS, with HTTP/2 if asked.
func tlsServer(t testing.TB, http2 bool, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = http2
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes and handlers fail on purpose
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

// rawEndpoint runs serve for every connection to a port of this machine and returns its host and port. Each serve ends
// with the test: its connection is closed then.
func rawEndpoint(t testing.TB, serve func(conn *net.TCPConn)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		conns []net.Conn
	)
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// readRequest reads one request whole; false if the other side is gone.
func readRequest(conn net.Conn) bool {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

// hang reads until the connection is closed.
func hang(conn net.Conn) {
	buf := make([]byte, 4096)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

// do makes an attempt that must come to a known end.
func do(t *testing.T, c *attempt.Client, r *attempt.Request) attempt.Response {
	t.Helper()
	if r.Timeout == 0 {
		r.Timeout = generous
	}
	if r.Body == nil {
		r.Body = []byte(`{"hello":"world"}`)
	}
	began := time.Now()
	res, err := c.Do(t.Context(), r)
	require.NoError(t, err)
	require.Less(t, time.Since(began), r.Timeout+generous, "the slot was not freed at the deadline")
	return res
}
