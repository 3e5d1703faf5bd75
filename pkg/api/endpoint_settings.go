package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// SettingsIn is an endpoint with all that it is set to, for one write in place of many.
type SettingsIn struct {
	EndpointUpsertIn
	Name             string               `json:"name,omitempty" doc:"For people."`
	Profile          *string              `json:"profile,omitempty" nullable:"true" doc:"The app's if left out."`
	TimeoutSeconds   *int                 `json:"timeoutSeconds,omitempty" minimum:"1" maximum:"60" nullable:"true" doc:"Of a whole attempt; the profile's if left out."`
	Retry            *RetryPolicy         `json:"retry,omitempty" doc:"In place of the profile's."`
	Failure          *FailurePolicy       `json:"failure,omitempty" doc:"In place of the profile's."`
	Filter           string               `json:"filter,omitempty" maxLength:"4096" doc:"CEL; every event if left out."`
	Headers          map[string]*string   `json:"headers,omitempty" nullable:"true" doc:"Null keeps the value that the header of that name has, which may be one that is not shown."`
	SensitiveHeaders []string             `json:"sensitiveHeaders,omitempty" nullable:"true" maxItems:"50" doc:"Beside those that are marked already."`
	Authorization    Opt[AuthorizationIn] `json:"authorization,omitzero" doc:"Left out, it stays; null takes it away. It asks for manage-secrets."`
	CredentialsIn
}

// SettingsOut is an endpoint with all that it is set to, without what is secret.
type SettingsOut struct {
	EndpointOut
	DeliveryPolicyOut
	Filter           string            `json:"filter"`
	Headers          map[string]string `json:"headers"`
	SensitiveHeaders []string          `json:"sensitiveHeaders" nullable:"false"`
	Authorization    AuthorizationOut  `json:"authorization"`
	CredentialsOut
	Locked         bool   `json:"locked" doc:"Only an operator enables it again."`
	DisabledReason string `json:"disabledReason,omitempty" doc:"Why Postrider disabled it: gone (it answered 410) or failing. Left out if a person did."`
}

// settingsNames are the names of fields in settings.
var settingsNames = map[string]string{"timeout": "timeoutSeconds", "secrets[0]": "profile", "ca": "serverCa"} //nolint:gochecknoglobals // a table

func (a *API) endpointSettings() {
	const doc = "The settings that stand in resources of their own otherwise, changed at once: all or none. What is left out takes its " +
		"default. Where the secret has not the form of the profile, a new one is made, and the old one signs no more."
	register(a, below(http.MethodGet, "/settings", "postrider.endpoint.get-settings", "Get an endpoint's settings", access.ViewTenant, ""),
		func(ctx context.Context, in *EndpointPath) (*answer[SettingsOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (SettingsOut, error) { return a.settingsOut(e), nil })
		})
	registerBody(a, below(http.MethodPut, "/settings", "postrider.endpoint.set-settings", "Set an endpoint's settings",
		access.ManageEndpoints, doc), a.putSettings)
	registerBody(a, route{
		method: http.MethodPost, path: "/app/{app_id}/endpoint/with-settings", id: "postrider.endpoint.create-with-settings", tag: tagEndpoint,
		needs: access.ManageEndpoints, summary: "Create an endpoint with its settings", status: http.StatusCreated, versioned: true,
		doc: doc + " The secret is read at …/secret.",
	}, a.createSettings)
}

func (a *API) createSettings(ctx context.Context, in *AppCreateBody, body *SettingsIn) (*answer[SettingsOut], error) {
	e := &edit{snap: called(ctx).snap, tenant: called(ctx).tenant, sub: newSubscription(called(ctx).tenant)}
	if err := a.applySettings(ctx, e, body); err != nil {
		return nil, err
	}
	applied, err := a.save(ctx, e, WriteInput{WaitInput: in.WaitInput}, settingsNames)
	out, err := resource(e, applied, err, a.settingsOut)
	if out != nil {
		out.Status = http.StatusCreated
	}
	return out, err
}

