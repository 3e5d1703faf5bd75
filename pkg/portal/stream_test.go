package portal_test

import (
	"bufio"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// nextEvent is the next event of a stream: its id and its data.
func nextEvent(t *testing.T, lines *bufio.Scanner, name string) (id, data string) {
	t.Helper()
	found := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			found = value
		case "data":
			data = value
		case "":
			if found != "" {
				require.Equal(t, name, found)
				return id, data
			}
		}
	}
	require.Fail(t, "the stream has ended", "want %s", name)
	return "", ""
}

// stream opens what a page follows.
func (b *browser) stream(path string, headers ...string) *http.Response {
	b.s.t.Helper()
	r, err := http.NewRequestWithContext(b.s.t.Context(), http.MethodGet, b.s.server.URL+path, http.NoBody)
	require.NoError(b.s.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.client.Do(r)
	require.NoError(b.s.t, err)
	b.s.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

var streamOf = regexp.MustCompile(`data-stream="([^"]+)"`)

// New attempts come as rows of the list, from where the list ends; without a script the list is a plain page.
func TestFollowLive(t *testing.T) {
	t.Parallel()
	s, app, id, one := troubled(t)
	b := s.owner()
	require.NotContains(t, b.get(one+"/attempt").body, "data-stream")
	page := b.get(one + "/attempt?status=2&live=1").body
	require.Contains(t, page, "Load the page again to see newer attempts.")
	require.Len(t, attemptsOn(page), 2)
	found := streamOf.FindStringSubmatch(page)
	require.NotNil(t, found)
	path := html.UnescapeString(found[1])

	resp := b.stream(path) //nolint:bodyclose // the browser closes it
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
	lines := bufio.NewScanner(resp.Body)
	nextEvent(t, lines, "ready")
	tenant, err := ident.ParseBase62(subscription.TenantPrefix, app)
	require.NoError(t, err)
	s.past.tried(tenant, idOf(t, id), time.Now(), refused(hostile))
	at, row := nextEvent(t, lines, "attempt")
	require.Regexp(t, `^<tr><td><a href="/portal/app/`+app+`/event/msg_\w+/attempt/atmpt_\w+"><time datetime=.*Failed, 503.*</tr>$`, row)
	s.past.tried(tenant, idOf(t, id), time.Now().Add(time.Second), refused(""))
	last, _ := nextEvent(t, lines, "attempt")

	again := bufio.NewScanner(b.stream(path, "Last-Event-ID", at).Body) //nolint:bodyclose // likewise
	nextEvent(t, again, "ready")
	got, _ := nextEvent(t, again, "attempt")
	require.Equal(t, last, got, "it goes on where it was")

	b.submit(one, "/portal/session/end", url.Values{})
	for lines.Scan() { // it ends with the session
	}
	require.NoError(t, lines.Err())
	require.Equal(t, http.StatusUnauthorized, b.stream(path).StatusCode) //nolint:bodyclose // likewise
	_, other := s.link("other")
	require.Equal(t, http.StatusNotFound, s.visitor(other).stream(path).StatusCode) //nolint:bodyclose // likewise
}
