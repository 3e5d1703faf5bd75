//go:build unix

package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTargets(t *testing.T) {
	for raw, want := range map[string]Target{
		"https://example.com":            {true, "example.com:443"},
		"http://example.com/x":           {false, "example.com:80"},
		"https://example.com:8443":       {true, "example.com:8443"},
		"https://example.com:/x":         {true, "example.com:443"},
		"https://[2001:db8::1]/":         {true, "[2001:db8::1]:443"},
		"https://[2001:db8::1]:8443/":    {true, "[2001:db8::1]:8443"},
		"https://[fe80::1%25eth0]/":      {true, "[fe80::1%eth0]:443"},
		"https://b\u00fccher.example/":   {true, "xn--bcher-kva.example:443"},
		"https://B\u00dcCHER.example:1/": {true, "xn--bcher-kva.example:1"},
		"https://a_b.Example.com./":      {true, "a_b.Example.com.:443"},
	} {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		got, err := TargetOf(u)
		require.NoError(t, err)
		require.Equal(t, want, got, raw)
	}
	for _, raw := range []string{"ftp://hush/", "https:///hush", "https://:443/hush", "https:hush", "/hush", ""} {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		_, err = TargetOf(u)
		require.ErrorContains(t, err, "url: ", raw)
		require.NotContains(t, err.Error(), "hush")
	}
}

// server is an endpoint of which a test has both sides.
type server struct {
	target    Target
	transport *Transport
	accepted  chan net.Conn
}

func serve(t *testing.T, secure bool) *server {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	certified := httptest.NewTLSServer(nil)
	config := &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: protocols[1:]}
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	certified.Close()
	s := &server{target: Target{Secure: secure, Address: l.Addr().String()}, accepted: make(chan net.Conn, 10)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			if secure {
				conn = tls.Server(conn, config)
				_ = conn.(*tls.Conn).HandshakeContext(t.Context())
			}
			s.accepted <- conn
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	s.transport, err = New(Config{
		AllowHTTP: true, AnyPort: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: roots,
	})
	require.NoError(t, err)
	t.Cleanup(s.transport.Close)
	return s
}

func (s *server) connect(t *testing.T) *Conn {
	t.Helper()
	c, err := s.transport.Connect(t.Context(), s.target, nil, time.Now().Add(time.Minute), new(Timings))
	require.NoError(t, err)
	return c
}

// waitForNews waits until something has come to the socket, and leaves it there.
func waitForNews(t *testing.T, c *Conn) {
	t.Helper()
	require.Eventually(t, func() (news bool) {
		err := c.socket.raw.Control(func(fd uintptr) {
			_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			news = !errors.Is(err, syscall.EAGAIN)
		})
		return news || err != nil
	}, time.Minute, time.Millisecond)
}

// What an endpoint says or does to a connection that nobody uses ends it, before a request is lost on it.
func TestKeptConnectionsThatChange(t *testing.T) {
	tcp := func(conn net.Conn) *net.TCPConn {
		if c, ok := conn.(*tls.Conn); ok {
			conn = c.NetConn()
		}
		return conn.(*net.TCPConn)
	}
	for name, change := range map[string]func(net.Conn){
		"closed":      func(conn net.Conn) { conn.Close() },
		"reset":       func(conn net.Conn) { _ = tcp(conn).SetLinger(0); tcp(conn).Close() },
		"half-closed": func(conn net.Conn) { _ = tcp(conn).CloseWrite() },
		"an answer":   func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n") },
		"a byte":      func(conn net.Conn) { _, _ = io.WriteString(conn, "x") },
		"no TLS":      func(conn net.Conn) { _, _ = io.WriteString(tcp(conn), "xxxxxxxx") },
	} {
		for i := range 4 {
			secure, asks := i%2 == 1, i > 1
			s := serve(t, secure)
			c := s.connect(t)
			require.True(t, c.Fresh())
			c.Keep()
			c = s.connect(t)
			require.False(t, c.Fresh(), "it is as it was")
			require.True(t, c.Untouched())
			require.True(t, c.Quiet())
			c.Keep()
			change(<-s.accepted)
			waitForNews(t, c)
			c = s.connect(t)
			if asks {
				require.NoError(t, c.Ask([]byte("a request")))
				_, _ = c.Read(make([]byte, 100))
				require.False(t, c.Asked())
			} else {
				require.False(t, c.Quiet(), "%s, TLS %v", name, secure)
			}
			require.True(t, c.Untouched(), "%s, TLS %v", name, secure)
			c.Cut()
			c.Close()
		}
	}
}

// A question is written by the read of its answer, whatever the system takes of it at once.
func TestAsk(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := serve(t, secure)
		c := s.connect(t)
		there := <-s.accepted
		var wg sync.WaitGroup
		wg.Go(func() { echo(there) })
		for _, size := range []int{1, 1000, 15_000, 8 << 20, 1} {
			request := bytes.Repeat([]byte("x"), size)
			require.NoError(t, c.Ask(append(request, '\n')))
			answer, err := bufio.NewReader(c).ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(size)+"\n", answer)
			require.True(t, c.Asked())
			require.False(t, c.Untouched())
			c.Keep()
			c = s.connect(t)
			require.False(t, c.Fresh())
		}
		c.Close()
		wg.Wait()
	}
}

