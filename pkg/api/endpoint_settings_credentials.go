package api

import (
	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// CredentialsIn are the settings that resources of their own have otherwise and that hold secrets. What is left out stays, null
// takes it away; each asks for manage-secrets.
type CredentialsIn struct {
	OAuth          Opt[EndpointOauthConfigIn] `json:"oauth,omitzero" doc:"As …/oauth has it. Secrets that are left out stay, if grant type, method and token URL do. Left out, it stays; null takes it away."`
	ClientIdentity Opt[string]                `json:"clientIdentity,omitzero" doc:"The certificate and its private key for mutual TLS, PEM. Left out, it stays; null takes it away."`
	ServerCA       Opt[string]                `json:"serverCa,omitzero" doc:"The certificates that the endpoint's own must come from, PEM. Left out, they stay; null takes the system's again."`
	Encryption     Opt[EncryptionIn]          `json:"encryption,omitzero" doc:"With a key, unless the scheme stays, and the key with it. Left out, it stays; null takes it away."`
}

// CredentialsOut is what is shown of them.
type CredentialsOut struct {
	OAuth            *SettingsOauthOut `json:"oauth,omitempty"`
	ClientIdentity   bool              `json:"clientIdentity" doc:"Whether there is a client certificate; it is never shown."`
	ServerCA         string            `json:"serverCa,omitempty"`
	EncryptionScheme string            `json:"encryptionScheme,omitempty" doc:"Left out if the data is not encrypted."`
}

// SettingsOauthOut is an OAuth configuration without what is or may be secret.
type SettingsOauthOut struct {
	GrantType  string   `json:"grantType"`
	AuthMethod string   `json:"authMethod"`
	ClientID   string   `json:"clientId"`
	TokenURL   string   `json:"tokenUrl"`
	Scopes     []string `json:"scopes,omitempty"`
}

func credentialsOut(e *edit) CredentialsOut {
	out := CredentialsOut{ClientIdentity: e.sub.ClientIdentity != "", ServerCA: e.sub.CA}
	if o := e.sub.OAuth; o != nil {
		out.OAuth = &SettingsOauthOut{GrantType: o.GrantType, AuthMethod: o.AuthMethod, ClientID: o.ClientID, TokenURL: o.TokenURL, Scopes: o.Scopes}
	}
	if e.sub.Encryption != nil {
		out.EncryptionScheme = e.sub.Encryption.Scheme
	}
	return out
}

// applyCredentials gives s those that in has.
func (in *CredentialsIn) applyCredentials(c *call, s *subscription.Subscription) error {
	if !in.OAuth.Set && !in.ClientIdentity.Set && !in.ServerCA.Set && !in.Encryption.Set {
		return nil
	}
	if !c.principal.May(access.ManageSecrets, c.tenantID()) {
		return forbidden()
	}
	in.ClientIdentity.apply(&s.ClientIdentity)
	in.ServerCA.apply(&s.CA)
	if in.OAuth.Set {
		old := s.OAuth
		if s.OAuth = nil; !in.OAuth.Null {
			s.OAuth = in.OAuth.Value.oauth()
			keepOAuthSecrets(s.OAuth, old)
		}
	}
	if !in.Encryption.Set {
		return nil
	}
	old := s.Encryption
	if s.Encryption = nil; in.Encryption.Null {
		return nil
	}
	next := in.Encryption.Value
	switch {
	case next.Key != nil:
		s.Encryption = &subscription.Encryption{Scheme: next.Scheme, Key: *next.Key}
	case old != nil && old.Scheme == next.Scheme:
		s.Encryption = old
	default:
		return invalid("encryption.key", "is missing: want one, as the scheme is new here")
	}
	return nil
}

// keepOAuthSecrets gives a configuration what it left out and the one before it had, of the same form.
func keepOAuthSecrets(next, old *subscription.OAuth) {
	if old == nil || old.GrantType != next.GrantType || old.AuthMethod != next.AuthMethod || old.TokenURL != next.TokenURL {
		return // a secret goes nowhere that it was not given for
	}
	if next.ClientSecret == "" {
		next.ClientSecret = old.ClientSecret
	}
	if next.RefreshToken == "" {
		next.RefreshToken = old.RefreshToken
	}
	if next.JWT == nil {
		next.JWT = old.JWT
	}
	if next.ExtraParams == nil {
		next.ExtraParams = old.ExtraParams
	}
	if next.ExtraHeaders == nil {
		next.ExtraHeaders = old.ExtraHeaders
	}
}
