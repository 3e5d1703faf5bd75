package portal_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/portal"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/test/memory"
)

// site is a portal over an API over a registry in memory, as the role api serves it.
type site struct {
	t        testing.TB
	server   *httptest.Server
	store    *registry.Store
	sent     *sender
	operator string
	past     *past
	letters  *letters
	log      *lockedLog
}

// sender keeps what test events were sent.
type sender struct {
	mu      sync.Mutex
	to      string
	payload json.RawMessage
}

func (s *sender) SendTo(
	_ context.Context, _ *subscription.Tenant, sub *subscription.Subscription, _ string, payload json.RawMessage,
) (pipeline.Published, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to, s.payload = sub.URL, payload
	return pipeline.Published{Message: ident.New(), Time: time.Unix(1, 0).UTC()}, nil
}

// index finds two events, of which one is kept, for whatever is asked.
type index struct{}

func (index) entries(tenant ident.ID) []view.EventEntry {
	return []view.EventEntry{
		{Tenant: tenant, Message: ident.Derive("test", "kept"), Time: time.Unix(1_790_000_000, 0), Type: "order.created", Channels: []string{hostile}, Tags: []string{hostile}},
		{Tenant: tenant, Message: ident.Derive("test", "expired"), Time: time.Unix(1_790_000_000, 0), Type: "order.created"},
	}
}

func (i index) Event(_ context.Context, tenant, message ident.ID) (view.EventEntry, bool, error) {
	for _, e := range i.entries(tenant) {
		if e.Message == message {
			return e, true, nil
		}
	}
	return view.EventEntry{}, false, nil
}

func (i index) EventByEventID(_ context.Context, tenant ident.ID, eventID string) (view.EventEntry, bool, error) {
	return i.entries(tenant)[0], eventID == "o-1", nil
}

func (i index) ListEvents(_ context.Context, q view.EventQuery) (view.EventPage, error) {
	if len(q.Types) > 0 && q.Types[0] != "order.created" || !q.After.IsZero() {
		return view.EventPage{Done: true}, nil
	}
	all := i.entries(q.Tenant)
	return view.EventPage{Events: all, Iterator: all[1].Message}, nil
}

func (index) Read(_ context.Context, entries []view.EventEntry) ([]pipeline.ReadEvent, error) {
	var out []pipeline.ReadEvent
	for _, e := range entries {
		if e.Message != ident.Derive("test", "kept") {
			out = append(out, pipeline.ReadEvent{Entry: e, State: pipeline.ReadExpired})
			continue
		}
		payload, _ := json.Marshal(map[string]string{"id": "o-1", hostile: hostile}) // strings always encode
		out = append(out, pipeline.ReadEvent{Entry: e, State: pipeline.ReadFound, Event: &pipeline.StoredEvent{EventID: "o-1", Payload: payload}})
	}
	return out, nil
}

type presence struct{}

func (presence) WaitApplied(context.Context, int64) (int, error) { return 1, nil }

// changes is an audit log of one entry.
type changes struct{ entry audit.Entry }

func (c changes) Entries(context.Context, ident.ID, string, int) ([]audit.Entry, string, error) {
	return []audit.Entry{c.entry}, "", nil
}

// rules are those of an installation, but that no name is looked up.
func rules(profiles profile.Set) subscription.Rules {
	return subscription.Rules{
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
		CheckFilter: func(expression string) error { return filter.Check(expression, nil) },
		Profiles:    profiles.Names(),
	}
}

// newSite starts one with the tenants acme and other; change completes the portal's options.
func newSite(t testing.TB, change ...func(*portal.Options)) *site {
	t.Helper()
	keys, err := seal.Generate()
	require.NoError(t, err)
	s := &site{t: t, store: memory.Store(t, keys), sent: &sender{}, past: &past{}, letters: &letters{}, log: &lockedLog{}}
	profiles, err := profile.Load(configs.Profiles)
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(s.log, nil))
	mux := http.NewServeMux()
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	options := api.Options{
		Store: s.store, Presence: presence{}, Cipher: keys, Profiles: profiles, Sender: s.sent, Events: index{}, EventReader: index{}, PortalURL: s.server.URL + "/portal",
		Audit: changes{audit.Entry{At: time.Unix(1_790_000_000, 0), Actor: audit.Actor{Kind: "key", Name: hostile}, Action: "updated", Kind: "subscription", Object: "ep_1"}},
		Rules: rules(profiles), SourceIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Cluster: cluster{}, Log: log, Metrics: prometheus.NewRegistry(),
	}
	s.past.options(&options)
	s.letters.options(&options)
	options.Notices, options.NoticeMemory = noticeOffice{}, noticeOffice{}
	handler := api.New(options).Handler()
	opts := portal.Options{API: handler, Cipher: keys, URL: s.server.URL + "/portal", Log: log}
	for _, c := range change {
		c(&opts)
	}
	p, err := portal.New(opts)
	require.NoError(t, err)
	mux.Handle("/portal/", p.Handler())
	mux.Handle("/", handler)
	key, token := access.NewKey("ops", access.RoleOperator, ident.ID{}, time.Now().UTC(), time.Time{})
	s.operator = token
	s.apply(
		registry.PutKey(key),
		registry.PutTenant(&subscription.Tenant{ID: ident.New(), UID: "acme", Name: "Acme"}),
		registry.PutTenant(&subscription.Tenant{ID: ident.New(), UID: "other", Name: "Other"}),
		registry.PutEventType(&catalogue.EventType{
			Name: "order.created", Description: "An order was placed.", GroupName: "orders",
			Schemas: map[string]json.RawMessage{"1": json.RawMessage(orderSchema)},
		}),
		registry.PutEventType(&catalogue.EventType{Name: "contact.updated", Description: "A contact was changed.", GroupName: "contacts"}),
	)
	return s
}

