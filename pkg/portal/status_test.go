package portal_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
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
