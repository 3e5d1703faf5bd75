package attempt_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
)

// identity is a client certificate of the test authority with its key, PEM.
func identity(t *testing.T, ca *x509.Certificate, name string) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, testKey.Public(), testKey)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(testKey)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	require.NoError(t, pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	return out.String()
}

func newTLS(t *testing.T, identity, ca string) *egress.TLS {
	t.Helper()
	own, err := egress.NewTLS(identity, ca, 0)
	require.NoError(t, err)
	return own
}

// Who brings the certificate gets in, under its own name and on a connection of its own; who does not is refused; and the
// system's authorities do not vouch for a private one.
func TestClientCertificates(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		ca := testCA(t)
		var mu sync.Mutex
		names := map[string]string{} // by connection
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name := r.TLS.PeerCertificates[0].Subject.CommonName
			mu.Lock()
			defer mu.Unlock()
			if had, ok := names[r.RemoteAddr]; ok && had != name {
				w.WriteHeader(http.StatusConflict)
				return
			}
			names[r.RemoteAddr] = name
			_, _ = io.WriteString(w, name)
		}))
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		clients := x509.NewCertPool()
		clients.AddCert(ca)
		srv.EnableHTTP2 = http2
		srv.TLS = &tls.Config{
			Certificates: []tls.Certificate{certificate(t, ca, time.Now().Add(time.Hour))},
			ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients,
			MaxVersion: tls.VersionTLS12, // in TLS 1.3 the refusal comes after the handshake, and may be lost to a reset
		}
		srv.StartTLS()
		t.Cleanup(srv.Close)

		authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))
		c := client(t, patient)
		try := func(own *egress.TLS) attempt.Response { return do(t, c, &attempt.Request{URL: srv.URL, TLS: own}) }
		a, b := newTLS(t, identity(t, ca, "a"), authority), newTLS(t, identity(t, ca, "b"), authority)
		for range 3 {
			for want, own := range map[string]*egress.TLS{"a": a, "b": b} {
				res := try(own)
				require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
				require.Equal(t, want, string(res.Body))
			}
			require.Equal(t, outcome.ResultTLS, try(newTLS(t, "", authority)).Result, "no certificate")
			require.Equal(t, outcome.ResultTLS, try(nil).Result, "neither certificate nor authority")
			require.Equal(t, outcome.ResultTLS, try(newTLS(t, identity(t, ca, "c"), "")).Result, "the authority is not the system's")
		}
		require.Len(t, names, 2, "one connection for each identity, kept")
	}
	for _, c := range [][2]string{{"hush", ""}, {"", "hush"}} {
		_, err := egress.NewTLS(c[0], c[1], 0)
		require.ErrorContains(t, err, "PEM")
		require.NotContains(t, err.Error(), "hush")
	}
}

// A certificate is never left out in silence.
func TestTransportWithoutClientCertificates(t *testing.T) {
	c := attempt.New(roundTripper(func(*http.Request) (*http.Response, error) { panic("it was sent") }))
	res := do(t, c, &attempt.Request{URL: "https://example.com", TLS: new(egress.TLS)})
	require.Equal(t, outcome.ResultRequest, res.Result)
}

// authorizer gives out its values in turn, another for each that was refused.
type authorizer struct {
	values []string
	err    error
	asked  []string
}

// Authorize implements attempt.Authorizer.
func (a *authorizer) Authorize(_ context.Context, refused string) (string, error) {
	a.asked = append(a.asked, refused)
	if len(a.values) == 0 {
		return "", a.err
	}
	if refused == a.values[0] && len(a.values) > 1 {
		a.values = a.values[1:]
	}
	return a.values[0], nil
}

func TestAuthorizer(t *testing.T) {
	for name, c := range map[string]struct {
		values []string
		good   string
		result outcome.Result
		sent   []string
		asked  []string
	}{
		"good":            {[]string{"a"}, "a", outcome.ResultSuccess, []string{"a"}, []string{""}},
		"refused once":    {[]string{"a", "b"}, "b", outcome.ResultSuccess, []string{"a", "b"}, []string{"", "a"}},
		"refused twice":   {[]string{"a", "b", "c"}, "c", outcome.ResultClientError, []string{"a", "b"}, []string{"", "a"}},
		"no other":        {[]string{"a"}, "b", outcome.ResultClientError, []string{"a"}, []string{"", "a"}},
		"no token at all": {nil, "", outcome.ResultAuthorization, nil, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []string
			rt := roundTripper(func(r *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				require.Equal(t, "ping", string(body), "the whole body, each time")
				got := r.Header.Get("Authorization")
				sent = append(sent, got)
				status := http.StatusUnauthorized
				if got == c.good {
					status = http.StatusOK
				}
				return &http.Response{StatusCode: status, Body: http.NoBody, Proto: "HTTP/1.1"}, nil
			})
			a := &authorizer{values: c.values, err: errors.New("token endpoint: status 503")}
			res := do(t, attempt.New(rt), &attempt.Request{URL: "https://example.com", Body: []byte("ping"), Authorizer: a})
			require.Equal(t, c.result, res.Result)
			require.Equal(t, c.sent, sent)
			require.Equal(t, c.asked, a.asked)
			if c.values == nil {
				require.Equal(t, "token endpoint: status 503", res.Detail)
				require.Zero(t, res.Status)
			}
		})
	}
}
