package api

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
)

// Who may use an operation, a letter each: O operator, R reader of all tenants, T the tenant's administrator, r the tenant's
// reader, P a portal token with all capabilities, B one with ViewBase only. Nobody else may: no key, an expired one, a forged
// one, and whoever belongs to another tenant.
const (
	anybody    = "ORTrPB*"
	signedIn   = "ORTrPB"
	viewers    = "ORTrPB"
	viewAll    = "OR"
	operators  = "O"
	admins     = "OT"
	endpoints  = "OTP"
	secretives = "OTP"
)

// mayUse says who may use each operation. An operation without a row fails the test.
var mayUse = map[string]string{
	"v1.health.get":                                  anybody,
	"v1.application.list":                            viewAll,
	"v1.application.create":                          operators,
	"v1.application.get":                             viewers,
	"v1.application.upsert":                          admins,
	"v1.application.patch":                           admins,
	"v1.application.delete":                          operators,
	"v1.authentication.app-portal-access":            admins,
	"v1.authentication.expire-all":                   admins,
	"v1.authentication.logout":                       signedIn,
	"v1.authentication.whoami":                       signedIn,
	"v1.endpoint.list":                               viewers,
	"v1.endpoint.create":                             endpoints,
	"v1.endpoint.get":                                viewers,
	"v1.endpoint.upsert":                             endpoints,
	"v1.endpoint.patch":                              endpoints,
	"v1.endpoint.delete":                             endpoints,
	"v1.endpoint.get-secret":                         secretives,
	"v1.endpoint.rotate-secret":                      secretives,
	"v1.endpoint.get-headers":                        viewers,
	"v1.endpoint.set-headers":                        endpoints,
	"v1.endpoint.patch-headers":                      endpoints,
	"v1.endpoint.get-oauth":                          viewers,
	"v1.endpoint.get-oauth-2":                        viewers,
	"v1.endpoint.set-oauth-config":                   secretives,
	"v1.endpoint.delete-oauth-config":                secretives,
	"v1.endpoint.get-mtls":                           viewers,
	"v1.endpoint.get-mtls-2":                         viewers,
	"v1.endpoint.set-mtls-config":                    secretives,
	"v1.endpoint.delete-mtls-config":                 secretives,
	"v1.endpoint.get-server-ca":                      viewers,
	"v1.endpoint.set-server-ca":                      secretives,
	"v1.endpoint.transformation.get":                 viewers,
	"v1.endpoint.transformation.patch":               endpoints,
	"v1.endpoint.transformation.simulate":            endpoints,
	"postrider.endpoint.get-encryption":              viewers,
	"postrider.endpoint.set-encryption":              secretives,
	"postrider.endpoint.delete-encryption":           secretives,
	"v1.endpoint.send-example":                       endpoints,
	"v1.endpoint.recover":                            endpoints,
	"v1.endpoint.replay-missing":                     endpoints,
	"v1.endpoint.bulk-replay":                        endpoints,
	"postrider.endpoint.start-task":                  endpoints,
	"v1.message-attempt.resend":                      endpoints,
	"v1.background-task.list":                        signedIn,
	"v1.background-task.get":                         signedIn,
	"postrider.background-task.progress":             signedIn,
	"postrider.background-task.cancel":               endpoints,
	"v1.event-type.list":                             signedIn,
	"v1.event-type.get":                              signedIn,
	"v1.event-type.create":                           operators,
	"v1.event-type.upsert":                           operators,
	"v1.event-type.patch":                            operators,
	"v1.event-type.delete":                           operators,
	"v1.event-type.import-openapi":                   operators,
	"v1.message.create":                              admins,
	"v1.message.list":                                viewers,
	"v1.message.get":                                 viewers,
	"postrider.key.list":                             viewAll,
	"postrider.key.create":                           operators,
	"postrider.key.delete":                           operators,
	"postrider.app-key.list":                         admins,
	"postrider.app-key.create":                       admins,
	"postrider.app-key.delete":                       admins,
	"postrider.audit.list":                           viewAll,
	"postrider.app-audit.list":                       admins,
	"postrider.app-dead-letter.list":                 viewers,
	"postrider.app-dead-letter.causes":               viewers,
	"postrider.app-dead-letter.get":                  viewers,
	"postrider.app-dead-letter.export":               viewers,
	"postrider.app-dead-letter.redrive":              endpoints,
	"postrider.app-dead-letter.discard":              endpoints,
	"postrider.dead-letter.list":                     viewAll,
	"postrider.dead-letter.causes":                   viewAll,
	"postrider.dead-letter.get":                      viewAll,
	"postrider.dead-letter.export":                   viewAll,
	"postrider.dead-letter.redrive":                  operators,
	"postrider.dead-letter.discard":                  operators,
	"postrider.rejected.list":                        viewAll,
	"postrider.rejected.causes":                      viewAll,
	"postrider.rejected.get":                         viewAll,
	"postrider.rejected.export":                      viewAll,
	"postrider.rejected.reingest":                    operators,
	"postrider.source-ips.get":                       signedIn,
	"postrider.endpoint.validate":                    endpoints,
	"postrider.endpoint.get-filter":                  viewers,
	"postrider.endpoint.set-filter":                  endpoints,
	"postrider.endpoint.delete-filter":               endpoints,
	"postrider.endpoint.get-authorization":           viewers,
	"postrider.endpoint.set-authorization":           secretives,
	"postrider.endpoint.delete-authorization":        secretives,
	"postrider.endpoint.get-sensitive-headers":       viewers,
	"postrider.endpoint.set-sensitive-headers":       endpoints,
	"postrider.endpoint.get-delivery-policy":         viewers,
	"postrider.endpoint.set-delivery-policy":         endpoints,
	"postrider.endpoint.patch-delivery-policy":       endpoints,
	"postrider.endpoint.delete-delivery-policy":      endpoints,
	"postrider.application.get-event-types":          viewers,
	"postrider.application.set-event-types":          operators,
	"postrider.application.get-delivery-policy":      viewers,
	"postrider.application.set-delivery-policy":      admins,
	"postrider.application.get-notices":              viewers,
	"postrider.application.set-notices":              endpoints,
	"postrider.application.list-notice-recipients":   viewers,
	"postrider.application.test-notices":             endpoints,
	"v1.event-type.export-openapi":                   operators,
	"postrider.event-type.export":                    signedIn,
	"postrider.flexengage.create-webhook":            endpoints,
	"postrider.authentication.permissions":           signedIn,
	"postrider.profile.list":                         signedIn,
	"postrider.filter.simulate":                      endpoints,
	"postrider.endpoint.send-test":                   endpoints,
	"postrider.endpoint.preview":                     viewers,
	"postrider.endpoint.list-signing-keys":           secretives,
	"postrider.endpoint.get-lock":                    viewers,
	"postrider.endpoint.lock":                        operators,
	"postrider.endpoint.unlock":                      operators,
	"postrider.endpoint.get-settings":                viewers,
	"postrider.endpoint.set-settings":                endpoints,
	"postrider.endpoint.create-with-settings":        endpoints,
	"postrider.flexengage.list-events":               viewers,
	"v1.message-attempt.list-by-endpoint":            viewers,
	"v1.message-attempt.list-by-msg":                 viewers,
	"v1.message-attempt.list-attempted-messages":     viewers,
	"v1.message-attempt.list-attempted-destinations": viewers,
	"v1.message-attempt.get":                         viewers,
	"v1.message-attempt.get-headers":                 viewers,
	"postrider.message-attempt.detail":               viewers,
	"v1.message-attempt.expunge-content":             admins,
	"v1.message.expunge-content":                     admins,
	"v1.endpoint.get-stats":                          viewers,
	"postrider.endpoint.status":                      viewers,
	"postrider.endpoint.last-attempts":               viewers,
	"postrider.endpoint.health":                      viewers,
	"postrider.endpoint.list-events":                 viewers,
	"postrider.endpoint.tail":                        viewers,
	"postrider.endpoint.overview":                    viewers,
	"postrider.status.get":                           viewAll,
	"postrider.status.endpoints":                     viewAll,
	"postrider.pause.list":                           viewAll,
	"postrider.pause.stop-egress":                    operators,
	"postrider.pause.start-egress":                   operators,
	"postrider.pause.pause-role":                     operators,
	"postrider.pause.resume-role":                    operators,
	"postrider.application.get-pause":                viewers,
	"postrider.application.pause":                    operators,
	"postrider.application.resume":                   operators,
	"postrider.endpoint.get-pause":                   viewers,
	"postrider.endpoint.pause":                       operators,
	"postrider.endpoint.resume":                      operators,
}

