package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// secretOf is a good secret of profile standard.
func secretOf(i int) string { return fmt.Sprintf("whsec_%032d", i) }

func (h *harness) orders() *subscription.Subscription {
	h.t.Helper()
	t, ok := h.store.Snapshot().ResolveTenant("acme")
	require.True(h.t, ok)
	s, ok := h.store.Snapshot().ResolveSubscription(t.ID, "orders")
	require.True(h.t, ok)
	return s
}

func TestRotation(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	h := acme(t, func(o *Options) { o.Now = func() time.Time { return now } })
	key := func() string {
		return h.ok(http.StatusOK, http.MethodGet, orders+"/secret", nil).json(t)["key"].(string)
	}
	const rotate = orders + "/secret/rotate"
	first := key()
	require.Regexp(t, `^whsec_[A-Za-z0-9+/=]{32,100}$`, first)

	h.ok(http.StatusOK, http.MethodPost, rotate, map[string]any{"key": secretOf(1)})
	require.Equal(t, secretOf(1), key())
	require.Equal(t, []subscription.RetiredSecret{{Secret: first, Expires: now.Add(24 * time.Hour)}}, h.orders().Retired)
	for _, used := range []string{first, secretOf(1)} {
		require.Equal(t, []string{"body.key"}, h.call(h.operator, http.MethodPost, rotate, map[string]any{"key": used}).locs(t))
	}
	require.Equal(t, []string{"body.key"}, h.call(h.operator, http.MethodPost, rotate, map[string]any{"key": "whsec_x"}).locs(t))
	require.Equal(t, []string{"body.gracePeriodSeconds"},
		h.call(h.operator, http.MethodPost, rotate, map[string]any{"gracePeriodSeconds": 604801}).locs(t))

	for i := 2; i <= 10; i++ {
		h.ok(http.StatusOK, http.MethodPost, rotate, map[string]any{"key": secretOf(i), "gracePeriodSeconds": 60 * i})
	}
	require.Len(t, h.orders().Retired, 10)
	require.Equal(t, secretOf(9), h.orders().Retired[0].Secret)
	full := h.call(h.operator, http.MethodPost, rotate, map[string]any{})
	require.Equal(t, http.StatusBadRequest, full.status)
	require.Equal(t, "limit_reached", full.json(t)["code"])
	require.Equal(t, secretOf(10), key())

	h.ok(http.StatusOK, http.MethodPost, rotate, map[string]any{"key": secretOf(11), "gracePeriodSeconds": 0})
	require.Len(t, h.orders().Retired, 10)
	require.NotContains(t, fmt.Sprint(h.orders().Retired), secretOf(10), "dropped at once")
	now = now.Add(3 * time.Minute)
	made := h.ok(http.StatusOK, http.MethodPost, rotate, map[string]any{})
	require.JSONEq(t, `{"key":"`+key()+`"}`, made.body)
	require.NotEmpty(t, made.header.Get("ETag"))
	require.Len(t, h.orders().Retired, 9, "those of two and three minutes have expired")
	require.NotEqual(t, secretOf(11), key())
}

func TestSecretsAreNotForEverybody(t *testing.T) {
	h := acme(t)
	viewer := h.portalToken("acme", access.ViewBase)
	editor := h.portalToken("acme", access.ViewBase, access.ManageEndpoint)
	for _, token := range []string{h.reader, viewer, editor} {
		require.Equal(t, http.StatusForbidden, h.call(token, http.MethodGet, orders+"/secret", nil).status)
		require.Equal(t, http.StatusForbidden, h.call(token, http.MethodPost, orders+"/secret/rotate", map[string]any{}).status)
		require.Equal(t, http.StatusForbidden, h.call(token, http.MethodPut, orders+"/oauth", oauth()).status)
	}
	require.Equal(t, http.StatusForbidden, h.call(editor, http.MethodPut, orders+"/delivery-policy",
		map[string]any{"secret": secretOf(1)}).status, "a new secret needs more than an endpoint's policy")
	require.Equal(t, http.StatusOK, h.call(editor, http.MethodPut, orders+"/delivery-policy", map[string]any{"name": "n"}).status)
}

