package api

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/subscription"
)

func TestTransformation(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	h := acme(t, func(o *Options) { o.Now = func() time.Time { return now } })
	const resource = orders + "/transformation"
	get := func() map[string]any { return h.ok(http.StatusOK, http.MethodGet, resource, nil).json(t) }
	patch := func(body any) { h.ok(http.StatusNoContent, http.MethodPatch, resource, body) }
	require.Equal(t, map[string]any{"code": nil, "enabled": false}, get())

	patch(map[string]any{"code": `.payload |= {id}`, "enabled": true, "variables": map[string]string{"shop": "hidden"}})
	got := get()
	require.NotEmpty(t, got["updatedAt"])
	delete(got, "updatedAt")
	require.Equal(t, map[string]any{"code": ".payload |= {id}", "enabled": true, "variables": map[string]any{"shop": "hidden"}}, got)
	require.True(t, h.orders().Transforms())

	for _, token := range []string{h.reader, h.portalToken("acme", access.ViewBase), h.portalToken("acme", access.ViewBase, access.ManageEndpoint)} {
		seen := h.call(token, http.MethodGet, resource, nil)
		require.Equal(t, http.StatusOK, seen.status)
		require.NotContains(t, seen.body, "hidden")
		require.Equal(t, http.StatusForbidden, h.call(token, http.MethodPatch, resource, map[string]any{}).status)
		require.Equal(t, http.StatusForbidden, h.call(token, http.MethodPost, resource+"/simulate", map[string]any{}).status)
	}
	programmer := h.portalToken("acme", access.ViewBase, access.ManageTransformations)
	require.Contains(t, h.call(programmer, http.MethodGet, resource, nil).body, "hidden")

	before := h.orders().Version
	patch(map[string]any{"enabled": false})
	require.Equal(t, ".payload |= {id}", h.orders().Transformation.Code)
	stale := h.call(h.operator, http.MethodPatch, resource, map[string]any{"enabled": true}, "If-Match", etag(before))
	require.Equal(t, http.StatusPreconditionFailed, stale.status)
	patch(map[string]any{"enabled": true})
	patch(map[string]any{"code": nil})
	require.Equal(t, &subscription.Transformation{Variables: map[string]string{"shop": "hidden"}, Updated: h.orders().Transformation.Updated},
		h.orders().Transformation, "and switched off")
	patch(map[string]any{"variables": nil})
	require.Nil(t, h.orders().Transformation)

	for name, c := range map[string]struct {
		body any
		loc  string
	}{
		"no jq":           {map[string]any{"code": "this is no jq"}, "body.code"},
		"not offered":     {map[string]any{"code": ".payload = now"}, "body.code"},
		"too long":        {map[string]any{"code": strings.Repeat(" ", 16<<10) + "."}, "body.code"},
		"nothing to run":  {map[string]any{"enabled": true}, "body.code"},
		"long variable":   {map[string]any{"variables": map[string]string{"a": strings.Repeat("a", 4097)}}, "body.variables.a"},
		"unknown member":  {map[string]any{"language": "javascript"}, "body.language"},
		"bad enabledness": {map[string]any{"enabled": "yes"}, "body.enabled"},
	} {
		require.Equal(t, []string{c.loc}, h.call(h.operator, http.MethodPatch, resource, c.body).locs(t), name)
	}
}

