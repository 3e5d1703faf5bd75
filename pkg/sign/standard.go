package sign

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Prefixes of written Standard Webhooks keys.
const (
	SymmetricPrefix = "whsec_" // optional on reading
	PrivatePrefix   = "whsk_"
	PublicPrefix    = "whpk_"
)

// Sizes of Standard Webhooks HMAC keys, in bytes: 24 to 64 by its specification, 32 for those made here (the output of
// SHA-256, beyond which HMAC gains nothing).
const (
	minSymmetric = 24
	maxSymmetric = 64
	newSymmetric = 32
)

var errStandardSecret = errors.New(
	`want "whsec_" and the base64 of 24 to 64 bytes, or "whsk_" and the base64 of a 64-byte Ed25519 private key`)

// Standard is the signature of Standard Webhooks 1.0: v1 (HMAC-SHA256) for whsec_ keys and v1a (Ed25519) for whsk_
// keys, over id.timestamp.body, timestamps in Unix seconds. Every secret gives one signature, in the order of the
// secrets, so that receivers verify with any key of a rotation. Svix differs by the headers' prefix only.
type Standard struct {
	// Prefix of the header names: "webhook-" or "svix-".
	Prefix string
}

var _ Scheme = Standard{}

// HeaderNames implements [Scheme].
func (s Standard) HeaderNames() []string {
	return []string{s.Prefix + "id", s.Prefix + "timestamp", s.Prefix + "signature"}
}

// NewSecret implements [Scheme]: 32 random bytes as whsec_.
func (Standard) NewSecret() (string, error) {
	key := make([]byte, newSymmetric)
	if _, err := rand.Read(key); err != nil {
		return "", err
	}
	return SymmetricPrefix + base64.StdEncoding.EncodeToString(key), nil
}

// ValidateSecret implements [Scheme].
func (Standard) ValidateSecret(secret string) error {
	_, _, err := decodeStandard(secret)
	return err
}

// PublicKey returns the whpk_ form of a whsk_ secret, for receivers.
func (Standard) PublicKey(secret string) (string, error) {
	_, private, err := decodeStandard(secret)
	if err != nil || private == nil {
		return "", errStandardSecret
	}
	return PublicPrefix + base64.StdEncoding.EncodeToString(private[ed25519.SeedSize:]), nil
}

func decodeStandard(secret string) (symmetric []byte, private ed25519.PrivateKey, err error) {
	if strings.ContainsAny(secret, "\r\n") { // the decoder skips them, other verifiers do not
		return nil, nil, errStandardSecret
	}
	if rest, ok := strings.CutPrefix(secret, PrivatePrefix); ok {
		key, err := base64.StdEncoding.Strict().DecodeString(rest)
		if err != nil || len(key) != ed25519.PrivateKeySize {
			return nil, nil, errStandardSecret
		}
		// A public half that does not belong to the seed would make signatures that nobody can verify and, worse,
		// that give the key away when the right half signs too.
		if private = ed25519.NewKeyFromSeed(key[:ed25519.SeedSize]); !private.Equal(ed25519.PrivateKey(key)) {
			return nil, nil, errStandardSecret
		}
		return nil, private, nil
	}
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(secret, SymmetricPrefix))
	if err != nil || len(key) < minSymmetric || len(key) > maxSymmetric {
		return nil, nil, errStandardSecret
	}
	return key, nil, nil
}

// Signer implements [Scheme].
func (s Standard) Signer(secrets []string) (Signer, error) {
	if err := checkSecrets(s, secrets); err != nil {
		return nil, err
	}
	names := s.HeaderNames()
	out := &standardSigner{id: names[0], timestamp: names[1], signature: names[2]}
	for _, secret := range secrets {
		symmetric, private, err := decodeStandard(secret)
		if err != nil {
			return nil, err
		}
		if private != nil {
			out.keys = append(out.keys, standardKey{private: private})
			continue
		}
		out.keys = append(out.keys, standardKey{mac: newMAC(sha256.New, symmetric)})
	}
	return out, nil
}

type standardSigner struct {
	id, timestamp, signature string // header names
	keys                     []standardKey
}

// standardKey is one of the two.
type standardKey struct {
	mac     *mac
	private ed25519.PrivateKey
}

// Append implements [Signer].
func (s *standardSigner) Append(dst []Header, id string, at time.Time, body []byte) []Header {
	var headBuf [96]byte // id (31 for msg_ ids), two dots and at most 20 digits
	head := append(headBuf[:0], id...)
	head = append(head, '.')
	head = strconv.AppendInt(head, at.Unix(), 10)
	var outBuf [160]byte // the time, then one v1 and its successor: 47 each; Ed25519 is 92
	out := append(outBuf[:0], head[len(id)+1:]...)
	stamp := len(out)
	head = append(head, '.')
	for i := range s.keys {
		if i > 0 {
			out = append(out, ' ')
		}
		out = s.keys[i].append(out, head, body)
	}
	text := string(out) // both values in one piece of memory
	return append(dst,
		Header{Name: s.id, Value: id},
		Header{Name: s.timestamp, Value: text[:stamp]},
		Header{Name: s.signature, Value: text[stamp:]})
}

func (k *standardKey) append(out, head, body []byte) []byte {
	if k.private != nil {
		signed := append(append(make([]byte, 0, len(head)+len(body)), head...), body...)
		return base64.StdEncoding.AppendEncode(append(out, "v1a,"...), ed25519.Sign(k.private, signed))
	}
	sum, n := k.mac.sum(head, body)
	return base64.StdEncoding.AppendEncode(append(out, "v1,"...), sum[:n])
}
