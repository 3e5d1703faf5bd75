package egress_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/egress"
)

// dial sends a request, past the check of URLs, so that nothing but the dial's guard is in the way.
func dial(t *testing.T, c egress.Config, raw string) error {
	t.Helper()
	tr, err := egress.New(c)
	require.NoError(t, err)
	defer tr.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	u, err := url.Parse(raw)
	require.NoError(t, err, raw)
	res, err := tr.RoundTrip((&http.Request{Method: http.MethodPost, URL: u, Header: http.Header{}}).WithContext(ctx))
	if err == nil {
		res.Body.Close()
	}
	return err
}

func requireBlocked(t *testing.T, err error, msg string) {
	t.Helper()
	var blocked *egress.BlockedError
	require.ErrorAs(t, err, &blocked, msg)
}

// TestDialRefusesAddresses dials literals. All that lead to this machine lead to a listener, which counts.
func TestDialRefusesAddresses(t *testing.T) {
	l := listen(t)
	config := egress.Config{AllowHTTP: true, AnyPort: true, AllowInternalNames: true}
	for _, host := range []string{
		"127.0.0.1", "127.0.0.2", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
		"10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "168.63.129.16", "100.100.100.200",
		"198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "[64:ff9b::7f00:1]", "[2002:7f00:1::1]",
		"[fc00::1]", "[fe80::1]", "[fe80::1%25lo]", "[ff02::1]", "[2001::1]", "[2001:db8::1]", "[::127.0.0.1]",
		"localhost",
	} {
		err := dial(t, config, fmt.Sprintf("http://%s:%d/", host, l.port()))
		requireBlocked(t, err, host)
	}
	require.Zero(t, l.count(), "a connection got through")

	config.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	require.Error(t, dial(t, config, fmt.Sprintf("http://127.0.0.1:%d/", l.port())), "the listener speaks no HTTP")
	require.Equal(t, 1, l.count(), "the listener counts what does get through")
}

func TestDialRefusesPorts(t *testing.T) {
	l := listen(t)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	err := dial(t, egress.Config{AllowHTTP: true, AllowNetworks: loopback}, "http://"+l.Addr().String())
	requireBlocked(t, err, "port")
	require.Zero(t, l.count())
	err = dial(t, egress.Config{AllowNetworks: loopback, Ports: []uint16{l.port()}}, "http://"+l.Addr().String())
	require.Error(t, err)
	require.Equal(t, 1, l.count())
}

