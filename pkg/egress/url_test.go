package egress_test

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/egress"
)

func guard(t testing.TB, c egress.Config) *egress.Guard {
	t.Helper()
	g, err := egress.NewGuard(c)
	require.NoError(t, err)
	return g
}

// hostile are URLs that the strictest and the laxest production configuration refuse alike.
var hostile = []string{
	// Loopback, private and link-local addresses in plain form.
	"https://127.0.0.1/", "https://127.255.255.254/", "https://0.0.0.0/", "https://0.1.2.3/", "https://10.0.0.1/",
	"https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/", "https://169.254.1.1/",
	"https://100.64.0.1/", "https://192.0.0.8/", "https://192.0.2.1/", "https://198.18.0.1/", "https://198.51.100.7/",
	"https://203.0.113.9/", "https://224.0.0.1/", "https://240.0.0.1/", "https://255.255.255.255/",
	// Metadata and platform services of clouds.
	"https://169.254.169.254/latest/meta-data/", "https://169.254.170.2/v2/credentials", "https://168.63.129.16/",
	"https://100.100.100.200/latest/meta-data/", "https://[fd00:ec2::254]/", "https://metadata.google.internal/",
	// The same addresses as other parsers read them.
	"https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0x7f.1/",
	"https://127.1/", "https://127.0.1/", "https://0177.0.0.1/", "https://127.0.0.01/", "https://127.0.0.0x1/",
	"https://example.com.0x7f/", "https://example.com.1/", "https://0/", "https://1.1.1.1.1/", "https://256.1.1.1/",
	"https://127.0.0.1./", "https://%31%32%37.0.0.1/", "https://127。0。0。1/", "https://①②⑦.0.0.1/",
	// IPv6: loopback, mapped, translated, tunnelled, local.
	"https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
	"https://[::ffff:169.254.169.254]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
	"https://[64:ff9b::169.254.169.254]/", "https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/",
	"https://[2002:a9fe:a9fe::1]/", "https://[2001::1]/", "https://[2001:db8::1]/", "https://[fc00::1]/",
	"https://[fd12:3456::1]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[2606:4700::1%25lo]/",
	"https://[fec0::1]/", "https://[ff02::1]/", "https://[100::1]/", "https://[::ffff:0:127.0.0.1]/",
	"https://[127.0.0.1]/", "https://::1/", "https://[::1/", "https://[example.com]/", "https://[]/",
	// Internal names.
	"https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://a.localhost/", "https://redis/",
	"https://printer.local/", "https://x.internal/", "https://kafka.default.svc.cluster.local/", "https://x.home.arpa/",
	"https://intranet/", "https://x.localdomain/", "https://hidden.onion/",
	// Schemes and shapes.
	"ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)", "//example.com/",
	"example.com", "", "https:", "https://", "https:///path", "https:example.com", "https://?x", "https:/example.com",
	"https://user@example.com/", "https://user:secret@example.com/", "https://example.com@127.0.0.1/",
	"https://@example.com/", "https://example.com/#x", "https://example.com/#", "https://example.com\\@127.0.0.1/",
	// Ports.
	"https://example.com:22/", "https://example.com:0/", "https://example.com:65536/", "https://example.com:/",
	"https://example.com:0443/", "https://example.com:-1/", "https://example.com:443:443/", "https://example.com:x/",
	// Bytes that split a request or hide a host.
	"https://example.com/\r\nHost: 127.0.0.1", "https://example.com/\x00", "https://exam ple.com/", " https://example.com/",
	"https://example.com/\t", "https://example.com/ü", "https://ex%61mple.com/", "https://exa%00mple.com/",
	"https://-example.com/", "https://example-.com/", "https://exa!mple.com/", "https://example..com/", "https://.com/",
	"https://" + strings.Repeat("a", 64) + ".com/", "https://" + strings.Repeat("a.", 127) + "com/",
	"https://example.com/" + strings.Repeat("a", egress.MaxURL),
}

