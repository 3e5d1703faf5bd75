package attempt_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
)

// versionServer speaks up to a version of TLS, with these suites if any, and answers with the version and the connection.
func versionServer(t *testing.T, highest uint16, suites ...uint16) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, tls.VersionName(r.TLS.Version), " ", r.RemoteAddr)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: highest, CipherSuites: suites}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func atLeast(t *testing.T, version uint16) *egress.TLS {
	t.Helper()
	own, err := egress.NewTLS("", "", version)
	require.NoError(t, err)
	return own
}

// An endpoint is reached if it has the lowest version, at the highest that it has; and an old one whatever its age has
// left it, also without forward secrecy, by who chose that and by nobody else.
func TestLowestVersions(t *testing.T) {
	const v10, v11, v12, v13 = tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13
	rsa := []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	for name, c := range map[string]struct {
		highest uint16
		suites  []uint16
		reached []uint16 // by whose lowest version, 0 for the default
	}{
		"1.0":                         {v10, nil, []uint16{v10}},
		"1.0 without forward secrecy": {v10, rsa, []uint16{v10}},
		"1.0 with 3DES only":          {v10, []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}, nil},
		"1.1":                         {v11, nil, []uint16{v10, v11}},
		"1.2":                         {v12, nil, []uint16{0, v10, v11, v12}},
		"1.2 without forward secrecy": {v12, rsa, []uint16{v10, v11}},
		"1.3":                         {v13, nil, []uint16{0, v10, v11, v12, v13}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := versionServer(t, c.highest, c.suites...)
			cl := client(t, trusting(srv), patient)
			for _, lowest := range []uint16{0, v10, v11, v12, v13} {
				res := do(t, cl, &attempt.Request{URL: srv.URL, TLS: atLeast(t, lowest)})
				want := outcome.ResultTLS
				for _, reached := range c.reached {
					if reached == lowest {
						want = outcome.ResultSuccess
					}
				}
				require.Equal(t, want, res.Result, "%#x: %s", lowest, res.Detail)
				if want == outcome.ResultSuccess {
					require.Contains(t, string(res.Body), tls.VersionName(c.highest))
				} else {
					require.Contains(t, res.Detail, "tls: ")
				}
			}
		})
	}
}

// A connection that stands is no way around the lowest version.
func TestVersionsDoNotShareConnections(t *testing.T) {
	srv := versionServer(t, tls.VersionTLS12)
	c := client(t, trusting(srv), patient)
	connections := map[string]uint16{}
	for range 3 {
		for _, lowest := range []uint16{0, tls.VersionTLS10, tls.VersionTLS11} {
			res := do(t, c, &attempt.Request{URL: srv.URL, TLS: atLeast(t, lowest)})
			require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
			if had, ok := connections[string(res.Body)]; ok {
				require.Equal(t, had, lowest)
			}
			connections[string(res.Body)] = lowest
		}
	}
	require.Len(t, connections, 3, "one for each, kept")

	old := versionServer(t, tls.VersionTLS10)
	c = client(t, trusting(old), patient)
	require.Equal(t, outcome.ResultSuccess, do(t, c, &attempt.Request{URL: old.URL, TLS: atLeast(t, tls.VersionTLS10)}).Result)
	require.Equal(t, outcome.ResultTLS, do(t, c, &attempt.Request{URL: old.URL}).Result)
}
