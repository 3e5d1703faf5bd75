package subscription

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// MaxOAuthParams bounds the extra parameters, the extra headers and the scopes of an [OAuth].
const MaxOAuthParams = 20

// sensitive checks that only headers that are there are marked.
func (p *problems) sensitive(s *Subscription) {
	for i, name := range s.SensitiveHeaders {
		if _, ok := s.Headers[name]; !ok {
			p.add(fmt.Sprintf("sensitiveHeaders[%d]", i), "%q: want the name of one of the headers", name)
		}
	}
}

func (p *problems) credentials(s *Subscription, rules Rules) {
	if a := s.Authorization; a != nil {
		p.check("authorization", a.validate())
	}
	if (s.Authorization != nil || s.OAuth != nil) && hasHeader(s.Headers, "authorization") {
		p.add("headers.Authorization", "is there, and so are authorization or oauth: want one of them")
	}
	if s.OAuth != nil {
		p.oauth(s.OAuth, rules)
	}
	if s.ClientIdentity != "" {
		p.check("clientIdentity", checkIdentity(s.ClientIdentity))
	}
	if s.CA != "" && (len(s.CA) > MaxPEM || !x509.NewCertPool().AppendCertsFromPEM([]byte(s.CA))) {
		p.add("ca", "want at least one certificate, PEM, at most %d bytes", MaxPEM)
	}
}

func hasHeader(headers map[string]string, name string) bool {
	for h := range headers {
		if strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

func (a *Authorization) validate() error {
	basic := a.Username != "" || a.Password != ""
	switch {
	case basic == (a.Token != ""):
		return errors.New("want username and password, or token")
	case strings.Contains(a.Username, ":"):
		return errors.New("username: want none with a colon, which ends it (RFC 7617)")
	case len(a.Header()) > MaxHeaderValue:
		return fmt.Errorf("%d bytes as a header: want at most %d", len(a.Header()), MaxHeaderValue)
	}
	for _, text := range []string{a.Username, a.Password, a.Token} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			return errors.New("want visible ASCII only")
		}
	}
	return nil
}

// checkIdentity wants a certificate and its key. The error does not repeat what it read.
func checkIdentity(pem string) error {
	if len(pem) > MaxPEM {
		return fmt.Errorf("%d bytes: want at most %d", len(pem), MaxPEM)
	}
	if _, err := tls.X509KeyPair([]byte(pem), []byte(pem)); err != nil {
		return errors.New("want a certificate and its private key, PEM")
	}
	return nil
}

func (p *problems) oauth(o *OAuth, rules Rules) {
	if !slices.Contains([]string{GrantClientCredentials, GrantRefreshToken}, o.GrantType) {
		p.add("oauth.grantType", "%q: want %s or %s", o.GrantType, GrantClientCredentials, GrantRefreshToken)
	}
	if o.GrantType == GrantRefreshToken && o.RefreshToken == "" {
		p.add("oauth.refreshToken", "missing: grant type %s needs it", GrantRefreshToken)
	}
	if o.ClientID == "" || len(o.ClientID) > MaxHeaderValue {
		p.add("oauth.clientId", "want 1 to %d bytes", MaxHeaderValue)
	}
	switch o.AuthMethod {
	case AuthClientSecretBasic, AuthClientSecretPost:
		if o.ClientSecret == "" {
			p.add("oauth.clientSecret", "missing: method %s needs it", o.AuthMethod)
		}
	case AuthClientSecretJWT:
		p.check("oauth.jwtParams", o.JWT.validate())
	default:
		p.add("oauth.authMethod", "%q: want %s, %s or %s", o.AuthMethod,
			AuthClientSecretBasic, AuthClientSecretPost, AuthClientSecretJWT)
	}
	if o.TokenURL == "" {
		p.add("oauth.tokenUrl", "missing: want https://host/path")
	} else if rules.CheckURL != nil {
		p.check("oauth.tokenUrl", rules.CheckURL(o.TokenURL))
	}
	p.oauthExtras(o)
}

func (p *problems) oauthExtras(o *OAuth) {
	if n := max(len(o.Scopes), len(o.ExtraParams), len(o.ExtraHeaders)); n > MaxOAuthParams {
		p.add("oauth", "%d scopes, extraParams or extraHeaders: want at most %d each", n, MaxOAuthParams)
	}
	for _, name := range slices.Sorted(maps.Keys(o.ExtraHeaders)) {
		p.check("oauth.extraHeaders."+name, CheckHeader(name, o.ExtraHeaders[name]))
	}
}

// validate wants a key that is base64; what is in it is told when it is used.
func (j *OAuthJWT) validate() error {
	switch {
	case j == nil:
		return fmt.Errorf("missing: method %s needs it", AuthClientSecretJWT)
	case j.Algorithm != "RS256":
		return fmt.Errorf("signingAlgorithm: %q: want RS256", j.Algorithm)
	case j.ExpirySeconds < 0 || j.ExpirySeconds > 3600:
		return fmt.Errorf("tokenExpirySecs: %d: want 0 to 3600", j.ExpirySeconds)
	}
	if key, err := base64.StdEncoding.DecodeString(j.Key); err != nil || len(key) == 0 || len(key) > MaxPEM {
		return fmt.Errorf("secretBase64: want an RSA private key in base64, at most %d bytes", MaxPEM)
	}
	return nil
}
