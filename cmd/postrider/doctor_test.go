package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/config"
)

// certificates writes a file of certificates that end when they are told to.
func certificates(t *testing.T, ends ...time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	var all []byte
	for i, at := range ends {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i)), NotBefore: at.Add(-time.Hour), NotAfter: at}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(path, all, 0o600))
	return path
}

// The first certificate of a file to end counts.
func TestDoctorReadsCertificates(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for level, path := range map[string]string{
		levelOK:      certificates(t, now.Add(90*day), now.Add(31*day)),
		levelWarning: certificates(t, now.Add(90*day), now.Add(29*day)),
		levelFailure: certificates(t, now.Add(-time.Second), now.Add(90*day)),
	} {
		conf := config.Default()
		conf.Kafka.TLS.CAFile = path
		x := &examination{conf: &conf, now: now}
		x.certificates()
		require.Len(t, x.findings, 1)
		require.Equal(t, level, x.findings[0].Level, "%v", x.findings)
		require.Equal(t, "kafka.tls.ca_file", x.findings[0].What)
	}
}

func TestVersionsBelow(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"6.2.14": true, "7.0.0": false, "7.4.1": false, "10.0": false, "6.10": true, "unknown": false, "": false,
	} {
		require.Equal(t, want, below(version, 7, 0), "%s", version)
	}
}
