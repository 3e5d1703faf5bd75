package attempt_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
)

// recording answers 204 and gives the request's bytes to got. It says that it closes the connection: an attempt that comes
// right after would else meet it in the middle of that.
func recording(got chan<- string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		var all strings.Builder
		buf := make([]byte, 4096)
		for !strings.HasSuffix(all.String(), "\r\n\r\n{}") {
			n, err := conn.Read(buf)
			if err != nil {
				break
			}
			all.Write(buf[:n])
		}
		got <- all.String()
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	}
}

// answering reads a request, writes text and closes the connection.
func answering(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		if readRequest(conn) {
			_, _ = io.WriteString(conn, text)
		}
	}
}

// flooding reads a request and then writes text until the other side is gone.
func flooding(start, text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		if !readRequest(conn) {
			return
		}
		_, err := io.WriteString(conn, start)
		for err == nil {
			_, err = io.WriteString(conn, text)
		}
	}
}

// trickling reads a request, writes start at once and then slow and letters without end, a byte every 10 ms.
func trickling(start, slow string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		answering(start)(conn)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			b := byte('a')
			if i < len(slow) {
				b = slow[i]
			}
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			<-tick.C
		}
	}
}

// TestEndpointsThatBreakOff covers every way to end a connection early or to talk nonsense on it.
func TestEndpointsThatBreakOff(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		serve  func(*net.TCPConn)
		result outcome.Result
		status int
	}{
		"closes at once":           {func(*net.TCPConn) {}, outcome.ResultReset, 0},
		"resets at once":           {func(c *net.TCPConn) { _ = c.SetLinger(0) }, outcome.ResultReset, 0},
		"resets after the request": {func(c *net.TCPConn) { readRequest(c); _ = c.SetLinger(0) }, outcome.ResultReset, 0},
		"closes after the request": {answering(""), outcome.ResultReset, 0},
		"half a status line":       {answering("HTTP/1.1 20"), outcome.ResultProtocol, 0},
		"half a header":            {answering("HTTP/1.1 200 OK\r\nContent-"), outcome.ResultProtocol, 0},
		"half a body":              {answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), outcome.ResultReset, 200},
		"half a chunk":             {answering("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"), outcome.ResultReset, 500},
		"another protocol":         {answering("SSH-2.0-OpenSSH_9.9\r\n"), outcome.ResultProtocol, 0},
		"no status":                {answering("HTTP/1.1 abc OK\r\n\r\n"), outcome.ResultProtocol, 0},
		"no header":                {answering("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), outcome.ResultProtocol, 0},
		"bad length":               {answering("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), outcome.ResultProtocol, 0},
		"bad chunk":                {answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), outcome.ResultProtocol, 200},
		"TLS on the http port":     {answering("\x15\x03\x01\x00\x02\x02\x46"), outcome.ResultProtocol, 0},
		"header without end":       {flooding("HTTP/1.1 200 OK\r\nA: ", strings.Repeat("a", 4096)), outcome.ResultProtocol, 0},
		"headers without end":      {flooding("HTTP/1.1 200 OK\r\n", strings.Repeat("A: a\r\n", 500)), outcome.ResultProtocol, 0},
		"1xx without end":          {flooding("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), outcome.ResultProtocol, 0},
		"100 without end":          {flooding("", "HTTP/1.1 100 Continue\r\n\r\n"), outcome.ResultProtocol, 0},
		"switches protocols":       {answering("HTTP/1.1 101 Switching Protocols\r\n\r\n"), outcome.ResultServerError, 101},
		"one 100, then 200":        {answering("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), outcome.ResultSuccess, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := do(t, client(t), &attempt.Request{URL: "http://" + rawEndpoint(t, tc.serve)})
			require.Equal(t, tc.result, res.Result, res.Detail)
			require.Equal(t, tc.status, res.Status)
			require.LessOrEqual(t, len(res.Detail), 256)
		})
	}
}

// TestEndpointsThatHang: whatever they wait for, the slot is free at the deadline.
func TestEndpointsThatHang(t *testing.T) {
	t.Parallel()
	body := "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
	for name, tc := range map[string]struct {
		scheme string
		serve  func(*net.TCPConn)
		size   int
		status int
		detail string
	}{
		"never answers":         {"http", func(c *net.TCPConn) { hang(c) }, 10, 0, "waiting for the response"},
		"never reads":           {"http", func(c *net.TCPConn) { waitClosed(c) }, 1 << 24, 0, "waiting for the response"},
		"never shakes hands":    {"https", func(c *net.TCPConn) { hang(c) }, 10, 0, "in the TLS handshake"},
		"a status byte by byte": {"http", trickling("", "HTTP/1.1 200 "), 10, 0, "reading the response"},
		"a body byte by byte":   {"http", trickling(body, ""), 10, 200, "reading the response"},
		"a body that stops":     {"http", func(c *net.TCPConn) { answering(body + "ab")(c); hang(c) }, 10, 200, "reading the response"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := tc.scheme + "://" + rawEndpoint(t, tc.serve)
			res := do(t, client(t), &attempt.Request{URL: url, Timeout: short, Body: make([]byte, tc.size)})
			require.Equal(t, outcome.ResultTimeout, res.Result, res.Detail)
			require.Equal(t, tc.status, res.Status)
			require.Equal(t, "timed out after "+short.String()+" while "+tc.detail, res.Detail)
			require.GreaterOrEqual(t, res.Duration, short)
		})
	}
}

// waitClosed waits without reading until the test closes the connection.
func waitClosed(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err == nil {
		_ = raw.Read(func(uintptr) bool { return false })
	}
}

func TestTenGigabytes(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		var sent atomic.Int64 // of this server: the one before may still be writing
		srv := tlsServer(t, http2, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(int64(10)<<30))
			chunk := make([]byte, 32<<10)
			for {
				n, err := w.Write(chunk)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
		res := do(t, client(t, trusting(srv)), &attempt.Request{URL: srv.URL})
		require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
		require.True(t, res.Truncated)
		require.Len(t, res.Body, attempt.MaxBody)
		if http2 {
			require.LessOrEqual(t, sent.Load(), int64(256<<10), "more than the stream's window was taken")
		} else {
			require.Less(t, sent.Load(), int64(64<<20), "more than socket buffers was taken")
		}
	}
}

func TestTLSFailures(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) {}
	plain := httptest.NewServer(http.HandlerFunc(ok))
	t.Cleanup(plain.Close)
	selfSigned := tlsServer(t, false, ok)
	wrongName := tlsServer(t, false, ok)
	ca := testCA(t)
	trustCA := trustingCA(ca)
	expired := tlsServerWith(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, ca, time.Now().Add(-time.Hour))}})
	old := tlsServerWith(t, &tls.Config{
		MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
		Certificates: []tls.Certificate{certificate(t, ca, time.Now().Add(time.Hour))},
	})
	mutual := func(version uint16) string {
		return tlsServerWith(t, &tls.Config{
			MinVersion: version, MaxVersion: version, ClientAuth: tls.RequireAnyClientCert,
			Certificates: []tls.Certificate{certificate(t, ca, time.Now().Add(time.Hour))},
		}).URL
	}
	byName := func(c *egress.Config) { c.AllowInternalNames = true }
	for name, tc := range map[string]struct {
		url    string
		config []func(*egress.Config)
	}{
		"self-signed":                  {selfSigned.URL, nil},
		"another name":                 {strings.Replace(wrongName.URL, "127.0.0.1", "localhost", 1), []func(*egress.Config){byName, trusting(wrongName)}},
		"expired":                      {expired.URL, []func(*egress.Config){trustCA}},
		"TLS 1.1":                      {old.URL, []func(*egress.Config){trustCA}},
		"plain HTTP":                   {strings.Replace(plain.URL, "http", "https", 1), nil},
		"client certificate, TLS 1.2":  {mutual(tls.VersionTLS12), []func(*egress.Config){trustCA}},
		"client certificate, TLS 1.3":  {mutual(tls.VersionTLS13), []func(*egress.Config){trustCA}},
		"nonsense instead of a server": {"https://" + rawEndpoint(t, greeting("220 mail.example.com ESMTP\r\n")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			res := do(t, client(t, tc.config...), &attempt.Request{URL: tc.url})
			require.Equal(t, outcome.ResultTLS, res.Result, res.Detail)
			require.Zero(t, res.Status)
			require.NotEmpty(t, res.Detail)
		})
	}
}

