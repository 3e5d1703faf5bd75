package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// EndpointOauthConfigIn says how to get an access token for attempts.
type EndpointOauthConfigIn struct {
	GrantType    string                   `json:"grantType" enum:"clientCredentials,refreshToken"`
	AuthMethod   string                   `json:"authMethod" enum:"clientSecretJwt,clientSecretBasic,clientSecretPost"`
	JWTParams    *ClientSecretJwtParamsIn `json:"jwtParams,omitempty"`
	ClientID     string                   `json:"clientId"`
	ClientSecret *string                  `json:"clientSecret,omitempty" nullable:"true"`
	TokenURL     string                   `json:"tokenUrl"`
	Scopes       []string                 `json:"scopes,omitempty" nullable:"true"`
	ExtraParams  map[string]string        `json:"extraParams,omitempty" nullable:"true"`
	RefreshToken *string                  `json:"refreshToken,omitempty" nullable:"true"`
	ExtraHeaders map[string]string        `json:"extraHeaders,omitempty" nullable:"true"`
}

// ClientSecretJwtParamsIn is the key of a client's assertions.
type ClientSecretJwtParamsIn struct {
	SecretBase64     string  `json:"secretBase64"`
	SigningAlgorithm string  `json:"signingAlgorithm" enum:"RS256"`
	SecretID         *string `json:"secretId,omitempty" nullable:"true"`
	TokenExpirySecs  *int    `json:"tokenExpirySecs,omitempty" minimum:"0" maximum:"3600" nullable:"true"`
}

// EndpointOauthConfigOut is an [EndpointOauthConfigIn] without its secrets. Extra parameters and headers are there for
// whoever may read secrets: they may hold some.
type EndpointOauthConfigOut struct {
	GrantType    string            `json:"grantType"`
	AuthMethod   string            `json:"authMethod"`
	ClientID     string            `json:"clientId"`
	TokenURL     string            `json:"tokenUrl"`
	Scopes       []string          `json:"scopes,omitempty"`
	ExtraParams  map[string]string `json:"extraParams,omitempty"`
	ExtraHeaders map[string]string `json:"extraHeaders,omitempty"`
}

// EndpointOauthOut says whether there is an OAuth configuration.
type EndpointOauthOut struct {
	Enabled bool                    `json:"enabled"`
	Config  *EndpointOauthConfigOut `json:"config,omitempty"`
}

func (a *API) endpointOAuth() {
	const extras = "Client secret, refresh token and key are never shown; extraParams and extraHeaders only to whoever may read secrets."
	register(a, below(http.MethodGet, "/oauth", "v1.endpoint.get-oauth", "Get an endpoint's OAuth configuration", access.ViewTenant, extras),
		func(ctx context.Context, in *EndpointPath) (*answer[EndpointOauthConfigOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (EndpointOauthConfigOut, error) {
				if e.sub.OAuth == nil {
					return EndpointOauthConfigOut{}, notFound("OAuth configuration")
				}
				return oauthOut(ctx, e.sub.OAuth), nil
			})
		})
	register(a, below(http.MethodGet, "/oauth-config", "v1.endpoint.get-oauth-2", "Say whether an endpoint uses OAuth", access.ViewTenant, extras),
		func(ctx context.Context, in *EndpointPath) (*answer[EndpointOauthOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (EndpointOauthOut, error) {
				if e.sub.OAuth == nil {
					return EndpointOauthOut{}, nil
				}
				config := oauthOut(ctx, e.sub.OAuth)
				return EndpointOauthOut{Enabled: true, Config: &config}, nil
			})
		})
	registerBody(a, below(http.MethodPut, "/oauth", "v1.endpoint.set-oauth-config", "Set an endpoint's OAuth configuration",
		access.ManageSecrets, "It replaces what there was, secrets included. Its token is sent in place of …/authorization.").quietly(), a.putOAuth)
	register(a, below(http.MethodDelete, "/oauth", "v1.endpoint.delete-oauth-config", "Delete an endpoint's OAuth configuration",
		access.ManageSecrets, "").quietly(), func(ctx context.Context, in *EndpointWrite) (*answer[nothing], error) {
		return a.set(ctx, in.Endpoint, in.WriteInput, nil, func(s *subscription.Subscription) { s.OAuth = nil })
	})
}

// set makes a change that has no answer but that it was made.
func (a *API) set(
	ctx context.Context, name string, in WriteInput, names map[string]string, change func(*subscription.Subscription),
) (*answer[nothing], error) {
	e, applied, err := a.change(ctx, name, in, names, func(e *edit) error {
		change(e.sub)
		return nil
	})
	return written(e, applied, err)
}

func (a *API) putOAuth(ctx context.Context, in *EndpointWriteBody, body *EndpointOauthConfigIn) (*answer[nothing], error) {
	return a.set(ctx, in.Endpoint, in.WriteInput, map[string]string{"oauth": ""}, func(s *subscription.Subscription) {
		s.OAuth = body.oauth()
	})
}

func (in *EndpointOauthConfigIn) oauth() *subscription.OAuth {
	o := &subscription.OAuth{
		GrantType: in.GrantType, AuthMethod: in.AuthMethod, ClientID: in.ClientID, ClientSecret: value(in.ClientSecret),
		TokenURL: in.TokenURL, Scopes: in.Scopes, ExtraParams: in.ExtraParams, ExtraHeaders: in.ExtraHeaders,
		RefreshToken: value(in.RefreshToken),
	}
	if j := in.JWTParams; j != nil {
		o.JWT = &subscription.OAuthJWT{
			Key: j.SecretBase64, Algorithm: j.SigningAlgorithm, KeyID: value(j.SecretID), ExpirySeconds: value(j.TokenExpirySecs),
		}
	}
	return o
}

func oauthOut(ctx context.Context, o *subscription.OAuth) EndpointOauthConfigOut {
	out := EndpointOauthConfigOut{
		GrantType: o.GrantType, AuthMethod: o.AuthMethod, ClientID: o.ClientID, TokenURL: o.TokenURL, Scopes: o.Scopes,
	}
	c := called(ctx)
	if !c.principal.May(access.ViewSecrets, c.tenantID()) {
		return out
	}
	out.ExtraParams = o.ExtraParams
	for name, v := range o.ExtraHeaders {
		if slices.Contains(sensitiveNames, strings.ToLower(name)) {
			continue
		}
		if out.ExtraHeaders == nil {
			out.ExtraHeaders = map[string]string{}
		}
		out.ExtraHeaders[name] = v
	}
	return out
}
