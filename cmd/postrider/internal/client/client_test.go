package client

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serve starts a server and returns a client of it, and the pauses that the client makes.
func serve(t *testing.T, h http.HandlerFunc) (*Client, *[]time.Duration) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := New(server.URL+"/", "prk_secret")
	require.NoError(t, err)
	var pauses []time.Duration
	c.pause = func(_ context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return nil
	}
	return c, &pauses
}

func TestNewRefuses(t *testing.T) {
	for _, base := range []string{"", "localhost:8070", "ftp://host", "http://", "://"} {
		_, err := New(base, "")
		require.ErrorContains(t, err, "want a URL", base)
	}
	_, err := New("http://localhost", "prk_x\n")
	require.ErrorContains(t, err, "token")
	require.NotContains(t, err.Error(), "prk_x")
}

func TestPathEscapes(t *testing.T) {
	require.Equal(t, "/app/a%2Fb/endpoint/c%3Fd", Path("app", "a/b", "endpoint", "c?d"))
}

func TestPostIsRepeatedUnderOneKey(t *testing.T) {
	var keys, bodies []string
	c, pauses := serve(t, func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		switch len(keys) {
		case 1:
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"id":"1"}`)
		}
	})
	answer, err := c.Do(t.Context(), Call{Method: http.MethodPost, Path: "/app", Body: map[string]string{"name": "Acme"}})
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"1"}`, string(answer.Body))
	require.Equal(t, []time.Duration{3 * time.Second, firstPause}, *pauses)
	require.NotEmpty(t, keys[0])
	require.Equal(t, []string{keys[0], keys[0], keys[0]}, keys)
	require.Equal(t, []string{`{"name":"Acme"}`, `{"name":"Acme"}`, `{"name":"Acme"}`}, bodies)
}

func TestRetriesAreBounded(t *testing.T) {
	tries := 0
	after := ""
	c, pauses := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		tries++
		w.Header().Set("Retry-After", after)
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"code":"rate_limited","detail":"too many requests"}`)
	})
	_, err := c.Do(t.Context(), Call{Method: http.MethodGet, Path: "/app"})
	require.EqualError(t, err, "too many requests (rate_limited)")
	require.Equal(t, maxTries, tries)
	require.Equal(t, []time.Duration{firstPause, 2 * firstPause, 4 * firstPause, 8 * firstPause}, *pauses)

	tries, after = 0, "3600"
	_, err = c.Do(t.Context(), Call{Method: http.MethodGet, Path: "/app"})
	require.Error(t, err)
	require.Equal(t, 1, tries, "an hour is too long to wait for")
}

func TestRefusalsAreOneLine(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		body, want string
	}{
		"code":       {404, `{"code":"not_found","detail":"app not found"}`, "app not found (not_found)"},
		"fields":     {422, `{"detail":[{"loc":["body","url"],"msg":"want https"},{"loc":["query","limit"],"msg":"too large"}]}`, "url: want https; query.limit: too large"},
		"whole body": {422, `{"detail":[{"loc":["body"],"msg":"too large"}]}`, "too large"},
		"server":     {500, `{"code":"server_error","detail":"went wrong"}`, "went wrong (request req_1) (server_error)"},
		"lines":      {400, `{"code":"bad","detail":"one\ntwo"}`, "one two (bad)"},
		"no JSON":    {502, `<html>`, "the API answered 502 Bad Gateway: is it the management API that listens there? (request req_1)"},
		"redirect":   {302, ``, "the API answered 302 Found: is it the management API that listens there?"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Request-Id", "req_1")
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			_, err := c.Do(t.Context(), Call{Method: http.MethodGet, Path: "/app"})
			require.EqualError(t, err, test.want)
		})
	}
}

func TestListReadsEveryPage(t *testing.T) {
	pages := map[string]string{
		"":  `{"data":[1,2],"iterator":"2","done":false}`,
		"2": `{"data":[],"iterator":"2b","done":false}`, "2b": `{"data":[3],"iterator":"3","done":true}`,
	}
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer prk_secret", r.Header.Get("Authorization"))
		assert.Equal(t, "250", r.URL.Query().Get("limit"))
		assert.Equal(t, "blue", r.URL.Query().Get("tag"))
		_, _ = io.WriteString(w, pages[r.URL.Query().Get("iterator")])
	})
	var got []string
	for e, err := range c.List(t.Context(), "/app", url.Values{"tag": {"blue"}}) {
		require.NoError(t, err)
		got = append(got, string(e))
	}
	require.Equal(t, []string{"1", "2", "3"}, got)
}

func TestAnEndedContextIsNotRetried(t *testing.T) {
	c, pauses := serve(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Do(ctx, Call{Method: http.MethodGet, Path: "/app"})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, *pauses)
}
