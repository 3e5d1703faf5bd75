package attempt_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
)

// ways are the clients of both.
func ways(t *testing.T, change ...func(*egress.Config)) map[string]*attempt.Client {
	t.Helper()
	return map[string]*attempt.Client{"by hand": client(t, change...), "net/http": byNetHTTP(t, change...)}
}

// The header of a response is kept, within its bounds and without what may be a secret.
func TestHeadersOfResponses(t *testing.T) {
	const fields = "Server: x\r\nSet-Cookie: sid=hush\r\nConnection: keep-alive\r\nX-Token: hush\r\nvary: a\r\nVary:b\r\n"
	many := ""
	for i := range 2 * outcome.MaxHeaders {
		many += fmt.Sprintf("X-%03d: %d\r\n", i, i)
	}
	for name, c := range map[string]struct {
		text      string
		want      map[string]string
		truncated bool
		redacted  bool
	}{
		"none":   {"HTTP/1.1 204 No Content\r\n\r\n", nil, false, false},
		"some":   {"HTTP/1.1 204 No Content\r\n" + fields + "\r\n", map[string]string{"server": "x", "set-cookie": outcome.RedactedValue, "x-token": outcome.RedactedValue, "vary": "a, b"}, false, true},
		"chunks": {"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", map[string]string{"x": "y"}, false, false},
		"cut":    {"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 9\r\n\r\nok", map[string]string{"x": "y", "content-length": "9"}, false, false},
		"long":   {"HTTP/1.1 204 No Content\r\nX: " + strings.Repeat("x", 5000) + "\r\nY: z\r\n\r\n", map[string]string{"y": "z"}, true, false},
		"many":   {"HTTP/1.1 204 No Content\r\n" + many + "\r\n", nil, true, false},
		"a mob":  {"HTTP/1.1 204 No Content\r\n" + strings.Repeat("Connection: keep-alive\r\n", 2000) + "Y: z\r\n\r\n", nil, true, false},
	} {
		for way, cl := range ways(t) {
			t.Run(name+" "+way, func(t *testing.T) {
				res := do(t, cl, &attempt.Request{URL: "http://" + rawEndpoint(t, answering(c.text))})
				got := maps.Collect(res.Headers.All())
				switch {
				case name == "many":
					require.Len(t, got, outcome.MaxHeaders)
				case c.want == nil:
					require.Empty(t, got)
				default:
					require.Equal(t, c.want, got)
				}
				require.Equal(t, c.truncated, res.HeadersTruncated)
				require.Equal(t, c.redacted, res.HeadersRedacted)
				require.NotContains(t, string(res.Headers), "hush")
			})
		}
	}
}

// A new connection has its timings, a kept one has none; the first byte comes in between start and end.
func TestTimings(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		srv := tlsServer(t, http2, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		for way, c := range ways(t, trusting(srv)) {
			for n := range 2 {
				res := do(t, c, &attempt.Request{URL: srv.URL})
				require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
				require.Positive(t, res.FirstByte)
				require.LessOrEqual(t, res.FirstByte, res.Duration)
				require.Zero(t, res.Timings.DNS, "the URL has an address")
				if n > 0 {
					require.Zero(t, res.Timings, "%s, http2 %v: kept", way, http2)
					continue
				}
				require.Positive(t, res.Timings.Connect, "%s, http2 %v", way, http2)
				require.Positive(t, res.Timings.TLS, "%s, http2 %v", way, http2)
				require.LessOrEqual(t, res.Timings.Connect+res.Timings.TLS, res.FirstByte)
			}
		}
	}
}

func TestTimingsOfNamesAndFailures(t *testing.T) {
	addr := rawEndpoint(t, func(conn *net.TCPConn) { readRequest(conn) })
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	for way, c := range ways(t, patient, func(c *egress.Config) { c.AllowInternalNames = true }) {
		t.Run(way, func(t *testing.T) {
			res := do(t, c, &attempt.Request{URL: "http://localhost:" + port})
			require.Equal(t, outcome.ResultReset, res.Result, res.Detail)
			require.Positive(t, res.Timings.DNS)
			require.Positive(t, res.Timings.Connect)
			require.Zero(t, res.FirstByte, "none came")
			plain := rawEndpoint(t, func(conn *net.TCPConn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 400 No TLS\r\n\r\n")
				hang(conn)
			})
			res = do(t, c, &attempt.Request{URL: "https://" + plain})
			require.Equal(t, outcome.ResultTLS, res.Result, res.Detail)
			require.Positive(t, res.Timings.Connect)
			require.Zero(t, res.Timings.TLS, "it failed")
		})
	}
}
