package portal_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// troubled is a site with an endpoint of acme that failed an hour ago and twice since, and did well before.
func troubled(t *testing.T) (s *site, app, id, one string) {
	t.Helper()
	s = newSite(t)
	id = s.endpoint(`{"url":"https://a.example/in","name":"CRM"}`)
	app = s.tenant("acme")
	tenant, err := ident.ParseBase62(subscription.TenantPrefix, app)
	require.NoError(t, err)
	sub, now := idOf(t, id), time.Now()
	s.past.tried(tenant, sub, now.Add(-5*time.Hour))
	s.past.tried(tenant, sub, now.Add(-65*time.Minute), refused(hostile))
	s.past.tried(tenant, sub, now.Add(-30*time.Minute), func(o *outcome.Outcome) { o.Attempt = 2 }, unanswered(outcome.ResultTimeout, hostile))
	s.past.tried(tenant, sub, now.Add(-10*24*time.Hour))
	return s, app, id, "/portal/app/" + app + "/endpoint/" + id
}

// watchingPages are those of an endpoint that show how deliveries do.
func watchingPages(b *browser, app, endpoint string) []string {
	one := "/portal/app/" + app + "/endpoint/" + endpoint
	pages := []string{
		one + "/attempt?live=1", one + "/again", one + "?window=hour", one + "?window=week", one + "/attempt", one + "/attempt?status=2&class=500&window=day&type=order.created&channel=x",
		one + "/last", one + "/last?type=order.created",
	}
	return append(pages, attemptsOn(b.get(one+"/attempt").body)...)
}

var attemptLink = regexp.MustCompile(`href="(/portal/app/[^"]+/attempt/atmpt_[^"]+)"`)

// attemptsOn are the paths of the attempts that a page links to.
func attemptsOn(page string) (paths []string) {
	for _, m := range attemptLink.FindAllStringSubmatch(page, -1) {
		paths = append(paths, m[1])
	}
	return paths
}

// One sees how an endpoint does: by event type with code and time, and over time.
func TestOverview(t *testing.T) {
	t.Parallel()
	s, _, _, one := troubled(t)
	page := s.owner().get(one).body
	for _, want := range []string{
		"33.3 %", "3 attempts, of which 2 failed", "Failed, no response", "contact.updated", "Never sent", "half took at most", "<strong>below 0.01</strong> <span>a minute", `class="bad"`,
	} {
		require.Contains(t, page, want)
	}
	event := s.owner().get(strings.Split(one, "/endpoint/")[0] + "/event/" + ident.Derive("test", "kept").Base62("msg_"))
	require.Len(t, attemptsOn(event.body), 4, "an event leads to what was tried of it")
	require.Regexp(t, `<code>order.created</code></a> <span><span class="state bad">Failed, no response</span> <small><time datetime=`, page)
	require.Contains(t, s.owner().get(one[:strings.LastIndex(one, "/")]).body, "33.3 % of 3 attempts in 24 hours")
	require.Contains(t, s.owner().get(one+"?window=hour").body, "1 attempt, of which 1 failed; at most 1 a minute")
	require.Contains(t, s.owner().get(one+"?window=nonsense").body, "an hour", "the day is the usual window")
}

// An endpoint whose breaker is open says until when its deliveries wait, in the list and on its page.
func TestBreaker(t *testing.T) {
	t.Parallel()
	s, _, id, one := troubled(t)
	b, list := s.owner(), one[:strings.LastIndex(one, "/")]
	require.NotContains(t, b.get(one).body+b.get(list).body, "deliveries wait")
	until := time.Now().Add(time.Hour).UTC()
	s.past.open = map[ident.ID]time.Time{idOf(t, id): until}
	want := "deliveries wait until <time datetime=\"" + until.Format("2006-01-02T15:04:")
	require.Contains(t, b.get(one).body, want)
	require.Contains(t, b.get(list).body, want)
	require.Contains(t, b.get(list).body, `<span class="state bad">Paused</span>`)
	s.past.open[idOf(t, id)] = time.Now().Add(-time.Second)
	require.Contains(t, b.get(one).body, "deliveries wait; the next one is tried.")
	b.submit(one+"/confirm/disable", one+"/confirm/disable", nil)
	require.NotContains(t, b.get(one).body, "deliveries wait", "nothing waits at a disabled one")
}

