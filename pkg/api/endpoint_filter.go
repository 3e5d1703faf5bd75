package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/subscription"
)

// FilterIn is the filter of a subscription, in one of two forms.
type FilterIn struct {
	Expression *string     `json:"expression,omitempty" nullable:"true" minLength:"1" maxLength:"4096" doc:"CEL over data, type, id, source, time and channels." example:"data.amount > 100"`
	Conditions *Conditions `json:"conditions,omitempty" doc:"Dixa's subscription filters, which are kept as the expression that they come to."`
}

// Conditions are a filter in the form of Dixa's API.
type Conditions struct {
	Strategy   string      `json:"strategy" enum:"All,Any"`
	Conditions []Condition `json:"conditions" minItems:"1" maxItems:"20"`
}

// Condition compares one property of a conversation with a list.
type Condition struct {
	Operator string   `json:"operator" enum:"IsOneOf,IsNotOneOf"`
	Field    string   `json:"field" enum:"InitialChannel,QueueId,OperationOrigin"`
	Values   []string `json:"values" minItems:"1" maxItems:"50"`
}

// FilterOut is the filter of a subscription.
type FilterOut struct {
	Expression *string `json:"expression" nullable:"true" doc:"Null: every event is delivered."`
}

// AuthorizationIn is a static credential: one of the two.
type AuthorizationIn struct {
	Basic *BasicIn `json:"basic,omitempty"`
	Token *string  `json:"token,omitempty" nullable:"true" minLength:"1" doc:"Sent as Bearer."`
}

// BasicIn is a credential of HTTP Basic authentication.
type BasicIn struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// AuthorizationOut says what is sent, without what is secret.
type AuthorizationOut struct {
	Kind     string  `json:"kind" enum:"none,basic,token"`
	Username *string `json:"username,omitempty"`
}

func (a *API) endpointFilters() {
	const resource = "/filter"
	register(a, below(http.MethodGet, resource, "postrider.endpoint.get-filter", "Get an endpoint's filter", access.ViewTenant, ""),
		func(ctx context.Context, in *EndpointPath) (*answer[FilterOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (FilterOut, error) { return filterOut(e), nil })
		})
	registerBody(a, below(http.MethodPut, resource, "postrider.endpoint.set-filter", "Set an endpoint's filter", access.ManageEndpoints,
		"The expression is checked against the schemas of the event types that the endpoint covers."), a.putFilter)
	register(a, below(http.MethodDelete, resource, "postrider.endpoint.delete-filter", "Delete an endpoint's filter",
		access.ManageEndpoints, "").quietly(), func(ctx context.Context, in *EndpointWrite) (*answer[nothing], error) {
		return a.set(ctx, in.Endpoint, in.WriteInput, nil, func(s *subscription.Subscription) { s.Filter = "" })
	})
}

func filterOut(e *edit) FilterOut { return FilterOut{optional(e.sub.Filter)} }

func (a *API) putFilter(ctx context.Context, in *EndpointWriteBody, body *FilterIn) (*answer[FilterOut], error) {
	names := map[string]string{"filter": "expression"}
	expression, err := body.expression()
	if err != nil {
		return nil, err
	}
	if body.Conditions != nil {
		names["filter"] = "conditions"
	}
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, names, func(e *edit) error {
		e.sub.Filter = expression
		return fieldErrors(e.checkFilter(), names)
	})
	return resource(e, applied, err, filterOut)
}

// expression returns the filter in CEL.
func (in *FilterIn) expression() (string, error) {
	if (in.Expression == nil) == (in.Conditions == nil) {
		return "", invalid("", "want one of expression and conditions")
	}
	if in.Expression != nil {
		return *in.Expression, nil
	}
	c := filter.Conditions{Strategy: in.Conditions.Strategy}
	for _, condition := range in.Conditions.Conditions {
		c.Conditions = append(c.Conditions, filter.Condition(condition))
	}
	expression, err := c.Expression()
	if bad, ok := errors.AsType[*subscription.FieldError](err); ok {
		return "", invalid("conditions."+bad.Field, "%s", bad.Detail)
	}
	return expression, err
}

func (a *API) endpointAuthorizations() {
	const resource = "/authorization"
	register(a, below(http.MethodGet, resource, "postrider.endpoint.get-authorization", "Say how an endpoint is authorized at",
		access.ViewTenant, "Password and token are never shown."),
		func(ctx context.Context, in *EndpointPath) (*answer[AuthorizationOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (AuthorizationOut, error) { return authorizationOut(e), nil })
		})
	registerBody(a, below(http.MethodPut, resource, "postrider.endpoint.set-authorization", "Set what authorizes at an endpoint",
		access.ManageSecrets, "It is the Authorization header of every attempt, unless OAuth is configured, whose token is."), a.putAuthorization)
	register(a, below(http.MethodDelete, resource, "postrider.endpoint.delete-authorization", "Delete what authorizes at an endpoint",
		access.ManageSecrets, "").quietly(), func(ctx context.Context, in *EndpointWrite) (*answer[nothing], error) {
		return a.set(ctx, in.Endpoint, in.WriteInput, nil, func(s *subscription.Subscription) { s.Authorization = nil })
	})
}

func (a *API) putAuthorization(ctx context.Context, in *EndpointWriteBody, body *AuthorizationIn) (*answer[AuthorizationOut], error) {
	auth, err := body.authorization()
	if err != nil {
		return nil, err
	}
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, map[string]string{"authorization": ""}, func(e *edit) error {
		e.sub.Authorization = auth
		return nil
	})
	return resource(e, applied, err, authorizationOut)
}

// authorization is the credential that in has.
func (in *AuthorizationIn) authorization() (*subscription.Authorization, error) {
	if (in.Basic == nil) == (in.Token == nil) {
		return nil, invalid("", "want one of basic and token")
	}
	auth := &subscription.Authorization{Token: value(in.Token)}
	if b := in.Basic; b != nil {
		auth.Username, auth.Password = b.Username, b.Password
	}
	return auth, nil
}

func authorizationOut(e *edit) AuthorizationOut {
	switch auth := e.sub.Authorization; {
	case auth == nil:
		return AuthorizationOut{Kind: "none"}
	case auth.Token != "":
		return AuthorizationOut{Kind: "token"}
	default:
		return AuthorizationOut{Kind: "basic", Username: &auth.Username}
	}
}
