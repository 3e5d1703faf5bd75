package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/subscription"
)

const contactSchema = `{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}`

func TestEventTypeLife(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	made := h.call(h.operator, http.MethodPost, "/event-type",
		`{"name":"contact.created","description":"A contact.","schemas":{"1":`+contactSchema+`},"groupName":"contact","featureFlags":["beta"]}`)
	require.Equal(t, http.StatusCreated, made.status, made.body)
	assert.NotEmpty(t, made.header.Get("ETag"))
	out := made.json(t)
	for _, name := range []string{"name", "description", "archived", "deprecated", "schemas", "groupName", "featureFlags", "createdAt", "updatedAt"} {
		assert.Contains(t, out, name)
		delete(out, name)
	}
	assert.Empty(t, out, "nothing that strict clients do not know")
	assert.Contains(t, made.body, contactSchema, "schemas are not written anew")

	again := h.call(h.operator, http.MethodPost, "/event-type", `{"name":"contact.created","description":"x"}`)
	assert.Equal(t, http.StatusConflict, again.status)
	assert.Equal(t, "event_type_exists", again.json(t)["code"])

	require.Equal(t, http.StatusNoContent, h.call(h.operator, http.MethodDelete, "/event-type/contact.created", nil).status)
	got := h.call(h.operator, http.MethodGet, "/event-type/contact.created", nil)
	assert.Equal(t, true, got.json(t)["archived"])
	revived := h.call(h.operator, http.MethodPost, "/event-type", `{"name":"contact.created","description":"Again."}`)
	require.Equal(t, http.StatusCreated, revived.status, revived.body)
	assert.Equal(t, false, revived.json(t)["archived"])
	assert.Equal(t, got.json(t)["createdAt"], revived.json(t)["createdAt"])
	assert.NotContains(t, revived.json(t), "schemas", "it is replaced")

	patched := h.call(h.operator, http.MethodPatch, "/event-type/contact.created", `{"deprecated":true,"schemas":{"1":`+contactSchema+`}}`)
	require.Equal(t, http.StatusOK, patched.status, patched.body)
	assert.Equal(t, "Again.", patched.json(t)["description"])
	cleared := h.call(h.operator, http.MethodPatch, "/event-type/contact.created", `{"schemas":null}`)
	assert.NotContains(t, cleared.json(t), "schemas")

	stale := h.call(h.operator, http.MethodPut, "/event-type/contact.created", `{"description":"x"}`, "If-Match", patched.header.Get("ETag"))
	assert.Equal(t, http.StatusPreconditionFailed, stale.status, stale.body)
	put := h.call(h.operator, http.MethodPut, "/event-type/contact.created", `{"description":"Put."}`, "If-Match", cleared.header.Get("ETag"))
	assert.Equal(t, http.StatusOK, put.status, put.body)
	assert.Equal(t, http.StatusCreated, h.call(h.operator, http.MethodPut, "/event-type/new.one", `{"description":"New."}`).status)

	require.Equal(t, http.StatusNoContent, h.call(h.operator, http.MethodDelete, "/event-type/contact.created?expunge=true", nil).status)
	assert.Equal(t, http.StatusNotFound, h.call(h.operator, http.MethodGet, "/event-type/contact.created", nil).status)
}

func TestEventTypeRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.tenant("acme")
	administrator := h.key(access.RoleTenant, app.ID)
	for _, c := range []struct {
		name, token, method, path, body string
		status                          int
		says                            string
	}{
		{"no key", "", "GET", "/event-type", "", 401, "authentication_failed"},
		{"reader writes", h.reader, "POST", "/event-type", `{"name":"a","description":""}`, 403, "insufficient_permissions"},
		{"tenant writes", administrator, "POST", "/event-type", `{"name":"a","description":""}`, 403, "insufficient_permissions"},
		{"tenant imports", administrator, "POST", "/event-type/import/openapi", `{"specRaw":""}`, 403, "insufficient_permissions"},
		{"no name", h.operator, "POST", "/event-type", `{"description":""}`, 422, "name"},
		{"no description", h.operator, "POST", "/event-type", `{"name":"a"}`, 422, "description"},
		{"bad name", h.operator, "POST", "/event-type", `{"name":"a b","description":""}`, 422, "name"},
		{"bad version", h.operator, "POST", "/event-type", `{"name":"a","description":"","schemas":{"one":{}}}`, 422, `"schemas","one"`},
		{"no schema", h.operator, "POST", "/event-type", `{"name":"a","description":"","schemas":{"1":{"type":7}}}`, 422, `"schemas","1"`},
		{"null schema", h.operator, "POST", "/event-type", `{"name":"a","description":"","schemas":{"1":null}}`, 422, `"schemas","1"`},
		{"bad flag", h.operator, "POST", "/event-type", `{"name":"a","description":"","featureFlags":["a b"]}`, 422, "featureFlags"},
		{"patch of nothing", h.operator, "PATCH", "/event-type/none", `{}`, 404, "not_found"},
		{"delete of nothing", h.operator, "DELETE", "/event-type/none", "", 404, "not_found"},
		{"expunge of nothing", h.operator, "DELETE", "/event-type/none?expunge=true", "", 404, "not_found"},
		{"get of nothing", h.operator, "GET", "/event-type/none", "", 404, "not_found"},
		{"bad limit", h.operator, "GET", "/event-type?limit=251", "", 422, "limit"},
		{"no document", h.operator, "POST", "/event-type/import/openapi", `{}`, 422, "spec"},
		{"two documents", h.operator, "POST", "/event-type/import/openapi", `{"spec":{},"specRaw":"{}"}`, 422, "specRaw"},
		{"no known document", h.operator, "POST", "/event-type/import/openapi", `{"spec":{"swagger":"2.0"}}`, 422, "openapi"},
		{"no YAML", h.operator, "POST", "/event-type/import/openapi", `{"specRaw":"a: [b"}`, 422, `"specRaw"`},
		{"large", h.operator, "POST", "/event-type", `{"name":"a","description":"` + strings.Repeat("x", maxCatalogueBody) + `"}`, 413, "payload_too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var body any
			if c.body != "" {
				body = c.body
			}
			got := h.call(c.token, c.method, c.path, body)
			assert.Equal(t, c.status, got.status, got.body)
			assert.Contains(t, got.body, c.says)
		})
	}
}

func TestListEventTypes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var names []string
	for _, name := range []string{"-dash", ".dot", "a", "b.c", "b.d", "z"} {
		require.Equal(t, http.StatusOK+1, h.call(h.operator, "POST", "/event-type",
			map[string]any{"name": name, "description": "", "schemas": map[string]any{"1": map[string]any{}}}).status)
		names = append(names, name)
	}
	h.call(h.operator, "POST", "/event-type", `{"name":"old","description":"","archived":true}`)
	for limit := 1; limit <= len(names)+1; limit++ {
		for _, order := range []string{"ascending", "descending"} {
			var got []string
			iterator, last := "", ""
			for range 20 {
				page := h.call(h.operator, "GET", fmt.Sprintf("/event-type?limit=%d&order=%s&iterator=%s", limit, order, url.QueryEscape(iterator)), nil)
				require.Equal(t, http.StatusOK, page.status, page.body)
				for _, et := range page.json(t)["data"].([]any) {
					assert.NotContains(t, et, "schemas", "nobody asked for content")
					got = append(got, et.(map[string]any)["name"].(string))
				}
				last = page.body
				if page.json(t)["done"] == true {
					break
				}
				iterator = page.json(t)["iterator"].(string)
			}
			want := names
			if order == "descending" {
				want = []string{"z", "b.d", "b.c", "a", ".dot", "-dash"}
			}
			assert.Equal(t, want, got, "limit %d, %s, last page %s", limit, order, last)
		}
	}
	back := h.call(h.operator, "GET", "/event-type?limit=2&iterator=-b.d", nil)
	assert.Contains(t, back.body, `"name":"a"`)
	assert.Contains(t, back.body, `"name":"b.c"`)
	assert.Len(t, h.call(h.operator, "GET", "/event-type?include_archived=true", nil).json(t)["data"], len(names)+1)
	assert.Contains(t, h.call(h.operator, "GET", "/event-type?with_content=true", nil).body, `"schemas":{"1":{}}`)
}

