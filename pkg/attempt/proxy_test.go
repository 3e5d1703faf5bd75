package attempt_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/token"
	"github.com/postrider/postrider/test/forwardproxy"
)

// proxied is a transport through p, with authentication.
func proxied(t *testing.T, url string) *egress.Transport {
	t.Helper()
	tr, err := egress.New(egress.Config{
		AllowHTTP: true, AnyPort: true, ConnectTimeout: generous,
		Proxy: egress.Proxy{URL: url, Username: "rider", Password: "hush"},
	})
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	return tr
}

// What is the proxy's is told from what is the endpoint's, by result and in words.
func TestResultsThroughAProxy(t *testing.T) {
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	answers := func(status int) string {
		return "forward proxy: answered CONNECT with " + fmt.Sprint(status) + " " + http.StatusText(status)
	}
	for name, c := range map[string]struct {
		proxy, endpoint int // what they answer
		down            bool
		url             string // instead of a public address
		result          outcome.Result
		detail          string
	}{
		"all well":              {200, 204, false, "", outcome.ResultSuccess, ""},
		"the endpoint's 407":    {200, 407, false, "", outcome.ResultClientError, ""},
		"the endpoint's 502":    {200, 502, false, "", outcome.ResultServerError, ""},
		"the endpoint resets":   {200, 0, false, "", outcome.ResultReset, "EOF"},
		"the proxy's 407":       {407, 204, false, "", outcome.ResultProxy, answers(407)},
		"the proxy's 403":       {403, 204, false, "", outcome.ResultProxy, answers(403)},
		"the proxy's 502":       {502, 204, false, "", outcome.ResultUnreachable, answers(502)},
		"the proxy hangs up":    {0, 204, false, "", outcome.ResultProxy, "forward proxy: no answer to CONNECT: it closed the connection, or speaks no HTTP"},
		"the proxy is down":     {200, 204, true, "", outcome.ResultProxy, "forward proxy: refuses connections, or cannot be reached"},
		"an internal endpoint":  {200, 204, false, "http://127.0.0.1/", outcome.ResultBlocked, "dial tcp: address 127.0.0.1:80 is not allowed: it is not public"},
		"internal and no proxy": {200, 204, true, "http://10.0.0.1/", outcome.ResultBlocked, "dial tcp: address 10.0.0.1:80 is not allowed: it is not public"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := rawEndpoint(t, func(conn *net.TCPConn) {
				if readRequest(conn) && c.endpoint != 0 {
					_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n", c.endpoint)
				}
			})
			p := forwardproxy.Start(t, endpoint, false)
			p.Answer = func(int) int { return c.proxy }
			at := p.URL
			if c.down {
				at = "http://" + closed.Addr().String()
			}
			r := &attempt.Request{URL: "http://93.184.216.34/hush"}
			if c.url != "" {
				r.URL = c.url
			}
			res := do(t, attempt.New(proxied(t, at)), r)
			require.Equal(t, c.result, res.Result, res.Detail)
			require.Equal(t, c.detail, res.Detail)
			require.True(t, c.url == "" || len(p.Asked()) == 0, "the proxy was asked for an internal address")
		})
	}
}

// Token endpoints are reached through the proxy, too; without it there is no token, and nobody's fault but the proxy's.
func TestTokensThroughAProxy(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"good","token_type":"bearer","expires_in":600}`)
		case r.Header.Get("Authorization") != "Bearer good":
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(srv.Close)
	for _, c := range []struct {
		status int
		result outcome.Result
	}{
		{200, outcome.ResultSuccess},
		{407, outcome.ResultProxy},
		{502, outcome.ResultAuthorization}, // the proxy does not get to the token endpoint
	} {
		p := forwardproxy.Start(t, srv.Listener.Addr().String(), false)
		p.Answer = func(int) int { return c.status }
		tr := proxied(t, p.URL)
		sub := &subscription.Subscription{ID: ident.Derive("test"), Version: 1, OAuth: &subscription.OAuth{
			GrantType: subscription.GrantClientCredentials, AuthMethod: subscription.AuthClientSecretPost,
			ClientID: "me", ClientSecret: "hush", TokenURL: "http://93.184.216.34:8443/token",
		}}
		res := do(t, attempt.New(tr), &attempt.Request{URL: "http://93.184.216.35/", Authorizer: token.New(tr).Source(sub)})
		require.Equal(t, c.result, res.Result, res.Detail)
		require.NotContains(t, res.Detail, "hush")
		require.Equal(t, "93.184.216.34:8443", p.Asked()[0].Target)
		if c.status == http.StatusOK {
			require.Equal(t, "93.184.216.35:80", p.Asked()[1].Target)
			continue
		}
		require.Contains(t, res.Detail, "token endpoint: forward proxy: answered CONNECT with ")
		require.Len(t, p.Asked(), 1)
	}
}
