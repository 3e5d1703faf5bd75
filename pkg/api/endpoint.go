package api

import (
	"context"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// EndpointPath is in the path of everything that belongs to a subscription.
type EndpointPath struct {
	AppPath
	Endpoint string `path:"endpoint_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The endpoint's id or uid."`
}

// tagEndpoint is that of all operations on subscriptions.
const tagEndpoint = "Endpoint"

func (a *API) endpoints() {
	const list, one = "/app/{app_id}/endpoint", "/app/{app_id}/endpoint/{endpoint_id}"
	register(a, route{
		method: http.MethodGet, path: list, id: "v1.endpoint.list", tag: tagEndpoint, needs: access.ViewTenant, summary: "List endpoints",
		doc: "Narrowed down by search and disabled; a page is as long as asked for all the same.",
	}, a.listEndpoints)
	registerBody(a, route{
		method: http.MethodPost, path: list, id: "v1.endpoint.create", versioned: true, tag: tagEndpoint, needs: access.ManageEndpoints,
		summary: "Create an endpoint", status: http.StatusCreated,
		doc: "Without a secret one is made. Event types may be patterns: * stands for one segment between dots, ** as the last for the rest.",
	}, a.createEndpoint)
	register(a, route{
		method: http.MethodGet, path: one, id: "v1.endpoint.get", versioned: true, tag: tagEndpoint, needs: access.ViewTenant, summary: "Get an endpoint",
	}, a.getEndpoint)
	registerBody(a, route{
		method: http.MethodPut, path: one, id: "v1.endpoint.upsert", versioned: true, tag: tagEndpoint, needs: access.ManageEndpoints,
		summary: "Create or replace an endpoint",
		doc: "An uid in the path that no endpoint has creates one of that uid. Secret, headers, credentials and policies stay as they " +
			"are. An endpoint that the path names by its uid keeps it if the body has none.",
	}, a.putEndpoint)
	registerBody(a, route{
		method: http.MethodPatch, path: one, id: "v1.endpoint.patch", versioned: true, tag: tagEndpoint, needs: access.ManageEndpoints,
		summary: "Change an endpoint",
	}, a.patchEndpoint)
	register(a, route{
		method: http.MethodDelete, path: one, id: "v1.endpoint.delete", tag: tagEndpoint, needs: access.ManageEndpoints,
		summary: "Delete an endpoint", status: http.StatusNoContent, doc: "Deliveries under way are cancelled within two seconds.",
	}, a.deleteEndpoint)
	a.endpointValidation()
	a.endpointSecrets()
	a.endpointHeaders()
	a.endpointOAuth()
	a.endpointTLS()
	a.endpointPolicies()
	a.endpointFilters()
	a.endpointAuthorizations()
	a.endpointTransformations()
	a.endpointEncryptions()
	a.endpointExamples()
	a.endpointAgain()
	a.endpointTestEvents()
	a.endpointPreviews()
	a.endpointSigningKeys()
	a.endpointLocks()
	a.endpointSettings()
	a.endpointOverviews()
	a.filterSimulation()
	a.tenantPolicies()
}

// EndpointList narrows a list of endpoints.
type EndpointList struct {
	AppList
	Search   string `query:"search" maxLength:"256" doc:"Only those whose name, URL, description, id, uid or one of whose event types has this in it, in any case of letters."`
	Disabled string `query:"disabled" enum:"true,false" doc:"Only those that are disabled, or are not."`
}

// keeps says whether a subscription is among those that are asked for.
func (in *EndpointList) keeps(s *subscription.Subscription) bool {
	if in.Disabled != "" && strconv.FormatBool(s.Disabled) != in.Disabled {
		return false
	}
	words := append([]string{s.Name, s.URL, s.Description, endpointID(s), s.UID}, s.EventTypes...)
	search := strings.ToLower(in.Search)
	return search == "" || slices.ContainsFunc(words, func(word string) bool { return strings.Contains(strings.ToLower(word), search) })
}

func (a *API) listEndpoints(ctx context.Context, in *EndpointList) (*answer[List[EndpointOut]], error) {
	return answerList(listed(called(ctx), in, endpointOut))
}

// listed is a page of the endpoints that a list asks for.
func listed[T any](c *call, in *EndpointList, out func(*subscription.Subscription) T) (*List[T], error) {
	from := func(at ident.ID) iter.Seq[*subscription.Subscription] { return c.snap.SubscriptionsOf(c.tenant.ID, at) }
	before := func(at ident.ID) iter.Seq[*subscription.Subscription] {
		return c.snap.SubscriptionsOfBefore(c.tenant.ID, at)
	}
	id := func(s *subscription.Subscription) ident.ID { return s.ID }
	return paginate(in.PageInput, in.descending(), byID(subscription.SubscriptionPrefix, from, before, id), in.keeps, endpointID, out)
}

// endpointID is the id of a subscription in this API.
func endpointID(s *subscription.Subscription) string {
	return s.ID.Base62(subscription.SubscriptionPrefix)
}

func (a *API) createEndpoint(ctx context.Context, in *AppCreateBody, body *EndpointIn) (*answer[EndpointOut], error) {
	e := &edit{snap: called(ctx).snap, tenant: called(ctx).tenant, sub: newSubscription(called(ctx).tenant)}
	if err := a.fill(e, body); err != nil {
		return nil, err
	}
	applied, err := a.save(ctx, e, WriteInput{WaitInput: in.WaitInput}, createdNames)
	return a.endpointAnswer(e, http.StatusCreated, applied, err)
}

func newSubscription(t *subscription.Tenant) *subscription.Subscription {
	return &subscription.Subscription{ID: ident.New(), Tenant: t.ID}
}

func (a *API) getEndpoint(ctx context.Context, in *EndpointPath) (*answer[EndpointOut], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	return &answer[EndpointOut]{ETag: etag(s.Version), Body: endpointOut(s)}, nil
}

func (a *API) putEndpoint(ctx context.Context, in *EndpointWriteBody, body *EndpointUpsertIn) (*answer[EndpointOut], error) {
	if _, err := endpointNamed(ctx, in.Endpoint); err != nil {
		return a.createNamed(ctx, in.Endpoint, in.WriteInput, body)
	}
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, nil, func(e *edit) error {
		if body.UID == nil && e.sub.UID == in.Endpoint {
			body.UID = &in.Endpoint // or the next PUT to this path would create another endpoint
		}
		return body.apply(e.sub)
	})
	return a.endpointAnswer(e, http.StatusOK, applied, err)
}