func oauth() map[string]any {
	return map[string]any{
		"grantType": "clientCredentials", "authMethod": "clientSecretBasic", "clientId": "id", "clientSecret": "hidden-1",
		"tokenUrl": "https://id.example/token", "scopes": []string{"a"}, "extraParams": map[string]string{"audience": "x", "k": "hidden-2"},
		"extraHeaders": map[string]string{"X-Api-Key": "hidden-3"},
	}
}

func TestWhatIsSensitiveIsNeverShown(t *testing.T) {
	h := acme(t)
	h.ok(http.StatusNoContent, http.MethodPut, orders+"/headers",
		map[string]any{"headers": map[string]string{"x-API-key": "hidden-4", "X-Marked": "hidden-5", "X-Open": "shown"}})
	h.ok(http.StatusOK, http.MethodPut, orders+"/sensitive-headers", map[string]any{"names": []string{"x-marked"}})
	h.ok(http.StatusNoContent, http.MethodPut, orders+"/oauth", oauth())
	h.ok(http.StatusOK, http.MethodPut, orders+"/authorization", map[string]any{"basic": map[string]string{"username": "u", "password": "hidden-6"}})
	h.ok(http.StatusOK, http.MethodPut, orders+"/encryption", map[string]any{"scheme": "voyado", "key": "hidden8hidden8hidden8hidden8abcd"})
	h.ok(http.StatusNoContent, http.MethodPatch, orders+"/transformation", map[string]any{"variables": map[string]string{"a": "hidden-9"}})
	for _, resource := range []string{
		"/encryption", "/transformation", "", "/headers", "/sensitive-headers", "/oauth", "/oauth-config", "/mtls-config", "/ca", "/delivery-policy", "/filter", "/authorization",
	} {
		got := h.call(h.reader, http.MethodGet, orders+resource, nil)
		require.Equal(t, http.StatusOK, got.status, resource+got.body)
		require.NotContains(t, got.body, "hidden", resource)
		admin := h.ok(http.StatusOK, http.MethodGet, orders+resource, nil).body
		for _, n := range []string{"hidden8", "hidden-1", "hidden-3", "hidden-4", "hidden-5", "hidden-6"} {
			require.NotContains(t, admin, n, resource)
		}
	}
	require.NotContains(t, h.log.String(), "hidden")
	require.JSONEq(t, `{"headers":{"X-Open":"shown"},"sensitive":["X-Marked","x-API-key"]}`,
		h.ok(http.StatusOK, http.MethodGet, orders+"/headers", nil).body)
	require.JSONEq(t, `{"kind":"basic","username":"u"}`, h.ok(http.StatusOK, http.MethodGet, orders+"/authorization", nil).body)
	require.Equal(t, []string{"body.names"}, h.call(h.operator, http.MethodPut, orders+"/sensitive-headers",
		map[string]any{"names": []string{}}).locs(t), "taking the mark off would show the value")
	require.Equal(t, []string{"body.names.1"}, h.call(h.operator, http.MethodPut, orders+"/sensitive-headers",
		map[string]any{"names": []string{"X-Marked", "X-None"}}).locs(t))

	h.ok(http.StatusNoContent, http.MethodPatch, orders+"/headers",
		`{"headers":{"X-OPEN":"other","x-marked":"hidden-7","x-api-key":null},"deleteHeaders":["nothing"]}`)
	require.JSONEq(t, `{"headers":{"X-OPEN":"other"},"sensitive":["x-marked"]}`,
		h.ok(http.StatusOK, http.MethodGet, orders+"/headers", nil).body)
	bad := h.call(h.operator, http.MethodPatch, orders+"/headers", map[string]any{"headers": map[string]string{"X-Bad": "hidden\n"}})
	require.Equal(t, []string{"body.headers.X-Bad"}, bad.locs(t))
	require.NotContains(t, bad.body, "hidden")
}

