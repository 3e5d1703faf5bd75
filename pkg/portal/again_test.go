package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/task"
)

// started is the task that was started last.
func (p *past) started() *task.Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tasks[len(p.tasks)-1]
}

// progress changes that task, as its owner does.
func (p *past) progress(change func(*task.Task)) {
	t := p.started()
	p.mu.Lock()
	defer p.mu.Unlock()
	change(t)
}

// After an outage one counts what failed, sends it again, watches it and may close the page meanwhile.
func TestRecoverAfterAnOutage(t *testing.T) {
	t.Parallel()
	s, app, _, one := troubled(t)
	b := s.owner()
	got := b.submit(one+"/again", one+"/again", url.Values{"what": {"failed"}, "window": {"hour"}, "type": {"order.created"}, "count": {"1"}})
	require.Equal(t, http.StatusOK, got.status, got.body)
	count := s.past.started()
	require.Equal(t, []any{task.Recover, true, []string{"order.created"}}, []any{count.Kind, count.DryRun, count.Filter.EventTypes})
	require.WithinDuration(t, time.Now().Add(-time.Hour), count.Filter.Since, time.Minute)
	require.Contains(t, got.body, `hx-trigger="every 2s"`)
	require.NotContains(t, got.body, "Go on to send them")

	id := got.at[strings.LastIndex(got.at, "/")+1:]
	s.past.progress(func(t *task.Task) {
		t.Status, t.Progress = task.Finished, task.Progress{Counted: 12, Complete: true}
	})
	query := url.Values{"what": {"failed"}, "window": {"exact"}, "from": {count.Filter.Since.Format("2006-01-02T15:04")}, "type": {"order.created"}}
	page := b.get("/portal/app/" + app + "/task/" + id + "?" + query.Encode() + "&csrf=" + url.QueryEscape(hostile)).body
	require.Contains(t, page, "<strong>12</strong> would be dealt with.")
	require.Contains(t, html.UnescapeString(page), "/again?"+query.Encode()+`">Go on`)
	require.NotContains(t, page, "hx-trigger")
	form := formOf(t, b.get(one+"/again?"+query.Encode()).body)
	require.Equal(t, "exact", form.Get("window"))
	got = b.post(one+"/again", form)
	require.Equal(t, http.StatusOK, got.status, got.body)
	sent := s.past.started()
	require.Equal(t, []any{task.Recover, false, count.Filter.EventTypes, count.Filter.Since.Truncate(time.Minute)}, []any{sent.Kind, sent.DryRun, sent.Filter.EventTypes, sent.Filter.Since})

	s.past.progress(func(t *task.Task) {
		t.Progress = task.Progress{Counted: 12, Complete: true, Done: 5, Failed: 1}
	})
	piece := b.do(http.MethodGet, got.at+"/progress", nil, "HX-Request", "true").body
	require.NotContains(t, piece, "<html", "a piece of the page")
	for _, page := range []string{piece, b.get(got.at).body} { // as after a reload
		require.Contains(t, page, `<progress max="12" value="6"`)
		require.Contains(t, page, "<strong>5</strong> of 12 are done.")
		require.Contains(t, page, "1 could not be sent")
	}
	require.Contains(t, b.get("/portal/app/"+app+"/task").body, "Send again what failed")
	require.Equal(t, got.at, b.submit(got.at, got.at+"/cancel", nil).at)
	require.Len(t, s.past.ended, 1)
}

// The form says every kind of task that there is.
func TestSendAgain(t *testing.T) {
	t.Parallel()
	s, _, _, one := troubled(t)
	b := s.owner()
	send := func(pairs ...string) answer {
		form := url.Values{}
		for i := 0; i+1 < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return b.submit(one+"/again", one+"/again", form)
	}
	require.Equal(t, http.StatusOK, send("what", "missing", "window", "week").status)
	require.Equal(t, task.ReplayMissing, s.past.started().Kind)
	require.Equal(t, http.StatusOK, send("what", "all", "window", "exact", "from", "2026-02-01T08:00", "until", "2026-02-01T09:00", "became", "delivered", "channel", "eu", "rate", "7").status)
	last := s.past.started()
	require.Equal(t, task.Filter{
		Since: time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC), Until: time.Date(2026, 2, 1, 9, 0, 0, 0, time.UTC), Channel: "eu", Verdicts: []outcome.Verdict{outcome.Delivered},
	}, last.Filter)
	require.Equal(t, 7, last.PerSecond)
	for want, pairs := range map[string][]string{
		"Times: want a date":      {"what", "failed", "window", "exact", "from", "yesterday"},
		"a whole number":          {"what", "failed", "window", "hour", "rate", "many"},
		"task: ":                  {"what", "explode", "window", "hour"},
		"until: want a time":      {"what", "failed", "window", "exact", "from", "2026-02-01T08:00", "until", "2026-02-01T07:00"},
		"channel: ":               {"what", "failed", "window", "hour", "channel", hostile},
		"since: want a time that": {"what", "failed", "window", "exact", "from", "2999-02-01T08:00"},
	} {
		got := send(pairs...)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, want)
		require.Contains(t, got.body, want)
		requireClean(t, want, got.body)
	}
	before := len(s.past.tasks)
	b.submit(one+"/confirm/disable", one+"/confirm/disable", nil)
	require.Contains(t, send("what", "failed", "window", "hour").body, "enable it first")
	require.Len(t, s.past.tasks, before)
}

// A task is on the pages of its own tenant alone, also for operators; readers see it and end none.
func TestTasksOfOthers(t *testing.T) {
	t.Parallel()
	s, app, _, one := troubled(t)
	at := s.owner().submit(one+"/again", one+"/again", url.Values{"what": {"failed"}, "window": {"hour"}}).at
	s.past.progress(func(t *task.Task) { t.Status, t.Error = task.Failed, hostile })
	requireClean(t, at, s.owner().get(at).body)
	_, token := s.link("other")
	other := s.tenant("other")
	elsewhere := strings.Replace(at, app, other, 1)
	for _, b := range []*browser{s.visitor(token), s.visitor(s.operator)} {
		require.Equal(t, http.StatusNotFound, b.get(elsewhere).status)
		require.Equal(t, http.StatusNotFound, b.get(elsewhere+"/progress").status)
		require.Equal(t, http.StatusNotFound, b.submit("/portal/app/"+other+"/endpoint", elsewhere+"/cancel", nil).status)
		require.NotContains(t, b.get("/portal/app/"+other+"/task").body, "qtask_")
	}
	require.Equal(t, http.StatusNotFound, s.visitor(token).get(at).status)
	_, reading := s.link("acme", "ViewBase")
	reader := s.visitor(reading)
	s.past.progress(func(t *task.Task) { t.Status = task.Running })
	require.NotContains(t, reader.get(at).body, "/cancel")
	require.NotContains(t, reader.get(one).body, "/again")
	require.Equal(t, http.StatusForbidden, reader.submit(one, at+"/cancel", nil).status)
	require.Equal(t, http.StatusForbidden, reader.submit(one, one+"/again", url.Values{"what": {"failed"}, "window": {"hour"}}).status)
	require.Empty(t, s.past.ended)
}
