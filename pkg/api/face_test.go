package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// What a face such as the portal needs beside what the Svix API has.

func TestPermissionsOfTheCaller(t *testing.T) {
	h := acme(t)
	for token, want := range map[string]string{
		h.portalToken("acme", access.ViewBase): `{"permissions":["view-tenant","view-tasks","view-catalogue"]}`,
		h.reader:                               `{"permissions":["view-tenant","view-tasks","view-catalogue","view-all"]}`,
	} {
		require.JSONEq(t, want, h.call(token, http.MethodGet, "/auth/permissions", nil).body)
	}
	require.Len(t, h.ok(http.StatusOK, http.MethodGet, "/auth/permissions", nil).json(t)["permissions"], len(access.Permissions()))
}

func TestProfilesAreListed(t *testing.T) {
	h := acme(t)
	var got ProfilesOut
	require.NoError(t, json.Unmarshal([]byte(h.ok(http.StatusOK, http.MethodGet, "/profile", nil).body), &got))
	for _, p := range got.Data {
		if p.Name == "dixa-classic" {
			require.Equal(t, "dixa", p.Signature)
			require.Equal(t, "1m0s", p.Retry.Interval)
			require.Equal(t, 25, p.Failure.Failures)
			return
		}
	}
	t.Fatal("no dixa-classic")
}

func TestEndpointsAreSearched(t *testing.T) {
	h := acme(t)
	h.ok(http.StatusCreated, http.MethodPost, "/app/acme/endpoint", `{"url":"https://contacts.example/","uid":"contacts","eventTypes":["contact.*"],"disabled":true}`)
	for query, want := range map[string][]string{
		"":                              {"orders", "contacts"},
		"?search=CONTACT":               {"contacts"},
		"?search=contacts.ex":           {"contacts"},
		"?disabled=true":                {"contacts"},
		"?disabled=false":               {"orders"},
		"?disabled=false&search=absent": nil,
	} {
		var got List[EndpointOut]
		require.NoError(t, json.Unmarshal([]byte(h.ok(http.StatusOK, http.MethodGet, "/app/acme/endpoint"+query, nil).body), &got))
		var uids []string
		for _, e := range got.Data {
			uids = append(uids, *e.UID)
		}
		require.ElementsMatch(t, want, uids, query)
	}
}

func TestFilterIsTried(t *testing.T) {
	h := acme(t)
	try := func(expression, payload string) reply {
		return h.call(h.operator, http.MethodPost, "/app/acme/filter/simulate",
			map[string]any{"expression": expression, "eventType": "order.created", "payload": json.RawMessage(payload)})
	}
	require.JSONEq(t, `{"matches":true}`, try("data.n > 1", `{"n":2}`).body)
	require.JSONEq(t, `{"matches":false}`, try("data.n > 1", `{"n":1}`).body)
	missing := try("data.n > 1", `{}`).json(t)
	require.Equal(t, false, missing["matches"])
	require.Contains(t, missing["problem"], "n")
	require.Equal(t, []string{"body.expression"}, try("data.n >", `{}`).locs(t))
}

func TestSendTest(t *testing.T) {
	to := &sender{}
	h := acme(t, func(o *Options) { o.Sender = to })
	h.eventType("bare")
	h.ok(http.StatusAccepted, http.MethodPost, orders+"/send-test", `{"eventType":"bare","payload":{"b":1,"a":2}}`)
	require.JSONEq(t, `{"b":1,"a":2}`, string(to.payload))
	require.Equal(t, []string{"body.eventType"}, h.call(h.operator, http.MethodPost, orders+"/send-test", `{"eventType":"none","payload":{}}`).locs(t))
	h.ok(http.StatusNotFound, http.MethodPost, "/app/acme/endpoint/none/send-test", `{"eventType":"bare","payload":{}}`)
}