// echo answers lines with their lengths.
func echo(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "%d\n", len(line)-1)
	}
}

// A question of which the system took a part only was not asked, and was not left alone either.
func TestAskCutOff(t *testing.T) {
	s := serve(t, false)
	s.connect(t).Keep()
	c := s.connect(t)
	defer c.Close()
	require.False(t, c.Fresh())
	require.NoError(t, c.Ask(make([]byte, 32<<20))) // nobody reads
	require.NoError(t, c.socket.until(time.Now().Add(50*time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.False(t, c.Asked())
	require.False(t, c.Untouched())
}

// The end of a context cuts the connections that were last used under it, and no other.
func TestCutAt(t *testing.T) {
	s := serve(t, false)
	one, endOne := context.WithCancel(t.Context())
	other, endOther := context.WithCancel(t.Context())
	defer endOther()
	c := s.connect(t)
	for _, ctx := range []context.Context{one, one, other, context.Background(), one} {
		require.True(t, c.CutAt(ctx))
		c.Keep()
		c = s.connect(t)
		require.False(t, c.Fresh())
	}
	require.True(t, c.CutAt(other))
	endOne()
	require.True(t, c.Quiet())
	endOther()
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	require.False(t, c.CutAt(t.Context()), "it was cut")
	c.Close()
}

// The deadline of an exchange holds, also where the system was told an earlier one for another.
func TestDeadlines(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := serve(t, secure)
		c := s.connect(t)
		there := <-s.accepted
		c.Keep()
		c = s.connect(t)
		require.NoError(t, c.socket.SetDeadline(time.Now().Add(time.Millisecond))) // of the one before
		require.NoError(t, c.Ask([]byte("x")))
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(20 * time.Millisecond) // until it has passed
			_, _ = io.WriteString(there, "y")
		})
		n, err := c.Read(make([]byte, 1))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		wg.Wait()
		c.Keep()
		c, err = s.transport.Connect(t.Context(), s.target, nil, time.Now().Add(20*time.Millisecond), new(Timings))
		require.NoError(t, err)
		require.False(t, c.Fresh())
		require.NoError(t, c.Ask([]byte("x")))
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		c.Close()
	}
}

// Data that TLS has read already, and nobody else, is news as well; what TLS says to itself is none.
func TestNewsInsideTLS(t *testing.T) {
	s := serve(t, true)
	c := s.connect(t)
	there := <-s.accepted
	_, err := io.WriteString(there, "answer")
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 3))
	require.NoError(t, err)
	c.Keep()
	c = s.connect(t)
	require.False(t, c.Quiet(), "half of an answer was left in TLS' buffer")
	c.Close()
}

// A write counts as soon as the socket took a byte.
func TestUntouched(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := serve(t, secure)
		c := s.connect(t)
		require.True(t, c.Untouched(), "a handshake is not of the exchange")
		_, err := io.WriteString(c, "x")
		require.NoError(t, err)
		require.False(t, c.Untouched())
		c.Keep()
		c = s.connect(t)
		require.True(t, c.Untouched())
		c.Cut()
		_, err = io.WriteString(c, "x")
		require.Error(t, err)
		require.True(t, c.Untouched())
		c.Close()
	}
}

// Neither a new connection nor a kept one is given to who has no time for it, and the kept one stays.
func TestConnectTooLate(t *testing.T) {
	s := serve(t, false)
	s.connect(t).Keep()
	_, err := s.transport.Connect(t.Context(), s.target, nil, time.Now(), new(Timings))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.transport.Connect(ctx, s.target, nil, time.Now().Add(time.Minute), new(Timings))
	require.ErrorIs(t, err, context.Canceled)
	c := s.connect(t)
	require.False(t, c.Fresh())
	c.Close()
}

// A handshake has its time, and says that it was the handshake.
func TestHungHandshake(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() // connections stand before anybody accepts them
	tr, err := New(Config{AnyPort: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, ConnectTimeout: 50 * time.Millisecond})
	require.NoError(t, err)
	defer tr.Close()
	_, err = tr.Connect(t.Context(), Target{Secure: true, Address: l.Addr().String()}, nil, time.Now().Add(time.Minute), new(Timings))
	_, ok := errors.AsType[*HandshakeError](err)
	require.True(t, ok, "%v", err)
	var timeout net.Error
	require.True(t, errors.As(err, &timeout) && timeout.Timeout(), "%v", err)
	require.EqualError(t, err, "TLS handshake timeout")
}

// What is remembered of endpoints is forgotten in time, and bounded.
func TestSpoken(t *testing.T) {
	var s spoken
	require.Equal(t, speaksUnknown, s.of("a"))
	s.set("a", speaksHTTP2)
	require.Equal(t, speaksHTTP2, s.of("a"))
	s.m["a"] = spokenEntry{protocol: speaksHTTP2, until: time.Now().Add(-time.Second)}
	require.Equal(t, speaksUnknown, s.of("a"))
	for i := range maxSpoken + 10 {
		s.set(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), speaksHTTP1)
	}
	require.LessOrEqual(t, len(s.m), maxSpoken)
}
