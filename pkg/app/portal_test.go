package app

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/seal"
)

// The portal is at the path of its address, wherever that is, and the API stays where it is.
func TestPortalBesideTheAPI(t *testing.T) {
	t.Parallel()
	keys, err := seal.Generate()
	require.NoError(t, err)
	for address, paths := range map[string]map[string]string{
		"http://localhost:8070/portal":   {"/portal/": "portal", "/api/v1/app": "api", "/v1/b/webhooks": "api", "/": "api", "/portals": "api"},
		"https://hooks.example.com":      {"/": "portal", "/app": "portal", "/api/v1/app": "api", "/v1/b/webhooks": "api"},
		"https://example.com/hooks/mine": {"/hooks/mine/": "portal", "/hooks/mine/app": "portal", "/hooks/": "api"},
	} {
		conf := config.Default()
		conf.API.PortalURL = address
		a := &App{conf: &conf}
		handler, err := a.withPortal(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Is", "api") }), keys)
		require.NoError(t, err, address)
		for path, want := range paths {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			require.Equal(t, want == "api", w.Header().Get("X-Is") == "api", "%s of %s", path, address)
			require.Equal(t, want == "portal", w.Header().Get("Content-Security-Policy") != "", "%s of %s", path, address)
		}
	}
}
