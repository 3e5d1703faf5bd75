package api

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// guideWebhook is the creation request of flexEngage's guide, to the byte.
const guideWebhook = `{ "endpoint": "https://example.com/my/webhook/endpoint", "events": [ "NOTIFICATION.SMS.RECEIPT" ], "enabled": true }`

// webhook creates a webhook of a brand.
func (h *harness) webhook(token, brand, body string, headers ...string) reply {
	h.t.Helper()
	return h.callAt(token, http.MethodPost, "/v1/"+brand+"/webhooks", body, headers...)
}

func TestWebhookOfTheGuide(t *testing.T) {
	t.Parallel()
	h := newHarness(t, rules)
	brand := h.tenant("yourBrandId")
	h.eventType("NOTIFICATION.SMS.RECEIPT")
	token := h.key(access.RoleTenant, brand.ID)
	for _, name := range []string{"yourBrandId", brand.ID.UUID(), brand.ID.Base62(subscription.TenantPrefix)} {
		got := h.webhook(token, name, guideWebhook)
		require.Equal(t, http.StatusCreated, got.status, got.body)
		out := got.json(t)
		id, created := out["id"].(string), out["created"]
		require.NotEmpty(t, created)
		delete(out, "created")
		require.Equal(t, map[string]any{
			"id": id, "brandId": "yourBrandId", "endpoint": "https://example.com/my/webhook/endpoint",
			"events": []any{"NOTIFICATION.SMS.RECEIPT"}, "enabled": true,
		}, out)

		// It is an endpoint as every other one.
		one := "/app/yourBrandId/endpoint/" + id
		same := h.ok(http.StatusOK, http.MethodGet, one, nil)
		require.Equal(t, "https://example.com/my/webhook/endpoint", same.json(t)["url"])
		require.Equal(t, got.header.Get("ETag"), same.header.Get("ETag"))
		policy := h.ok(http.StatusOK, http.MethodGet, one+"/delivery-policy", nil).json(t)
		require.Equal(t, "flexengage", policy["profile"])
		require.Regexp(t, "^whsec_", h.ok(http.StatusOK, http.MethodGet, one+"/secret", nil).json(t)["key"])
	}
}

func TestWebhookRefusals(t *testing.T) {
	// An installation that allows http, as that of development does.
	h := newHarness(t, rules, func(o *Options) { o.Rules.CheckURL = nil })
	h.tenant("brand", func(t *subscription.Tenant) { t.EventTypes = []string{"NOTIFICATION.**"} })
	h.eventType("NOTIFICATION.SMS.RECEIPT")
	h.eventType("contact.created")
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"http":          {strings.Replace(guideWebhook, "https://", "http://", 1), []string{"body.endpoint"}},
		"no scheme":     {strings.Replace(guideWebhook, "https://", "", 1), []string{"body.endpoint"}},
		"no endpoint":   {`{"events":["NOTIFICATION.SMS.RECEIPT"]}`, []string{"body"}},
		"no events":     {`{"endpoint":"https://a.example"}`, []string{"body"}},
		"empty events":  {`{"endpoint":"https://a.example","events":[]}`, []string{"body.events"}},
		"unknown event": {`{"endpoint":"https://a.example","events":["NOTIFICATION.SMS.RECEIPT","NOTIFICATION.SMS.RECEIP"]}`, []string{"body.events.1"}},
		"not activated": {`{"endpoint":"https://a.example","events":["contact.created"]}`, []string{"body.events.0"}},
		"pattern":       {`{"endpoint":"https://a.example","events":["NOT*"]}`, []string{"body.events.0"}},
		"other member":  {`{"endpoint":"https://a.example","events":["NOTIFICATION.SMS.RECEIPT"],"url":"https://a.example"}`, []string{"body.url"}},
		"two things":    {`{"endpoint":"http://a.example","events":[]}`, []string{"body.endpoint", "body.events"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.webhook(h.operator, "brand", c.body)
			require.ElementsMatch(t, c.want, got.locs(t), got.body)
		})
	}
	require.Contains(t, h.webhook(h.operator, "brand", `{"endpoint":"http://a.example","events":["NOTIFICATION.**"]}`).body, "an https:// URL")
	brand, _ := h.store.Snapshot().ResolveTenant("brand")
	for range h.store.Snapshot().SubscriptionsOf(brand.ID, [16]byte{}) {
		t.Fatal("something was created all the same")
	}

	// What the installation does not allow is refused under the name that it has here.
	strict := newHarness(t, rules, func(o *Options) { o.Rules.CheckURL = func(string) error { return assert.AnError } })
	strict.tenant("brand")
	require.Equal(t, []string{"body.endpoint"}, strict.webhook(strict.operator, "brand", guideWebhook).locs(t))
}