func TestCredentials(t *testing.T) {
	h := acme(t)
	for _, resource := range []string{"/oauth", "/mtls"} {
		h.ok(http.StatusNotFound, http.MethodGet, orders+resource, nil)
		require.JSONEq(t, `{"enabled":false}`, h.ok(http.StatusOK, http.MethodGet, orders+resource+"-config", nil).body)
	}
	h.ok(http.StatusNoContent, http.MethodPut, orders+"/oauth", oauth())
	require.JSONEq(t, `{"enabled":true,"config":{"grantType":"clientCredentials","authMethod":"clientSecretBasic","clientId":"id",
		"tokenUrl":"https://id.example/token","scopes":["a"],"extraParams":{"audience":"x","k":"hidden-2"}}}`,
		h.ok(http.StatusOK, http.MethodGet, orders+"/oauth-config", nil).body)
	without := oauth()
	delete(without, "clientSecret")
	without["tokenUrl"] = "http://id.example"
	require.ElementsMatch(t, []string{"body.clientSecret", "body.tokenUrl"}, h.call(h.operator, http.MethodPut, orders+"/oauth", without).locs(t))
	h.ok(http.StatusNoContent, http.MethodDelete, orders+"/oauth", nil)
	h.ok(http.StatusNotFound, http.MethodGet, orders+"/oauth", nil)

	for path, want := range map[string]string{
		"/mtls":          `{"identity":"hidden"} body.identity`,
		"/ca":            `{"cert":"hidden"} body.cert`,
		"/authorization": `{"token":"a","basic":{"username":"u","password":"p"}} body`,
	} {
		body, loc, _ := strings.Cut(want, " ")
		got := h.call(h.operator, http.MethodPut, orders+path, body)
		require.Equal(t, []string{loc}, got.locs(t), path)
		require.NotContains(t, got.body, "hidden")
	}
	require.JSONEq(t, `{"kind":"token"}`, h.ok(http.StatusOK, http.MethodPut, orders+"/authorization", `{"token":"x"}`).body)
	h.ok(http.StatusNoContent, http.MethodDelete, orders+"/authorization", nil)
	require.JSONEq(t, `{"kind":"none"}`, h.ok(http.StatusOK, http.MethodGet, orders+"/authorization", nil).body)
	require.JSONEq(t, `{}`, h.ok(http.StatusOK, http.MethodGet, orders+"/ca", nil).body)
}

