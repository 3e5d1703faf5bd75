package sign

import (
	"cmp"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what some receivers still verify, with HMAC
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Template is a scheme that is told and not programmed: an HMAC over a text that is put together from the attempt, in
// header fields of any name and form. Three systems as examples, the body signed as it is sent:
//
//	headers: {X-Hub-Signature-256: "sha256=${signature}"}                       # GitHub
//	signed: ${body}
//
//	headers: {X-Shopify-Hmac-Sha256: "${signature}"}                            # Shopify
//	encoding: base64
//	signed: ${body}
//
//	headers: {Stripe-Signature: "t=${timestamp},${signatures}"}                 # Stripe
//	each: v1=${signature}
//	separator: ","
//	signed: ${timestamp}.${body}
//
// In signed stand ${id} (the message's), ${timestamp} (of the attempt) and ${body}; in a header the first two, ${signature}
// of the newest secret, ${signatures}, one for every secret that is valid, newest first, and ${secret}, the newest itself.
type Template struct {
	// Headers are the fields and their values.
	Headers map[string]string `yaml:"headers"`
	// Signed is the text that is signed. It is empty if nothing is: then a header has the secret.
	Signed string `yaml:"signed"`
	// Each is the form of one of ${signatures}, ${signature} by default; Separator stands between them, a space by default.
	Each      string `yaml:"each"`
	Separator string `yaml:"separator"`
	// Hash is sha256 by default, or sha1 or sha512.
	Hash string `yaml:"hash"`
	// Encoding of a signature is hex by default (in lower case), or base64.
	Encoding string `yaml:"encoding"`
	// Secret is how the key is written: as text by default, whose bytes are the key, or in hex or base64.
	Secret string `yaml:"secret"`
	// Timestamp is in s, Unix seconds, by default, or in ms.
	Timestamp string `yaml:"timestamp"`

	hash           func() hash.Hash
	signed, each   pattern
	names          []string
	values         []pattern
	signs, several bool
}

var _ Scheme = (*Template)(nil)

// Bounds of the keys of templates, in bytes.
const (
	minTemplateKey = 16
	maxTemplateKey = 256
	newTemplateKey = 32
)

// Variables of templates.
const (
	varID         = "id"
	varTimestamp  = "timestamp"
	varBody       = "body"
	varSignature  = "signature"
	varSignatures = "signatures"
	varSecret     = "secret"
)

// Resolve checks the template and makes it ready. Its errors name the field.
func (t *Template) Resolve() error {
	var err error
	if t.hash, err = oneOf("hash", t.Hash, map[string]func() hash.Hash{"": sha256.New, "sha256": sha256.New, "sha1": sha1.New, "sha512": sha512.New}); err != nil {
		return err
	}
	for field, value := range map[string]string{"encoding": t.Encoding, "secret": t.Secret, "timestamp": t.Timestamp} {
		if _, err := oneOf(field, value, allowedIn[field]); err != nil {
			return err
		}
	}
	if t.signed, err = parsePattern(t.Signed, varID, varTimestamp, varBody); err != nil {
		return fmt.Errorf("signed: %w", err)
	}
	if t.each, err = parsePattern(cmp.Or(t.Each, "${signature}"), varSignature); err != nil {
		return fmt.Errorf("each: %w", err)
	}
	if len(t.Headers) == 0 {
		return errors.New("headers: missing, want the header that carries the signature")
	}
	secret := false
	for _, name := range slices.Sorted(maps.Keys(t.Headers)) {
		p, err := parsePattern(t.Headers[name], varID, varTimestamp, varSignature, varSignatures, varSecret)
		if err != nil {
			return fmt.Errorf("headers: %s: %w", name, err)
		}
		t.names, t.values = append(t.names, name), append(t.values, p)
		t.signs = t.signs || p.has(varSignature) || p.has(varSignatures)
		t.several = t.several || p.has(varSignatures)
		secret = secret || p.has(varSecret)
	}
	switch {
	case t.signs && !t.signed.has(varBody):
		return errors.New("signed: want a text with ${body}: without it anybody could change the body")
	case !t.signs && t.Signed != "":
		return errors.New("headers: none holds ${signature} or ${signatures}, so that nothing of what is signed is sent")
	case !t.signs && !secret:
		return errors.New("headers: none holds ${signature}, ${signatures} or ${secret}: nobody could tell who sends")
	}
	return nil
}

// allowedIn holds what the fields that choose may say.
var allowedIn = map[string]map[string]bool{ //nolint:gochecknoglobals // a table
	"encoding": {"": true, "hex": true, "base64": true}, "secret": {"": true, "text": true, "hex": true, "base64": true},
	"timestamp": {"": true, "s": true, "ms": true},
}

func oneOf[T any](field, value string, choices map[string]T) (T, error) {
	if v, ok := choices[value]; ok {
		return v, nil
	}
	names := slices.Sorted(maps.Keys(choices))
	var none T
	return none, fmt.Errorf("%s: %q, want one of %v", field, value, names[1:])
}

// HeaderNames implements [Scheme].
func (t *Template) HeaderNames() []string { return slices.Clone(t.names) }

// NewSecret implements [Scheme]: 32 random bytes, in hexadecimal digits unless keys are in base64.
func (t *Template) NewSecret() (string, error) {
	var key [newTemplateKey]byte
	if _, err := rand.Read(key[:]); err != nil {
		return "", err
	}
	if t.Secret == "base64" {
		return base64.StdEncoding.EncodeToString(key[:]), nil
	}
	return hex.EncodeToString(key[:]), nil
}

// ValidateSecret implements [Scheme].
func (t *Template) ValidateSecret(secret string) error {
	_, err := t.key(secret)
	return err
}

// key decodes a secret.
func (t *Template) key(secret string) ([]byte, error) {
	key, form := []byte(secret), "visible ASCII characters, with spaces inside only"
	err := visible(secret)
	switch t.Secret {
	case "hex":
		form = "bytes in hexadecimal digits"
		key, err = hex.DecodeString(secret)
	case "base64":
		form = "bytes in base64"
		key, err = base64.StdEncoding.DecodeString(secret)
	}
	if err != nil || len(key) < minTemplateKey || len(key) > maxTemplateKey {
		return nil, fmt.Errorf("want %d to %d %s", minTemplateKey, maxTemplateKey, form)
	}
	return key, nil
}

// visible refuses what cannot stand in a header, where a secret may be sent.
func visible(secret string) error {
	if strings.TrimSpace(secret) != secret || strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New("not visible")
	}
	return nil
}

