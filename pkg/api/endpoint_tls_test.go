package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// certificate returns a certificate that signed itself, and its private key, PEM.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(pair)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

func TestClientCertificateAndAuthorities(t *testing.T) {
	h := acme(t)
	cert, key := certificate(t)
	_, another := certificate(t)

	require.Equal(t, []string{"body.identity"},
		h.call(h.operator, http.MethodPut, orders+"/mtls", map[string]string{"identity": cert + another}).locs(t), "the key of another")
	h.ok(http.StatusNotFound, http.MethodGet, orders+"/mtls", nil)
	h.ok(http.StatusNoContent, http.MethodPut, orders+"/mtls", map[string]string{"identity": cert + key})
	require.JSONEq(t, `{}`, h.ok(http.StatusOK, http.MethodGet, orders+"/mtls", nil).body)
	require.JSONEq(t, `{"enabled":true,"config":{}}`, h.ok(http.StatusOK, http.MethodGet, orders+"/mtls-config", nil).body)
	h.ok(http.StatusNoContent, http.MethodDelete, orders+"/mtls", nil)
	require.JSONEq(t, `{"enabled":false}`, h.ok(http.StatusOK, http.MethodGet, orders+"/mtls-config", nil).body)

	h.ok(http.StatusNoContent, http.MethodPut, orders+"/ca", map[string]string{"cert": cert})
	require.Equal(t, map[string]any{"cert": cert}, h.ok(http.StatusOK, http.MethodGet, orders+"/ca", nil).json(t))
	h.ok(http.StatusNoContent, http.MethodPut, orders+"/ca", `{"cert":null}`)
	require.JSONEq(t, `{}`, h.ok(http.StatusOK, http.MethodGet, orders+"/ca", nil).body)
}
