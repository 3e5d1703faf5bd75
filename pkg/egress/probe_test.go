package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
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
			got := tr.Probe(t.Context(), c.url, nil)
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

// The handshake is that of the profile's attempts, and says which version is missing.
func TestProbeByVersion(t *testing.T) {
	old := httptest.NewUnstartedServer(nil)
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.StartTLS()
	defer old.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(old.Certificate())
	tr := prober(t, Config{AnyPort: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: trusted})
	for version, want := range map[uint16]string{
		0: "the handshake failed: want TLS 1.2 or later", tls.VersionTLS13: "the handshake failed: want TLS 1.3 or later",
		tls.VersionTLS11: "the handshake failed: want TLS 1.1 or later", tls.VersionTLS10: "TLS 1.0, certificate valid until ",
	} {
		own, err := NewTLS("", "", version)
		require.NoError(t, err)
		got := tr.Probe(t.Context(), old.URL, own)
		require.Len(t, got, 3)
		require.Equal(t, version == tls.VersionTLS10, got[2].OK)
		require.Contains(t, got[2].Detail, want)
	}
}

func TestProbeTellsNothingOfInternalAddresses(t *testing.T) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errSeen }}
	tr := prober(t, Config{Resolver: resolver})
	got := tr.Probe(t.Context(), "https://somewhere.org/", nil)
	require.Len(t, got, 1)
	require.False(t, got[0].OK)
	require.Equal(t, StepResolves, got[0].Step)
	got = tr.Probe(t.Context(), "https://10.0.0.1/", nil)
	require.Len(t, got, 1)
	require.NotContains(t, got[0].Detail, "10.0.0.1")
	require.NotContains(t, got[0].Detail, "private")
}