var pathParameter = regexp.MustCompile(`\{[a-zA-Z_]+\}`)

// path fills the parameters of a route: the app is the tenant's, everything else does not exist.
func (r route) pathFor(app string) string {
	p := strings.ReplaceAll(r.full(), "{"+r.tenantParam()+"}", app)
	p = strings.ReplaceAll(p, "{key_id}", ident.New().Base62(access.KeyIDPrefix))
	return pathParameter.ReplaceAllString(p, "nothing")
}

// allowed reports whether an answer is not one of access: what an operation says of an empty body or of what does not exist
// comes after that.
func allowed(r reply) bool {
	switch r.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return false
	case http.StatusNotFound:
		return !strings.Contains(r.body, "app not found")
	}
	return true
}

func TestEveryRouteForEveryRole(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	own, other := h.tenant("own"), h.tenant("other")
	expired, expiredToken := access.NewKey("old", access.RoleOperator, ident.ID{}, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	h.apply(registry.PutKey(expired))
	who := []struct{ letter, token string }{
		{"O", h.operator},
		{"R", h.reader},
		{"T", h.key(access.RoleTenant, own.ID)},
		{"r", h.key(access.RoleReadOnly, own.ID)},
		{"P", h.portalToken("own")},
		{"B", h.portalToken("own", access.ViewBase)},
		{"*", ""},
		{"*", expiredToken},
		{"*", access.NewToken()},
		{"*", access.PortalPrefix + "AAAA"},
	}
	strangers := []string{h.key(access.RoleTenant, other.ID), h.key(access.RoleReadOnly, other.ID), h.portalToken("other")}
	known := map[string]bool{}
	for _, r := range h.api.routes {
		known[r.id] = true
		row, ok := mayUse[r.id]
		if !ok {
			t.Errorf("%s %s (%s) has no row: say who may use it", r.method, r.path, r.id)
			continue
		}
		for _, w := range who {
			if destroys(r) && strings.Contains(row, w.letter) {
				continue // it would take away what the next ones need
			}
			got := h.callAt(w.token, r.method, r.pathFor("own"), map[string]any{})
			require.Equal(t, strings.Contains(row, w.letter), allowed(got), "%s as %s: %d %s", r.id, w.letter, got.status, got.body)
		}
		if r.tenantParam() != "" {
			for _, token := range strangers {
				got := h.callAt(token, r.method, r.pathFor("own"), map[string]any{})
				require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, got.status, "%s by a stranger: %s", r.id, got.body)
			}
		}
	}
	for id := range mayUse {
		require.True(t, known[id], "%s has a row and does not exist", id)
	}
}

// destroys reports whether using the operation would end the tenant or its tokens.
func destroys(r route) bool {
	switch r.id {
	case "v1.application.delete", "v1.authentication.expire-all", "v1.authentication.logout":
		return true
	}
	return false
}

func TestPortalTokensAreTakenBack(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.tenant("own")
	first, second := h.portalToken("own"), h.portalToken("own")
	require.Equal(t, http.StatusNoContent, h.call(first, http.MethodPost, "/auth/logout", nil).status)
	require.Equal(t, http.StatusUnauthorized, h.call(first, http.MethodGet, "/app/own", nil).status)
	require.Equal(t, http.StatusOK, h.call(second, http.MethodGet, "/app/own", nil).status)
	require.Equal(t, http.StatusForbidden, h.call(second, http.MethodPost, "/auth/app-portal-access/own", map[string]any{}).status, "no way up")
	require.Equal(t, http.StatusNoContent, h.call(h.operator, http.MethodPost, "/auth/app/own/expire-all", map[string]any{}).status)
	require.Equal(t, http.StatusUnauthorized, h.call(second, http.MethodGet, "/app/own", nil).status)
	require.Equal(t, http.StatusOK, h.call(h.portalToken("own"), http.MethodGet, "/app/own", nil).status)
}