func TestSimulate(t *testing.T) {
	h := acme(t)
	const resource = orders + "/transformation"
	h.ok(http.StatusNoContent, http.MethodPatch, resource, map[string]any{"variables": map[string]string{"shop": "hidden"}})
	before := h.orders().Version
	simulate := func(code string, change ...func(map[string]any)) reply {
		body := map[string]any{"code": code, "eventType": "contact.created", "payload": map[string]any{"id": 7, "secret": "CANARY"}}
		for _, c := range change {
			c(body)
		}
		return h.call(h.portalToken("acme", access.ManageTransformations), http.MethodPost, resource+"/simulate", body)
	}
	for code, want := range map[string]string{
		`.payload |= {id}`:                  `{"url":"https://a.example/in","payload":"{\"id\":7}","method":"POST","cancel":false}`,
		`{method: "PUT", url: "https://b"}`: `{"url":"https://b","payload":"{\"id\":7,\"secret\":\"CANARY\"}","method":"PUT","cancel":false}`,
		`{payload: .eventType}`:             `{"url":"https://a.example/in","payload":"\"contact.created\"","method":"POST","cancel":false}`,
		`.cancel = true`:                    `{"url":"https://a.example/in","payload":"{\"id\":7,\"secret\":\"CANARY\"}","cancel":true}`,
		`{payload: $variables}`:             `{"url":"https://a.example/in","payload":"{}","method":"POST","cancel":false}`,
	} {
		got := simulate(code)
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.JSONEq(t, want, got.body, code)
	}
	given := simulate(`{payload: $variables.a}`, func(body map[string]any) { body["variables"] = map[string]string{"a": "b"} })
	require.Equal(t, `"b"`, given.json(t)["payload"])

	for code, want := range map[string]string{
		`.payload |`:                   `"1:11: unexpected EOF"`,
		`.payload.secret | error`:      `"the program ended with an error"`,
		`.headers.Host = "a"`:          `"headers.Host: is not a transformation's to set"`,
		`.headers["webhook-id"] = "a"`: `"headers.webhook-id: is not a subscription's to set`,
		`.url = "http://a"`:            `"url: want https://host/path"`,
		`empty`:                        `"no output: want exactly one`,
		`last(range(1e9)) as $n | .`:   `"more than 1000000 units of work`,
		`.payload = ("a" * 2000000)`:   `want at most`,
		`[1] | .a`:                     `"expected an object but got: array"`,
	} {
		got := simulate(code)
		require.Equal(t, []string{"body.code"}, got.locs(t), code)
		require.Contains(t, got.body, want, code)
		require.NotContains(t, got.body, "CANARY", code)
	}
	require.Equal(t, []string{"body.variables.a"}, simulate(`.`, func(body map[string]any) {
		body["variables"] = map[string]string{"a": "\x00"}
	}).locs(t))
	require.Equal(t, []string{"body"}, simulate(`.`, func(body map[string]any) { delete(body, "payload") }).locs(t))
	require.Equal(t, before, h.orders().Version, "nothing is written")
	require.NotContains(t, h.log.String(), "CANARY")
}

// Only so many programs are tried at a time; who finds no place is told so, and may come again with the same idempotency key.
func TestSimulationsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := acme(t)
		for range cap(h.api.simulations) {
			h.api.simulations <- struct{}{}
		}
		began := time.Now()
		body := map[string]any{"code": ".", "eventType": "a", "payload": map[string]any{}}
		got := h.call(h.operator, http.MethodPost, orders+"/transformation/simulate", body)
		require.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
		require.Equal(t, "busy", got.json(t)["code"])
		require.Equal(t, simulateWait, time.Since(began))
		<-h.api.simulations
		h.ok(http.StatusOK, http.MethodPost, orders+"/transformation/simulate", body)
		require.Len(t, h.api.simulations, cap(h.api.simulations)-1, "its place is free again")
	})
}

func TestEncryption(t *testing.T) {
	h := acme(t)
	const resource = orders + "/encryption"
	get := func() string { return h.ok(http.StatusOK, http.MethodGet, resource, nil).body }
	require.JSONEq(t, `{"scheme":null}`, get())
	for _, scheme := range encrypt.Names() {
		made := h.ok(http.StatusOK, http.MethodPut, resource, map[string]any{"scheme": scheme})
		require.NotEmpty(t, made.header.Get("ETag"))
		require.Equal(t, scheme, made.json(t)["scheme"])
		key := made.json(t)["key"].(string)
		_, err := encrypt.New(scheme, key)
		require.NoError(t, err)
		require.Equal(t, &subscription.Encryption{Scheme: scheme, Key: key}, h.orders().Encryption)
		require.JSONEq(t, `{"scheme":"`+scheme+`"}`, get())

		again := h.ok(http.StatusOK, http.MethodPut, resource, map[string]any{"scheme": scheme}).json(t)["key"]
		require.NotEqual(t, key, again)
		own := h.ok(http.StatusOK, http.MethodPut, resource, map[string]any{"scheme": scheme, "key": key})
		require.JSONEq(t, `{"scheme":"`+scheme+`"}`, own.body, "who gave it has it")
		require.Equal(t, key, h.orders().Encryption.Key)
		require.NotContains(t, h.log.String(), key)
	}
	for name, c := range map[string]struct {
		body map[string]any
		loc  string
	}{
		"no scheme":      {map[string]any{}, "body"},
		"unknown scheme": {map[string]any{"scheme": "rot13"}, "body.scheme"},
		"bad key":        {map[string]any{"scheme": "jwe", "key": "CANARY"}, "body.key"},
		"empty key":      {map[string]any{"scheme": "jwe", "key": ""}, "body.key"},
		"another's key":  {map[string]any{"scheme": "jwe", "key": h.orders().Encryption.Key}, "body.key"},
	} {
		got := h.call(h.operator, http.MethodPut, resource, c.body)
		require.Equal(t, []string{c.loc}, got.locs(t), name+got.body)
		require.NotContains(t, got.body, "CANARY")
	}
	h.ok(http.StatusNoContent, http.MethodDelete, resource, nil)
	require.Nil(t, h.orders().Encryption)
	require.JSONEq(t, `{"scheme":null}`, get())
}