// A preview has the form of a request and nothing that is secret: not the signature that the endpoint would accept either.
func TestPreview(t *testing.T) {
	h := acme(t)
	h.eventType("order.created", func(et *catalogue.EventType) {
		et.Schemas = map[string]json.RawMessage{"1": json.RawMessage(`{"type":"object","examples":[{"n":1}]}`)}
	})
	h.ok(http.StatusNoContent, http.MethodPut, orders+"/headers", `{"headers":{"X-Api-Key":"hush-1","X-Shop":"7"}}`)
	h.ok(http.StatusOK, http.MethodPut, orders+"/authorization", `{"token":"hush-2"}`)
	h.ok(http.StatusNoContent, http.MethodPatch, orders+"/transformation", `{"code":".payload.v = $variables.v","enabled":true,"variables":{"v":"hush-3"}}`)
	var out PreviewOut
	raw := h.call(h.reader, http.MethodPost, orders+"/preview", `{"eventType":"order.created"}`).body
	require.NoError(t, json.Unmarshal([]byte(raw), &out))
	require.NotContains(t, raw, "hush")
	require.False(t, out.Transformed)
	require.Equal(t, "POST", out.Method)
	require.Contains(t, out.Body, `"data":{"n":1}`)
	shown := map[string]PreviewHeader{}
	for _, header := range out.Headers {
		shown[strings.ToLower(header.Name)] = header
	}
	require.Equal(t, "7", shown["x-shop"].Value)
	require.True(t, shown["x-api-key"].Hidden)
	require.True(t, shown["authorization"].Hidden)
	require.Regexp(t, `^v1,`, shown["webhook-signature"].Value)
	owners := h.ok(http.StatusOK, http.MethodPost, orders+"/preview", `{"eventType":"order.created","payload":{"n":2}}`).json(t)
	require.Equal(t, true, owners["transformed"])
	require.Contains(t, owners["body"], `"n":2`)
	require.Contains(t, owners["body"], "hush-3", "whoever may change the program may see what it does")
	require.Equal(t, []string{"body.eventType"}, h.call(h.operator, http.MethodPost, orders+"/preview", `{"eventType":"none"}`).locs(t))
}

func TestSigningKeys(t *testing.T) {
	h := acme(t)
	first := h.ok(http.StatusOK, http.MethodGet, orders+"/secret", nil).json(t)["key"].(string)
	second := h.ok(http.StatusOK, http.MethodPost, orders+"/secret/rotate", `{"gracePeriodSeconds":60}`).json(t)["key"].(string)
	raw := h.ok(http.StatusOK, http.MethodGet, orders+"/signing-keys", nil).body
	require.NotContains(t, raw, first)
	var got SigningKeysOut
	require.NoError(t, json.Unmarshal([]byte(raw), &got))
	require.Len(t, got.Data, 2)
	require.True(t, strings.HasSuffix(second, got.Data[0].Hint))
	require.Nil(t, got.Data[0].ExpiresAt)
	require.True(t, strings.HasSuffix(first, got.Data[1].Hint))
	require.NotNil(t, got.Data[1].ExpiresAt)
	require.Empty(t, hint("short"))
	require.Empty(t, hint(sealedPrefix+strings.Repeat("x", 99)))
	require.True(t, subscription.Sealed(sealedPrefix+"x"))
}

// An operator takes an endpoint out of service, and nobody else puts it back.
func TestOperatorLocks(t *testing.T) {
	h := acme(t)
	owner := h.portalToken("acme")
	h.ok(http.StatusNoContent, http.MethodPut, orders+"/lock", nil)
	require.JSONEq(t, `{"locked":true}`, h.call(owner, http.MethodGet, orders+"/lock", nil).body)
	require.Equal(t, "locked", h.call(owner, http.MethodPatch, orders, `{"disabled":false}`).json(t)["code"])
	require.Equal(t, http.StatusForbidden, h.call(owner, http.MethodDelete, orders+"/lock", nil).status)
	h.ok(http.StatusNoContent, http.MethodDelete, orders+"/lock", nil)
	require.Equal(t, http.StatusOK, h.call(owner, http.MethodPatch, orders, `{"disabled":false}`).status)
}