func TestTenantSeesItsEventTypes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.tenant("acme", func(t *subscription.Tenant) { t.EventTypes = []string{"contact.**"} })
	for _, name := range []string{"contact.created", "loyalty.added"} {
		h.call(h.operator, "POST", "/event-type", map[string]any{"name": name, "description": "", "featureFlags": []string{"beta"}})
	}
	for _, token := range []string{h.key(access.RoleTenant, app.ID), h.key(access.RoleReadOnly, app.ID), h.portalToken("acme")} {
		list := h.call(token, "GET", "/event-type", nil)
		require.Equal(t, http.StatusOK, list.status, list.body)
		assert.Contains(t, list.body, "contact.created")
		assert.NotContains(t, list.body, "loyalty.added")
		assert.Equal(t, http.StatusOK, h.call(token, "GET", "/event-type/contact.created", nil).status)
		assert.Equal(t, http.StatusNotFound, h.call(token, "GET", "/event-type/loyalty.added", nil).status)
		document := h.call(token, "GET", "/event-type/export/openapi", nil)
		assert.Contains(t, document.body, "contact.created")
		assert.NotContains(t, document.body, "loyalty.added")
	}
}

func TestImportAndExport(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	webhooks := map[string]any{}
	for i := range 450 {
		webhooks[fmt.Sprintf("type.%03d", i)] = map[string]any{"post": map[string]any{"description": "d", "requestBody": map[string]any{
			"content": map[string]any{"application/json": map[string]any{"schema": map[string]any{"type": "object"}}},
		}}}
	}
	spec := map[string]any{"openapi": "3.1.0", "info": map[string]any{"title": "t", "version": "1"}, "webhooks": webhooks}
	dry := h.call(h.operator, "POST", "/event-type/import/openapi", map[string]any{"spec": spec, "dryRun": true})
	require.Equal(t, http.StatusOK, dry.status, dry.body)
	data := dry.json(t)["data"].(map[string]any)
	assert.Len(t, data["modified"], 450)
	assert.Len(t, data["to_modify"], 450)
	assert.Empty(t, h.call(h.operator, "GET", "/event-type", nil).json(t)["data"], "a dry run changes nothing")

	before := h.store.Snapshot().Version()
	done := h.call(h.operator, "POST", "/event-type/import/openapi?wait=applied", map[string]any{"spec": spec})
	require.Equal(t, http.StatusOK, done.status, done.body)
	assert.Equal(t, appliedAll, done.header.Get("Postrider-Applied"))
	assert.NotContains(t, done.json(t)["data"], "to_modify")
	assert.Equal(t, int64(450+3), h.store.Snapshot().Version()-before, "three transactions, each with a marker")

	export := h.call(h.operator, "GET", "/event-type/export/openapi", nil)
	require.Equal(t, http.StatusOK, export.status)
	types, err := catalogue.Import([]byte(export.body))
	require.NoError(t, err)
	assert.Len(t, types, 450)
	task := h.call(h.operator, "POST", "/event-type/export/openapi", nil)
	assert.Equal(t, http.StatusAccepted, task.status)
	assert.Regexp(t, "^qtask_[A-Za-z0-9]{27}$", task.json(t)["id"])

	h.call(h.operator, "PATCH", "/event-type/type.001", `{"groupName":"kept","featureFlags":["beta"]}`)
	asyncAPI := "asyncapi: 3.0.0\ninfo: {title: t, version: '1'}\nchannels:\n  c:\n    messages:\n      type.001: {payload: {type: object}, summary: new}\n"
	replaced := h.call(h.operator, "POST", "/event-type/import/openapi", map[string]any{"specRaw": asyncAPI, "replaceAll": true})
	require.Equal(t, http.StatusOK, replaced.status, replaced.body)
	assert.Len(t, replaced.json(t)["data"].(map[string]any)["modified"], 450)
	left := h.call(h.operator, "GET", "/event-type", nil).json(t)["data"].([]any)
	require.Len(t, left, 1)
	assert.Equal(t, "new", left[0].(map[string]any)["description"])
	assert.Equal(t, "kept", left[0].(map[string]any)["groupName"])
}

func TestOperationalCatalogue(t *testing.T) {
	t.Parallel()
	raw, err := configs.Catalogues.ReadFile("catalogues/operational.yaml")
	require.NoError(t, err)
	f, err := catalogue.ParseFile("operational.yaml", raw)
	require.NoError(t, err)
	var names []string
	for _, et := range f.EventTypes {
		names = append(names, et.Name)
	}
	assert.ElementsMatch(t, operational.Types(), names)
}
