package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
)

// Extensions of operations in the OpenAPI document.
const (
	// extPermission is the permission that an operation asks for; extRoles the roles of keys that have it, and
	// extCapabilities the capabilities of portal tokens.
	extPermission   = "x-permission"
	extRoles        = "x-roles"
	extCapabilities = "x-capabilities"
)

// document completes the OpenAPI document and serves it and the page that is made of it. It comes after all operations.
func (a *API) document(mux *http.ServeMux) {
	doc := a.huma.OpenAPI()
	validation := doc.Components.Schemas.Schema(reflect.TypeFor[ValidationError](), true, "ValidationError")
	for _, r := range a.routes {
		a.completeOperation(operation(doc, r), r, validation)
	}
	serve := func(path, contentType string, write func() ([]byte, error)) {
		written := sync.OnceValues(write)
		mux.HandleFunc("GET "+prefix+path, func(w http.ResponseWriter, r *http.Request) {
			raw, err := written()
			if err != nil {
				a.opts.Log.ErrorContext(r.Context(), "writing the API's reference", "request", requestID(r.Context()), "error", err)
				answerError(w, &Error{http.StatusInternalServerError, "server_error", "something went wrong on this side; request " + requestID(r.Context())})
				return
			}
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Content-Security-Policy", referencePolicy)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write(raw) // nobody is there to read it
		})
	}
	serve("/openapi.json", "application/openapi+json", func() ([]byte, error) { return json.Marshal(doc) })
	serve("/openapi.yaml", "application/openapi+yaml", doc.YAML)
	serve("/docs", "text/html; charset=utf-8", func() ([]byte, error) { return renderReference(doc, a.routes) })
}

// operation returns the operation of a route in the document.
func operation(doc *huma.OpenAPI, r route) *huma.Operation {
	item := doc.Paths[r.full()]
	switch r.method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodPatch:
		return item.Patch
	}
	return item.Delete
}

// completeOperation adds what follows from the route.
func (a *API) completeOperation(op *huma.Operation, r route, validation *huma.Schema) {
	if op.Responses["422"] != nil || len(op.Parameters) > 0 || op.RequestBody != nil {
		op.Responses["422"] = jsonResponse("The input is not what it should be; detail says what and where.", validation)
	}
	refusal := op.Responses["400"].Content[jsonType].Schema
	for _, p := range op.Parameters {
		if p.Name == "If-Match" {
			op.Responses["412"] = jsonResponse("Somebody else changed it.", refusal)
		}
		describeAppID(p)
	}
	if op.RequestBody != nil {
		op.Responses["413"] = jsonResponse("The body is too large.", refusal)
	}
	if takesKey(r) {
		op.Parameters = append(op.Parameters, idempotencyParam())
	}
	describeResponses(op)
	completeAnswer(op, r)
	if op.Extensions == nil {
		op.Extensions = map[string]any{}
	}
	if !r.public {
		op.Extensions[extPermission] = string(r.needs)
		op.Extensions[extRoles], op.Extensions[extCapabilities] = grantees(r)
	}
}

func describeAppID(p *huma.Param) {
	if p.Description == "" {
		p.Description = "Id of the " + strings.TrimSuffix(p.Name, "_id") + "."
	}
}

func idempotencyParam() *huma.Param {
	return &huma.Param{
		Name: "idempotency-key", In: "header", Example: "5f0c7f3e-order-4711",
		Description: "Makes the request safe to repeat: within 12 hours the same request with the same key is carried out once, and " +
			"a repeat gets the same answer with the header idempotency-replayed: true.",
		Schema: &huma.Schema{Type: huma.TypeString, MinLength: new(1), MaxLength: new(256), Pattern: "^[!-~]+$"},
	}
}

func jsonResponse(description string, schema *huma.Schema) *huma.Response {
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{jsonType: {Schema: schema}}}
}

// describeResponses says what the refusals mean, where huma has the name of the status alone.
func describeResponses(op *huma.Operation) {
	for status, text := range map[string]string{
		"400": "The request cannot be read.", "401": "There is no valid key or token.", "403": "The key or token may not do that.",
		"404": "There is no such thing, or it belongs to another application.", "409": "It is in conflict with what is there.",
		"429": "More requests than the key has a second: see Retry-After.", "500": "Something went wrong on this side.",
	} {
		if r := op.Responses[status]; r != nil {
			r.Description = text
		}
	}
}

// completeAnswer takes away what the answers of an operation do not have: for huma all answers have the same headers and a body.
func completeAnswer(op *huma.Operation, r route) {
	answered := op.Responses[strconv.Itoa(r.success())]
	waits := slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == "wait" })
	kept := map[string]bool{"ETag": r.versioned, "Postrider-Applied": waits, checkHeader: takesKey(r), viewsHeader: r.views}
	maps.DeleteFunc(answered.Headers, func(name string, _ *huma.Header) bool { return !kept[name] })
	if r.success() == http.StatusNoContent {
		answered.Content = nil
	}
}

// takesKey reports whether the operation looks at idempotency keys.
func takesKey(r route) bool { return r.method == http.MethodPost && !r.public }

// grantees returns the roles and portal capabilities that have an operation's permission.
func grantees(r route) (roles, capabilities []string) {
	tenant := ident.ID{1}
	if r.tenantParam() == "" {
		tenant = ident.ID{}
	}
	for _, role := range access.Roles() {
		p := &access.Principal{Kind: access.KindKey, Role: role}
		if role == access.RoleTenant {
			p.Tenant = ident.ID{1}
		}
		if p.May(r.needs, tenant) {
			roles = append(roles, string(role))
		}
	}
	for _, c := range access.Capabilities() {
		p := &access.Principal{Kind: access.KindPortal, Tenant: ident.ID{1}, Capabilities: []access.Capability{c}}
		if p.May(r.needs, tenant) {
			capabilities = append(capabilities, string(c))
		}
	}
	return roles, capabilities
}
