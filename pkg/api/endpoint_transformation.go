package api

import (
	"context"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// EndpointTransformationOut is the program of a subscription.
type EndpointTransformationOut struct {
	Code      *string           `json:"code" nullable:"true" doc:"In jq. Null: there is none."`
	Enabled   bool              `json:"enabled"`
	Variables map[string]string `json:"variables,omitempty" nullable:"true" doc:"Shown to whoever may change the transformation."`
	UpdatedAt *time.Time        `json:"updatedAt,omitempty" nullable:"true"`
}

// EndpointTransformationPatch changes some of the program of a subscription; null takes a member away.
type EndpointTransformationPatch struct {
	Code      Opt[string]            `json:"code,omitzero" maxLength:"16384" doc:"In jq, at most 16 KiB. Null takes it away and switches off." example:".payload |= {id, total}"`
	Enabled   Opt[bool]              `json:"enabled,omitzero"`
	Variables Opt[map[string]string] `json:"variables,omitzero" doc:"What the program has as $variables: at most 50, each of 4 KiB at most."`
}

// programDoc says what a program is, where one is written or tried.
const programDoc = "A program is in jq. Its input is {method, url, eventType, payload, headers, id, timestamp}, $variables are the " +
	"variables, and of its output method (POST or PUT), url, headers and payload are sent; cancel: true sends nothing, and the event " +
	"counts as delivered. A url of another origin gets none of the endpoint's headers and credentials."

// programNames are the names of fields in transformations.
var programNames = map[string]string{"transformation": ""} //nolint:gochecknoglobals // a table

func (a *API) endpointTransformations() {
	const resource = "/transformation"
	register(a, below(http.MethodGet, resource, "v1.endpoint.transformation.get", "Get an endpoint's transformation", access.ViewTenant, ""),
		func(ctx context.Context, in *EndpointPath) (*answer[EndpointTransformationOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (EndpointTransformationOut, error) { return transformationOut(ctx, e), nil })
		})
	registerBody(a, below(http.MethodPatch, resource, "v1.endpoint.transformation.patch", "Change an endpoint's transformation",
		access.ManageEndpointTransformations, programDoc).quietly(), a.patchTransformation)
	simulate := below(http.MethodPost, resource+"/simulate", "v1.endpoint.transformation.simulate", "Try a transformation",
		access.ManageEndpointTransformations, "Nothing is sent and nothing is kept. What is wrong with the program, or with what it makes, is a 422. "+programDoc)
	simulate.versioned, simulate.maxBody = false, maxMessageBody
	registerBody(a, simulate, a.simulate)
}

func transformationOut(ctx context.Context, e *edit) EndpointTransformationOut {
	t := e.sub.Transformation
	if t == nil {
		return EndpointTransformationOut{}
	}
	out := EndpointTransformationOut{Code: optional(t.Code), Enabled: t.Enabled, UpdatedAt: optional(t.Updated)}
	if c := called(ctx); !c.principal.May(access.ManageEndpointTransformations, c.tenantID()) {
		return out
	}
	for name, v := range t.Variables {
		if subscription.Sealed(v) {
			continue
		}
		if out.Variables == nil {
			out.Variables = map[string]string{}
		}
		out.Variables[name] = v
	}
	return out
}

func (a *API) patchTransformation(ctx context.Context, in *EndpointWriteBody, body *EndpointTransformationPatch) (*answer[nothing], error) {
	return a.set(ctx, in.Endpoint, in.WriteInput, programNames, func(s *subscription.Subscription) {
		s.Transformation = body.apply(s.Transformation)
	})
}

// apply returns t changed, and nil if nothing is left of it.
func (in *EndpointTransformationPatch) apply(t *subscription.Transformation) *subscription.Transformation {
	next := &subscription.Transformation{}
	if t != nil {
		*next = *t
	}
	in.Code.apply(&next.Code)
	in.Variables.apply(&next.Variables)
	if next.Code == "" {
		next.Enabled = false
	}
	in.Enabled.apply(&next.Enabled)
	if next.Code == "" && !next.Enabled && len(next.Variables) == 0 {
		return nil
	}
	return next
}