// createNamed creates the endpoint whose uid the path of a PUT gives.
func (a *API) createNamed(ctx context.Context, uid string, in WriteInput, body *EndpointUpsertIn) (*answer[EndpointOut], error) {
	switch {
	case strings.HasPrefix(uid, subscription.SubscriptionPrefix):
		return nil, notFound("endpoint") // an id that nothing has is no name for a new one
	case body.UID != nil && *body.UID != uid:
		return nil, invalid("uid", "want %q, as in the path, or none: no endpoint has that uid, so that one would be created", uid)
	}
	if err := in.matches(0); err != nil {
		return nil, err
	}
	e := &edit{snap: called(ctx).snap, tenant: called(ctx).tenant, sub: newSubscription(called(ctx).tenant)}
	full := EndpointIn{EndpointUpsertIn: *body}
	full.UID = &uid
	if err := a.fill(e, &full); err != nil {
		return nil, err
	}
	applied, err := a.save(ctx, e, in, createdNames)
	return a.endpointAnswer(e, http.StatusCreated, applied, err)
}

func (a *API) patchEndpoint(ctx context.Context, in *EndpointWriteBody, body *EndpointPatch) (*answer[EndpointOut], error) {
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, nil, func(e *edit) error { return body.apply(e.sub) })
	return a.endpointAnswer(e, http.StatusOK, applied, err)
}

func (a *API) deleteEndpoint(ctx context.Context, in *EndpointWrite) (*answer[nothing], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	if err := in.matches(s.Version); err != nil {
		return nil, err
	}
	change := registry.Delete(registry.Key{Kind: registry.KindSubscription, ID: s.ID}, s.Version)
	if !in.conditional() {
		change = change.Anyway()
	}
	return a.remove(ctx, change, in.WaitInput, in.conditional())
}

// endpointAnswer answers with what an edit has written.
func (a *API) endpointAnswer(e *edit, status int, applied string, err error) (*answer[EndpointOut], error) {
	if err != nil {
		return nil, err
	}
	return &answer[EndpointOut]{Status: status, ETag: etag(e.sub.Version), Applied: applied, Body: endpointOut(e.sub)}, nil
}