func TestDeliveryPolicy(t *testing.T) {
	h := acme(t)
	const path = orders + "/delivery-policy"
	got := h.ok(http.StatusOK, http.MethodPut, path, `{"name":"Orders","timeoutSeconds":5,"failure":{"kind":"consecutive","failures":9},
		"retry":{"kind":"fixed","interval":"1m30s","maxTries":3},"ordering":"none","redactResponses":true}`).json(t)
	effective := map[string]any{
		"profile": "standard", "timeoutSeconds": 5.0, "retry": map[string]any{"kind": "fixed", "interval": "1m30s", "maxTries": 3.0},
		"failure": map[string]any{"kind": "consecutive", "failures": 9.0},
	}
	require.Equal(t, map[string]any{
		"name": "Orders", "profile": nil, "timeoutSeconds": 5.0, "failure": map[string]any{"kind": "consecutive", "failures": 9.0},
		"retry": effective["retry"], "ordering": "none", "redactResponses": true, "effective": effective,
	}, got)
	got = h.ok(http.StatusOK, http.MethodPatch, path, `{"retry":null,"failure":null}`).json(t)
	require.Nil(t, got["retry"])
	require.Nil(t, got["failure"])
	require.Equal(t, true, got["redactResponses"])
	require.True(t, h.orders().RedactResponses)
	require.Equal(t, false, h.ok(http.StatusOK, http.MethodPatch, path, `{"redactResponses":null}`).json(t)["redactResponses"])
	require.Equal(t, map[string]any{
		"kind": "lasting", "failures": 3.0, "for": "120h0m0s", "within": "24h0m0s", "apart": "12h0m0s", "effect": "disable",
	}, got["effective"].(map[string]any)["failure"], "the profile's")
	require.Equal(t, "5", fmt.Sprint(got["timeoutSeconds"]))
	for body, want := range map[string]string{
		`{"timeoutSeconds":61}`: "body.timeoutSeconds", `{"timeoutSeconds":0}`: "body.timeoutSeconds", `{"ordering":"strict"}`: "body.ordering",
		`{"profile":"nobody"}`: "body.profile", `{"profile":"dixa"}`: "body.secret",
		`{"profile":"dixa","secret":"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}`: "body.secret",
		`{"retry":{"kind":"fixed","interval":"soon","maxTries":1}}`:            "body.retry.interval",
		`{"retry":{"kind":"list","list":["1s","x"]}}`:                          "body.retry.list.1",
		`{"retry":{"kind":"fixed","interval":"1s"}}`:                           "body.retry.maxTries",
		`{"failure":{"kind":"rate","percent":95,"attempts":9,"within":"x"}}`:   "body.failure.within",
		`{"failure":{"kind":"consecutive","failures":1,"percent":1}}`:          "body.failure.percent",
	} {
		require.Equal(t, []string{want}, h.call(h.operator, http.MethodPatch, path, body).locs(t), body)
	}
	secret := strings.Repeat("0a", 32)
	got = h.ok(http.StatusOK, http.MethodPatch, path, map[string]any{"profile": "dixa", "secret": secret}).json(t)
	require.Equal(t, "dixa", got["profile"])
	require.Equal(t, []string{secret}, h.orders().Secrets)
	require.Empty(t, h.orders().Retired, "the old one signs nothing under this profile")
	h.ok(http.StatusOK, http.MethodPatch, path, map[string]any{"secret": secret})
}

// What a failure policy has locked, only an operator enables, whatever the way.
func TestLockedEndpoint(t *testing.T) {
	h := acme(t)
	tenant, _ := h.store.Snapshot().ResolveTenant("acme")
	admin := h.key(access.RoleTenant, tenant.ID)
	locked := *h.orders()
	locked.Disabled, locked.Locked = true, true
	_, err := h.store.Apply(t.Context(), audit.Actor{Kind: audit.ActorSystem}, registry.PutSubscription(&locked))
	require.NoError(t, err)

	require.Equal(t, http.StatusForbidden, h.call(admin, http.MethodPatch, orders, `{"disabled":false}`).status)
	require.Equal(t, http.StatusForbidden, h.call(admin, http.MethodPut, orders, `{"url":"https://a.example/in"}`).status)
	require.Equal(t, http.StatusOK, h.call(admin, http.MethodPatch, orders, `{"description":"down"}`).status)
	require.True(t, h.orders().Locked)
	h.ok(http.StatusOK, http.MethodPatch, orders, `{"disabled":false}`)
	require.False(t, h.orders().Locked)
	require.Equal(t, http.StatusOK, h.call(admin, http.MethodPatch, orders, `{"disabled":true}`).status)
	require.Equal(t, http.StatusOK, h.call(admin, http.MethodPatch, orders, `{"disabled":false}`).status)
}

func TestFilter(t *testing.T) {
	h := acme(t)
	const path = orders + "/filter"
	h.eventType("order.created", func(et *catalogue.EventType) {
		et.Schemas = map[string]json.RawMessage{"1": json.RawMessage(`{"type":"object","properties":{"amount":{"type":"integer"}}}`)}
	})
	require.JSONEq(t, `{"expression":null}`, h.ok(http.StatusOK, http.MethodGet, path, nil).body)
	for _, bad := range []string{"data.amount >", "data.amuont > 1", "1 + 1"} {
		require.Equal(t, []string{"body.expression"}, h.call(h.operator, http.MethodPut, path, map[string]string{"expression": bad}).locs(t), bad)
	}
	h.ok(http.StatusOK, http.MethodPut, path, map[string]string{"expression": "data.amount > 1"})
	require.Equal(t, "data.amount > 1", h.orders().Filter)
	h.ok(http.StatusNoContent, http.MethodDelete, path, nil)
	require.Empty(t, h.orders().Filter)
	for _, both := range []string{`{}`, `{"expression":"true","conditions":{"strategy":"All","conditions":[{"operator":"IsOneOf","field":"QueueId","values":["q"]}]}}`} {
		require.Equal(t, []string{"body"}, h.call(h.operator, http.MethodPut, path, both).locs(t), both)
	}
}