func TestSettings(t *testing.T) {
	h := acme(t)
	owner := h.portalToken("acme", access.ViewBase, access.ManageEndpoint)
	got := h.call(owner, http.MethodPost, "/app/acme/endpoint/with-settings", `{
		"url":"https://full.example/","uid":"full","name":"Full","profile":"dixa","filter":"data.n > 1","disabled":true,
		"headers":{"X-Shop":"7","X-Own":"hush"},"sensitiveHeaders":["X-Own"],"retry":{"kind":"fixed","interval":"1m","maxTries":3}}`)
	require.Equal(t, http.StatusCreated, got.status, got.body)
	const full = "/app/acme/endpoint/full"
	require.Regexp(t, `^[0-9a-f]{64}$`, h.ok(http.StatusOK, http.MethodGet, full+"/secret", nil).json(t)["key"])
	var out SettingsOut
	raw := h.call(owner, http.MethodGet, full+"/settings", nil)
	require.NoError(t, json.Unmarshal([]byte(raw.body), &out))
	require.NotContains(t, raw.body, "hush")
	require.Equal(t, "Full", out.Name)
	require.Equal(t, "dixa", out.Effective.Profile)
	require.Equal(t, []string{"X-Own"}, out.SensitiveHeaders)
	require.Equal(t, "1m0s", out.Retry.Interval)
	require.True(t, out.Disabled)

	put := func(token, body string, headers ...string) reply {
		return h.call(token, http.MethodPut, full+"/settings", body, headers...)
	}
	require.Equal(t, http.StatusOK, put(owner, `{"url":"https://full.example/","uid":"full","profile":"dixa","headers":{"x-own":null}}`,
		"If-Match", raw.header.Get("ETag")).status)
	require.Equal(t, http.StatusPreconditionFailed, put(owner, `{"url":"https://full.example/"}`, "If-Match", raw.header.Get("ETag")).status)
	tenant, _ := h.store.Snapshot().ResolveTenant("acme")
	sub, ok := h.store.Snapshot().ResolveSubscription(tenant.ID, "full")
	require.True(t, ok)
	require.Equal(t, map[string]string{"x-own": "hush"}, sub.Headers)
	require.Equal(t, []string{"x-own"}, sub.SensitiveHeaders)
	require.Nil(t, sub.Retry)

	for body, want := range map[string]string{
		`{"url":"https://x.example","headers":{"X-None":null}}`: "body.headers.X-None",
		`{"url":"https://x.example","profile":"none"}`:          "body.profile",
		`{"url":"https://x.example","filter":"data.n >"}`:       "body.filter",
		`{"url":"https://x.example","retry":{"kind":"list"}}`:   "body.retry.list",
		`{"url":"https://x.example","authorization":{}}`:        "body.authorization",
	} {
		require.Equal(t, []string{want}, put(h.operator, body).locs(t), body)
	}
	require.Equal(t, http.StatusForbidden, put(owner, `{"url":"https://x.example","authorization":{"token":"t"}}`).status)
	require.Equal(t, http.StatusOK, put(h.operator, `{"url":"https://x.example","authorization":{"token":"t"}}`).status)
	const other = `{"url":"https://a.example/in","profile":"dixa"}` // whose secrets have another form
	require.Equal(t, http.StatusForbidden, h.call(owner, http.MethodPut, orders+"/settings", other).status)
	h.ok(http.StatusOK, http.MethodPut, orders+"/settings", other)
	require.Regexp(t, `^[0-9a-f]{64}$`, h.ok(http.StatusOK, http.MethodGet, orders+"/secret", nil).json(t)["key"])
}