// Signer implements [Scheme].
func (t *Template) Signer(secrets []string) (Signer, error) {
	if err := checkSecrets(t, secrets); err != nil {
		return nil, err
	}
	s := &templateSigner{t: t, secret: secrets[0]}
	if !t.several {
		secrets = secrets[:1]
	}
	for i, secret := range secrets {
		key, err := t.key(secret)
		if err != nil {
			return nil, fmt.Errorf("secrets[%d]: %w", i, err)
		}
		s.macs = append(s.macs, newMAC(t.hash, key))
	}
	return s, nil
}

type templateSigner struct {
	t      *Template
	secret string
	macs   []*mac // newest first
}

// Append implements [Signer].
func (s *templateSigner) Append(dst []Header, id string, at time.Time, body []byte) []Header {
	v := values{id: id, secret: s.secret}
	if s.t.Timestamp == "ms" {
		v.timestamp = strconv.FormatInt(at.UnixMilli(), 10)
	} else {
		v.timestamp = strconv.FormatInt(at.Unix(), 10)
	}
	if s.t.signs {
		s.sign(&v, body)
	}
	for i, name := range s.t.names {
		dst = append(dst, Header{Name: name, Value: string(s.t.values[i].append(nil, &v, nil))})
	}
	return dst
}

// sign computes the signatures.
func (s *templateSigner) sign(v *values, body []byte) {
	text := s.t.signed.append(make([]byte, 0, len(body)+64), v, body)
	var all strings.Builder
	for i, m := range s.macs {
		sum, n := m.sum(nil, text)
		one := values{signature: s.encode(sum[:n])}
		if i == 0 {
			v.signature = one.signature
		} else {
			all.WriteString(cmp.Or(s.t.Separator, " "))
		}
		all.Write(s.t.each.append(nil, &one, nil))
	}
	v.signatures = all.String()
}

func (s *templateSigner) encode(sum []byte) string {
	if s.t.Encoding == "base64" {
		return base64.StdEncoding.EncodeToString(sum)
	}
	return hex.EncodeToString(sum)
}

// values are what variables stand for.
type values struct{ id, timestamp, signature, signatures, secret string }

// pattern is a text with variables: texts and names take turns, a text first.
type pattern []string

// parsePattern reads a text in which ${name} stands for one of the names.
func parsePattern(text string, names ...string) (pattern, error) {
	var p pattern
	for {
		before, after, found := strings.Cut(text, "${")
		p = append(p, before)
		if !found {
			break
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed || !slices.Contains(names, name) {
			return nil, fmt.Errorf("%q holds an unknown variable, want ${%s}", text, strings.Join(names, "}, ${"))
		}
		p, text = append(p, name), rest
	}
	for i := 0; i < len(p); i += 2 {
		if strings.ContainsFunc(p[i], func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, fmt.Errorf("%q: want visible ASCII and spaces", p[i])
		}
	}
	return p, nil
}

// has reports whether a variable occurs.
func (p pattern) has(name string) bool {
	for i := 1; i < len(p); i += 2 {
		if p[i] == name {
			return true
		}
	}
	return false
}

// append appends the text with its variables replaced.
func (p pattern) append(dst []byte, v *values, body []byte) []byte {
	for i, part := range p {
		if i%2 == 0 {
			dst = append(dst, part...)
			continue
		}
		switch part {
		case varID:
			dst = append(dst, v.id...)
		case varTimestamp:
			dst = append(dst, v.timestamp...)
		case varBody:
			dst = append(dst, body...)
		case varSignature:
			dst = append(dst, v.signature...)
		case varSignatures:
			dst = append(dst, v.signatures...)
		case varSecret:
			dst = append(dst, v.secret...)
		}
	}
	return dst
}