// Filters in the form of Dixa's API are kept in CEL, and checked as that.
func TestFilterOfConditions(t *testing.T) {
	h := acme(t)
	const path = orders + "/filter"
	body := `{"conditions":{"strategy":"Any","conditions":[{"operator":"IsOneOf","field":"InitialChannel","values":["EMAIL","it's"]}]}}`
	require.JSONEq(t, `{"expression":"data.conversation.channel in [\"EMAIL\", \"it's\"]"}`, h.ok(http.StatusOK, http.MethodPut, path, body).body)
	h.eventType("order.created", func(et *catalogue.EventType) {
		et.Schemas = map[string]json.RawMessage{"1": json.RawMessage(`{"type":"object","properties":{"amount":{"type":"integer"}}}`)}
	})
	h.ok(http.StatusNoContent, http.MethodDelete, path, nil)
	h.ok(http.StatusOK, http.MethodPatch, orders, `{"eventTypes":["order.created"]}`)
	require.Equal(t, []string{"body.conditions"}, h.call(h.operator, http.MethodPut, path, body).locs(t), "an order has no conversation")
}

// Other event types are no way round the check of a filter.
func TestFilterFitsTheEventTypes(t *testing.T) {
	h := acme(t)
	for name, field := range map[string]string{"order.created": "amount", "order.paid": "amount", "contact.created": "email"} {
		h.eventType(name, func(et *catalogue.EventType) {
			et.Schemas = map[string]json.RawMessage{"1": json.RawMessage(`{"type":"object","properties":{"` + field + `":{"type":"integer"}}}`)}
		})
	}
	h.ok(http.StatusOK, http.MethodPatch, orders, `{"eventTypes":["order.created"]}`)
	h.ok(http.StatusOK, http.MethodPut, orders+"/filter", map[string]string{"expression": "data.amount > 1"})
	require.Equal(t, []string{"body.filter"}, h.call(h.operator, http.MethodPatch, orders, `{"eventTypes":["contact.created"]}`).locs(t))
	require.Equal(t, []string{"body.filter"}, h.call(h.operator, http.MethodPut, orders,
		`{"url":"https://a.example/in","eventTypes":["contact.*"]}`).locs(t))
	require.Equal(t, []string{"order.created"}, h.orders().EventTypes, "what is refused changes nothing")
	h.ok(http.StatusOK, http.MethodPatch, orders, `{"eventTypes":["order.paid","contact.created"]}`)
	h.ok(http.StatusOK, http.MethodPatch, orders, `{"eventTypes":null}`)
	h.ok(http.StatusNoContent, http.MethodDelete, orders+"/filter", nil)
	h.ok(http.StatusOK, http.MethodPatch, orders, `{"eventTypes":["contact.created"]}`)
}