// TestDialRefusesWhatNamesResolveTo: the URL is fine when it is written, and its name leads inside when it is dialled.
func TestDialRefusesWhatNamesResolveTo(t *testing.T) {
	l := listen(t)
	addrs := func(list ...string) (out []netip.Addr) {
		for _, s := range list {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	z := &zone{addrs: map[string][]netip.Addr{
		"rebound.example.com.":  addrs("127.0.0.1"),
		"both.example.com.":     addrs("127.0.0.1", "::1"),
		"several.example.com.":  addrs("127.0.0.1", "127.0.0.2", "10.0.0.1", "169.254.169.254"),
		"mapped.example.com.":   addrs("::ffff:127.0.0.1"),
		"metadata.example.com.": addrs("169.254.169.254"),
		"nat64.example.com.":    addrs("64:ff9b::a9fe:a9fe"),
	}}
	config := egress.Config{AllowHTTP: true, Ports: []uint16{l.port()}, Resolver: z.resolver()}
	for name := range z.addrs {
		raw := fmt.Sprintf("http://%s:%d/", name[:len(name)-1], l.port())
		require.NoError(t, guard(t, config).CheckURL(raw))
		requireBlocked(t, dial(t, config, raw), name)
	}
	require.Zero(t, l.count(), "a connection got through")

	var dns *net.DNSError
	require.ErrorAs(t, dial(t, config, "http://missing.example.com/"), &dns)
	require.True(t, dns.IsNotFound)
	for _, q := range z.questions() {
		require.Contains(t, q, ".example.com.", "a search domain was asked: %s", q)
	}

	config.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	require.Error(t, dial(t, config, fmt.Sprintf("http://rebound.example.com:%d/", l.port())))
	require.Equal(t, 1, l.count(), "the name leads to the listener")
}

// TestMixedAnswers: of several addresses only those that are allowed are connected to.
func TestMixedAnswers(t *testing.T) {
	l := listen(t)
	z := &zone{addrs: map[string][]netip.Addr{"mixed.example.com.": {
		netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1"),
	}}}
	other, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.2:%d", l.port()))
	require.NoError(t, err)
	inside := count(t, other)
	config := egress.Config{
		AllowHTTP: true, Ports: []uint16{l.port()}, Resolver: z.resolver(),
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	}
	err = dial(t, config, fmt.Sprintf("http://mixed.example.com:%d/", l.port()))
	require.Error(t, err, "the listener speaks no HTTP")
	require.Equal(t, 1, l.count())
	require.Zero(t, inside.count(), "an address that is not allowed was connected to")
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	l := listen(t)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://"+l.Addr().String())
	}
	z := &zone{}
	err := dial(t, egress.Config{AllowHTTP: true, Resolver: z.resolver()}, "http://missing.example.com/")
	var dns *net.DNSError
	require.ErrorAs(t, err, &dns)
	require.Zero(t, l.count())
}

func TestControl(t *testing.T) {
	g := guard(t, egress.Config{DenyNetworks: []netip.Prefix{netip.MustParsePrefix("9.9.9.0/24")}})
	for address, network := range map[string]string{
		"9.9.9.9:443": "tcp4", "1.1.1.1:80": "tcp4", "1.1.1.1:444": "tcp4", "1.1.1.1": "tcp4", "": "tcp4",
		"[::1]:443": "tcp6", "1.1.1.1:443": "udp4", "/run/docker.sock": "unix",
	} {
		requireBlocked(t, g.Control(network, address, nil), address)
	}
	require.NoError(t, g.Control("tcp4", "1.1.1.1:443", nil))
	require.NoError(t, g.Control("tcp6", "[2606:4700:4700::1111]:443", nil))
	require.ErrorContains(t, g.CheckAddr(netip.Addr{}), "no address")
	require.EqualError(t, g.Control("tcp4", "10.0.0.1:443", nil), "address 10.0.0.1:443 is not allowed: it is not public")
}

func TestConfigErrorsNameTheField(t *testing.T) {
	for field, c := range map[string]egress.Config{
		"allowNetworks[0]":    {AllowNetworks: []netip.Prefix{{}}},
		"denyNetworks[0]":     {DenyNetworks: []netip.Prefix{{}}},
		"ports":               {Ports: []uint16{0}},
		"maxIdleConns":        {MaxIdleConns: -1},
		"maxIdleConnsPerHost": {MaxIdleConnsPerHost: -1},
		"idleTimeout":         {IdleTimeout: -1},
		"connectTimeout":      {ConnectTimeout: -1},
	} {
		_, err := egress.New(c)
		require.ErrorContains(t, err, field+":")
	}
}

// TestHungDialEnds: Go's transport finishes dials in the background; they must not outlive the connect timeout.
func TestHungDialEnds(t *testing.T) {
	hung := make(chan struct{})
	ended := sync.OnceFunc(func() { close(hung) }) // A and AAAA are asked for at the same time
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		ended()
		return nil, ctx.Err()
	}}
	config := egress.Config{AllowHTTP: true, Resolver: resolver, ConnectTimeout: 50 * time.Millisecond}
	err := dial(t, config, "http://slow.example.com/")
	var timeout net.Error
	require.True(t, errors.As(err, &timeout) && timeout.Timeout(), "%v", err)
	<-hung
}

func FuzzControl(f *testing.F) {
	f.Add("tcp4", "127.0.0.1:443")
	f.Add("tcp6", "[::ffff:127.0.0.1]:443")
	f.Add("tcp4", "1.1.1.1:443")
	g := guard(f, egress.Config{})
	f.Fuzz(func(t *testing.T, network, address string) {
		if g.Control(network, address, nil) != nil {
			return
		}
		to, err := netip.ParseAddrPort(address)
		require.NoError(t, err)
		addr := to.Addr().Unmap()
		require.False(t, addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() ||
			addr.IsUnspecified() || !addr.IsGlobalUnicast(), "%s", address)
		require.Equal(t, uint16(443), to.Port())
	})
}
