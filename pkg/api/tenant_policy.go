package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// AppEventTypes are the event types that are activated for an app.
type AppEventTypes struct {
	EventTypes *[]string `json:"eventTypes" nullable:"true" maxItems:"128" doc:"Event types, or patterns such as contact.*; all if null. Events of others are not delivered."`
}

// AppDeliveryPolicyIn is how the endpoints of an app are delivered to unless they say otherwise.
type AppDeliveryPolicyIn struct {
	Profile *string `json:"profile" nullable:"true" doc:"The installation's default if null."`
}

// AppDeliveryPolicyOut is that and what is in effect.
type AppDeliveryPolicyOut struct {
	AppDeliveryPolicyIn
	Effective AppEffectivePolicy `json:"effective"`
}

// AppEffectivePolicy is what is in effect for an app.
type AppEffectivePolicy struct {
	Profile string `json:"profile"`
}

// maxMisfits bounds how many endpoints a refusal names.
const maxMisfits = 10

func (a *API) tenantPolicies() {
	const tag = "Application"
	register(a, route{
		method: http.MethodGet, path: "/app/{app_id}/event-types", id: "postrider.application.get-event-types", versioned: true, tag: tag,
		needs: access.ViewTenant, summary: "List the event types that are activated for an application",
	}, func(ctx context.Context, _ *AppPath) (*answer[AppEventTypes], error) {
		return shownTenant(ctx, appEventTypes), nil
	})
	registerBody(a, route{
		method: http.MethodPut, path: "/app/{app_id}/event-types", id: "postrider.application.set-event-types", versioned: true, tag: tag,
		needs: access.Operate, summary: "Activate event types for an application",
	}, a.putAppEventTypes)
	register(a, route{
		method: http.MethodGet, path: "/app/{app_id}/delivery-policy", id: "postrider.application.get-delivery-policy", versioned: true, tag: tag,
		needs: access.ViewTenant, summary: "Get how an application's endpoints are delivered to",
	}, func(ctx context.Context, _ *AppPath) (*answer[AppDeliveryPolicyOut], error) {
		return shownTenant(ctx, appPolicy), nil
	})
	registerBody(a, route{
		method: http.MethodPut, path: "/app/{app_id}/delivery-policy", id: "postrider.application.set-delivery-policy", versioned: true, tag: tag,
		needs: access.ManageTenant, summary: "Set how an application's endpoints are delivered to",
		doc: "Refused while an endpoint that names no profile of its own would not be valid under the new one: set its profile, " +
			"with a new secret, first.",
	}, a.putAppPolicy)
}

func shownTenant[T any](ctx context.Context, out func(*subscription.Tenant) T) *answer[T] {
	t := called(ctx).tenant
	return &answer[T]{ETag: etag(t.Version), Body: out(t)}
}

func appEventTypes(t *subscription.Tenant) AppEventTypes {
	if len(t.EventTypes) == 0 {
		return AppEventTypes{}
	}
	return AppEventTypes{EventTypes: &t.EventTypes}
}

func appPolicy(t *subscription.Tenant) AppDeliveryPolicyOut {
	return AppDeliveryPolicyOut{
		AppDeliveryPolicyIn: AppDeliveryPolicyIn{Profile: optional(t.Profile)},
		Effective:           AppEffectivePolicy{Profile: subscription.ProfileOf(&subscription.Subscription{}, t)},
	}
}

func (a *API) putAppEventTypes(ctx context.Context, in *AppWriteBody, body *AppEventTypes) (*answer[AppEventTypes], error) {
	types := body.EventTypes
	if types != nil && len(*types) == 0 {
		return nil, invalid("eventTypes", "is empty: want at least one, or null for all")
	}
	return changeTenant(ctx, a, in.WriteInput, func(snap *registry.Snapshot, t *subscription.Tenant) error {
		old := t.EventTypes
		t.EventTypes = value(types)
		var errs []error
		for i, name := range t.EventTypes {
			if slices.Contains(old, name) {
				continue
			}
			if err := subscribable(snap, nil, name); err != nil {
				errs = append(errs, &subscription.FieldError{Field: fmt.Sprintf("eventTypes[%d]", i), Detail: err.Error()})
			}
		}
		return errors.Join(errs...)
	}, appEventTypes)
}

func (a *API) putAppPolicy(ctx context.Context, in *AppWriteBody, body *AppDeliveryPolicyIn) (*answer[AppDeliveryPolicyOut], error) {
	return changeTenant(ctx, a, in.WriteInput, func(snap *registry.Snapshot, t *subscription.Tenant) error {
		before := *t
		t.Profile = value(body.Profile)
		if name := appPolicy(t).Effective.Profile; !a.hasProfile(name) {
			return nil // refused as a field
		}
		return a.misfits(snap, &before, t)
	}, appPolicy)
}

func (a *API) hasProfile(name string) bool {
	_, ok := a.opts.Profiles.Get(name)
	return ok
}

// misfits refuses a profile under which endpoints that take the tenant's could not be delivered to any more.
func (a *API) misfits(snap *registry.Snapshot, before, t *subscription.Tenant) error {
	var names []string
	more := 0
	for s := range snap.SubscriptionsOf(t.ID, ident.ID{}) {
		if s.Profile != "" {
			continue
		}
		e := &edit{snap: snap, tenant: t, old: s, sub: s}
		if a.problems(e, before) == nil {
			continue
		}
		if len(names) == maxMisfits {
			more++
			continue
		}
		names = append(names, endpointID(s))
	}
	if len(names) == 0 {
		return nil
	}
	text := strings.Join(names, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return &subscription.FieldError{Field: "profile", Detail: fmt.Sprintf(
		"the secrets or headers of these endpoints are not allowed under it: %s; set their profile at …/endpoint/{id}/delivery-policy first", text)}
}

// changeTenant makes a change of the tenant of the path, on its newest version.
func changeTenant[T any](
	ctx context.Context, a *API, in WriteInput, change func(*registry.Snapshot, *subscription.Tenant) error, out func(*subscription.Tenant) T,
) (*answer[T], error) {
	var done *answer[T]
	err := a.again(ctx, in.conditional(), func(snap *registry.Snapshot) error {
		old, ok := snap.Tenant(called(ctx).tenant.ID)
		if !ok {
			return notFound("app")
		}
		if err := in.matches(old.Version); err != nil {
			return err
		}
		t := *old
		wrong := change(snap, &t)
		if err := fieldErrors(errors.Join(wrong, subscription.ValidateTenant(&t, a.opts.Rules)), noticeFields); err != nil {
			return err
		}
		applied, err := a.apply(ctx, registry.PutTenant(&t), in.WaitInput, in.conditional())
		if err != nil {
			return err
		}
		now, ok := a.opts.Store.Snapshot().Tenant(t.ID)
		if !ok {
			return notFound("app") // somebody deleted it since
		}
		done = &answer[T]{ETag: etag(now.Version), Applied: applied, Body: out(now)}
		return nil
	})
	return done, err
}
