package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestApplications(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	got := h.call(h.operator, http.MethodPost, "/app", map[string]any{"name": "Acme", "uid": "acme", "rateLimit": 7, "metadata": map[string]string{"a": "b"}})
	require.Equal(t, http.StatusCreated, got.status, got.body)
	app := got.json(t)
	require.Regexp(t, `^app_[A-Za-z0-9]{27}$`, app["id"])
	require.EqualValues(t, 7, app["throttleRate"])
	require.NotEmpty(t, got.header.Get("ETag"))
	require.Equal(t, http.StatusConflict, h.call(h.operator, http.MethodPost, "/app", map[string]any{"name": "Again", "uid": "acme"}).status)
	again := h.call(h.operator, http.MethodPost, "/app?get_if_exists=true", map[string]any{"name": "Again", "uid": "acme"})
	require.Equal(t, http.StatusOK, again.status)
	require.Equal(t, app["id"], again.json(t)["id"])

	patched := h.call(h.operator, http.MethodPatch, "/app/acme", `{"name":"Acme 2","throttleRate":null}`)
	require.Equal(t, http.StatusOK, patched.status, patched.body)
	require.NotContains(t, patched.json(t), "throttleRate")
	require.Equal(t, map[string]any{"a": "b"}, patched.json(t)["metadata"])
	require.NotEqual(t, got.header.Get("ETag"), patched.header.Get("ETag"))
	stale := h.call(h.operator, http.MethodPatch, "/app/acme", `{"name":"Acme 3"}`, "If-Match", got.header.Get("ETag"))
	require.Equal(t, http.StatusPreconditionFailed, stale.status, stale.body)

	put := h.call(h.operator, http.MethodPut, "/app/new-one", map[string]any{"name": "New"})
	require.Equal(t, http.StatusCreated, put.status, put.body)
	require.Equal(t, "new-one", put.json(t)["uid"])
	require.Equal(t, http.StatusNoContent, h.call(h.operator, http.MethodDelete, "/app/new-one?wait=applied", nil).status)
	require.Equal(t, http.StatusNotFound, h.call(h.operator, http.MethodGet, "/app/new-one", nil).status)
}

func TestApplicationRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, c := range []struct{ name, body, loc string }{
		{"no name", `{}`, "name"},
		{"empty name", `{"name":""}`, "name"},
		{"uid", `{"name":"x","uid":"a b"}`, "uid"},
		{"uid of ours", `{"name":"x","uid":"app_x"}`, "uid"},
		{"rate", `{"name":"x","throttleRate":0}`, "throttleRate"},
		{"both rates", `{"name":"x","throttleRate":1,"rateLimit":1}`, "rateLimit"},
		{"unknown", `{"name":"x","colour":"red"}`, "colour"},
		{"metadata", `{"name":"x","metadata":{"a":1}}`, "metadata"},
	} {
		got := h.call(h.operator, http.MethodPost, "/app", c.body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", c.name, got.body)
		require.Contains(t, got.body, `"loc":["body"`, c.name)
		require.Contains(t, got.body, c.loc, c.name)
	}
	require.Equal(t, http.StatusNotFound, h.call(h.operator, http.MethodGet, "/nothing", nil).status)
	require.Contains(t, h.call("", http.MethodGet, "/app", nil).body, "authentication_failed")
}

func TestApplicationPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for i := range 7 {
		h.tenant(fmt.Sprintf("t%d", i))
	}
	for _, order := range []string{"ascending", "descending"} {
		var uids []string
		path := "/app?limit=3&order=" + order
		for {
			got := h.call(h.operator, http.MethodGet, path, nil)
			require.Equal(t, http.StatusOK, got.status, got.body)
			page := got.json(t)
			for _, e := range page["data"].([]any) {
				uids = append(uids, e.(map[string]any)["uid"].(string))
			}
			if page["done"].(bool) {
				back := h.call(h.operator, http.MethodGet, "/app?limit=3&order="+order+"&iterator="+page["prevIterator"].(string), nil)
				require.Len(t, back.json(t)["data"], 3)
				break
			}
			path = "/app?limit=3&order=" + order + "&iterator=" + page["iterator"].(string)
		}
		require.Len(t, uids, 7)
		first := map[string]string{"ascending": "t0", "descending": "t6"}[order]
		require.Equal(t, first, uids[0])
	}
	require.Equal(t, http.StatusUnprocessableEntity, h.call(h.operator, http.MethodGet, "/app?iterator=x", nil).status)
	require.Equal(t, http.StatusUnprocessableEntity, h.call(h.operator, http.MethodGet, "/app?limit=251", nil).status)
}

func TestConcurrentPatchesAllLand(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.tenant("own")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			field := []string{"name", "uid"}[i%2]
			body := map[string]any{field: fmt.Sprintf("own%s", map[string]string{"name": fmt.Sprint(i), "uid": ""}[field])}
			got := h.call(h.operator, http.MethodPatch, "/app/own", body)
			if got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	wg.Wait()
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.RequestsPerSecond, o.Burst = 0.001, 3 })
	var last reply
	for range 4 {
		last = h.call(h.operator, http.MethodGet, "/auth/whoami", nil)
	}
	require.Equal(t, http.StatusTooManyRequests, last.status, last.body)
	require.NotEmpty(t, last.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, h.call(h.reader, http.MethodGet, "/auth/whoami", nil).status, "another key has its own")
}

func TestAPanicTellsNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	w := httptest.NewRecorder()
	handler := h.api.logAccess(h.api.recover(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("canary-secret") })))
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/app?canary-query", nil))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String()+h.log.String(), "canary")
	require.Contains(t, h.log.String(), "panic")
}
