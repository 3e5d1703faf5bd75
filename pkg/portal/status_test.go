package portal_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Operators see how the installation does, and stop and start it; owners do not.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	operator, owner := s.visitor(s.operator), s.owner()
	const page, stop = "/portal/status", "/portal/status/confirm/stop-egress"
	got := operator.get(page)
	require.Equal(t, http.StatusOK, got.status)
	for _, want := range []string{"Wants attention", "no router is live", "4711", "Nothing is paused.", "4s"} {
		require.Contains(t, got.body, want)
	}
	require.NotContains(t, got.body, "no deliverer is live")
	requireClean(t, page, got.body)

	require.Contains(t, operator.submit(stop, stop, url.Values{"reason": {hostile}}).body, "Nothing leaves any more")
	got = operator.get(page)
	require.Contains(t, got.body, "Everything that leaves")
	requireClean(t, page, got.body)
	const start, pause, resume = "/portal/status/confirm/start-egress", "/portal/status/confirm/pause-router", "/portal/status/confirm/resume-router"
	require.Contains(t, operator.submit(start, start, nil).body, "Everything leaves again.")
	require.Contains(t, operator.submit(pause, pause, url.Values{"reason": {"moving"}}).body, "The role is paused.")
	require.Contains(t, operator.get(page).body, "Resume router")
	require.Contains(t, operator.submit(resume, resume, nil).body, "The role is resumed.")
	require.Equal(t, http.StatusUnprocessableEntity, operator.submit(stop, stop, url.Values{"reason": {" "}}).status)
	require.Equal(t, http.StatusNotFound, operator.get("/portal/status/confirm/explode").status)

	require.Equal(t, http.StatusForbidden, owner.get(page).status)
	require.NotContains(t, owner.get("/portal/app/"+s.tenant("acme")+"/endpoint").body, page)
	require.Equal(t, http.StatusForbidden, owner.get(stop).status)
}

// Open breakers, and the busiest and the sickest endpoints of all tenants, lead to the endpoint and its tenant.
func TestEndpointsOfAllTenantsOnTheStatusPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	operator := s.visitor(s.operator)
	const page = "/portal/status"
	got := operator.get(page).body
	require.Contains(t, got, "None is open.")
	require.Contains(t, got, "None in the last hour.")

	s = newSite(t)
	operator = s.visitor(s.operator)
	id := s.endpoint(`{"url":"https://shown.example/hook"}`)
	until := time.Now().Add(time.Hour).UTC()
	s.past.open = map[ident.ID]time.Time{idOf(t, id): until}
	s.past.tried(ident.ID{}, idOf(t, id), time.Now(), unanswered(outcome.ResultTimeout, hostile))
	got = operator.get(page).body
	tenant := "/portal/app/" + s.tenant("acme") + "/endpoint"
	for _, want := range []string{
		"because they failed: 1.", `<a href="` + tenant + `/` + id + `">https://shown.example/hook</a>`, `<a href="` + tenant + `">`,
		until.Add(-time.Hour).Format("2006-01-02T15:04:"), until.Format("2006-01-02T15:04:"), "33.3 %", "<td>3</td><td>2</td>", "Table of the sickest endpoints",
	} {
		require.Contains(t, got, want)
	}
	requireClean(t, page, got)

	s = newSite(t)
	s.past.away = errAway
	got = s.visitor(s.operator).get(page).body
	require.Contains(t, got, "This cannot be shown at present")
	require.Contains(t, got, "no router is live", "the rest is there")
}