func TestTenantPolicies(t *testing.T) {
	h := acme(t)
	h.eventType("order.created")
	tenant, _ := h.store.Snapshot().ResolveTenant("acme")
	admin := h.key(access.RoleTenant, tenant.ID)
	require.JSONEq(t, `{"eventTypes":null}`, h.call(admin, http.MethodGet, "/app/acme/event-types", nil).body)
	require.Equal(t, http.StatusForbidden, h.call(admin, http.MethodPut, "/app/acme/event-types", `{"eventTypes":null}`).status)
	for body, want := range map[string]string{
		`{"eventTypes":["order.create"]}`: "body.eventTypes.0", `{"eventTypes":[]}`: "body.eventTypes", `{"eventTypes":["a*"]}`: "body.eventTypes.0",
	} {
		require.Equal(t, []string{want}, h.call(h.operator, http.MethodPut, "/app/acme/event-types", body).locs(t), body)
	}
	h.ok(http.StatusOK, http.MethodPut, "/app/acme/event-types", `{"eventTypes":["order.*"]}`)
	require.JSONEq(t, `{"eventTypes":["order.*"]}`, h.call(admin, http.MethodGet, "/app/acme/event-types", nil).body)

	const path = "/app/acme/delivery-policy"
	refused := h.call(admin, http.MethodPut, path, `{"profile":"dixa"}`)
	require.Equal(t, []string{"body.profile"}, refused.locs(t))
	require.Contains(t, refused.body, endpointID(h.orders()), "the endpoint whose secret does not fit")
	require.Equal(t, []string{"body.profile"}, h.call(admin, http.MethodPut, path, `{"profile":"nobody"}`).locs(t))
	h.ok(http.StatusOK, http.MethodPatch, orders+"/delivery-policy", `{"profile":"standard"}`)
	require.JSONEq(t, `{"profile":"dixa","effective":{"profile":"dixa"}}`, h.call(admin, http.MethodPut, path, `{"profile":"dixa"}`).body)
	made := h.ok(http.StatusCreated, http.MethodPost, "/app/acme/endpoint", map[string]any{"url": "https://a.example"}).json(t)["id"].(string)
	require.Regexp(t, "^[0-9a-f]{64}$", h.ok(http.StatusOK, http.MethodGet, "/app/acme/endpoint/"+made+"/secret", nil).json(t)["key"])
}

// prober finds what it is told.
type prober []egress.Finding

func (p prober) Probe(context.Context, string, *egress.TLS) []egress.Finding { return p }

func TestValidateEndpoint(t *testing.T) {
	const path = "/app/acme/endpoint/validate"
	good := prober{{Step: egress.StepResolves, OK: true, Detail: "r"}, {Step: egress.StepConnects, OK: true}, {Step: egress.StepTLS, OK: true}}
	h := acme(t, func(o *Options) { o.Prober = good })
	got := h.ok(http.StatusOK, http.MethodPost, path, `{"url":"https://a.example"}`).json(t)
	require.Equal(t, true, got["valid"])
	require.Empty(t, got["problems"])
	require.Equal(t, map[string]any{"name": "resolves", "status": "ok", "detail": "r"}, got["checks"].([]any)[0])
	require.JSONEq(t, `{"valid":false,"problems":[{"field":"url","detail":"want https://host/path"},
		{"field":"secret","detail":`+quoted(t, h, "x")+`},{"field":"uid","detail":"is taken by `+endpointID(h.orders())+`"}],
		"checks":[{"name":"resolves","status":"skipped","detail":"the URL is not allowed"},
		{"name":"connects","status":"skipped","detail":"the URL is not allowed"},{"name":"tls","status":"skipped","detail":"the URL is not allowed"}]}`,
		h.ok(http.StatusOK, http.MethodPost, path, `{"url":"http://a","uid":"orders","secret":"x"}`).body)

	failing := acme(t, func(o *Options) { o.Prober = prober{{Step: egress.StepResolves, Detail: "no such host"}} })
	got = failing.ok(http.StatusOK, http.MethodPost, path, `{"url":"https://a.example"}`).json(t)
	require.Equal(t, false, got["valid"])
	require.Equal(t, []any{
		map[string]any{"name": "resolves", "status": "failed", "detail": "no such host"},
		map[string]any{"name": "connects", "status": "skipped", "detail": "the step before failed"},
		map[string]any{"name": "tls", "status": "skipped", "detail": "the step before failed"},
	}, got["checks"])
	list := failing.ok(http.StatusOK, http.MethodGet, "/app/acme/endpoint", nil).json(t)
	require.Len(t, list["data"], 1, "nothing was created")
}

