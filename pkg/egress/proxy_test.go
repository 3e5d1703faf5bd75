package egress_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/test/forwardproxy"
)

// names are those of the tests. The certificate of httptest is for example.com and the names below it.
func names() *zone {
	public, other := netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr("2606:2800:220:1::34")
	internal := netip.MustParseAddr("10.0.0.1")
	return &zone{addrs: map[string][]netip.Addr{
		"example.com.": {public}, "both.example.com.": {public, other}, "both.example.org.": {public, other},
		"rebound.example.com.": {internal}, "mixed.example.com.": {internal, public},
		"proxy.corp.": {netip.MustParseAddr("127.0.0.1")},
	}}
}

// endpoint serves 200, over TLS if secure, and says what host it was asked for.
func endpoint(t *testing.T, secure bool) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+r.RequestURI+r.Header.Get("Proxy-Authorization"))
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.EnableHTTP2 = true
	if secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv
}

// through returns a transport through the proxy, for which nothing but public addresses is allowed.
func through(t *testing.T, p *forwardproxy.Proxy, change func(*egress.Config)) *egress.Transport {
	t.Helper()
	c := egress.Config{AllowHTTP: true, Resolver: names().resolver(), RootCAs: x509.NewCertPool()}
	c.Proxy = egress.Proxy{URL: p.URL, Username: "rider", Password: "hush"}
	trusted := httptest.NewTLSServer(nil) // all of httptest's have the same certificate
	c.RootCAs.AddCert(trusted.Certificate())
	trusted.Close()
	if change != nil {
		change(&c)
	}
	tr, err := egress.New(c)
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	return tr
}

func get(t *testing.T, tr *egress.Transport, raw string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, raw, http.NoBody)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.Proto + " " + string(body), nil
}

// The proxy is asked for the address that was checked; the endpoint sees its own name, in the handshake and in the request,
// and nothing of the proxy's credentials.
func TestProxyIsAskedForAddresses(t *testing.T) {
	for _, secure := range []bool{false, true} {
		tls, plain := endpoint(t, true), endpoint(t, false)
		p := forwardproxy.Start(t, tls.Listener.Addr().String(), secure)
		tr := through(t, p, nil)
		for range 3 {
			got, err := get(t, tr, "https://example.com/a?b")
			require.NoError(t, err)
			require.Equal(t, "HTTP/2.0 example.com/a?b", got)
		}
		to := func(target string) forwardproxy.Asked {
			return forwardproxy.Asked{Method: http.MethodConnect, Target: target, Host: target, Authorization: "Basic cmlkZXI6aHVzaA=="}
		}
		require.Equal(t, []forwardproxy.Asked{to("93.184.216.34:443")}, p.Asked(), "one connection, kept")

		p = forwardproxy.Start(t, plain.Listener.Addr().String(), secure)
		tr = through(t, p, nil)
		got, err := get(t, tr, "http://example.com/a?b")
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 example.com/a?b", got)
		_, err = get(t, tr, "http://[2606:2800:220:1::34]/")
		require.NoError(t, err)
		require.Equal(t, []forwardproxy.Asked{to("93.184.216.34:80"), to("[2606:2800:220:1::34]:80")}, p.Asked())
	}
}

// The proxy's own address needs no guard's leave; those that it is asked for do.
func TestProxyDoesNotLeadInside(t *testing.T) {
	p := forwardproxy.Start(t, endpoint(t, false).Listener.Addr().String(), false)
	tr := through(t, p, nil)
	for _, host := range []string{
		"127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1%25lo]", "rebound.example.com",
		"93.184.216.34:22", "0.0.0.0", p.Listener.Addr().String(),
	} {
		_, err := get(t, tr, "http://"+host+"/")
		requireBlocked(t, err, host)
	}
	_, err := get(t, tr, "http://missing.example.com/")
	var dns *net.DNSError
	require.ErrorAs(t, err, &dns)
	require.Empty(t, p.Asked(), "the proxy was asked")

	_, err = get(t, tr, "http://mixed.example.com/")
	require.NoError(t, err)
	require.Len(t, p.Asked(), 1, "of two addresses the one that is allowed")
	require.Equal(t, "93.184.216.34:80", p.Asked()[0].Target)
}

