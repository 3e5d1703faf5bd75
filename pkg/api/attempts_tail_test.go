package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/outcome"
)

// streamed is an answer that goes on, event by event.
type streamed struct {
	t     *testing.T
	resp  *http.Response
	lines *bufio.Scanner
	end   context.CancelFunc
}

// sse is an event of it.
type sse struct{ id, name, data string }

// follow opens a stream at a server with a limit for reading requests, which is no limit for streams.
func (p *past) follow(server *httptest.Server, token, path string, headers ...string) *streamed {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+prefix+path, http.NoBody)
	require.NoError(p.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := server.Client().Do(r)
	require.NoError(p.t, err)
	p.t.Cleanup(func() {
		cancel()
		_ = resp.Body.Close()
	})
	return &streamed{p.t, resp, bufio.NewScanner(resp.Body), cancel}
}

// next is the next event; false at the end of the stream.
func (s *streamed) next() (e sse, ok bool) {
	s.t.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e.name != "" {
				return e, true
			}
		}
	}
	return e, false
}

// attempt is the next attempt.
func (s *streamed) attempt() (out MessageAttemptOut, id string) {
	s.t.Helper()
	e, ok := s.next()
	require.True(s.t, ok)
	require.Equal(s.t, "attempt", e.name)
	require.NoError(s.t, json.Unmarshal([]byte(e.data), &out))
	return out, e.id
}

func (p *past) serve() *httptest.Server {
	server := httptest.NewUnstartedServer(p.api.Handler())
	server.Config.ReadTimeout, server.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	server.Start()
	p.t.Cleanup(server.Close)
	return server
}

// What is attempted from now on comes by itself, narrowed down as a list is, and after a break from where it was.
func TestFollowAttempts(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s := p.endpoint("acme", "crm")
	server := p.serve()
	e := p.published("acme", "order.paid", "e-1", `"channels":["eu"]`)
	now := time.Now().Truncate(time.Hour).Add(time.Minute)
	p.tried(s, e, now, answered(200, "before"))

	all := p.follow(server, p.reader, "/app/acme/endpoint/crm/tail")
	require.Equal(t, http.StatusOK, all.resp.StatusCode)
	require.Equal(t, eventsType, all.resp.Header.Get("Content-Type"))
	ready, ok := all.next()
	require.True(t, ok)
	require.Equal(t, sse{ready.id, "ready", "{}"}, ready)
	failed := p.follow(server, p.reader, "/app/acme/endpoint/crm/tail?status=2&status_code_class=500&event_types=order.paid&channel=eu")
	_, ok = failed.next()
	require.True(t, ok)
	time.Sleep(150 * time.Millisecond) // longer than the server's limits

	p.tried(s, e, now.Add(time.Second), again(2, 1), answered(204, "good"))
	got, id := all.attempt()
	assert.Equal(t, 204, got.ResponseStatusCode)
	assert.Equal(t, "order.paid", got.Msg.EventType)
	assert.Empty(t, got.Response, "contents are not followed")
	p.tried(s, e, now.Add(2*time.Second), again(3, 2), answered(503, "bad"))
	got, last := all.attempt()
	assert.Equal(t, "fail", got.StatusText)
	got, _ = failed.attempt()
	assert.Equal(t, 503, got.ResponseStatusCode)
	p.tried(s, e, now.Add(3*time.Second), again(4, 3), without(outcome.Delivered, outcome.ReasonNotSent))
	got, _ = all.attempt()
	assert.Equal(t, "canceled", got.StatusText)

	resumed := p.follow(server, p.reader, "/app/acme/endpoint/crm/tail?iterator="+last, "Last-Event-ID", id)
	_, ok = resumed.next()
	require.True(t, ok)
	got, at := resumed.attempt()
	assert.Equal(t, 503, got.ResponseStatusCode)
	assert.Equal(t, last, at)
	fromList := p.get("/app/acme/attempt/endpoint/crm?expanded_statuses=true&limit=1").json(t)["prevIterator"].(string)
	from := p.follow(server, p.reader, "/app/acme/endpoint/crm/tail?iterator="+strings.TrimPrefix(fromList, "-"))
	_, ok = from.next()
	require.True(t, ok)
	p.tried(s, e, now.Add(4*time.Second), again(5, 4), answered(200, ""))
	got, _ = from.attempt()
	assert.Equal(t, 200, got.ResponseStatusCode, "what the list has is not told again")
}

// A stream ends with the token, with the endpoint and with the process; another tenant's endpoint has none.
func TestStreamsEnd(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	p.tenant("other")
	for _, uid := range []string{"crm", "erp", "shop"} {
		p.endpoint("acme", uid)
	}
	server := p.serve()
	token := p.portalToken("acme", access.ViewBase)
	ready := func(token, path string) *streamed {
		t.Helper()
		s := p.follow(server, token, path)
		_, ok := s.next()
		require.True(t, ok)
		return s
	}
	ended := func(s *streamed, why string) {
		t.Helper()
		_, ok := s.next()
		require.False(t, ok, why)
	}
	mine, deleted, rest := ready(token, "/app/acme/endpoint/crm/tail"), ready(p.operator, "/app/acme/endpoint/erp/tail"), ready(p.operator, "/app/acme/endpoint/shop/tail")
	require.Equal(t, http.StatusNoContent, p.call(token, http.MethodPost, "/auth/logout", nil).status)
	ended(mine, "signed out")
	require.Equal(t, http.StatusUnauthorized, p.follow(server, token, "/app/acme/endpoint/crm/tail").resp.StatusCode)
	require.Equal(t, http.StatusNoContent, p.call(p.operator, http.MethodDelete, "/app/acme/endpoint/erp", nil).status)
	ended(deleted, "deleted")
	other := p.portalToken("other", access.ViewBase)
	require.Equal(t, http.StatusNotFound, p.follow(server, other, "/app/acme/endpoint/crm/tail").resp.StatusCode)
	require.Equal(t, http.StatusNotFound, p.follow(server, other, "/app/other/endpoint/"+endpointID(p.endpoint("acme", "more"))+"/tail").resp.StatusCode)
	p.api.EndStreams()
	p.api.EndStreams()
	ended(rest, "the process ends")
}

// A tenant has so many streams and no more; those that end make room.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	p.tenant("other")
	p.endpoint("acme", "crm")
	p.endpoint("other", "crm")
	server := p.serve()
	var open []*streamed
	for range maxTenantTails {
		s := p.follow(server, p.operator, "/app/acme/endpoint/crm/tail")
		_, ok := s.next()
		require.True(t, ok)
		open = append(open, s)
	}
	full := func() bool {
		s := p.follow(server, p.operator, "/app/acme/endpoint/crm/tail")
		defer s.end()
		return s.resp.StatusCode == http.StatusTooManyRequests
	}
	require.True(t, full())
	require.Equal(t, http.StatusOK, p.follow(server, p.operator, "/app/other/endpoint/crm/tail").resp.StatusCode)
	open[0].end()
	require.Eventually(t, func() bool { return !full() }, time.Minute, 10*time.Millisecond)

	var all tails
	for n := range maxTails {
		_, ok := all.take([16]byte{byte(n), byte(n >> 8)})
		require.True(t, ok)
	}
	_, ok := all.take([16]byte{1})
	require.False(t, ok, "of the process")
}