// handshakes keeps what a probe would bring to the handshake.
type handshakes struct{ own []*egress.TLS }

func (h *handshakes) Probe(_ context.Context, _ string, own *egress.TLS) []egress.Finding {
	h.own = append(h.own, own)
	return nil
}

// The check-up shakes hands as deliveries would: a profile with another lowest TLS version has it there, too.
func TestValidateEndpointByTheProfilesTLS(t *testing.T) {
	old, err := profile.Load(fstest.MapFS{"old.yaml": {Data: []byte(`{name: old, envelope: raw, signature: standard, success: ["200-299"], timeout: 15s,
		minTLS: "1.0", retry: {kind: fixed, interval: 1m, maxTries: 4}}`)}})
	require.NoError(t, err)
	var probed handshakes
	h := acme(t, func(o *Options) {
		o.Prober, o.Profiles = &probed, o.Profiles.With(old)
		o.Rules.Profiles = o.Profiles.Names()
	})
	try := func() {
		h.ok(http.StatusOK, http.MethodPost, "/app/acme/endpoint/validate", `{"url":"https://a.example"}`)
	}
	try()
	h.ok(http.StatusOK, http.MethodPut, "/app/acme/delivery-policy", `{"profile":"old"}`)
	try()
	want, err := egress.NewTLS("", "", tls.VersionTLS10)
	require.NoError(t, err)
	require.Equal(t, []*egress.TLS{nil, want}, probed.own)
}

// quoted is what the standard profile says about a secret, as JSON.
func quoted(t *testing.T, h *harness, secret string) string {
	t.Helper()
	raw, err := json.Marshal(h.api.opts.Rules.CheckSecret("standard", secret).Error())
	require.NoError(t, err)
	return string(raw)
}

// sender keeps what it is asked to send.
type sender struct {
	sub     string
	payload json.RawMessage
	err     error
}

func (s *sender) SendTo(
	_ context.Context, _ *subscription.Tenant, sub *subscription.Subscription, _ string, payload json.RawMessage,
) (pipeline.Published, error) {
	s.sub, s.payload = sub.UID, payload
	return pipeline.Published{Message: ident.New(), Time: time.Unix(1, 0).UTC()}, s.err
}

func TestSendExample(t *testing.T) {
	to := &sender{}
	h := acme(t, func(o *Options) { o.Sender = to })
	h.eventType("order.created", func(et *catalogue.EventType) {
		et.Schemas = map[string]json.RawMessage{"1": json.RawMessage(`{"type":"object","examples":[{"n":0},{"n":1}]}`)}
	})
	h.eventType("bare")
	const path = orders + "/send-example"
	got := h.ok(http.StatusAccepted, http.MethodPost, path, `{"eventType":"order.created","exampleIndex":1}`).json(t)
	require.Equal(t, "orders", to.sub)
	require.JSONEq(t, `{"n":1}`, string(to.payload))
	require.Regexp(t, `^msg_[A-Za-z0-9]{27}$`, got["id"])
	require.Equal(t, map[string]any{"n": 1.0}, got["payload"])
	for body, want := range map[string]string{
		`{"eventType":"order.create"}`: "body.eventType", `{"eventType":"bare"}`: "body.eventType",
		`{"eventType":"order.created","exampleIndex":2}`: "body.exampleIndex",
	} {
		require.Equal(t, []string{want}, h.call(h.operator, http.MethodPost, path, body).locs(t), body)
	}
	require.Equal(t, http.StatusForbidden, h.call(h.reader, http.MethodPost, path, `{"eventType":"order.created"}`).status)
	to.err = errors.New("kafka is away")
	h.ok(http.StatusInternalServerError, http.MethodPost, path, `{"eventType":"order.created"}`)
	h.ok(http.StatusOK, http.MethodPatch, orders, `{"disabled":true}`)
	require.Equal(t, "endpoint_disabled", h.ok(http.StatusConflict, http.MethodPost, path, `{"eventType":"order.created"}`).json(t)["code"])
}