// What the proxy refuses, or fails to do, is told from what the endpoint does, without a word of either's.
func TestProxyThatFails(t *testing.T) {
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for name, c := range map[string]struct {
		status int
		proxy  string // instead of the test's
		secure bool   // as its URL says, and it is not
		host   string
		beyond bool
		asked  int
		want   string
	}{
		"407":         {status: 407, host: "both.example.com", asked: 1, want: "forward proxy: answered CONNECT with 407 Proxy Authentication Required"},
		"403":         {status: 403, host: "example.com", asked: 1, want: "forward proxy: answered CONNECT with 403 Forbidden"},
		"500":         {status: 500, host: "both.example.com", asked: 1, want: "forward proxy: answered CONNECT with 500 Internal Server Error"},
		"502":         {status: 502, host: "example.com", beyond: true, asked: 1, want: "forward proxy: answered CONNECT with 502 Bad Gateway"},
		"503 twice":   {status: 503, host: "both.example.com", beyond: true, asked: 2, want: "forward proxy: answered CONNECT with 503 Service Unavailable"},
		"302":         {status: 302, host: "example.com", asked: 1, want: "forward proxy: answered CONNECT with 302 Found"},
		"599":         {status: 599, host: "example.com", asked: 1, want: "forward proxy: answered CONNECT with 599"},
		"closes":      {host: "both.example.com", asked: 1, want: "forward proxy: no answer to CONNECT"},
		"is down":     {proxy: "http://" + closed.Addr().String(), host: "both.example.com", want: "forward proxy: refuses connections"},
		"has no name": {proxy: "http://proxy.missing:3128", host: "example.com", want: "forward proxy: refuses connections, or cannot be reached"},
		"has no TLS":  {secure: true, host: "example.com", want: "forward proxy: the handshake failed: want TLS 1.2 or later"},
	} {
		t.Run(name, func(t *testing.T) {
			p := forwardproxy.Start(t, closed.Addr().String(), false)
			p.Answer = func(int) int { return c.status }
			tr := through(t, p, func(conf *egress.Config) {
				switch {
				case c.proxy != "":
					conf.Proxy.URL = c.proxy
				case c.secure:
					conf.Proxy.URL = strings.Replace(p.URL, "http:", "https:", 1)
				}
			})
			_, err := get(t, tr, "https://"+c.host+"/hush")
			own, ok := errors.AsType[*egress.ProxyError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, c.beyond, own.Beyond())
			require.ErrorContains(t, err, c.want)
			require.Len(t, p.Asked(), c.asked)
			for _, secret := range []string{"hush", "cmlkZXI6aHVzaA", "rider", forwardproxy.Words, "127.0.0.1", "proxy.missing"} {
				require.NotContains(t, err.Error(), secret)
			}

			found := tr.Probe(t.Context(), "https://"+c.host+"/hush", nil)
			require.Len(t, found, 2, "%v", found)
			require.True(t, found[0].OK)
			require.False(t, found[1].OK)
			require.Equal(t, !c.beyond, strings.Contains(found[1].Detail, "the forward proxy here"), found[1].Detail)
		})
	}
}

// A proxy that gets to the second address only has the connection made to that.
func TestProxyTriesEveryAddress(t *testing.T) {
	p := forwardproxy.Start(t, endpoint(t, true).Listener.Addr().String(), false)
	p.Answer = func(n int) int {
		if n%2 == 1 {
			return http.StatusGatewayTimeout
		}
		return http.StatusOK
	}
	tr := through(t, p, nil)
	_, err := get(t, tr, "https://both.example.com/")
	require.NoError(t, err)
	require.Len(t, p.Asked(), 2)
	require.NotEqual(t, p.Asked()[0].Target, p.Asked()[1].Target)

	found := tr.Probe(t.Context(), "https://both.example.org/", nil)
	require.Len(t, found, 3)
	require.Equal(t, "port 443 answers", found[1].Detail)
	require.Equal(t, "the certificate is for other names", found[2].Detail)
	require.Len(t, p.Asked(), 4)
}

