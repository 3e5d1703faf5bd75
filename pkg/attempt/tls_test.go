package attempt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/egress"
)

// testKey signs every certificate of the tests; making keys costs time.
var testKey, testKeyErr = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)

// trustingCA makes the client trust ca.
func trustingCA(ca *x509.Certificate) func(*egress.Config) {
	return func(c *egress.Config) {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(ca)
	}
}

// testCA is the self-signed authority of the test certificates.
func testCA(t testing.TB) *x509.Certificate {
	t.Helper()
	require.NoError(t, testKeyErr)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, testKey.Public(), testKey)
	require.NoError(t, err)
	ca, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return ca
}

// certificate is for 127.0.0.1, by the test authority, until the given time.
func certificate(t testing.TB, ca *x509.Certificate, until time.Time) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "endpoint"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, testKey.Public(), testKey)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: testKey}
}

// tlsServerWith serves 200 with config, and keeps quiet about handshakes that fail on purpose.
func tlsServerWith(t testing.TB, config *tls.Config) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = config
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

// greeting speaks first.
func greeting(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		_, _ = io.WriteString(conn, text)
		hang(conn)
	}
}

// noDNS is a resolver whose server cannot be reached.
func noDNS(c *egress.Config) {
	c.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no server")
	}}
}
