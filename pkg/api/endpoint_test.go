package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/transform"
)

// rules are those of an installation: https, and what the profiles say.
func rules(o *Options) {
	profiles := o.Profiles
	o.Rules = subscription.Rules{
		CheckURL: func(url string) error {
			if !strings.HasPrefix(url, "https://") {
				return errors.New("want https://host/path")
			}
			return nil
		},
		CheckSecret: func(name, secret string) error {
			if p, ok := profiles.Get(name); ok {
				return p.Scheme().ValidateSecret(secret)
			}
			return nil
		},
		ReservedHeader: func(name, header string) bool {
			p, ok := profiles.Get(name)
			return ok && p.ReservedHeader(header)
		},
		CheckFilter: func(expression string) error { return filter.Check(expression, nil) },
		CheckTransformation: func(code string) error {
			_, err := transform.Compile(code)
			return err
		},
		CheckEncryption: func(scheme, key string) error {
			_, err := encrypt.New(scheme, key)
			return err
		},
		Profiles: profiles.Names(),
	}
}

// acme is a harness with the tenant acme and its endpoint orders.
func acme(t *testing.T, change ...func(*Options)) *harness {
	t.Helper()
	h := newHarness(t, append([]func(*Options){rules}, change...)...)
	h.tenant("acme")
	got := h.call(h.operator, http.MethodPost, "/app/acme/endpoint", map[string]any{"url": "https://a.example/in", "uid": "orders"})
	require.Equal(t, http.StatusCreated, got.status, got.body)
	return h
}

// orders is the path of the endpoint that [acme] makes.
const orders = "/app/acme/endpoint/orders"

// ok makes a request as the operator that must succeed with a status.
func (h *harness) ok(status int, method, path string, body any, headers ...string) reply {
	h.t.Helper()
	got := h.call(h.operator, method, path, body, headers...)
	require.Equal(h.t, status, got.status, method+" "+path+": "+got.body)
	return got
}

// locs are the places that a 422 complains about.
func (r reply) locs(t *testing.T) []string {
	t.Helper()
	require.Equal(t, http.StatusUnprocessableEntity, r.status, r.body)
	var out []string
	for _, p := range r.json(t)["detail"].([]any) {
		var loc []string
		for _, l := range p.(map[string]any)["loc"].([]any) {
			loc = append(loc, l.(string))
		}
		out = append(out, strings.Join(loc, "."))
	}
	return out
}

// eventType puts an event type into the catalogue.
func (h *harness) eventType(name string, change ...func(*catalogue.EventType)) {
	h.t.Helper()
	et := &catalogue.EventType{Name: name}
	for _, c := range change {
		c(et)
	}
	h.apply(registry.PutEventType(et))
}

func TestEndpointBodies(t *testing.T) {
	h := newHarness(t, rules)
	h.tenant("acme")
	full := map[string]any{
		"url": "https://a.example/in", "uid": "orders", "description": "Orders", "throttleRate": 7, "disabled": true,
		"eventTypes": []string{"order.*", "contact.created"}, "channels": []string{"eu"}, "metadata": map[string]string{"k": "v"},
	}
	got := h.ok(http.StatusCreated, http.MethodPost, "/app/acme/endpoint", full).json(t)
	require.Regexp(t, `^ep_[A-Za-z0-9]{27}$`, got["id"])
	require.NotEmpty(t, got["createdAt"])
	require.NotEmpty(t, got["updatedAt"])
	for _, name := range []string{"id", "createdAt", "updatedAt"} {
		delete(got, name)
	}
	require.Equal(t, map[string]any{
		"url": "https://a.example/in", "uid": "orders", "description": "Orders", "throttleRate": 7.0, "disabled": true,
		"eventTypes": []any{"order.*", "contact.created"}, "channels": []any{"eu"}, "metadata": map[string]any{"k": "v"},
	}, got)

	least := h.ok(http.StatusCreated, http.MethodPost, "/app/acme/endpoint", map[string]any{"url": "https://b.example"}).json(t)
	var names []string
	for name := range least {
		names = append(names, name)
	}
	slices.Sort(names)
	require.Equal(t, []string{"createdAt", "description", "disabled", "id", "metadata", "updatedAt", "url"}, names)

	older := h.ok(http.StatusCreated, http.MethodPost, "/app/acme/endpoint", map[string]any{
		"url": "https://c.example", "filterTypes": []string{"a.b"}, "rateLimit": 3, "version": 1,
	}).json(t)
	require.Equal(t, []any{"a.b"}, older["eventTypes"])
	require.Equal(t, "3", fmt.Sprint(older["throttleRate"]))
}

