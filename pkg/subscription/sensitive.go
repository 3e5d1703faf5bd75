package subscription

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SealedPrefix begins a secret that is encrypted, as package seal does it; see [Sealed].
const SealedPrefix = "sealed:"

// Sealed reports whether a text is an encrypted secret.
func Sealed(text string) bool { return strings.HasPrefix(text, SealedPrefix) }

// IsSealed reports whether any secret of s is encrypted still: the process has not the key, and cannot deliver to it.
func (s *Subscription) IsSealed() bool {
	return slices.ContainsFunc(s.Secrets, Sealed) ||
		slices.ContainsFunc(s.Retired, func(r RetiredSecret) bool { return Sealed(r.Secret) }) ||
		sealedIn(s.Headers) || Sealed(s.ClientIdentity) ||
		s.Authorization != nil && (Sealed(s.Authorization.Password) || Sealed(s.Authorization.Token)) ||
		s.OAuth != nil && s.OAuth.isSealed() ||
		s.Transformation != nil && sealedIn(s.Transformation.Variables) ||
		s.Encryption != nil && Sealed(s.Encryption.Key)
}

func (o *OAuth) isSealed() bool {
	return Sealed(o.ClientSecret) || Sealed(o.RefreshToken) || sealedIn(o.ExtraParams) || sealedIn(o.ExtraHeaders) ||
		o.JWT != nil && Sealed(o.JWT.Key)
}

func sealedIn(values map[string]string) bool {
	for _, value := range values {
		if Sealed(value) {
			return true
		}
	}
	return false
}

// EachSecret calls seal for everything in s that must not be stored or shown in clear, with the field's path, and puts
// what it returns in its place. Nothing that others may hold is changed: maps, slices and structs are copied first. It
// stops at the first error.
func (s *Subscription) EachSecret(seal func(field, value string) (string, error)) error {
	v := visitor{seal: seal}
	s.Secrets = slices.Clone(s.Secrets)
	for i := range s.Secrets {
		v.visit(fmt.Sprintf("secrets[%d]", i), &s.Secrets[i])
	}
	s.Retired = slices.Clone(s.Retired)
	for i := range s.Retired {
		v.visit(fmt.Sprintf("retired[%d]", i), &s.Retired[i].Secret)
	}
	s.Headers = v.visitMap("headers", s.Headers)
	v.visit("clientIdentity", &s.ClientIdentity)
	if s.Authorization != nil {
		a := *s.Authorization
		v.visit("authorization.password", &a.Password)
		v.visit("authorization.token", &a.Token)
		s.Authorization = &a
	}
	v.visitOAuth(s)
	if s.Transformation != nil {
		t := *s.Transformation
		t.Variables = v.visitMap("transformation.variables", t.Variables)
		s.Transformation = &t
	}
	if s.Encryption != nil {
		e := *s.Encryption
		v.visit("encryption.key", &e.Key)
		s.Encryption = &e
	}
	return v.err
}

type visitor struct {
	seal func(field, value string) (string, error)
	err  error
}

func (v *visitor) visit(field string, value *string) {
	if *value == "" || v.err != nil {
		return
	}
	sealed, err := v.seal(field, *value)
	if err != nil {
		v.err = fmt.Errorf("%s: %w", field, err)
		return
	}
	*value = sealed
}

func (v *visitor) visitMap(field string, values map[string]string) map[string]string {
	values = maps.Clone(values)
	for name, value := range values {
		v.visit(field+"."+name, &value)
		values[name] = value
	}
	return values
}

func (v *visitor) visitOAuth(s *Subscription) {
	if s.OAuth == nil {
		return
	}
	o := *s.OAuth
	v.visit("oauth.clientSecret", &o.ClientSecret)
	v.visit("oauth.refreshToken", &o.RefreshToken)
	o.ExtraParams = v.visitMap("oauth.extraParams", o.ExtraParams)
	o.ExtraHeaders = v.visitMap("oauth.extraHeaders", o.ExtraHeaders)
	if o.JWT != nil {
		j := *o.JWT
		v.visit("oauth.jwt.key", &j.Key)
		o.JWT = &j
	}
	s.OAuth = &o
}
