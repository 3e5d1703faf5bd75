package attempt_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/sign"
)

func TestStatuses(t *testing.T) {
	for status, want := range map[int]outcome.Result{
		200: outcome.ResultSuccess, 202: outcome.ResultSuccess, 204: outcome.ResultSuccess, 299: outcome.ResultSuccess,
		300: outcome.ResultRedirect, 302: outcome.ResultRedirect, 304: outcome.ResultRedirect,
		400: outcome.ResultClientError, 401: outcome.ResultClientError, 404: outcome.ResultClientError,
		410: outcome.ResultGone, 429: outcome.ResultThrottled, 499: outcome.ResultClientError,
		500: outcome.ResultServerError, 503: outcome.ResultServerError, 599: outcome.ResultServerError,
		600: outcome.ResultServerError, 999: outcome.ResultServerError,
	} {
		srv := tlsServer(t, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		res := do(t, client(t, trusting(srv)), &attempt.Request{URL: srv.URL})
		require.Equal(t, want, res.Result, "%d", status)
		require.Equal(t, status, res.Status)
		require.Empty(t, res.Detail)
		require.Equal(t, "HTTP/1.1", res.Proto)
		require.Positive(t, res.Duration)
		require.WithinDuration(t, time.Now(), res.Started, generous)
	}
}

// TestRequestOnTheWire: the endpoint sees what was asked for, in the case it was written in, and nothing that invites
// it to compress. The raw bytes are compared because net/http's server would hide the case.
func TestRequestOnTheWire(t *testing.T) {
	got := make(chan string, 1)
	addr := rawEndpoint(t, recording(got))
	res := do(t, client(t), &attempt.Request{
		URL: "http://" + addr + "/a%20b?x=%2F", Body: []byte("{}"),
		Header: []sign.Header{
			{Name: "Content-Type", Value: "application/json"},
			{Name: "User-Agent", Value: "Postrider/1"},
			{Name: "X-DIXA-SIGNATURE", Value: "t=1,v1=2"},
			{Name: "webhook-id", Value: "msg_1"},
			{Name: "X-Many", Value: "1"},
			{Name: "X-Many", Value: "2"},
		},
	})
	require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
	require.Equal(t, "POST /a%20b?x=%2F HTTP/1.1\r\n"+
		"Host: "+addr+"\r\nUser-Agent: Postrider/1\r\nContent-Length: 2\r\nContent-Type: application/json\r\n"+
		"X-DIXA-SIGNATURE: t=1,v1=2\r\nX-Many: 1\r\nX-Many: 2\r\nwebhook-id: msg_1\r\n\r\n{}", <-got)
}

func TestHTTP2(t *testing.T) {
	srv := tlsServer(t, true, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto)
		_, _ = io.Copy(w, r.Body)
	})
	c := client(t, trusting(srv))
	for range 3 {
		res := do(t, c, &attempt.Request{URL: srv.URL, Body: []byte("ping")})
		require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
		require.Equal(t, "HTTP/2.0", res.Proto)
		require.Equal(t, "ping", string(res.Body))
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var hits atomic.Int32
	srv := tlsServer(t, false, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	res := do(t, client(t, trusting(srv)), &attempt.Request{URL: srv.URL})
	require.Equal(t, outcome.ResultRedirect, res.Result)
	require.Equal(t, 302, res.Status)
	require.EqualValues(t, 1, hits.Load())
}

func TestNothingIsDecompressed(t *testing.T) {
	bomb := []byte("\x1f\x8b\x08\x00 not even gzip")
	srv := tlsServer(t, false, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	})
	res := do(t, client(t, trusting(srv)), &attempt.Request{URL: srv.URL})
	require.Equal(t, outcome.ResultSuccess, res.Result)
	require.Equal(t, bomb, res.Body)
}

func TestBodies(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for _, size := range []int{0, 1, 511, 512, 513, 5000, attempt.MaxBody - 1, attempt.MaxBody, attempt.MaxBody + 1, 1 << 20} {
			for _, declared := range []bool{false, true} {
				t.Run(fmt.Sprintf("http2 %v size %d declared %v", http2, size, declared), func(t *testing.T) {
					want := bytes.Repeat([]byte("x"), size)
					srv := tlsServer(t, http2, func(w http.ResponseWriter, _ *http.Request) {
						if declared {
							w.Header().Set("Content-Length", fmt.Sprint(size))
						} else {
							w.(http.Flusher).Flush()
						}
						_, _ = w.Write(want)
					})
					res := do(t, client(t, trusting(srv)), &attempt.Request{URL: srv.URL})
					require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
					require.Equal(t, size > attempt.MaxBody, res.Truncated)
					require.True(t, bytes.Equal(want[:min(size, attempt.MaxBody)], res.Body), "%d bytes", len(res.Body))
					require.LessOrEqual(t, cap(res.Body), 2*attempt.MaxBody)
				})
			}
		}
	}
}

