package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority signs the certificates of endpoints.
type Authority struct {
	// File holds its own certificate, PEM.
	File string

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Files of an authority in the directory of its rig.
const (
	authorityFile    = "ca.pem"
	authorityKeyFile = "ca-key.pem"
)

// certLife outlasts every run.
const certLife = 24 * time.Hour

func newAuthority(dir, program string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making key of authority: %w", err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Postrider " + program + " authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("signing authority: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding key of authority: %w", err)
	}
	a := &Authority{File: filepath.Join(dir, authorityFile), certificate: ca, key: key}
	if err := os.WriteFile(a.File, encodePEM("CERTIFICATE", der), 0o644); err != nil {
		return nil, fmt.Errorf("writing certificate of authority: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, authorityKeyFile), encodePEM("PRIVATE KEY", keyDER), 0o600); err != nil {
		return nil, fmt.Errorf("writing key of authority: %w", err)
	}
	return a, nil
}

// OpenAuthority returns the authority that a rig made in its directory, for another process of the same program.
func OpenAuthority(dir string) (*Authority, error) {
	a := &Authority{File: filepath.Join(dir, authorityFile)}
	pair, err := tls.LoadX509KeyPair(a.File, filepath.Join(dir, authorityKeyFile))
	if err != nil {
		return nil, fmt.Errorf("reading authority: %w", err)
	}
	a.certificate = pair.Leaf
	a.key, _ = pair.PrivateKey.(*ecdsa.PrivateKey)
	return a, nil
}

// Leaf makes a certificate for endpoints at the addresses.
func (a *Authority) Leaf(addresses ...net.IP) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making key of endpoints: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: addresses[0].String()},
		NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter, IPAddresses: addresses,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("signing certificate of endpoints: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