func TestProbeGoesThroughTheProxy(t *testing.T) {
	p := forwardproxy.Start(t, endpoint(t, true).Listener.Addr().String(), true)
	found := through(t, p, nil).Probe(t.Context(), "https://example.com/", nil)
	require.Len(t, found, 3)
	for _, f := range found {
		require.True(t, f.OK, "%v", f)
	}
	require.Len(t, p.Asked(), 1)
	require.Equal(t, "93.184.216.34:443", p.Asked()[0].Target)
}

// A proxy that says nothing has its time, all addresses together, and then looks like an endpoint that says nothing.
func TestProxyThatHangs(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() // connections stand before anybody accepts them
	tr := through(t, &forwardproxy.Proxy{Server: &httptest.Server{URL: "http://" + l.Addr().String()}}, func(c *egress.Config) {
		c.ConnectTimeout = time.Second
	})
	_, err = get(t, tr, "https://both.example.com/")
	var timeout net.Error
	require.True(t, errors.As(err, &timeout) && timeout.Timeout(), "%v", err)
	require.ErrorContains(t, err, "forward proxy: no connection in time")
	_, own := errors.AsType[*egress.ProxyError](err)
	require.False(t, own)
}

// A proxy may be internal by name too, which is asked for as it is.
func TestProxyByInternalName(t *testing.T) {
	p := forwardproxy.Start(t, endpoint(t, true).Listener.Addr().String(), false)
	_, port, err := net.SplitHostPort(p.Listener.Addr().String())
	require.NoError(t, err)
	tr := through(t, p, func(c *egress.Config) { c.Proxy.URL = "http://proxy.corp.:" + port })
	_, err = get(t, tr, "https://example.com/")
	require.NoError(t, err)
}

func TestProxyPasswordFile(t *testing.T) {
	p := forwardproxy.Start(t, endpoint(t, true).Listener.Addr().String(), false)
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("from:file\n"), 0o600))
	tr := through(t, p, func(c *egress.Config) { c.Proxy.PasswordFile = file })
	_, err := get(t, tr, "https://example.com/")
	require.NoError(t, err)
	require.Equal(t, "Basic cmlkZXI6ZnJvbTpmaWxl", p.Asked()[0].Authorization)

	_, err = egress.New(egress.Config{Proxy: egress.Proxy{URL: p.URL, Username: "u", PasswordFile: file + "s"}})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "proxy.password_file: ")
}

func TestProxyConfigErrors(t *testing.T) {
	for _, raw := range []string{
		"hush", "hush:3128", "socks5://hush:1080", "http://hush", "http://hush:0", "http://hush:65536", "http://hush:http",
		"http://:3128", "http://user:hush@proxy:3128", "http://proxy:3128/hush", "http://proxy:3128?hush", "http://proxy:3128#hush",
		"http://%hush:1",
	} {
		_, err := egress.NewGuard(egress.Config{Proxy: egress.Proxy{URL: raw}})
		require.ErrorContains(t, err, "proxy.url: want http://host:port", raw)
		require.NotContains(t, err.Error(), "hush", raw)
	}
	for want, p := range map[string]egress.Proxy{
		"proxy.username: holds a colon": {Username: "a:b"},
		"proxy.username: missing":       {Password: "hush"},
	} {
		p.URL = "http://proxy:3128/"
		_, err := egress.New(egress.Config{Proxy: p})
		require.ErrorContains(t, err, want)
		require.NotContains(t, fmt.Sprint(err), "hush")
	}
}