func TestConnectionsAreReused(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		var peers atomic.Int32
		seen := make(chan string, 100)
		srv := tlsServer(t, http2, func(w http.ResponseWriter, r *http.Request) {
			peers.Add(1)
			seen <- r.RemoteAddr
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, strings.Repeat("no", 4000))
		})
		c := client(t, trusting(srv))
		var first string
		for i := range 10 {
			require.Equal(t, 500, do(t, c, &attempt.Request{URL: srv.URL}).Status)
			if addr := <-seen; i == 0 {
				first = addr
			} else {
				require.Equal(t, first, addr, "a failed attempt cost its connection")
			}
		}
		require.EqualValues(t, 10, peers.Load())
	}
}

func TestWhatEndpointsAskFor(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		header         http.Header
		after          time.Duration
		disable, abort bool
	}{
		"nothing":       {},
		"seconds":       {header: http.Header{"Retry-After": {"120"}}, after: 2 * time.Minute},
		"date":          {header: http.Header{"Retry-After": {"Sun, 01 Mar 2026 12:00:30 GMT"}}, after: 30 * time.Second},
		"past":          {header: http.Header{"Retry-After": {"Sun, 01 Mar 2020 12:00:30 GMT"}}},
		"nonsense":      {header: http.Header{"Retry-After": {"soon"}}},
		"disable":       {header: http.Header{"Webhook-Delivery": {"disable"}}, disable: true},
		"abort":         {header: http.Header{"Webhook-Delivery": {" Abort-Message "}}, abort: true},
		"both":          {header: http.Header{"Webhook-Delivery": {"abort-message, disable"}}, disable: true, abort: true},
		"in two fields": {header: http.Header{"Webhook-Delivery": {"x", "disable"}}, disable: true},
		"other words":   {header: http.Header{"Webhook-Delivery": {"disabled please", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			rt := roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 503, Header: tc.header, Body: http.NoBody, Proto: "HTTP/1.1"}, nil
			})
			c := attempt.New(rt, attempt.WithClock(func() time.Time { return now }))
			res := do(t, c, &attempt.Request{URL: "https://example.com"})
			require.Equal(t, tc.after, res.RetryAfter)
			require.Equal(t, tc.disable, res.Disable)
			require.Equal(t, tc.abort, res.AbortMessage)
		})
	}
}

func TestCallersEnd(t *testing.T) {
	arrived := make(chan struct{}, 2)
	addr := rawEndpoint(t, func(conn *net.TCPConn) { readRequest(conn); arrived <- struct{}{}; hang(conn) })
	c := client(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := fmt.Errorf("partition revoked")
	go func() { <-arrived; cancel(stop) }()
	_, err := c.Do(ctx, &attempt.Request{URL: "http://" + addr, Timeout: generous})
	require.ErrorIs(t, err, stop)

	_, err = c.Do(ctx, &attempt.Request{URL: "http://" + addr, Timeout: generous})
	require.ErrorIs(t, err, stop, "ended before it began")

	dead, cancelDead := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancelDead()
	_, err = c.Do(dead, &attempt.Request{URL: "http://" + addr, Timeout: generous})
	require.ErrorIs(t, err, context.DeadlineExceeded, "the caller's deadline is not the attempt's")
}

func TestRequestsThatCannotBeMade(t *testing.T) {
	c := client(t)
	for name, r := range map[string]*attempt.Request{
		"no url":         {URL: ""},
		"no host":        {URL: "https:///path"},
		"bad url":        {URL: "https://user:secret@%zz/"},
		"scheme":         {URL: "ftp://127.0.0.1/"},
		"method":         {URL: "https://127.0.0.1/", Method: "PO ST"},
		"header name":    {URL: "https://127.0.0.1/", Header: []sign.Header{{Name: "a b", Value: "secret"}}},
		"header value":   {URL: "https://127.0.0.1/", Header: []sign.Header{{Name: "a", Value: "secret\r\nx: y"}}},
		"idempotency":    {URL: "https://127.0.0.1/", Header: []sign.Header{{Name: "idempotency-key", Value: "secret"}}},
		"x-idempotency":  {URL: "https://127.0.0.1/", Header: []sign.Header{{Name: "X-Idempotency-Key", Value: "secret"}}},
		"nothing at all": {URL: "::"},
	} {
		t.Run(name, func(t *testing.T) {
			res := do(t, c, r)
			require.Equal(t, outcome.ResultRequest, res.Result, res.Detail)
			require.NotEmpty(t, res.Detail)
			require.NotContains(t, res.Detail, "secret")
			require.Zero(t, res.Status)
		})
	}
}

// roundTripper is a transport that is a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