func TestWebhookTakesTheProfileOfItsBrand(t *testing.T) {
	t.Parallel()
	h := newHarness(t, rules)
	h.tenant("flex", func(t *subscription.Tenant) { t.Profile = "flexengage" })
	h.tenant("dixa", func(t *subscription.Tenant) { t.Profile = "dixa" })
	for brand, want := range map[string]any{"flex": nil, "dixa": "flexengage"} {
		got := h.webhook(h.operator, brand, strings.Replace(guideWebhook, "true", "false", 1))
		require.Equal(t, http.StatusCreated, got.status, got.body)
		require.Equal(t, false, got.json(t)["enabled"])
		one := "/app/" + brand + "/endpoint/" + got.json(t)["id"].(string)
		policy := h.ok(http.StatusOK, http.MethodGet, one+"/delivery-policy", nil).json(t)
		require.Equal(t, want, policy["profile"], brand)
		require.Equal(t, "flexengage", policy["effective"].(map[string]any)["profile"], brand)
		require.Equal(t, true, h.ok(http.StatusOK, http.MethodGet, one, nil).json(t)["disabled"])
	}
	enabled := h.webhook(h.operator, "flex", `{"endpoint":"https://a.example","events":["a.b"]}`)
	require.Equal(t, true, enabled.json(t)["enabled"], "unless it says otherwise")
}

func TestWebhookIsCreatedOncePerKey(t *testing.T) {
	t.Parallel()
	c := &claims{kept: map[string]*keptAnswer{}}
	h := newHarness(t, rules, func(o *Options) { o.Idempotency = c })
	brand := h.tenant("brand")
	first := h.webhook(h.operator, "brand", guideWebhook, "idempotency-key", "k1")
	require.Equal(t, http.StatusCreated, first.status, first.body)
	again := h.webhook(h.operator, "brand", guideWebhook, "idempotency-key", "k1")
	require.Equal(t, first.body, again.body)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	n := 0
	for range h.store.Snapshot().SubscriptionsOf(brand.ID, [16]byte{}) {
		n++
	}
	require.Equal(t, 1, n)
}

// journal is a registry that notes who wrote how many changes: what the audit log and the operational events are made of.
type journal struct {
	Store
	by      []audit.Actor
	changes int
}

func (j *journal) Apply(ctx context.Context, by audit.Actor, changes ...registry.Change) (registry.Result, error) {
	j.by, j.changes = append(j.by, by), j.changes+len(changes)
	return j.Store.Apply(ctx, by, changes...)
}

func TestWebhookIsWrittenInTheCallersName(t *testing.T) {
	t.Parallel()
	j := &journal{}
	h := newHarness(t, rules, func(o *Options) { j.Store, o.Store = o.Store, j })
	brand := h.tenant("brand")
	got := h.webhook(h.key(access.RoleTenant, brand.ID), "brand", guideWebhook)
	require.Equal(t, http.StatusCreated, got.status, got.body)
	require.Len(t, j.by, 1)
	require.Equal(t, 1, j.changes)
	require.Equal(t, "tenant", j.by[0].Name)
	require.NotEmpty(t, j.by[0].Request)
	require.Equal(t, audit.ActorKey, j.by[0].Kind)
}

// Below /v1 there is that call and nothing else.
func TestNothingElseIsBelowV1(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.tenant("brand")
	for _, path := range []string{"/v1/brand/webhooks", "/v1/brand/webhooks/x/events", "/v1/app"} {
		got := h.callAt(h.operator, http.MethodGet, path, nil)
		require.Equal(t, http.StatusNotFound, got.status, got.body)
		require.Equal(t, "not_found", got.json(t)["code"])
	}
}
