package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Claim is what the headers of a request say of its signature.
type Claim struct {
	// ID is the message id; empty where the headers have none.
	ID string
	// At is when the attempt was made; zero where the headers do not tell.
	At time.Time
	// Signatures are all that the headers have, or the secret itself where that is what is sent.
	Signatures []string
}

// Received is a request as its receiver has it.
type Received struct {
	// Header returns the value of a header field by its name, in any case; empty if there is none.
	Header func(name string) string
	// Body is the exact bytes that came.
	Body []byte
}

// DefaultTolerance is how far the time of an attempt may be from the receiver's, as Standard Webhooks has it.
const DefaultTolerance = 5 * time.Minute

// Refusal is why a request is not authentic. Its text holds no secret, and no signature that would be right.
type Refusal struct {
	// Reason is one of the Refused constants.
	Reason string
	Detail string
}

// Reasons of a [Refusal].
const (
	RefusedMissing   = "missing"   // a header that the scheme sends is not there
	RefusedMalformed = "malformed" // a header has not the scheme's form
	RefusedMismatch  = "mismatch"  // no signature is of this body under these secrets
	RefusedTime      = "time"      // the signature is right, and too old or of the future
)

// Error implements error.
func (r *Refusal) Error() string { return r.Detail }

func refuse(reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Verify reports whether a request is authentic: nil and what it claims, or a [*Refusal] that says exactly why it is not. Each
// secret is tried; for Ed25519 it may be the public key, whpk_. A secret that is not of the scheme's form is another error.
// A tolerance of 0 does not look at the time.
func Verify(s Scheme, secrets []string, r Received, now time.Time, tolerance time.Duration) (Claim, error) {
	claim, err := s.Claim(r.Header)
	if err != nil {
		return Claim{}, err
	}
	keys := make([]key, 0, len(secrets))
	for i, secret := range secrets {
		k, err := newKey(s, secret)
		if err != nil {
			return Claim{}, fmt.Errorf("secrets[%d]: %w", i, err)
		}
		keys = append(keys, k)
	}
	if !anyMatches(keys, claim, r.Body) {
		return Claim{}, refuse(RefusedMismatch, "no signature of the request is of this body under a secret that was given%s", hint(keys, claim, r.Body))
	}
	if age := now.Sub(claim.At); tolerance > 0 && !claim.At.IsZero() && age.Abs() > tolerance {
		return Claim{}, refuse(RefusedTime, "the signature is right, but of %s, which is %s from now: want at most %s (a replay, or a clock that is wrong)",
			claim.At.UTC().Format(time.RFC3339), age.Abs().Round(time.Second), tolerance)
	}
	return claim, nil
}

// key says whether a claim is right for a body.
type key func(c Claim, body []byte) bool

func newKey(s Scheme, secret string) (key, error) {
	if public, ok := strings.CutPrefix(secret, PublicPrefix); ok {
		if _, standard := s.(Standard); standard {
			return publicKey(public)
		}
	}
	signer, err := s.Signer([]string{secret})
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	return func(c Claim, body []byte) bool {
		sent := signer.Append(nil, c.ID, c.At, body)
		right, err := s.Claim(func(name string) string {
			for _, h := range sent {
				if strings.EqualFold(h.Name, name) {
					return h.Value
				}
			}
			return ""
		})
		return err == nil && common(right.Signatures, c.Signatures)
	}, nil
}

func publicKey(text string) (key, error) {
	public, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return nil, errors.New(`want "whpk_" and the base64 of a 32-byte Ed25519 public key`)
	}
	return func(c Claim, body []byte) bool {
		signed := fmt.Appendf(nil, "%s.%d.%s", c.ID, c.At.Unix(), body)
		for _, s := range c.Signatures {
			encoded, ok := strings.CutPrefix(s, "v1a,")
			raw, err := base64.StdEncoding.DecodeString(encoded)
			if ok && err == nil && ed25519.Verify(public, signed, raw) {
				return true
			}
		}
		return false
	}, nil
}

// common reports whether two lists have a text in common, in a time that does not tell how much of it.
func common(a, b []string) bool {
	found := false
	for _, x := range a {
		for _, y := range b {
			found = hmac.Equal([]byte(x), []byte(y)) || found
		}
	}
	return found
}

func anyMatches(keys []key, c Claim, body []byte) bool {
	for _, k := range keys {
		if k(c, body) {
			return true
		}
	}
	return false
}

// hint says what happened to the body on its way, if that explains a mismatch: the usual mistakes of receivers.
func hint(keys []key, c Claim, body []byte) string {
	for _, v := range []struct {
		what string
		body func() ([]byte, bool)
	}{
		{"the line end behind it was not sent", func() ([]byte, bool) { return cut(body, "\r\n", "\n") }},
		{"a line end behind it was lost", func() ([]byte, bool) { return append(bytes.Clone(body), '\n'), true }},
		{"the byte order mark before it was not sent", func() ([]byte, bool) { return bytes.CutPrefix(body, []byte("\xef\xbb\xbf")) }},
		{"it was formatted anew: verify the bytes as they came, before any parsing", func() ([]byte, bool) {
			var compact bytes.Buffer
			err := json.Compact(&compact, body)
			return compact.Bytes(), err == nil
		}},
	} {
		if other, ok := v.body(); ok && anyMatches(keys, c, other) {
			return "; it is of another form of this body: " + v.what
		}
	}
	return ""
}

func cut(body []byte, ends ...string) ([]byte, bool) {
	for _, end := range ends {
		if rest, ok := bytes.CutSuffix(body, []byte(end)); ok {
			return rest, true
		}
	}
	return nil, false
}

// field returns a header that has to be there.
func field(get func(string) string, name string) (string, error) {
	v := get(name)
	if v == "" {
		return "", refuse(RefusedMissing, "header %s is missing", name)
	}
	return v, nil
}
