package portal_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// Somebody chooses how pages look, and comes back to where they were and nowhere else.
func TestLook(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, list := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint"
	require.NotContains(t, b.get(list).body, "data-look")
	choose := func(look, to string) answer {
		t.Helper()
		return b.submit(list, "/portal/look", url.Values{"look": {look}, "to": {to}})
	}
	dark := choose("dark", list+"?search=x")
	require.Equal(t, http.StatusOK, dark.status)
	require.Equal(t, list, dark.at)
	require.Contains(t, dark.body, `data-look="dark"`)
	require.Contains(t, dark.body, `value="dark" aria-pressed="true"`)
	require.Contains(t, b.get(list).body, `data-look="dark"`)
	require.Contains(t, choose("light", list).body, `data-look="light"`)
	for _, to := range []string{"https://evil.example/portal/", "//evil.example/portal/", "/elsewhere", `/portal/\evil.example`, "javascript:alert(1)", ""} {
		require.Equal(t, list, choose("light", to).at, to)
	}
	require.NotContains(t, choose("", list).body, "data-look")
	require.NotContains(t, choose(`"><script>`, list).body, "data-look")
}
