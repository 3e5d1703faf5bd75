package attempt_test

import (
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
	"github.com/postrider/postrider/pkg/sign"
)

// byNetHTTP returns a client that sends everything through net/http: it does not see that the transport has connections to give.
func byNetHTTP(t testing.TB, change ...func(*egress.Config)) *attempt.Client {
	t.Helper()
	return attempt.New(struct{ http.RoundTripper }{transport(t, change...)})
}

// Both ways say the same to an endpoint.
func TestBothWaysWriteTheSame(t *testing.T) {
	got := make(chan string, 1)
	addr := rawEndpoint(t, recording(got))
	for _, method := range []string{"", "PUT", "DELETE", "GET", "X"} {
		for _, path := range []string{"", "/", "/a%20b/ü?x=%2F&y=ü", "?q", "//a/../b#fragment"} {
			var seen []string
			for _, c := range []*attempt.Client{client(t), byNetHTTP(t)} {
				res := do(t, c, &attempt.Request{
					Method: method, URL: "http://" + addr + path, Body: []byte("{}"),
					Header: []sign.Header{
						{Name: "webhook-id", Value: "msg_1"},
						{Name: "User-Agent", Value: "Postrider/1"},
						{Name: "X-Many", Value: " 2"},
						{Name: "content-type", Value: "application/json"},
						{Name: "X-Many", Value: "1"},
						{Name: "X-DIXA-SIGNATURE", Value: "t=1,v1=2"},
					},
				})
				require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
				seen = append(seen, <-got)
			}
			require.Equal(t, seen[1], seen[0])
		}
	}
}

// Both ways come to the same, whatever the endpoint answers.
func TestBothWaysComeToTheSame(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                  "",
		"no content":               "HTTP/1.1 204 No Content\r\n\r\n",
		"length":                   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"half a length":            "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok",
		"until the end":            "HTTP/1.1 200 OK\r\n\r\nok",
		"chunks":                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"chunks without end":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"a trailer":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
		"a trailer without end":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: " + strings.Repeat("b", 1<<16),
		"an endless chunk header":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("b", 1<<16),
		"length and chunks":        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"two lengths":              "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
		"another encoding":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
		"HTTP/1.0":                 "HTTP/1.0 500 No\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/0.9":                 "<html>",
		"a version of the future":  "HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"lines without CR":         "HTTP/1.1 410 Gone\nContent-Length: 2\n\nok",
		"a folded line":            "HTTP/1.1 429 Slow\r\nRetry-After:\r\n 7\r\nContent-Length: 0\r\n\r\n",
		"Retry-After":              "HTTP/1.1 429 Slow\r\nretry-after: 7\r\nRetry-After: 8\r\nContent-Length: 0\r\n\r\n",
		"disable":                  "HTTP/1.1 400 No\r\nwebhook-delivery: disable\r\nContent-Length: 0\r\n\r\n",
		"both words":               "HTTP/1.1 400 No\r\nwebhook-delivery: abort-message\r\nWebhook-Delivery: x, disable\r\nContent-Length: 0\r\n\r\n",
		"switching":                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
		"early hints":              "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
		"a head of 60 kB":          "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 60_000) + "\r\nContent-Length: 2\r\n\r\nok",
		"a head of 70 kB":          "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70_000) + "\r\nContent-Length: 2\r\n\r\nok",
		"a body at the limit":      "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + strings.Repeat("x", 65536),
		"a body beyond it":         "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" + strings.Repeat("x", 65537),
		"an endless body":          "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 200_000),
		"a length without a body":  "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"a NUL":                    "HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
		"a status of four digits":  "HTTP/1.1 2000 OK\r\n\r\n",
		"a status of no class":     "HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n",
		"a status below all":       "HTTP/1.1 042 Low\r\nContent-Length: 0\r\n\r\n",
		"half of everything":       "HTTP/1.1 2",
		"what is TLS":              "\x15\x03\x01\x00\x02\x02\x46",
		"what is HTTP/2":           "\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"a length of no number":    "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
		"a length that is huge":    "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nok",
		"a length that is greater": "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			url := "http://" + rawEndpoint(t, answering(text))
			got := do(t, client(t), &attempt.Request{URL: url})
			want := do(t, byNetHTTP(t), &attempt.Request{URL: url})
			require.Equal(t, want.Result, got.Result, "%s, net/http: %s", got.Detail, want.Detail)
			require.Equal(t, want.Detail == "", got.Detail == "")
			require.Equal(t, want.FirstByte > 0, got.FirstByte > 0, "the first byte's time")
			require.LessOrEqual(t, got.FirstByte, got.Duration)
			require.Positive(t, want.Timings.Connect)
			require.Positive(t, got.Timings.Connect)
			require.Equal(t, maps.Collect(want.Headers.All()), maps.Collect(got.Headers.All()))
			got.Detail, got.Started, got.Duration, got.FirstByte = want.Detail, want.Started, want.Duration, want.FirstByte
			got.Timings, got.Headers = want.Timings, want.Headers
			require.Equal(t, want, got)
		})
	}
}

// A method whose response is framed by other rules goes through net/http, and comes back.
func TestHead(t *testing.T) {
	url := "http://" + rawEndpoint(t, func(conn *net.TCPConn) {
		for readRequest(conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
		}
	})
	c := client(t)
	for range 2 {
		res := do(t, c, &attempt.Request{Method: http.MethodHead, URL: url, Body: []byte{}})
		require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
		require.Empty(t, res.Body)
	}
}