func (a *API) putSettings(ctx context.Context, in *EndpointWriteBody, body *SettingsIn) (*answer[SettingsOut], error) {
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, settingsNames, func(e *edit) error {
		if body.UID == nil && e.sub.UID == in.Endpoint {
			body.UID = &in.Endpoint // the path would lead nowhere any more
		}
		return a.applySettings(ctx, e, body)
	})
	return resource(e, applied, err, a.settingsOut)
}

// applySettings makes the subscription of e what body says.
func (a *API) applySettings(ctx context.Context, e *edit, body *SettingsIn) error {
	s := e.sub
	if err := body.apply(s); err != nil {
		return err
	}
	s.Name, s.Profile, s.Filter = body.Name, value(body.Profile), body.Filter
	s.Timeout = subscription.Duration(time.Duration(value(body.TimeoutSeconds)) * time.Second)
	if err := setRetry(s, body.Retry); err != nil {
		return err
	}
	if err := setFailure(s, body.Failure); err != nil {
		return err
	}
	if err := body.applyHeaders(s); err != nil {
		return err
	}
	if err := body.applyAuthorization(called(ctx), s); err != nil {
		return err
	}
	if err := body.applyCredentials(called(ctx), s); err != nil {
		return err
	}
	if s.Filter != "" && (e.old == nil || e.old.Filter != s.Filter) {
		if err := fieldErrors(e.checkFilter(), nil); err != nil {
			return err
		}
	}
	return a.secretFor(ctx, e)
}

// applyHeaders gives s the headers that in says, and its marks.
func (in *SettingsIn) applyHeaders(s *subscription.Subscription) error {
	headers := map[string]string{}
	for name, v := range in.Headers {
		old, ok := headerOf(s, name)
		switch {
		case v != nil:
			headers[name] = *v
		case ok:
			headers[name] = old
		default:
			return invalid("headers."+name, "is null, and the endpoint has no header of that name: want a value")
		}
	}
	setHeaders(s, headers)
	return mark(s, append(slices.Clone(s.SensitiveHeaders), in.SensitiveHeaders...))
}

// headerOf finds the value of a header in any case of letters.
func headerOf(s *subscription.Subscription, name string) (string, bool) {
	for own, v := range s.Headers {
		if strings.EqualFold(own, name) {
			return v, true
		}
	}
	return "", false
}

func (in *SettingsIn) applyAuthorization(c *call, s *subscription.Subscription) error {
	if !in.Authorization.Set {
		return nil
	}
	if !c.principal.May(access.ManageSecrets, c.tenantID()) {
		return forbidden()
	}
	if s.Authorization = nil; in.Authorization.Null {
		return nil
	}
	next, err := in.Authorization.Value.authorization()
	if bad, ok := err.(*ValidationError); ok { //nolint:errorlint // made here, never wrapped
		bad.Detail[0].Loc = append(bad.Detail[0].Loc, "authorization")
	}
	s.Authorization = next
	return err
}

// secretFor gives a subscription a secret of the form of its profile, unless it has one.
func (a *API) secretFor(ctx context.Context, e *edit) error {
	name := subscription.ProfileOf(e.sub, e.tenant)
	if !a.hasProfile(name) || len(e.sub.Secrets) > 0 && (e.sub.Profile == e.old.Profile || a.fits(name, e.sub) == nil) {
		return nil // one that there is not is refused as a field
	}
	secret, err := a.newSecret(name)
	if err != nil {
		return err
	}
	if len(e.sub.Secrets) > 0 {
		return a.renew(ctx, e.sub, name, secret)
	}
	e.sub.Secrets = []string{secret}
	return nil
}

func (a *API) settingsOut(e *edit) SettingsOut {
	return SettingsOut{
		EndpointOut: endpointOut(e.sub), DeliveryPolicyOut: a.policyOut(e), Filter: e.sub.Filter, Headers: shownHeaders(e.sub),
		SensitiveHeaders: sensitiveOf(e.sub), Authorization: authorizationOut(e), Locked: e.sub.Locked,
		DisabledReason: e.sub.DisabledReason, CredentialsOut: credentialsOut(e),
	}
}