const orderSchema = `{"type":"object","required":["id"],"properties":{
	"id":{"type":"string","description":"Of the order."},
	"lines":{"type":"array","items":{"$ref":"#/$defs/line"}}},
	"$defs":{"line":{"type":"object","properties":{"sku":{"type":"string"},"n":{"type":"integer","enum":[1,2]}}}},
	"examples":[{"id":"o-1","lines":[{"sku":"a","n":1}]}]}`

func (s *site) apply(changes ...registry.Change) {
	s.t.Helper()
	for _, c := range changes {
		_, err := s.store.Apply(s.t.Context(), audit.Actor{Kind: "test"}, c)
		require.NoError(s.t, err)
	}
}

// api makes a request to the API as the operator, and returns the answer.
func (s *site) api(method, path, body string) map[string]any {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.server.URL+"/api/v1"+path, strings.NewReader(body))
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer "+s.operator)
	r.Header.Set("Content-Type", "application/json")
	w, err := s.server.Client().Do(r)
	require.NoError(s.t, err)
	defer w.Body.Close()
	raw, err := io.ReadAll(w.Body)
	require.NoError(s.t, err)
	require.Less(s.t, w.StatusCode, 300, string(raw))
	var out map[string]any
	if len(raw) > 0 {
		require.NoError(s.t, json.Unmarshal(raw, &out))
	}
	return out
}

// endpoint makes an endpoint of acme and returns its id.
func (s *site) endpoint(body string) string {
	s.t.Helper()
	return s.api(http.MethodPost, "/app/acme/endpoint/with-settings", body)["id"].(string)
}

// tenant is the id of a tenant.
func (s *site) tenant(uid string) string {
	s.t.Helper()
	return s.api(http.MethodGet, "/app/"+uid, "")["id"].(string)
}

// link is what app-portal-access answers: a link with a token, and that token.
func (s *site) link(app string, capabilities ...string) (link, token string) {
	s.t.Helper()
	body := map[string]any{}
	if len(capabilities) > 0 {
		body["capabilities"] = capabilities
	}
	raw, err := json.Marshal(body)
	require.NoError(s.t, err)
	out := s.api(http.MethodPost, "/auth/app-portal-access/"+app, string(raw))
	return out["url"].(string), out["token"].(string)
}

// browser is somebody who looks at the portal without a script.
type browser struct {
	s      *site
	client *http.Client
}

// answer is a page as it came.
type answer struct {
	status int
	header http.Header
	body   string
	at     string // the path it is of, after redirects
}

// visitor signs somebody in.
func (s *site) visitor(token string) *browser {
	s.t.Helper()
	b := s.stranger()
	got := b.post("/portal/session", url.Values{"token": {token}})
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	return b
}

// owner is somebody with all capabilities for acme.
func (s *site) owner() *browser {
	s.t.Helper()
	_, token := s.link("acme")
	return s.visitor(token)
}

// stranger is not signed in.
func (s *site) stranger() *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	client := *s.server.Client()
	client.Jar = jar
	return &browser{s, &client}
}

func (b *browser) do(method, path string, body io.Reader, headers ...string) answer {
	b.s.t.Helper()
	r, err := http.NewRequestWithContext(b.s.t.Context(), method, b.s.server.URL+path, body)
	require.NoError(b.s.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w, err := b.client.Do(r)
	require.NoError(b.s.t, err)
	defer w.Body.Close()
	raw, err := io.ReadAll(w.Body)
	require.NoError(b.s.t, err)
	return answer{w.StatusCode, w.Header, string(raw), w.Request.URL.Path}
}

func (b *browser) get(path string) answer {
	b.s.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

func (b *browser) post(path string, form url.Values, headers ...string) answer {
	b.s.t.Helper()
	return b.do(http.MethodPost, path, strings.NewReader(form.Encode()), append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
}

var formTokenField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// submit sends a form that stands on the page of a path, with that page's token.
func (b *browser) submit(page, path string, form url.Values, headers ...string) answer {
	b.s.t.Helper()
	found := formTokenField.FindStringSubmatch(b.get(page).body)
	require.NotNil(b.s.t, found, page)
	if form == nil {
		form = url.Values{}
	}
	form.Set("csrf", found[1])
	return b.post(path, form, headers...)
}

// lockedLog is a log for many writers.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// cluster is a deliverer, of a hostile name, and no other role.
type cluster struct{}

func (cluster) Members(context.Context) ([]view.Member, []*view.State, error) {
	return []view.Member{{Role: "deliverer", Instance: hostile, Version: 1}}, []*view.State{{Since: time.Unix(1_790_000_000, 0), Joined: true, Partitions: 3, OldestMS: 4000}}, nil
}

func (cluster) Lags(context.Context) (map[string]kafka.GroupLag, error) {
	return map[string]kafka.GroupLag{"deliverer": {Members: 1, Topics: []kafka.TopicLag{{Topic: "deliveries", Records: 4711}}}}, nil
}
