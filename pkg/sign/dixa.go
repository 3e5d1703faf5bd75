package sign

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"
)

const (
	dixaHeader  = "X-DIXA-SIGNATURE"
	dixaKeySize = 32 // bytes, by the product's documentation
)

var errDixaSecret = errors.New("want 64 hexadecimal digits")

// Dixa is the signature of Dixa's outbound webhooks: X-DIXA-SIGNATURE: t=<Unix ms>,v1=<hex>, HMAC-SHA256 over
// t.body. The header has room for exactly one signature, so the newest secret signs and older ones do nothing.
type Dixa struct{}

var _ Scheme = Dixa{}

// HeaderNames implements [Scheme].
func (Dixa) HeaderNames() []string { return []string{dixaHeader} }

// NewSecret implements [Scheme]: 32 random bytes as 64 lower-case hexadecimal digits.
func (Dixa) NewSecret() (string, error) {
	var key [dixaKeySize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(key[:]), nil
}

// ValidateSecret implements [Scheme].
func (Dixa) ValidateSecret(secret string) error {
	if key, err := hex.DecodeString(secret); err != nil || len(key) != dixaKeySize {
		return errDixaSecret
	}
	return nil
}

// Signer implements [Scheme].
func (d Dixa) Signer(secrets []string) (Signer, error) {
	if err := checkSecrets(d, secrets); err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(secrets[0])
	if err != nil {
		return nil, errDixaSecret
	}
	return &dixaSigner{mac: newMAC(sha256.New, key)}, nil
}

type dixaSigner struct{ mac *mac }

// Append implements [Signer].
func (s *dixaSigner) Append(dst []Header, _ string, at time.Time, body []byte) []Header {
	var outBuf [128]byte // "t=", 13 digits, ",v1=", 64 digits
	out := strconv.AppendInt(append(outBuf[:0], "t="...), at.UnixMilli(), 10)
	var headBuf [24]byte
	head := append(append(headBuf[:0], out[len("t="):]...), '.')
	sum, n := s.mac.sum(head, body)
	out = hex.AppendEncode(append(out, ",v1="...), sum[:n])
	return append(dst, Header{Name: dixaHeader, Value: string(out)})
}