func TestEndpointRefusals(t *testing.T) {
	h := acme(t)
	h.eventType("contact.created")
	h.eventType("contact.old", func(et *catalogue.EventType) { et.Archived = true })
	h.eventType("order.created")
	h.tenant("narrow", func(t *subscription.Tenant) { t.EventTypes = []string{"order.*"} })
	for name, c := range map[string]struct {
		app  string
		body map[string]any
		want []string
	}{
		"no url":              {"acme", map[string]any{}, []string{"body"}},
		"url":                 {"acme", map[string]any{"url": "http://a.example"}, []string{"body.url"}},
		"no event types":      {"acme", map[string]any{"eventTypes": []string{}}, []string{"body.eventTypes"}},
		"pattern":             {"acme", map[string]any{"eventTypes": []string{"a*"}}, []string{"body.eventTypes.0"}},
		"unknown type":        {"acme", map[string]any{"eventTypes": []string{"contact.created", "contact.create"}}, []string{"body.eventTypes.1"}},
		"archived":            {"acme", map[string]any{"eventTypes": []string{"contact.old"}}, []string{"body.eventTypes.0"}},
		"not activated":       {"narrow", map[string]any{"eventTypes": []string{"contact.created"}}, []string{"body.eventTypes.0"}},
		"both names of types": {"acme", map[string]any{"eventTypes": []string{"a.*"}, "filterTypes": []string{"a.*"}}, []string{"body.filterTypes"}},
		"both names of rates": {"acme", map[string]any{"throttleRate": 1, "rateLimit": 1}, []string{"body.rateLimit"}},
		"throttle":            {"acme", map[string]any{"throttleRate": 0}, []string{"body.throttleRate"}},
		"channel":             {"acme", map[string]any{"channels": []string{"a b"}}, []string{"body.channels"}},
		"uid":                 {"acme", map[string]any{"uid": "a b"}, []string{"body.uid"}},
		"uid like an id":      {"acme", map[string]any{"uid": "ep_x"}, []string{"body.uid"}},
		"secret":              {"acme", map[string]any{"secret": "whsec_short"}, []string{"body.secret"}},
		"header":              {"acme", map[string]any{"headers": map[string]string{"Host": "x"}}, []string{"body.headers.Host"}},
		"reserved header":     {"acme", map[string]any{"headers": map[string]string{"Webhook-Id": "x"}}, []string{"body.headers.Webhook-Id"}},
		"two things":          {"acme", map[string]any{"url": "x", "channels": []string{"!"}}, []string{"body.url", "body.channels"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok := c.body["url"]; !ok && name != "no url" {
				c.body["url"] = "https://a.example"
			}
			got := h.call(h.operator, http.MethodPost, "/app/"+c.app+"/endpoint", c.body)
			require.Equal(t, c.want, got.locs(t), got.body)
		})
	}
	got := h.call(h.operator, http.MethodPost, "/app/acme/endpoint",
		map[string]any{"url": "https://a.example", "eventTypes": []string{"contact.create"}})
	require.Contains(t, got.body, `did you mean \"contact.created\"?`)
	for _, known := range []string{"order.created", "endpoint.disabled", "contact.*", "not.yet.*"} {
		h.ok(http.StatusCreated, http.MethodPost, "/app/narrow/endpoint",
			map[string]any{"url": "https://a.example", "eventTypes": []string{known}})
	}
	taken := h.call(h.operator, http.MethodPost, "/app/acme/endpoint", map[string]any{"url": "https://a.example", "uid": "orders"})
	require.Equal(t, http.StatusConflict, taken.status, taken.body)
}

func TestEndpointPatch(t *testing.T) {
	h := acme(t)
	got := h.ok(http.StatusOK, http.MethodPatch, orders,
		`{"description":"d","throttleRate":5,"eventTypes":["a.b"],"channels":["x"],"metadata":{"a":"b"}}`).json(t)
	require.Equal(t, "d", got["description"])
	require.Equal(t, "https://a.example/in", got["url"])
	got = h.ok(http.StatusOK, http.MethodPatch, orders, `{"throttleRate":null,"eventTypes":null,"channels":null,"uid":null}`).json(t)
	for _, gone := range []string{"throttleRate", "eventTypes", "channels", "uid"} {
		require.NotContains(t, got, gone)
	}
	require.Equal(t, "d", got["description"])
	one := "/app/acme/endpoint/" + got["id"].(string)
	for body, want := range map[string]string{
		`{"url":null}`: "body.url", `{"disabled":null}`: "body.disabled", `{"description":null}`: "body.description",
		`{"metadata":null}`: "body.metadata", `{"uid":""}`: "body.uid", `{"eventTypes":[]}`: "body.eventTypes",
		`{"channels":[]}`: "body.channels", `{"url":"http://x"}`: "body.url", `{"throttleRate":-1}`: "body.throttleRate",
	} {
		require.Equal(t, []string{want}, h.call(h.operator, http.MethodPatch, one, body).locs(t), body)
	}
}

