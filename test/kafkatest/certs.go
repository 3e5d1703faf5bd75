package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// certLife is how long the certificates of a test cluster are valid, from an
// hour before they are made: clocks of containers may be behind.
const certLife = 7 * 24 * time.Hour

// brokerCert is what one broker presents, in PEM: the chain from its own
// certificate to the authority, and the key in PKCS #8, as Kafka wants it.
type brokerCert struct{ chain, key string }

// makeCerts makes an authority and n broker certificates for 127.0.0.1 and
// localhost. It returns the authority's certificate in PEM.
func makeCerts(n int) (caPEM string, certs []brokerCert, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, fmt.Errorf("making key of authority: %w", err)
	}
	ca := template(1, "Postrider test authority")
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage = x509.KeyUsageCertSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return "", nil, fmt.Errorf("signing authority: %w", err)
	}
	caPEM = toPEM("CERTIFICATE", caDER)
	for i := range n {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", nil, fmt.Errorf("making key of broker: %w", err)
		}
		leaf := template(int64(i)+2, fmt.Sprintf("Postrider test broker %d", nodeID(i)))
		leaf.KeyUsage = x509.KeyUsageDigitalSignature
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		leaf.DNSNames = []string{"localhost"}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
		if err != nil {
			return "", nil, fmt.Errorf("signing broker: %w", err)
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return "", nil, fmt.Errorf("encoding key of broker: %w", err)
		}
		certs = append(certs, brokerCert{chain: toPEM("CERTIFICATE", der) + caPEM, key: toPEM("PRIVATE KEY", keyDER)})
	}
	return caPEM, certs, nil
}

func template(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certLife),
	}
}

func toPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
