package attempt

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/egress"
)

// HTTP/2 is asked for where many requests meet a crowd of others within a second: by one of them at a time, and not for an hour after
// the endpoint has chosen something else.
func TestWhenHTTP2IsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWay(true)
		meet := func(n int) (asks int) {
			for range n {
				if w.crowded() {
					asks++
				}
			}
			return asks
		}
		require.Zero(t, meet(2*often), "nobody is under way")
		w.busy.Store(crowd - 1)
		require.Zero(t, meet(2*often), "few are")
		w.busy.Store(crowd)
		for range 10 {
			require.Zero(t, meet(often), "not often")
			time.Sleep(time.Second)
		}
		require.Equal(t, 1, meet(2*often))
		w.asking.Store(false)
		require.Equal(t, 1, meet(1), "the second lasts")
		w.avoid()
		w.asking.Store(false)
		require.Zero(t, meet(2*often))
		time.Sleep(notFor - time.Second)
		require.Zero(t, meet(2*often))
		time.Sleep(time.Second)
		require.Equal(t, 1, meet(2*often))

		plain := newWay(false)
		plain.busy.Store(crowd)
		for range 2 * often {
			require.False(t, plain.crowded(), "without TLS there is no choice")
		}
	})
}

// A connection that has ended is forgotten, whoever ended it.
func TestEndedConnectionsAreForgotten(t *testing.T) {
	var connections sync.Map
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.EnableHTTP2 = true
	srv.Config.ConnState = func(c net.Conn, _ http.ConnState) { connections.Store(c, true) }
	srv.StartTLS() // it offers HTTP/2 alone
	defer srv.Close()
	trust := x509.NewCertPool()
	trust.AddCert(srv.Certificate())
	tr, err := egress.New(egress.Config{
		AnyPort: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: trust, ConnectTimeout: time.Minute,
	})
	require.NoError(t, err)
	defer tr.Close()
	c := New(tr)
	res, err := c.Do(t.Context(), &Request{URL: srv.URL, Timeout: time.Minute})
	require.NoError(t, err)
	require.Equal(t, 200, res.Status, res.Detail)
	target, err := c.targets.get(srv.URL)
	require.NoError(t, err)
	require.NotNil(t, target.way.latest.Load())
	connections.Range(func(conn, _ any) bool { return conn.(net.Conn).Close() != nil || true })
	require.Eventually(t, func() bool {
		target.way.mu.Lock()
		defer target.way.mu.Unlock()
		return len(target.way.shared) == 0 && target.way.latest.Load() == nil
	}, time.Minute, time.Millisecond)
}

// The ways of those who bring a certificate are bounded, too.
func TestWaysAreBounded(t *testing.T) {
	var s targets
	target, err := s.get("https://example.com/")
	require.NoError(t, err)
	for i := range maxTargets {
		s.ways[route{own: [32]byte{byte(i), byte(i >> 8), 1}}] = newWay(true)
	}
	own, err := egress.NewTLS("", "", tls.VersionTLS13)
	require.NoError(t, err)
	require.NotNil(t, s.way(target, own))
	require.LessOrEqual(t, len(s.ways), maxTargets)
	again := s.way(target, own)
	require.Same(t, again, s.way(target, own))
}
