package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// ValidationOut says what would come of an endpoint.
type ValidationOut struct {
	Valid    bool              `json:"valid" doc:"Whether it would be created, and can be reached from here."`
	Problems []EndpointProblem `json:"problems" nullable:"false" doc:"Why it would not be created."`
	Checks   []EndpointCheck   `json:"checks" nullable:"false" doc:"Whether it can be reached."`
}

// EndpointProblem is one reason why an endpoint would not be created.
type EndpointProblem struct {
	Field  string `json:"field" example:"eventTypes.0"`
	Detail string `json:"detail"`
}

// EndpointCheck is one step on the way to an endpoint.
type EndpointCheck struct {
	Name   string `json:"name" enum:"resolves,connects,tls"`
	Status string `json:"status" enum:"ok,failed,skipped"`
	Detail string `json:"detail"`
}

func (a *API) endpointValidation() {
	registerBody(a, route{
		method: http.MethodPost, path: "/app/{app_id}/endpoint/validate", id: "postrider.endpoint.validate", tag: tagEndpoint,
		needs: access.ManageEndpoints, summary: "Try out an endpoint without creating it",
		doc: "Tells everything for which it would be refused, and whether its host can be reached: name, connection and TLS. No " +
			"request is sent. What is no endpoint at all (a member of another type) is refused with 422.",
	}, a.validateEndpoint)
}

func (a *API) validateEndpoint(ctx context.Context, _ *AppBody, body *EndpointIn) (*answer[ValidationOut], error) {
	c := called(ctx)
	e := &edit{snap: c.snap, tenant: c.tenant, sub: newSubscription(c.tenant)}
	err := a.fill(e, body)
	if err == nil {
		err = fieldErrors(errors.Join(a.problems(e, e.tenant), uidTaken(c.snap, e.sub)), createdNames)
	}
	out := ValidationOut{Problems: []EndpointProblem{}}
	if err != nil {
		var invalid *ValidationError
		if !errors.As(err, &invalid) {
			return nil, err
		}
		for _, p := range invalid.Detail {
			out.Problems = append(out.Problems, EndpointProblem{Field: strings.Join(p.Loc[1:], "."), Detail: p.Msg})
		}
	}
	refused := slices.ContainsFunc(out.Problems, func(p EndpointProblem) bool { return p.Field == "url" })
	out.Checks = a.reach(ctx, body.URL, a.handshake(e), refused)
	out.Valid = len(out.Problems) == 0 &&
		!slices.ContainsFunc(out.Checks, func(c EndpointCheck) bool { return c.Status == checkFailed })
	return &answer[ValidationOut]{Body: out}, nil
}

// handshake is what attempts would bring to the TLS handshake: the lowest version of the profile, and what is the
// endpoint's own; nil for nothing.
func (a *API) handshake(e *edit) *egress.TLS {
	p, ok := a.opts.Profiles.Get(subscription.ProfileOf(e.sub, e.tenant))
	if !ok {
		return nil
	}
	own, err := egress.NewTLS(e.sub.ClientIdentity, e.sub.CA, uint16(p.MinTLS))
	if err != nil {
		return nil // it is among the problems
	}
	return own
}

// uidTaken says that another endpoint of the tenant has the uid.
func uidTaken(snap *registry.Snapshot, s *subscription.Subscription) error {
	if s.UID == "" {
		return nil
	}
	if other, ok := snap.ResolveSubscription(s.Tenant, s.UID); ok && other.UID == s.UID {
		return &subscription.FieldError{Field: "uid", Detail: "is taken by " + endpointID(other)}
	}
	return nil
}
