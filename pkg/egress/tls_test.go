package egress

import (
	"fmt"
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
		out := &TLS{}
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

	made := tr.own.get(own(4))
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
