// Package sign computes the signature headers of attempts. A [Scheme] is one system's way of signing; its [Signer]
// holds the decoded keys of one subscription, so that nothing but the hash is computed per attempt.
//
// Errors never hold a secret or a part of one.
package sign

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Header is one header field of a request. Names are sent in the case they are written in.
type Header struct {
	Name  string
	Value string
}

// Scheme is one way of signing. Implementations are safe for concurrent use.
type Scheme interface {
	// Signer decodes secrets, newest first, into a signer. Without a secret, or with one that [Scheme.ValidateSecret]
	// refuses, it returns an error that names the secret by its place.
	Signer(secrets []string) (Signer, error)
	// NewSecret returns a fresh random secret in the scheme's form.
	NewSecret() (string, error)
	// ValidateSecret says what is allowed if secret is not of the scheme's form.
	ValidateSecret(secret string) error
	// HeaderNames lists the headers that a signer appends.
	HeaderNames() []string
	// Claim reads what the headers of a request say of its signature, for [Verify]. Its error is a [*Refusal].
	Claim(get func(name string) string) (Claim, error)
}

// Signer signs the attempts of one subscription. It is safe for concurrent use.
type Signer interface {
	// Append adds the signature headers of one attempt to dst: id is the message id, at the time of the attempt, body
	// the exact bytes that are sent.
	Append(dst []Header, id string, at time.Time, body []byte) []Header
}

// MaxSecrets is the most secrets a subscription may sign with: the current one and Svix's limit of ten old ones.
const MaxSecrets = 11

// Lookup returns the scheme of that name. A [Template] has none: it comes with the profile.
func Lookup(name string) (Scheme, bool) {
	switch name {
	case "standard":
		return Standard{Prefix: "webhook-"}, true
	case "svix":
		return Standard{Prefix: "svix-"}, true
	case "dixa":
		return Dixa{}, true
	default:
		return nil, false
	}
}

// Names lists the names that [Lookup] knows, sorted.
func Names() []string { return []string{"dixa", "standard", "svix"} }

func checkSecrets(s Scheme, secrets []string) error {
	if len(secrets) == 0 || len(secrets) > MaxSecrets {
		return fmt.Errorf("secrets: got %d, want 1 to %d", len(secrets), MaxSecrets)
	}
	for i, secret := range secrets {
		if err := s.ValidateSecret(secret); err != nil {
			return fmt.Errorf("secrets[%d]: %w", i, err)
		}
	}
	return nil
}

// HasHeader reports whether name, in any case, is one of the headers that s sets.
func HasHeader(s Scheme, name string) bool {
	return slices.ContainsFunc(s.HeaderNames(), func(own string) bool { return strings.EqualFold(own, name) })
}
