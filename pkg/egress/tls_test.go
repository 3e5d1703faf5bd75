package egress

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// The transports are shared by content, bounded, and the least recently used goes first.
func TestPool(t *testing.T) {
	tr, err := New(Config{})
	require.NoError(t, err)
	defer tr.Close()
	tr.own.max = 3
	own := func(n int) *TLS {
		out := &TLS{lowest: LowestTLS, roots: x509.NewCertPool()}
		copy(out.key[:], fmt.Sprint(n))
		return out
	}
	first := tr.With(own(1))
	require.Same(t, first, tr.With(own(1)), "the same content")
	require.NotSame(t, first, tr.With(own(2)))
	tr.With(own(3))
	tr.With(own(1)) // 2 is now the one that was not used for longest
	tr.With(own(4))
	require.Len(t, tr.own.byKey, 3)
	require.Equal(t, 3, tr.own.recent.Len())
	require.Same(t, first, tr.With(own(1)))
	_, kept := tr.own.byKey[own(2).key]
	require.False(t, kept)

	made := tr.own.get(own(4)).http
	require.NotSame(t, tr.http.TLSClientConfig.ClientSessionCache, made.TLSClientConfig.ClientSessionCache,
		"a session resumes under the identity it was opened with")
	require.Equal(t, tr.http.TLSClientConfig.MinVersion, made.TLSClientConfig.MinVersion)
	require.Equal(t, tr.http.MaxResponseHeaderBytes, made.MaxResponseHeaderBytes)
	require.True(t, made.DisableCompression)
	require.Nil(t, made.Proxy)
	require.LessOrEqual(t, made.MaxIdleConns, idleOwnTLS)
	tr.Close()
	require.Empty(t, tr.own.byKey)
}

// A lowest version alone is of all endpoints of a profile: it has the limits of the transport.
func TestPoolOfAVersion(t *testing.T) {
	tr, err := New(Config{MaxIdleConns: 100, MaxIdleConnsPerHost: 50})
	require.NoError(t, err)
	defer tr.Close()
	none, err := NewTLS("", "", 0)
	require.NoError(t, err)
	require.Nil(t, none)
	seen := map[http.RoundTripper]bool{tr.http: true}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		own, err := NewTLS("", "", version)
		require.NoError(t, err)
		if version == LowestTLS {
			require.Nil(t, own)
			continue
		}
		again, err := NewTLS("", "", version)
		require.NoError(t, err)
		made := tr.own.get(own).http
		require.Same(t, made, tr.With(again))
		require.False(t, seen[made], "%#x shares connections", version)
		seen[made] = true
		require.Equal(t, version, made.TLSClientConfig.MinVersion)
		require.Equal(t, 100, made.MaxIdleConns)
		require.Equal(t, 50, made.MaxIdleConnsPerHost)
		require.Equal(t, version < tls.VersionTLS12, made.TLSClientConfig.CipherSuites != nil)
	}
	require.Nil(t, tr.http.TLSClientConfig.CipherSuites, "nobody else offers old suites")
	for _, bad := range []uint16{1, 0x0300, 0x0305} {
		_, err := NewTLS("", "", bad)
		require.ErrorContains(t, err, "minTLS: ")
	}
}
