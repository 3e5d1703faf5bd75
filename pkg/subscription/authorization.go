package subscription

import "encoding/base64"

// Authorization is a static credential for the Authorization header: Username and Password for Basic (RFC 7617), or
// Token for Bearer (RFC 6750).
type Authorization struct {
	Username string `json:"username,omitempty" yaml:"username"`
	Password string `json:"password,omitempty" yaml:"password"`
	Token    string `json:"token,omitempty" yaml:"token"`
}

// Header returns the value of the header.
func (a Authorization) Header() string {
	if a.Token != "" {
		return "Bearer " + a.Token
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Username+":"+a.Password))
}

// Grant types of [OAuth].
const (
	GrantClientCredentials = "clientCredentials"
	GrantRefreshToken      = "refreshToken"
)

// Methods by which an [OAuth] client proves itself to the token endpoint.
const (
	AuthClientSecretBasic = "clientSecretBasic"
	AuthClientSecretPost  = "clientSecretPost"
	// AuthClientSecretJWT is a signed assertion (RFC 7523).
	AuthClientSecretJWT = "clientSecretJwt"
)

// OAuth says how to get an OAuth 2.0 access token (RFC 6749) for attempts. Names and values are those of the Svix API.
type OAuth struct {
	GrantType    string            `json:"grantType"`
	AuthMethod   string            `json:"authMethod"`
	ClientID     string            `json:"clientId"`
	ClientSecret string            `json:"clientSecret,omitempty"`
	TokenURL     string            `json:"tokenUrl"`
	Scopes       []string          `json:"scopes,omitempty"`
	ExtraParams  map[string]string `json:"extraParams,omitempty"`
	ExtraHeaders map[string]string `json:"extraHeaders,omitempty"`
	RefreshToken string            `json:"refreshToken,omitempty"`
	// JWT is for [AuthClientSecretJWT].
	JWT *OAuthJWT `json:"jwt,omitempty"`
}

// OAuthJWT is the key of a client's assertions.
type OAuthJWT struct {
	// Key is an RSA private key, PEM or DER (PKCS #1 or #8), in base64.
	Key string `json:"key"`
	// Algorithm is RS256.
	Algorithm string `json:"algorithm"`
	// KeyID is the assertion's kid, if any.
	KeyID string `json:"keyId,omitempty"`
	// ExpirySeconds is how long an assertion is valid; 0 is five minutes.
	ExpirySeconds int `json:"expirySeconds,omitempty"`
}
