package api

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// route declares an operation.
type route struct {
	method, path string
	// base is what path is below, [prefix] if empty.
	base string
	// id is that of the operation, as in the Svix API where it has one.
	id      string
	summary string
	// doc says what a caller needs to know beyond the summary.
	doc string
	tag string
	// needs is the permission; public operations have none, and say so.
	needs  access.Permission
	public bool
	// status is that of success, 200 if 0.
	status int
	// maxBody is the limit of the body in bytes, [defaultMaxBody] if 0.
	maxBody int64
	// versioned says that the answer has the version of an object, as an ETag.
	versioned bool
	// lines says that the answer is a line of JSON for each element; see [registerLines].
	lines bool
	// events says that the answer is a stream of Server-Sent Events, each with a body in JSON; see [API.tail].
	events bool
	// views says that the answer is made of the views of attempts, and has a header that says how far they are.
	views bool
	// makesApp says that the operation makes the app of the path if there is none and its body says how.
	makesApp bool
}

// defaultMaxBody is plenty for what is not an event or a document.
const defaultMaxBody int64 = 256 << 10

// jsonType is the media type of all bodies.
const jsonType = "application/json"

// metadataRoute is where an operation keeps its route.
const metadataRoute = "route"

// call is what a handler knows about a request besides its input.
type call struct {
	principal *access.Principal
	actor     audit.Actor
	// snap is the registry as of the start of the request, and tenant that of the path, if there is one.
	snap   *registry.Snapshot
	tenant *subscription.Tenant
}

type callKey struct{}

// called returns the call of a request. Every operation that is not public has one.
func called(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// tenantID is the tenant of the path, zero without one.
func (c *call) tenantID() ident.ID {
	if c.tenant == nil {
		return ident.ID{}
	}
	return c.tenant.ID
}

// full is the path as it is called.
func (r route) full() string { return cmp.Or(r.base, prefix) + r.path }

// tenantParam is the parameter of the path that names the tenant, empty if none does.
func (r route) tenantParam() string {
	for _, name := range []string{"app_id", "brandId"} {
		if strings.Contains(r.path, "{"+name+"}") {
			return name
		}
	}
	return ""
}

// success is the status of success.
func (r route) success() int { return cmp.Or(r.status, http.StatusOK) }

// declare makes the operation of a route for huma; see [API.preset].
func (a *API) declare(r route, body, answered reflect.Type) huma.Operation {
	if (r.needs == "") != r.public {
		panic("api: " + r.id + ": wants a permission, or to be public")
	}
	if (r.success() == http.StatusNoContent) != (answered == reflect.TypeFor[nothing]()) {
		panic("api: " + r.id + ": wants status 204 and no body, or neither")
	}
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.full(), Summary: r.summary, Description: r.doc,
		Tags: []string{r.tag}, DefaultStatus: r.success(), MaxBodyBytes: cmp.Or(r.maxBody, defaultMaxBody),
		Metadata: map[string]any{metadataRoute: r},
		Errors: []int{
			http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
			http.StatusTooManyRequests,
		},
	}
	if !r.public {
		op.Security = []map[string][]string{{"key": {}}}
	}
	a.preset(&op, r, body, answered)
	a.routes = append(a.routes, r)
	return op
}

// admit is the middleware of every operation: who, may they, and which tenant.
func (a *API) admit(ctx huma.Context, next func(huma.Context)) {
	r, _ := ctx.Operation().Metadata[metadataRoute].(route)
	if r.public {
		next(ctx)
		return
	}
	c, err := a.call(ctx, r)
	if err != nil {
		a.write(ctx, err)
		return
	}
	next(huma.WithValue(ctx, callKey{}, c))
}

func (a *API) call(ctx huma.Context, r route) (*call, error) {
	who := identified(ctx.Context())
	if who == nil {
		return nil, refuse(http.StatusUnauthorized, "authentication_failed", "want Authorization: Bearer and a valid key or token")
	}
	c := &call{principal: who.principal, actor: who.actor, snap: a.opts.Store.Snapshot()}
	param := r.tenantParam()
	if param == "" {
		if !who.principal.May(r.needs, ident.ID{}) {
			return nil, forbidden()
		}
		return c, nil
	}
	t, ok := c.snap.ResolveTenant(ctx.Param(param))
	if !ok || !who.principal.General() && who.principal.Tenant != t.ID {
		// Whether another tenant's app exists is nobody's business. Where a PUT makes one, only operators may.
		if ok || !r.makesTenant() || !who.principal.General() {
			return nil, notFound("app")
		}
		t = nil
	}
	if c.tenant = t; !who.principal.May(r.needs, c.tenantID()) {
		return nil, forbidden()
	}
	return c, nil
}

// makesTenant reports whether the operation makes the app that the path names if there is none.
func (r route) makesTenant() bool {
	return r.makesApp || r.method == http.MethodPut && strings.HasSuffix(r.path, "/{app_id}")
}

func forbidden() error {
	return refuse(http.StatusForbidden, "insufficient_permissions", "this key or token may not do that")
}

// write answers with an error outside a handler.
func (a *API) write(ctx huma.Context, err error) {
	status, ok := err.(huma.StatusError) //nolint:errorlint // made here, never wrapped
	if !ok {
		status = humaError(http.StatusInternalServerError, "")
	}
	ctx.SetStatus(status.GetStatus())
	ctx.SetHeader("Content-Type", jsonType)
	_ = a.huma.Marshal(ctx.BodyWriter(), jsonType, status) // nobody is there to read it
}