func TestEndpointPut(t *testing.T) {
	h := acme(t)
	body := map[string]any{"url": "https://b.example"}
	first := h.ok(http.StatusCreated, http.MethodPut, "/app/acme/endpoint/new", body).json(t)
	require.Equal(t, "new", first["uid"])
	again := h.ok(http.StatusOK, http.MethodPut, "/app/acme/endpoint/new", body).json(t)
	require.Equal(t, first, again, "a PUT that changes nothing")
	body["description"] = "d"
	require.Equal(t, first["id"], h.ok(http.StatusOK, http.MethodPut, "/app/acme/endpoint/new", body).json(t)["id"])
	require.Equal(t, []string{"body.uid"}, h.call(h.operator, http.MethodPut, "/app/acme/endpoint/other",
		map[string]any{"url": "https://b.example", "uid": "another"}).locs(t))
	unknown := "/app/acme/endpoint/" + ident.New().Base62(subscription.SubscriptionPrefix)
	h.ok(http.StatusNotFound, http.MethodPut, unknown, body)
	h.ok(http.StatusPreconditionFailed, http.MethodPut, "/app/acme/endpoint/none", body, "If-Match", "*")
	one := "/app/acme/endpoint/" + first["id"].(string)
	require.NotContains(t, h.ok(http.StatusOK, http.MethodPut, one, body).json(t), "uid")
}

func TestEndpointVersions(t *testing.T) {
	h := acme(t)
	first := h.ok(http.StatusOK, http.MethodGet, orders, nil).header.Get("ETag")
	second := h.ok(http.StatusOK, http.MethodPatch, orders, `{"description":"1"}`, "If-Match", first).header.Get("ETag")
	require.NotEqual(t, first, second)
	for path, body := range map[string]string{"": `{"description":"2"}`, "/headers": `{"headers":{"X-A":"b"}}`, "/delivery-policy": `{"name":"n"}`} {
		got := h.call(h.operator, http.MethodPatch, orders+path, body, "If-Match", first)
		require.Equal(t, http.StatusPreconditionFailed, got.status, got.body)
		require.Equal(t, "precondition_failed", got.json(t)["code"])
	}
	third := h.ok(http.StatusNoContent, http.MethodPatch, orders+"/headers", `{"headers":{"X-A":"b"}}`, "If-Match", second).header.Get("ETag")
	require.NotEqual(t, second, third)
	require.Equal(t, third, h.ok(http.StatusOK, http.MethodGet, orders+"/filter", nil).header.Get("ETag"))
	h.ok(http.StatusPreconditionFailed, http.MethodDelete, orders, nil, "If-Match", first)
	got := h.ok(http.StatusNoContent, http.MethodDelete, orders+"?wait=applied", nil, "If-Match", third)
	require.Equal(t, "all", got.header.Get("Postrider-Applied"))
	h.ok(http.StatusNotFound, http.MethodGet, orders, nil)
}

func TestEndpointPatchesAtOnce(t *testing.T) {
	h := acme(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			got := h.call(h.operator, http.MethodPatch, orders+"/headers", fmt.Sprintf(`{"headers":{"X-%d":"v"}}`, i))
			if got.status != http.StatusNoContent {
				t.Errorf("patch %d: %d %s", i, got.status, got.body)
			}
		})
	}
	all.Wait()
	require.Len(t, h.ok(http.StatusOK, http.MethodGet, orders+"/headers", nil).json(t)["headers"], 8)
}

func TestEndpointsOfOthersAreNotFound(t *testing.T) {
	h := acme(t)
	h.tenant("other")
	id := h.ok(http.StatusOK, http.MethodGet, orders, nil).json(t)["id"].(string)
	other, _ := h.store.Snapshot().ResolveTenant("other")
	theirs := h.key(access.RoleTenant, other.ID)
	for _, resource := range []string{
		"", "/secret", "/headers", "/sensitive-headers", "/oauth", "/oauth-config", "/mtls", "/mtls-config", "/ca",
		"/delivery-policy", "/filter", "/authorization",
	} {
		for _, path := range []string{orders, "/app/other/endpoint/orders", "/app/other/endpoint/" + id} {
			got := h.call(theirs, http.MethodGet, path+resource, nil)
			require.Equal(t, http.StatusNotFound, got.status, path+resource+": "+got.body)
		}
	}
	require.Equal(t, http.StatusNotFound, h.call(theirs, http.MethodDelete, "/app/other/endpoint/"+id, nil).status)
	h.ok(http.StatusOK, http.MethodGet, orders, nil)
}

func TestEndpointList(t *testing.T) {
	h := acme(t)
	for range 4 {
		h.ok(http.StatusCreated, http.MethodPost, "/app/acme/endpoint", map[string]any{"url": "https://a.example"})
	}
	for _, order := range []string{"ascending", "descending"} {
		var ids []string
		path := "/app/acme/endpoint?limit=2&order=" + order
		for iterator := ""; ; {
			page := h.ok(http.StatusOK, http.MethodGet, path+iterator, nil).json(t)
			for _, e := range page["data"].([]any) {
				ids = append(ids, e.(map[string]any)["id"].(string))
			}
			if page["done"].(bool) {
				break
			}
			iterator = "&iterator=" + page["iterator"].(string)
		}
		require.Len(t, ids, 5)
		if order == "descending" {
			slices.Reverse(ids)
		}
		require.True(t, slices.IsSorted(ids))
	}
}
