package egress

import (
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// other is the endpoint's side of a connection.
type other struct{ net.Conn }

// closed reports whether this side was closed.
func (o other) closed() bool {
	_ = o.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := o.Read(make([]byte, 1))
	return err == io.EOF //nolint:errorlint // a pipe's own
}

// made returns a connection that is in use.
func made(p *idle, address string) (*Conn, other) {
	here, there := net.Pipe()
	s := newSocket(here)
	c := newConn(s, s)
	c.idle = p
	p.opened(c, route{to: Target{Address: address}})
	return c, other{there}
}

func idleOf(most, perHost int) *idle {
	return newIdle(Config{MaxIdleConns: most, MaxIdleConnsPerHost: perHost, IdleTimeout: time.Minute})
}

func take(p *idle, address string) *Conn { return p.take(route{to: Target{Address: address}}) }

// What is taken is what was used last, of its own route.
func TestIdleGivesTheLastUsed(t *testing.T) {
	p := idleOf(10, 10)
	defer p.close()
	a1, _ := made(p, "a")
	a2, _ := made(p, "a")
	b, _ := made(p, "b")
	for _, c := range []*Conn{a1, b, a2} {
		c.Keep()
	}
	require.Same(t, a2, take(p, "a"))
	require.Same(t, a1, take(p, "a"))
	require.Nil(t, take(p, "a"))
	require.Nil(t, p.take(route{to: Target{Address: "b", Secure: true}}))
	require.Nil(t, p.take(route{to: Target{Address: "b"}, own: [32]byte{1}}))
	require.Same(t, b, take(p, "b"))
	require.Zero(t, p.n)
	for _, c := range []*Conn{a1, a2, b} {
		c.Close()
	}
	require.Empty(t, p.lanes, "nothing is left of endpoints without a connection")
}

// At the bound the connection goes that was not used for longest, wherever it leads; at a host's bound the one that comes.
func TestIdleIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := idleOf(3, 2)
		defer p.close()
		a1, a1There := made(p, "a")
		a2, a2There := made(p, "a")
		a3, a3There := made(p, "a")
		b, bThere := made(p, "b")
		c, cThere := made(p, "c")
		for _, conn := range []*Conn{a1, a2, a3} {
			conn.Keep()
		}
		require.True(t, a3There.closed(), "the host has two")
		b.Keep()
		take(p, "a").Keep() // a2 is newer than b now, and a1 is the oldest
		c.Keep()
		require.True(t, a1There.closed())
		for _, there := range []other{a2There, bThere, cThere} {
			require.False(t, there.closed())
		}
		require.Equal(t, 3, p.n)
		require.Equal(t, 1, p.lanes[route{to: Target{Address: "a"}}].open)
	})
}

// What nobody uses is closed when its time is over, and not before; without a connection no timer runs for long.
func TestIdleExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := idleOf(10, 10)
		a, aThere := made(p, "a")
		b, bThere := made(p, "b")
		a.Keep()
		time.Sleep(40 * time.Second)
		b.Keep()
		time.Sleep(20*time.Second - time.Millisecond)
		require.False(t, aThere.closed())
		time.Sleep(2 * time.Millisecond)
		require.True(t, aThere.closed())
		require.Same(t, b, take(p, "b"))
		b.Keep()
		time.Sleep(time.Minute - time.Millisecond)
		require.False(t, bThere.closed())
		time.Sleep(2 * time.Millisecond)
		require.True(t, bThere.closed())
		synctest.Wait()
		p.mu.Lock()
		require.Empty(t, p.lanes)
		require.False(t, p.ticking)
		p.mu.Unlock()

		c, cThere := made(p, "c")
		c.Keep()
		d, dThere := made(p, "d")
		p.close()
		require.True(t, cThere.closed())
		require.False(t, dThere.closed(), "it is in use")
		d.Keep()
		require.True(t, dThere.closed(), "nothing is kept any more")
		require.Empty(t, p.lanes)
	})
}

// An endpoint that reads nothing does not keep whoever closes a connection to it: the next one's turn comes soon.
func TestFarewellsAreShort(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	synctest.Test(t, func(t *testing.T) {
		p := idleOf(10, 10)
		here, there := net.Pipe()
		defer there.Close()
		s := newSocket(here)
		secure := tls.Client(s, &tls.Config{InsecureSkipVerify: true})
		answering := make(chan error, 1)
		go func() {
			answering <- tls.Server(there, &tls.Config{Certificates: certified.TLS.Certificates, SessionTicketsDisabled: true}).HandshakeContext(t.Context())
		}()
		require.NoError(t, secure.HandshakeContext(t.Context()))
		require.NoError(t, <-answering)
		c := newConn(secure, s)
		c.idle = p
		p.opened(c, route{})
		c.Keep()
		at := time.Now()
		p.close()
		require.Equal(t, farewell, time.Since(at))
	})
}

// A connection that ended while it was being shared is not kept, nor is one after the end.
func TestSharedAfterTheEnd(t *testing.T) {
	p := idleOf(10, 10)
	c, _ := made(p, "a")
	require.NoError(t, c.Share(func(time.Duration) func() {
		c.Close() // who reads met its end at once
		return func() {}
	}))
	require.Empty(t, p.shared)

	left := 0
	c, _ = made(p, "b")
	require.NoError(t, c.Share(func(rest time.Duration) func() {
		require.Equal(t, p.timeout, rest)
		return func() { left++ }
	}))
	require.Len(t, p.shared, 1)
	p.close()
	require.Equal(t, 1, left)
	c, _ = made(p, "c")
	require.NoError(t, c.Share(func(rest time.Duration) func() {
		require.LessOrEqual(t, rest, time.Second)
		return func() { left++ }
	}))
	require.Empty(t, p.shared)
}

// Of too many shared connections those that were opened first are left.
func TestTooManyShared(t *testing.T) {
	p := idleOf(2, 2)
	var left []string
	for _, name := range []string{"a", "b", "c", "d"} {
		c, _ := made(p, name)
		require.NoError(t, c.Share(func(time.Duration) func() {
			return func() { left = append(left, name) }
		}))
	}
	require.Equal(t, []string{"a", "b"}, left)
	require.Len(t, p.shared, 2)
}
