package egress

import (
	"context"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func prober(t *testing.T, c Config) *Transport {
	t.Helper()
	tr, err := New(c)
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	return tr
}

func TestProbe(t *testing.T) {
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	secure, plain := httptest.NewTLSServer(nil), httptest.NewServer(nil)
	defer secure.Close()
	defer plain.Close()
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	trusted := x509.NewCertPool()
	trusted.AddCert(secure.Certificate())
	for _, c := range []struct {
		name, url string
		roots     *x509.CertPool
		steps     []Step
		ok        bool
	}{
		{"all well", secure.URL, trusted, []Step{StepResolves, StepConnects, StepTLS}, true},
		{"without TLS", plain.URL, trusted, []Step{StepResolves, StepConnects}, true},
		{"untrusted", secure.URL, x509.NewCertPool(), []Step{StepResolves, StepConnects, StepTLS}, false},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), trusted, []Step{StepResolves, StepConnects, StepTLS}, false},
		{"nobody there", "http://" + closed.Addr().String(), trusted, []Step{StepResolves, StepConnects}, false},
		{"not allowed", "https://192.168.0.1/", trusted, []Step{StepResolves}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := prober(t, Config{AllowHTTP: true, AnyPort: true, AllowNetworks: local, RootCAs: c.roots})
			got := tr.Probe(t.Context(), c.url)
			var steps []Step
			for i, f := range got {
				steps = append(steps, f.Step)
				require.NotEmpty(t, f.Detail)
				require.Equal(t, c.ok || i < len(got)-1, f.OK, "%v", f)
			}
			require.Equal(t, c.steps, steps)
		})
	}
}

func TestProbeTellsNothingOfInternalAddresses(t *testing.T) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errSeen }}
	tr := prober(t, Config{Resolver: resolver})
	got := tr.Probe(t.Context(), "https://somewhere.org/")
	require.Len(t, got, 1)
	require.False(t, got[0].OK)
	require.Equal(t, StepResolves, got[0].Step)
	got = tr.Probe(t.Context(), "https://10.0.0.1/")
	require.Len(t, got, 1)
	require.NotContains(t, got[0].Detail, "10.0.0.1")
	require.NotContains(t, got[0].Detail, "private")
}
