package api

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// EndpointHeadersIn replaces the headers of a subscription.
type EndpointHeadersIn struct {
	Headers map[string]string `json:"headers"`
}

// EndpointHeadersPatchIn changes some of the headers of a subscription; null and deleteHeaders take them away.
type EndpointHeadersPatchIn struct {
	Headers       map[string]*string `json:"headers"`
	DeleteHeaders []string           `json:"deleteHeaders,omitempty"`
}

// EndpointHeadersOut are the headers of a subscription. Of the sensitive ones there is the name only.
type EndpointHeadersOut struct {
	Headers   map[string]string `json:"headers"`
	Sensitive []string          `json:"sensitive" nullable:"false"`
}

// SensitiveHeaders are the names of headers whose values are never shown.
type SensitiveHeaders struct {
	Names []string `json:"names" nullable:"false" maxItems:"50" doc:"Names of headers that the endpoint has."`
}

// sensitiveNames are the headers that carry credentials by their name, lower case. Svix has the first three of them; what
// else carries credentials by convention is better hidden by default, too.
var sensitiveNames = []string{ //nolint:gochecknoglobals // a table
	"authorization", "x-auth-token", "www-authenticate",
	"x-api-key", "x-apikey", "api-key", "apikey", "x-access-token", "x-csrf-token", "x-secret", "cookie",
}

func (a *API) endpointHeaders() {
	const hidden = "Values of sensitive headers can be written, not read: those of names that usually carry credentials, such as " +
		"Authorization or X-Api-Key, and those marked at …/sensitive-headers."
	register(a, below(http.MethodGet, "/headers", "v1.endpoint.get-headers", "Get an endpoint's headers", access.ViewTenant, hidden),
		a.getHeaders)
	registerBody(a, below(http.MethodPut, "/headers", "v1.endpoint.set-headers", "Replace an endpoint's headers",
		access.ManageEndpoints, "What is marked as sensitive stays so as long as there is a header of that name. "+hidden).quietly(), a.putHeaders)
	registerBody(a, below(http.MethodPatch, "/headers", "v1.endpoint.patch-headers", "Change an endpoint's headers",
		access.ManageEndpoints, hidden).quietly(), a.patchHeaders)
	register(a, below(http.MethodGet, "/sensitive-headers", "postrider.endpoint.get-sensitive-headers",
		"List an endpoint's sensitive headers", access.ViewTenant, hidden), a.getSensitive)
	registerBody(a, below(http.MethodPut, "/sensitive-headers", "postrider.endpoint.set-sensitive-headers",
		"Mark headers of an endpoint as sensitive", access.ManageEndpoints,
		"A mark cannot be taken back while the header is there, or its value could be read: delete the header and write it again."), a.putSensitive)
}

// isSensitive reports whether the value of a header must not be shown.
func isSensitive(s *subscription.Subscription, name string) bool {
	return slices.Contains(sensitiveNames, strings.ToLower(name)) ||
		slices.ContainsFunc(s.SensitiveHeaders, func(n string) bool { return strings.EqualFold(n, name) })
}

// sensitiveOf lists the sensitive headers of s, sorted.
func sensitiveOf(s *subscription.Subscription) []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		if isSensitive(s, name) {
			names = append(names, name)
		}
	}
	return names
}

func (a *API) getHeaders(ctx context.Context, in *EndpointPath) (*answer[EndpointHeadersOut], error) {
	return shown(ctx, in.Endpoint, func(e *edit) (EndpointHeadersOut, error) {
		return EndpointHeadersOut{Headers: shownHeaders(e.sub), Sensitive: sensitiveOf(e.sub)}, nil
	})
}

// shownHeaders are the headers of s whose values may be shown.
func shownHeaders(s *subscription.Subscription) map[string]string {
	out := map[string]string{}
	for name, v := range s.Headers {
		if !isSensitive(s, name) && !subscription.Sealed(v) {
			out[name] = v
		}
	}
	return out
}

func (a *API) putHeaders(ctx context.Context, in *EndpointWriteBody, body *EndpointHeadersIn) (*answer[nothing], error) {
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, nil, func(e *edit) error {
		setHeaders(e.sub, body.Headers)
		return nil
	})
	return written(e, applied, err)
}

func (a *API) patchHeaders(ctx context.Context, in *EndpointWriteBody, body *EndpointHeadersPatchIn) (*answer[nothing], error) {
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, nil, func(e *edit) error {
		headers := maps.Clone(e.sub.Headers)
		if headers == nil {
			headers = map[string]string{}
		}
		for _, name := range append(slices.Collect(maps.Keys(body.Headers)), body.DeleteHeaders...) {
			maps.DeleteFunc(headers, func(n, _ string) bool { return strings.EqualFold(n, name) })
		}
		for name, v := range body.Headers {
			if v != nil && !slices.Contains(body.DeleteHeaders, name) {
				headers[name] = *v
			}
		}
		setHeaders(e.sub, headers)
		return nil
	})
	return written(e, applied, err)
}

// setHeaders gives s these headers. Marks follow the header of their name, however it is written now.
func setHeaders(s *subscription.Subscription, headers map[string]string) {
	var marked []string
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if slices.ContainsFunc(s.SensitiveHeaders, func(n string) bool { return strings.EqualFold(n, name) }) {
			marked = append(marked, name)
		}
	}
	s.Headers, s.SensitiveHeaders = maps.Clone(headers), marked
}

func (a *API) getSensitive(ctx context.Context, in *EndpointPath) (*answer[SensitiveHeaders], error) {
	return shown(ctx, in.Endpoint, func(e *edit) (SensitiveHeaders, error) { return SensitiveHeaders{sensitiveOf(e.sub)}, nil })
}

func (a *API) putSensitive(ctx context.Context, in *EndpointWriteBody, body *SensitiveHeaders) (*answer[SensitiveHeaders], error) {
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, map[string]string{"sensitiveHeaders": "names"}, func(e *edit) error {
		return mark(e.sub, body.Names)
	})
	return resource(e, applied, err, func(e *edit) SensitiveHeaders { return SensitiveHeaders{sensitiveOf(e.sub)} })
}

// mark makes the headers of these names the sensitive ones of s, beside those that always are.
func mark(s *subscription.Subscription, names []string) error {
	for _, old := range s.SensitiveHeaders {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, old) }) {
			return invalid("names", "%q is missing: it stays sensitive as long as there is such a header", old)
		}
	}
	var marked []string
	for i, name := range names {
		own := slices.Sorted(maps.Keys(s.Headers))
		at := slices.IndexFunc(own, func(n string) bool { return strings.EqualFold(n, name) })
		if at < 0 {
			return invalid(fmt.Sprintf("names[%d]", i), "%q: want the name of one of the endpoint's headers", name)
		}
		if !slices.Contains(marked, own[at]) {
			marked = append(marked, own[at])
		}
	}
	s.SensitiveHeaders = marked
	return nil
}
