package api

import (
	"context"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// EndpointMtlsConfigIn is the client certificate of a subscription.
type EndpointMtlsConfigIn struct {
	Identity string `json:"identity" doc:"The certificate and its private key, PEM."`
}

// EndpointMtlsConfigOut is what is shown of a client certificate: nothing.
type EndpointMtlsConfigOut struct{}

// EndpointMtlsOut says whether there is a client certificate.
type EndpointMtlsOut struct {
	Enabled bool                   `json:"enabled"`
	Config  *EndpointMtlsConfigOut `json:"config,omitempty"`
}

// EndpointServerCa are the certificates that the endpoint's own must come from.
type EndpointServerCa struct {
	Cert *string `json:"cert,omitempty" nullable:"true" doc:"PEM; the system's authorities if null."`
}

func (a *API) endpointTLS() {
	register(a, below(http.MethodGet, "/mtls", "v1.endpoint.get-mtls", "Get an endpoint's client certificate", access.ViewTenant,
		"Nothing of it is shown; 404 if there is none."),
		func(ctx context.Context, in *EndpointPath) (*answer[EndpointMtlsConfigOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (out EndpointMtlsConfigOut, err error) {
				if e.sub.ClientIdentity == "" {
					err = notFound("client certificate")
				}
				return out, err
			})
		})
	register(a, below(http.MethodGet, "/mtls-config", "v1.endpoint.get-mtls-2", "Say whether an endpoint has a client certificate",
		access.ViewTenant, ""),
		func(ctx context.Context, in *EndpointPath) (*answer[EndpointMtlsOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (out EndpointMtlsOut, _ error) {
				if e.sub.ClientIdentity != "" {
					out = EndpointMtlsOut{Enabled: true, Config: &EndpointMtlsConfigOut{}}
				}
				return out, nil
			})
		})
	registerBody(a, below(http.MethodPut, "/mtls", "v1.endpoint.set-mtls-config", "Set an endpoint's client certificate",
		access.ManageSecrets, "").quietly(), a.putIdentity)
	register(a, below(http.MethodDelete, "/mtls", "v1.endpoint.delete-mtls-config", "Delete an endpoint's client certificate",
		access.ManageSecrets, "").quietly(), func(ctx context.Context, in *EndpointWrite) (*answer[nothing], error) {
		return a.set(ctx, in.Endpoint, in.WriteInput, nil, func(s *subscription.Subscription) { s.ClientIdentity = "" })
	})
	register(a, below(http.MethodGet, "/ca", "v1.endpoint.get-server-ca", "Get the authorities an endpoint's certificate must come from",
		access.ViewTenant, ""),
		func(ctx context.Context, in *EndpointPath) (*answer[EndpointServerCa], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (EndpointServerCa, error) { return EndpointServerCa{optional(e.sub.CA)}, nil })
		})
	registerBody(a, below(http.MethodPut, "/ca", "v1.endpoint.set-server-ca", "Set the authorities an endpoint's certificate must come from",
		access.ManageSecrets, "Null takes the system's again.").quietly(), a.putCA)
}

func (a *API) putIdentity(ctx context.Context, in *EndpointWriteBody, body *EndpointMtlsConfigIn) (*answer[nothing], error) {
	if body.Identity == "" {
		return nil, invalid("identity", "is empty: want a certificate and its private key, PEM")
	}
	return a.set(ctx, in.Endpoint, in.WriteInput, map[string]string{"clientIdentity": "identity"}, func(s *subscription.Subscription) {
		s.ClientIdentity = body.Identity
	})
}

func (a *API) putCA(ctx context.Context, in *EndpointWriteBody, body *EndpointServerCa) (*answer[nothing], error) {
	return a.set(ctx, in.Endpoint, in.WriteInput, map[string]string{"ca": "cert"}, func(s *subscription.Subscription) {
		s.CA = value(body.Cert)
	})
}
