package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// errSeen ends every dial of these tests before a packet leaves.
var errSeen = errors.New("seen")

// dialled is what the transport would have connected to.
type dialled struct {
	addrs   []netip.AddrPort
	refused []error
}

// wouldDial hands a URL to the real transport and returns what its sockets, or the proxy, were about to connect to. No name
// resolves: the resolver's own dials are refused.
func wouldDial(t *testing.T, guard *Guard, raw string, proxied Proxy) (d dialled) {
	t.Helper()
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errSeen }}
	c := Config{AllowHTTP: guard.allowHTTP, Resolver: resolver, Proxy: proxied}.withDefaults()
	transport, err := newTransport(c, guard, func(network, address string, conn syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(address); err == nil {
			d.addrs = append(d.addrs, to)
		}
		if err := guard.Control(network, address, conn); err != nil {
			d.refused = append(d.refused, err)
		}
		return errSeen
	})
	require.NoError(t, err)
	defer transport.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, raw, http.NoBody)
	if err != nil {
		return d
	}
	resp, err := transport.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	seen := d
	d = dialled{}
	if to, err := TargetOf(req.URL); err == nil {
		_, err = transport.Connect(ctx, to, nil, time.Now().Add(time.Minute), new(Timings))
		require.Error(t, err)
	}
	require.ElementsMatch(t, seen.addrs, d.addrs, "net/http dials elsewhere")
	return d
}

// agree fails if the validator lets a URL through whose address the dialer refuses, or refuses one for its address alone
// that the dialer would have let through.
func agree(t *testing.T, guard *Guard, raw string) {
	t.Helper()
	if guard.CheckURL(raw) != nil {
		return
	}
	u, err := url.Parse(raw)
	require.NoError(t, err)
	for _, proxied := range []Proxy{{}, {URL: "http://127.0.0.1:9"}} {
		d := wouldDial(t, guard, raw, proxied)
		for i, to := range d.addrs {
			want, err := netip.ParseAddr(strings.TrimSuffix(u.Hostname(), "."))
			require.NoError(t, err, "%q is no address to the validator, and the dialer goes to %s", raw, to)
			require.Equal(t, want, to.Addr(), "%q: address %d", raw, i)
			require.Equal(t, portOf(u), strconv.Itoa(int(to.Port())), "%q: port", raw)
		}
		require.Empty(t, d.refused, "%q passes the validator, and the dialer refuses it", raw)
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			require.NotEmpty(t, d.addrs, "%q is an address, and was not dialled", raw)
			require.NoError(t, guard.CheckAddr(addr), raw)
		}
	}
}

// configurations are those whose validator and dialer have to agree.
func configurations(t testing.TB) []*Guard {
	t.Helper()
	var all []*Guard
	for _, c := range []Config{
		{},
		{AllowHTTP: true, AnyPort: true},
		{AllowHTTP: true, AnyPort: true, AllowInternalNames: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}},
	} {
		g, err := NewGuard(c)
		require.NoError(t, err)
		all = append(all, g)
	}
	return all
}

// tricky are URLs that parsers are known to read differently.
var tricky = []string{
	"https://example.org/", "https://93.184.216.34/", "https://93.184.216.34:8443/x?y", "http://10.1.2.3/", "https://[::1]/",
	"https://[2606:2800:220:1:248:1893:25c8:1946]/", "https://0x7f.1/", "https://0177.0.0.1/", "https://2130706433/", "https://127.1/",
	"https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[fe80::1%25eth0]/", "https://93.184.216.34./", "https://example.org.:443/",
	"https://user@93.184.216.34/", "https://93.184.216.34\\@10.0.0.1/", "https://93.184.216.34#@10.0.0.1/", "https://93.184.216.34%2f@x/",
	"https://%31%32%37.0.0.1/", "https://93.184.216.34:0443/", "https://93.184.216.34:+443/", "https://93.184.216.34:/", "https://xn--e1aybc.org/",
	"https://①②⑦.⓪.⓪.①/", "https://93.184.216.34:443:80/", "https://[93.184.216.34]/", "https://93.184.216.34\t/", "//93.184.216.34/",
	"https:93.184.216.34", "https://93.184.216.034/", "https://1.1.1.1.1/", "https://256.1.1.1/", "https://1e3/", "https://0/", "https://[::]/",
}

func TestTheValidatorAndTheDialerAgree(t *testing.T) {
	for _, g := range configurations(t) {
		for _, raw := range tricky {
			agree(t, g, raw)
		}
	}
}

func FuzzTheValidatorAndTheDialerAgree(f *testing.F) {
	for _, raw := range tricky {
		f.Add(raw)
	}
	guards := configurations(f)
	f.Fuzz(func(t *testing.T, raw string) {
		for _, g := range guards {
			agree(t, g, raw)
		}
	})
}
