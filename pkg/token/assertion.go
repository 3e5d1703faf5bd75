package token

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/postrider/postrider/pkg/subscription"
)

const (
	// assertionType is RFC 7523, section 2.2.
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// assertionLife is how long an assertion is valid if the subscription does not say.
	assertionLife = 5 * time.Minute
)

// assertion returns the signed statement by which the client proves itself (RFC 7523, section 3). Every one has an id of
// its own, so that it can be used once only.
func assertion(o *subscription.OAuth, now time.Time) (string, error) {
	if o.JWT == nil || o.JWT.Algorithm != jwt.SigningMethodRS256.Alg() {
		return "", errors.New("jwtParams: want a key for RS256")
	}
	key, err := parseKey(o.JWT.Key)
	if err != nil {
		return "", fmt.Errorf("jwtParams: %w", err)
	}
	life := assertionLife
	if o.JWT.ExpirySeconds > 0 {
		life = time.Duration(o.JWT.ExpirySeconds) * time.Second
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: o.ClientID, Subject: o.ClientID, Audience: jwt.ClaimStrings{o.TokenURL}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
	})
	if o.JWT.KeyID != "" {
		t.Header["kid"] = o.JWT.KeyID
	}
	signed, err := t.SignedString(key)
	if err != nil {
		return "", errors.New("jwtParams: the key does not sign with RS256")
	}
	return signed, nil
}

// parseKey reads an RSA private key, PEM or DER, PKCS #1 or #8, in base64. Its errors hold nothing of it.
func parseKey(text string) (*rsa.PrivateKey, error) {
	wrong := errors.New("want an RSA private key, PEM or DER, in base64")
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, wrong
	}
	if block, _ := pem.Decode(der); block != nil {
		der = block.Bytes
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, wrong
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, wrong
	}
	return key, nil
}
