package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
)

// edit is a change of one subscription on top of one snapshot.
type edit struct {
	snap   *registry.Snapshot
	tenant *subscription.Tenant
	// old is what sub replaces, nil for a new one. Nothing of it may be changed.
	old *subscription.Subscription
	// sub is a copy of old until it is written, and then what was written. Its maps and slices are those of old: replace
	// them, do not change them.
	sub *subscription.Subscription
}

// endpointNamed returns the subscription that a path names, as of the start of the request.
func endpointNamed(ctx context.Context, name string) (*subscription.Subscription, error) {
	c := called(ctx)
	s, ok := c.snap.ResolveSubscription(c.tenant.ID, name)
	if !ok {
		return nil, notFound("endpoint")
	}
	return s, nil
}

// change makes a change of the subscription that the path names: on its newest version, and once more if somebody else
// was faster, so that change may be called more than once. It returns what was written and the value of the header
// postrider-applied. names are those that this resource has for fields, as in [fieldErrors].
func (a *API) change(
	ctx context.Context, name string, in WriteInput, names map[string]string, change func(*edit) error,
) (*edit, string, error) {
	var e *edit
	var applied string
	err := a.again(ctx, in.conditional(), func(snap *registry.Snapshot) error {
		var err error
		if e, err = editOf(ctx, snap, name); err != nil {
			return err
		}
		if err := in.matches(e.old.Version); err != nil {
			return err
		}
		if err := change(e); err != nil {
			return err
		}
		applied, err = a.save(ctx, e, in, names)
		return err
	})
	return e, applied, err
}

func editOf(ctx context.Context, snap *registry.Snapshot, name string) (*edit, error) {
	t, ok := snap.Tenant(called(ctx).tenant.ID)
	if !ok {
		return nil, notFound("app")
	}
	old, ok := snap.ResolveSubscription(t.ID, name)
	if !ok {
		return nil, notFound("endpoint")
	}
	s := *old
	return &edit{snap: snap, tenant: t, old: old, sub: &s}, nil
}

// save checks and writes e.
func (a *API) save(ctx context.Context, e *edit, in WriteInput, names map[string]string) (string, error) {
	if err := fieldErrors(a.problems(e, e.tenant), names); err != nil {
		return "", err
	}
	if c := called(ctx); e.old != nil && e.old.Locked && !e.sub.Disabled && !c.principal.May(access.Operate, c.tenantID()) {
		return "", refuse(http.StatusForbidden, "locked", "this endpoint was disabled because it kept failing: only an operator enables it again")
	}
	applied, err := a.apply(ctx, registry.PutSubscription(e.sub), in.WaitInput, in.conditional())
	if err != nil {
		return "", err
	}
	now, ok := a.opts.Store.Snapshot().Subscription(e.sub.ID)
	if !ok {
		return "", notFound("endpoint") // somebody deleted it since
	}
	e.sub = now
	return applied, nil
}

// problems returns what is wrong with e, joined. What was wrong before is not: an endpoint whose URL, event type or
// filter is not allowed any more can still be disabled, and mended one field at a time. was is the tenant before.
func (a *API) problems(e *edit, was *subscription.Tenant) error {
	found := unjoin(errors.Join(subscription.ValidateSubscription(e.sub, e.tenant, a.opts.Rules), e.eventTypes(), e.filterFits()))
	before := map[string]bool{}
	if e.old != nil {
		for _, err := range unjoin(subscription.ValidateSubscription(e.old, was, a.opts.Rules)) {
			if err != nil {
				before[err.Error()] = true
			}
		}
	}
	var errs []error
	for _, err := range found {
		if err != nil && !before[err.Error()] {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// createdNames are the names of fields where a subscription is created.
var createdNames = map[string]string{"secrets[0]": "secret"} //nolint:gochecknoglobals // a table

// fill makes the new subscription of e what in says.
func (a *API) fill(e *edit, in *EndpointIn) error {
	if err := in.apply(e.sub); err != nil {
		return err
	}
	e.sub.Headers = maps.Clone(in.Headers)
	secret := value(in.Secret)
	if in.Secret == nil {
		var err error
		if secret, err = a.newSecret(subscription.ProfileOf(e.sub, e.tenant)); err != nil {
			return err
		}
	}
	e.sub.Secrets = []string{secret}
	return nil
}

// newSecret makes a signing secret in the form of a profile.
func (a *API) newSecret(profile string) (string, error) {
	scheme, err := a.scheme(profile)
	if err != nil {
		return "", err
	}
	secret, err := scheme.NewSecret()
	if err != nil {
		return "", fmt.Errorf("making a signing secret: %w", err)
	}
	return secret, nil
}

func (a *API) scheme(profile string) (sign.Scheme, error) {
	p, ok := a.opts.Profiles.Get(profile)
	if !ok {
		return nil, fmt.Errorf("there is no profile %q", profile)
	}
	return p.Scheme(), nil
}

// written answers after a change without a body.
func written(e *edit, applied string, err error) (*answer[nothing], error) {
	if err != nil {
		return nil, err
	}
	return &answer[nothing]{ETag: etag(e.sub.Version), Applied: applied}, nil
}

// resource answers after a change with what is there now.
func resource[T any](e *edit, applied string, err error, out func(*edit) T) (*answer[T], error) {
	if err != nil {
		return nil, err
	}
	return &answer[T]{ETag: etag(e.sub.Version), Applied: applied, Body: out(e)}, nil
}

// shown answers a read of one of the resources below an endpoint. What out refuses is answered in its place.
func shown[T any](ctx context.Context, name string, out func(*edit) (T, error)) (*answer[T], error) {
	e, err := editOf(ctx, called(ctx).snap, name)
	if err != nil {
		return nil, err
	}
	body, err := out(e)
	if err != nil {
		return nil, err
	}
	return &answer[T]{ETag: etag(e.sub.Version), Body: body}, nil
}

// below declares an operation on a resource below an endpoint.
func below(method, resource, id, summary string, needs access.Permission, doc string) route {
	return route{
		method: method, path: "/app/{app_id}/endpoint/{endpoint_id}" + resource, id: id, tag: tagEndpoint, needs: needs,
		summary: summary, doc: doc, versioned: true,
	}
}

// quietly is r with an answer without a body.
func (r route) quietly() route {
	r.status = http.StatusNoContent
	return r
}