func TestHostileURLsAreRefused(t *testing.T) {
	strict := guard(t, egress.Config{})
	lax := guard(t, egress.Config{AllowHTTP: true, Ports: []uint16{8443}, AllowNetworks: []netip.Prefix{
		netip.MustParsePrefix("9.9.9.9/32"),
	}})
	require.GreaterOrEqual(t, len(hostile), 120)
	for _, raw := range hostile {
		for _, g := range []*egress.Guard{strict, lax} {
			err := g.CheckURL(raw)
			require.Error(t, err, "%q", raw)
			require.True(t, strings.HasPrefix(err.Error(), "url: "), "%q: %v names no field", raw, err)
			require.NotContains(t, err.Error(), "secret")
		}
		if plain, ok := strings.CutPrefix(raw, "https://"); ok {
			require.Error(t, lax.CheckURL("http://"+plain), "http form of %q", raw)
		}
	}
}

func TestURLsThatAreAllowed(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, tc := range []struct {
		url    string
		config egress.Config
	}{
		{"https://example.com", egress.Config{}},
		{"https://EXAMPLE.com./hooks?token=a%20b&x=1", egress.Config{}},
		{"https://example.com:443/", egress.Config{}},
		{"https://a_b.xn--nxasmq6b.example.org/", egress.Config{}},
		{"https://3com.com/", egress.Config{}},
		{"https://0xcafe.io/", egress.Config{}},
		{"https://1.1.1.1/", egress.Config{}},
		{"https://[2606:4700:4700::1111]/", egress.Config{}},
		{"https://example.com:8443/", egress.Config{Ports: []uint16{8443}}},
		{"http://example.com/", egress.Config{AllowHTTP: true}},
		{"http://example.com:443/", egress.Config{AllowHTTP: true}},
		{"http://127.0.0.1:9000/", egress.Config{AllowHTTP: true, AnyPort: true, AllowNetworks: loopback}},
		{"https://[::1]:9000/", egress.Config{AnyPort: true, AllowNetworks: loopback}},
		{"http://localhost:9000/", egress.Config{AllowHTTP: true, AnyPort: true, AllowInternalNames: true}},
	} {
		require.NoError(t, guard(t, tc.config).CheckURL(tc.url), tc.url)
	}
}

func TestURLErrorsSayWhatIsAllowed(t *testing.T) {
	g := guard(t, egress.Config{Ports: []uint16{8443}})
	for raw, want := range map[string]string{
		"http://example.com/":         `url: scheme "http", want https`,
		"https://example.com:22/":     "url: port 22, want one of [443 8443]",
		"https://u:p@example.com/":    "url: holds a user, want credentials in a header",
		"https://10.0.0.1/":           "url: host: address 10.0.0.1 is not allowed: it is not public",
		"https://localhost/":          `url: host: "localhost" is an internal name, want a public one`,
		"https://example.com/\x7f":    "url: byte 0x7f at 20, want visible ASCII without spaces and backslashes",
		"https://0x7f.1/":             `url: host: ends in the number "1", want a name or four decimal numbers`,
		"https://[::ffff:127.0.0.1]/": "url: host: address ::ffff:127.0.0.1 is not allowed: it is not public",
	} {
		require.EqualError(t, g.CheckURL(raw), want)
	}
}

// FuzzCheckURL: whatever is accepted names a host and a port that the guard accepts too, so what can be written can be
// dialled, and means the same after it was written and read again.
func FuzzCheckURL(f *testing.F) {
	for _, raw := range hostile {
		f.Add(raw)
	}
	f.Add("https://example.com/path?query")
	f.Add("https://1.1.1.1:8443")
	g := guard(f, egress.Config{AllowHTTP: true, Ports: []uint16{8443}})
	f.Fuzz(func(t *testing.T, raw string) {
		if g.CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		require.NoError(t, err)
		require.NotEmpty(t, u.Hostname())
		require.NoError(t, g.CheckURL(u.String()), "changes when written again")
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			require.NoError(t, g.CheckAddr(addr))
		}
		if p := u.Port(); p != "" {
			n, err := strconv.ParseUint(p, 10, 16)
			require.NoError(t, err)
			require.NoError(t, g.CheckPort(uint16(n)))
		}
	})
}