// A failure is found in the log, told in plain words with what to do, and repaired by a click.
func TestSeeAFailureAndRepairIt(t *testing.T) {
	t.Parallel()
	s, _, id, one := troubled(t)
	b := s.owner()
	list := b.get(one + "/attempt").body
	require.Len(t, attemptsOn(list), 3, "of the last 7 days")
	for query, want := range map[string]int{
		"status=0": 1, "status=2": 2, "class=500": 1, "class=0": 1, "class=200": 1, "type=order.created": 3, "type=none": 0, "channel=none": 0, "window=day": 3, "window=hour": 1,
	} {
		require.Len(t, attemptsOn(b.get(one+"/attempt?"+query).body), want, query)
	}
	paths := attemptsOn(list)
	timeout := b.get(paths[0]).body
	for _, want := range []string{"The endpoint did not answer in time.", "all tries are used up", "Answer at once", "There was none."} {
		require.Contains(t, timeout, want)
	}
	failed := b.get(paths[1]).body
	for _, want := range []string{
		"The endpoint failed while it worked on the request.", "It is tried again.", "Next try: <time", "Look into the log", "Status <strong>503</strong>",
		"not kept, as it may be a secret", "This is its start", "Looking up the name 5.0 ms, Connecting 10 ms, TLS handshake 15 ms", "Payload", "webhook-signature",
	} {
		require.Contains(t, failed, want)
	}
	since := regexp.MustCompile(`href="([^"]+/again\?[^"]+)"`).FindStringSubmatch(failed)
	require.NotNil(t, since)
	require.Contains(t, b.get(strings.ReplaceAll(since[1], "&amp;", "&")).body, `type="datetime-local" value="20`)
	got := b.submit(paths[1], strings.Split(paths[1], "/attempt/")[0]+"/resend", url.Values{"endpoint": {id}})
	require.Equal(t, one+"/attempt", got.at)
	require.Contains(t, got.body, "on its way once more")
	require.Len(t, s.past.resent, 1)
	require.Equal(t, ident.Derive("test", "kept"), s.past.resent[0].Message)
}

func TestLastDeliveriesWithPayload(t *testing.T) {
	t.Parallel()
	s, _, _, one := troubled(t)
	page := s.owner().get(one + "/last?type=order.created").body
	require.Equal(t, 4, strings.Count(page, `<details class="delivery">`))
	require.Contains(t, page, "&#34;id&#34;: &#34;o-1&#34;", "the payload")
	require.Contains(t, s.owner().get(one+"/last?type=contact.updated").body, "of this event type")
}

// While the views are behind it is said; while they are away the rest of a page is there.
func TestViewsBehindAndAway(t *testing.T) {
	t.Parallel()
	s, app, id, one := troubled(t)
	b := s.owner()
	pages := watchingPages(b, app, id)
	require.NotContains(t, b.get(one).body, "latest attempts are not all here")
	s.past.behind = 7
	require.Contains(t, b.get(one).body, "latest attempts are not all here")
	s.past.away = errAway
	for _, path := range pages {
		got := b.get(path)
		require.NotContains(t, got.body, errAway.Error(), path)
		if strings.Contains(path, "atmpt_") {
			require.Equal(t, http.StatusServiceUnavailable, got.status, path)
			continue
		}
		if strings.HasSuffix(path, "/again") {
			continue // it needs no views
		}
		require.Equal(t, http.StatusOK, got.status, path)
		require.Contains(t, got.body, "Deliveries go on as usual", path)
	}
	list := b.get(one[:strings.LastIndex(one, "/")])
	require.Equal(t, http.StatusOK, list.status)
	require.Contains(t, list.body, "Recent results cannot be shown")
	require.Contains(t, b.get(one).body, "https://a.example/in", "its settings are there all the same")
}

// What receivers answer, and what failures say, is text.
func TestHostileAnswersStayText(t *testing.T) {
	t.Parallel()
	s, app, id, one := troubled(t)
	tenant, err := ident.ParseBase62(subscription.TenantPrefix, app)
	require.NoError(t, err)
	s.past.tried(tenant, idOf(t, id), time.Now().Add(-time.Minute), refused(hostile), func(o *outcome.Outcome) {
		o.Attempt, o.EventType, o.URL, o.Detail, o.EventID = 3, hostile, "https://x.example/"+hostile, hostile, hostile
		o.ResponseHeaders = outcome.Headers("x-own: " + hostile + "\n")
		o.Trigger = delivery.TriggerResend
	})
	b, seen := s.owner(), 0
	for _, path := range append(watchingPages(b, app, id), one+"/attempt?type="+url.QueryEscape("a.b")+"&channel=x&status="+url.QueryEscape(hostile), one+"/last?type="+url.QueryEscape(hostile)) {
		got := b.get(path)
		requireClean(t, path, got.body)
		seen += strings.Count(got.body, "&lt;script&gt;alert(1)")
	}
	require.GreaterOrEqual(t, seen, 10, "it is shown, as text")
}

// Another tenant finds nothing of it, and cannot send anything again.
func TestAnotherTenantWatchesNothing(t *testing.T) {
	t.Parallel()
	s, app, id, _ := troubled(t)
	pages := watchingPages(s.owner(), app, id)
	_, token := s.link("other")
	b, other := s.visitor(token), s.tenant("other")
	for _, path := range pages {
		for _, at := range []string{path, strings.Replace(path, app, other, 1)} {
			got := b.get(at)
			require.Equal(t, http.StatusNotFound, got.status, at)
			require.NotContains(t, got.body, "shown.example", at)
		}
	}
	for _, of := range []string{app, other} {
		path := "/portal/app/" + of + "/event/" + ident.Derive("test", "kept").Base62("msg_") + "/resend"
		require.Equal(t, http.StatusNotFound, b.submit("/portal/app/"+other+"/endpoint", path, url.Values{"endpoint": {id}}).status)
	}
	require.Empty(t, s.past.resent)
}
