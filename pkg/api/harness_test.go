package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/memory"
	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

// livePresence is one router and one deliverer that have everything.
type livePresence struct{}

func (livePresence) WaitApplied(context.Context, int64) (int, error) { return 2, nil }

// noAudit is an audit log without entries.
type noAudit struct{}

func (noAudit) Entries(context.Context, ident.ID, string, int) ([]audit.Entry, string, error) {
	return nil, "", nil
}

// harness is an API over a registry in memory, and whoever uses it.
type harness struct {
	t     *testing.T
	store *registry.Store
	api   *API
	// log is what the API logged.
	log *lockedBuffer
	// operator and reader are tokens for everything; the reader may change nothing.
	operator, reader string
}

// lockedBuffer is a buffer for many writers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newHarness starts an API; change completes its options.
func newHarness(t *testing.T, change ...func(*Options)) *harness {
	t.Helper()
	h := &harness{t: t, log: new(lockedBuffer)}
	keys, err := seal.Generate()
	require.NoError(t, err)
	h.store = memory.Store(t, keys)
	profiles, err := profile.Load(configs.Profiles)
	require.NoError(t, err)
	opts := Options{
		Store: h.store, Presence: livePresence{}, Cipher: keys, Audit: noAudit{}, Profiles: profiles,
		PortalURL: "https://portal.example", Log: slog.New(slog.NewJSONHandler(h.log, nil)), Metrics: prometheus.NewRegistry(),
	}
	for _, c := range change {
		c(&opts)
	}
	h.api = New(opts)
	h.operator = h.key(access.RoleOperator, ident.ID{})
	h.reader = h.key(access.RoleReadOnly, ident.ID{})
	return h
}

// key makes a key and returns its token.
func (h *harness) key(role access.Role, tenant ident.ID) string {
	h.t.Helper()
	k, token := access.NewKey(string(role), role, tenant, time.Now().UTC(), time.Time{})
	h.apply(registry.PutKey(k))
	return token
}

// portalToken makes a portal token of a tenant, by way of the API.
func (h *harness) portalToken(app string, capabilities ...access.Capability) string {
	h.t.Helper()
	body := map[string]any{}
	if len(capabilities) > 0 {
		body["capabilities"] = capabilities
	}
	got := h.call(h.operator, http.MethodPost, "/auth/app-portal-access/"+app, body)
	require.Equal(h.t, http.StatusOK, got.status, got.body)
	return got.json(h.t)["token"].(string)
}

// apply changes the registry.
func (h *harness) apply(changes ...registry.Change) {
	h.t.Helper()
	_, err := h.store.Apply(h.t.Context(), audit.Actor{Kind: "cli"}, changes...)
	require.NoError(h.t, err)
}

// tenant makes a tenant of that uid; change completes it.
func (h *harness) tenant(uid string, change ...func(*subscription.Tenant)) *subscription.Tenant {
	h.t.Helper()
	t := &subscription.Tenant{ID: ident.New(), UID: uid, Name: uid}
	for _, c := range change {
		c(t)
	}
	h.apply(registry.PutTenant(t))
	now, ok := h.store.Snapshot().Tenant(t.ID)
	require.True(h.t, ok)
	return now
}

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   string
}

// json is the body as an object.
func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.body), &out), r.body)
	return out
}

// documented fails if an answer has a header of ours that the document does not have at its operation, or a body.
func (h *harness) documented(r *http.Request, w *httptest.ResponseRecorder) {
	h.t.Helper()
	if w.Code >= http.StatusMultipleChoices {
		return
	}
	for _, route := range h.api.routes {
		pattern := "^" + pathParameter.ReplaceAllString(route.full(), "[^/]+") + "$"
		if route.method != r.Method || !regexp.MustCompile(pattern).MatchString(r.URL.Path) {
			continue
		}
		answered := operation(h.api.huma.OpenAPI(), route).Responses[strconv.Itoa(route.success())]
		for _, name := range []string{"ETag", "Postrider-Applied", checkHeader, viewsHeader} {
			if w.Header().Get(name) != "" {
				assert.Contains(h.t, answered.Headers, name, route.id)
			}
		}
		assert.Equal(h.t, route.versioned, w.Header().Get("ETag") != "", route.id)
		assert.Equal(h.t, route.views, w.Header().Get(viewsHeader) != "", route.id)
		assert.Equal(h.t, w.Body.Len() > 0, len(answered.Content) > 0, route.id)
	}
}

// call makes a request below /api/v1. The body is sent as it is if it is a string, as JSON otherwise, and not at all if nil;
// headers are names and values in turn.
func (h *harness) call(token, method, path string, body any, headers ...string) reply {
	h.t.Helper()
	return h.callAt(token, method, prefix+path, body, headers...)
}

// callAt is [harness.call] with a whole path.
func (h *harness) callAt(token, method, path string, body any, headers ...string) reply {
	h.t.Helper()
	var raw []byte
	switch b := body.(type) {
	case nil:
	case string:
		raw = []byte(b)
	default:
		var err error
		raw, err = json.Marshal(b)
		require.NoError(h.t, err)
	}
	r := httptest.NewRequestWithContext(h.t.Context(), method, path, bytes.NewReader(raw))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.api.Handler().ServeHTTP(w, r)
	h.documented(r, w)
	return reply{status: w.Code, header: w.Header(), body: w.Body.String()}
}