func TestNoConnection(t *testing.T) {
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	refused := free.Addr().String()
	require.NoError(t, free.Close())
	broadcast := func(c *egress.Config) {
		c.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("255.255.255.255/32")}
	}
	for name, tc := range map[string]struct {
		url    string
		change func(*egress.Config)
		want   outcome.Result
	}{
		"refused":     {"http://" + refused, func(*egress.Config) {}, outcome.ResultRefused},
		"blocked":     {"http://10.0.0.1", func(*egress.Config) {}, outcome.ResultBlocked},
		"unreachable": {"http://255.255.255.255", broadcast, outcome.ResultUnreachable}, // TCP has no broadcast
		"dns":         {"http://example.com", noDNS, outcome.ResultDNS},
	} {
		t.Run(name, func(t *testing.T) {
			res := do(t, client(t, tc.change), &attempt.Request{URL: tc.url})
			require.Equal(t, tc.want, res.Result, res.Detail)
			require.NotEmpty(t, res.Detail)
			require.Empty(t, res.Proto)
		})
	}
}

func TestHTTP2Failures(t *testing.T) {
	srv := tlsServer(t, true, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/half":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/hang":
			<-r.Context().Done()
		case "/bomb":
			for i := range 2000 {
				w.Header().Set(fmt.Sprintf("X-Bomb-%d", i), strings.Repeat("a", 100))
			}
		}
	})
	c := client(t, trusting(srv))
	for path, want := range map[string]outcome.Result{
		"/abort": outcome.ResultReset, "/half": outcome.ResultReset, "/hang": outcome.ResultTimeout,
		"/bomb": outcome.ResultProtocol,
		"/":     outcome.ResultSuccess,
	} {
		timeout := generous
		if path == "/hang" {
			timeout = short
		}
		res := do(t, c, &attempt.Request{URL: srv.URL + path, Timeout: timeout})
		require.Equal(t, want, res.Result, "%s: %s", path, res.Detail)
	}
}