// All that an endpoint authenticates with is set in the one write: what is left out stays, null takes it away, secrets that are
// not given again stay with the service that they are for, and nothing secret is shown.
func TestSettingsOfCredentials(t *testing.T) {
	h := acme(t)
	tenant, _ := h.store.Snapshot().ResolveTenant("acme")
	sub := func() *subscription.Subscription {
		s, _ := h.store.Snapshot().ResolveSubscription(tenant.ID, "orders")
		return s
	}
	put := func(token, more string) reply {
		return h.call(token, http.MethodPut, orders+"/settings", `{"uid":"orders","url":"https://a.example/in"`+more+`}`)
	}
	set := func(more string) {
		t.Helper()
		got := put(h.operator, more)
		require.Equal(t, http.StatusOK, got.status, got.body)
	}
	oauth := func(more string) string {
		return `,"oauth":{"grantType":"clientCredentials","authMethod":"clientSecretBasic","clientId":"c","tokenUrl":"https://login.example/"` + more + `}`
	}
	set(oauth(`,"clientSecret":"hush","extraParams":{"audience":"a"}`) + `,"encryption":{"scheme":"voyado","key":"0123456789abcdefghijABCDEFGHIJ01"}`)
	shown := h.ok(http.StatusOK, http.MethodGet, orders+"/settings", nil)
	require.NotContains(t, shown.body, "hush")
	require.NotContains(t, shown.body, "audience")
	require.Equal(t, "c", shown.json(t)["oauth"].(map[string]any)["clientId"])
	require.Equal(t, "voyado", shown.json(t)["encryptionScheme"])
	require.Equal(t, false, shown.json(t)["clientIdentity"])

	set("")
	require.Equal(t, "hush", sub().OAuth.ClientSecret, "left out")
	set(oauth(`,"scopes":["s"]`) + `,"encryption":{"scheme":"voyado"}`)
	require.Equal(t, "hush", sub().OAuth.ClientSecret, "not given again")
	require.Equal(t, map[string]string{"audience": "a"}, sub().OAuth.ExtraParams)
	require.Equal(t, []string{"s"}, sub().OAuth.Scopes)
	require.Equal(t, "0123456789abcdefghijABCDEFGHIJ01", sub().Encryption.Key)

	elsewhere := strings.Replace(oauth(""), "login.example", "other.example", 1)
	require.Equal(t, http.StatusUnprocessableEntity, put(h.operator, elsewhere).status, "a secret goes to no other service")
	for more, want := range map[string]string{
		`,"encryption":{"scheme":"jwe"}`:     "body.encryption.key",
		`,"clientIdentity":"no certificate"`: "body.clientIdentity",
		`,"serverCa":"no certificate"`:       "body.serverCa",
	} {
		require.Equal(t, []string{want}, put(h.operator, more).locs(t), more)
	}
	owner := h.portalToken("acme", access.ViewBase, access.ManageEndpoint)
	require.Equal(t, http.StatusForbidden, put(owner, `,"oauth":null`).status)
	require.Equal(t, http.StatusOK, put(owner, "").status)
	set(`,"oauth":null,"encryption":null,"clientIdentity":null,"serverCa":null,"authorization":null`)
	require.Nil(t, sub().OAuth)
	require.Nil(t, sub().Encryption)
}

// Why Postrider disabled an endpoint is said until somebody enables it.
func TestDisabledReason(t *testing.T) {
	h := acme(t)
	tenant, _ := h.store.Snapshot().ResolveTenant("acme")
	old, _ := h.store.Snapshot().ResolveSubscription(tenant.ID, "orders")
	sub := *old
	sub.Disabled, sub.DisabledReason = true, "failing"
	h.apply(registry.PutSubscription(&sub))
	reason := func() any {
		return h.ok(http.StatusOK, http.MethodGet, orders+"/settings", nil).json(t)["disabledReason"]
	}
	require.Equal(t, "failing", reason())
	h.ok(http.StatusOK, http.MethodPatch, orders, `{"description":"still"}`)
	require.Equal(t, "failing", reason())
	h.ok(http.StatusOK, http.MethodPatch, orders, `{"disabled":false}`)
	require.Nil(t, reason())
	h.ok(http.StatusOK, http.MethodPatch, orders, `{"disabled":true}`)
	require.Nil(t, reason(), "a person did")
}
