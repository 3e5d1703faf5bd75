package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

func TestPauses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tenant := h.tenant("acme")
	h.apply(registry.PutSubscription(&subscription.Subscription{ID: ident.New(), Tenant: tenant.ID, UID: "orders", URL: "https://a.example"}))
	owner := h.key(access.RoleTenant, tenant.ID)
	const endpoint = "/app/acme/endpoint/orders/pause"
	why := map[string]any{"reason": "their receiver is being moved"}

	got := h.call(h.operator, http.MethodPut, endpoint+"?wait=applied", why)
	require.Equal(t, http.StatusOK, got.status, got.body)
	assert.Equal(t, appliedAll, got.header.Get("Postrider-Applied"))
	first := got.json(t)
	assert.Equal(t, "subscription", first["scope"])
	assert.Equal(t, "operator", first["by"], "the name of the key")

	state := h.call(owner, http.MethodGet, endpoint, nil).json(t)
	assert.Equal(t, true, state["paused"])
	assert.Equal(t, "their receiver is being moved", state["pause"].(map[string]any)["reason"])
	assert.NotContains(t, state["pause"], "by", "who works for the operator is not the owner's business")

	assert.Equal(t, []any{first["endpointId"]}, h.call(owner, http.MethodGet, "/app/acme/pause", nil).json(t)["endpointIds"])

	for _, at := range []string{"/app/acme/pause", "/pause/role/router", "/pause/egress"} {
		require.Equal(t, http.StatusOK, h.call(h.operator, http.MethodPut, at, why).status, at)
	}
	list := h.call(h.reader, http.MethodGet, "/pause", nil).json(t)["data"].([]any)
	assert.Len(t, list, 4)
	list = h.call(h.reader, http.MethodGet, "/pause?scope=role", nil).json(t)["data"].([]any)
	require.Len(t, list, 1)
	assert.Equal(t, "router", list[0].(map[string]any)["role"])
	state = h.call(owner, http.MethodGet, endpoint, nil).json(t)
	assert.Equal(t, true, state["egressStopped"])
	assert.Equal(t, "tenant", state["pause"].(map[string]any)["scope"])

	for _, at := range []string{"/app/acme/pause", "/pause/role/router", "/pause/egress", endpoint, endpoint} {
		require.Equal(t, http.StatusNoContent, h.call(h.operator, http.MethodDelete, at, nil).status, "%s: also when there is none", at)
	}
	assert.Empty(t, h.call(h.reader, http.MethodGet, "/pause", nil).json(t)["data"])
	assert.Equal(t, map[string]any{"paused": false, "egressStopped": false}, h.call(owner, http.MethodGet, endpoint, nil).json(t))
}

func TestAPauseThatIsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.tenant("acme")
	for at, status := range map[string]int{
		"/pause/egress": http.StatusUnprocessableEntity, "/pause/role/api": http.StatusUnprocessableEntity,
		"/app/acme/endpoint/absent/pause": http.StatusNotFound, "/app/absent/pause": http.StatusNotFound,
	} {
		reason := "a reason"
		if at == "/pause/egress" {
			reason = "  "
		}
		got := h.call(h.operator, http.MethodPut, at, map[string]any{"reason": reason})
		assert.Equal(t, status, got.status, "%s: %s", at, got.body)
	}
}

// Who tries an endpoint wants to see what comes of it: now, not when somebody resumes.
func TestTryingAPausedEndpointIsRefused(t *testing.T) {
	t.Parallel()
	for at, code := range map[string]string{"/pause/egress": "egress_stopped", "/app/acme/pause": "paused", "/app/acme/endpoint/orders/pause": "paused"} {
		h := newHarness(t)
		tenant := h.tenant("acme")
		h.apply(registry.PutSubscription(&subscription.Subscription{ID: ident.New(), Tenant: tenant.ID, UID: "orders", URL: "https://a.example"}))
		require.Equal(t, http.StatusCreated, h.call(h.operator, http.MethodPost, "/event-type", map[string]any{"name": "a.b", "description": "x"}).status)
		require.Equal(t, http.StatusOK, h.call(h.operator, http.MethodPut, at, map[string]any{"reason": "maintenance"}).status)
		got := h.call(h.operator, http.MethodPost, "/app/acme/endpoint/orders/send-test", map[string]any{"eventType": "a.b", "payload": map[string]any{}})
		require.Equal(t, http.StatusConflict, got.status, got.body)
		assert.Equal(t, code, got.json(t)["code"])
	}
}
