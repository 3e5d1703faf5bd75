package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/notice"
	"github.com/postrider/postrider/pkg/notify"
	"github.com/postrider/postrider/pkg/subscription"
)

// noticeOffice sends notices nowhere, and remembers what tenants were told.
type noticeOffice struct {
	mu     sync.Mutex
	noMail bool
	away   bool
	sent   []notice.Recipient
	states map[ident.ID][]byte
	tested map[ident.ID]bool
}

func (o *noticeOffice) Mails() bool { return !o.noMail }

func (o *noticeOffice) Send(_ context.Context, r notice.Recipient, d notice.Digest) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, r)
	if !d.Test {
		return errors.New("want a test")
	}
	if r.Address == "full@example.com" {
		return &notify.Error{Why: "the mailbox is full"}
	}
	return nil
}

func (o *noticeOffice) NoticeState(_ context.Context, tenant ident.ID) ([]byte, error) {
	if o.away {
		return nil, errors.New("redis is away")
	}
	return o.states[tenant], nil
}

func (o *noticeOffice) ClaimNoticeTest(_ context.Context, tenant ident.ID, _ time.Duration) (bool, error) {
	if o.away {
		return false, errors.New("redis is away")
	}
	was := o.tested[tenant]
	o.tested[tenant] = true
	return !was, nil
}

func noticeHarness(t *testing.T) (*harness, *noticeOffice) {
	t.Helper()
	office := &noticeOffice{states: map[ident.ID][]byte{}, tested: map[ident.ID]bool{}}
	h := newHarness(t, func(o *Options) {
		o.Notices, o.NoticeMemory = office, office
		o.Rules.CheckURL = func(url string) error {
			if url == "https://10.0.0.1/x" {
				return errors.New("url: host: is not public")
			}
			return nil
		}
	})
	return h, office
}

const hooks = "https://hooks.example/HUSH"

func TestNoticeSettings(t *testing.T) {
	t.Parallel()
	h, _ := noticeHarness(t)
	h.tenant("acme")
	got := h.call(h.reader, http.MethodGet, "/app/acme/notices", nil)
	require.JSONEq(t, `{"emails":[],"chat":null,"mailAvailable":true}`, got.body)
	want := map[string]any{
		"emails": []string{"ops@example.com"}, "chat": map[string]any{"kind": "slack", "url": hooks},
		"endpointDisabled": true, "failingFor": "1h", "successRate": 90, "eventTypeFailing": true,
	}
	portal := h.portalToken("acme", access.ManageEndpoint)
	put := h.call(portal, http.MethodPut, "/app/acme/notices", want, "If-Match", got.header.Get("ETag"))
	require.Equal(t, http.StatusOK, put.status, put.body)
	const shown = `{"emails":["ops@example.com"],"chat":{"kind":"slack"},"endpointDisabled":true,"failingFor":"1h0m0s","successRate":90,"eventTypeFailing":true,"mailAvailable":true}`
	require.JSONEq(t, shown, put.body)
	require.JSONEq(t, shown, h.call(h.reader, http.MethodGet, "/app/acme/notices", nil).body)
	require.Equal(t, http.StatusPreconditionFailed, h.call(portal, http.MethodPut, "/app/acme/notices", want, "If-Match", got.header.Get("ETag")).status)

	stored := func() *subscription.Notices {
		tenant, ok := h.store.Snapshot().ResolveTenant("acme")
		require.True(t, ok)
		return tenant.Notices
	}
	require.Equal(t, hooks, stored().Chat.URL)
	want["chat"] = map[string]any{"kind": "teams"}
	require.Equal(t, http.StatusOK, h.call(portal, http.MethodPut, "/app/acme/notices", want).status)
	require.Equal(t, &subscription.Chat{Kind: subscription.ChatTeams, URL: hooks}, stored().Chat, "a URL that is not given stays")
	// What the Svix API knows of the tenant changes nothing of it, and does not show it.
	kept := h.call(h.operator, http.MethodPut, "/app/acme", map[string]any{"name": "Acme", "uid": "acme"})
	require.NotContains(t, kept.body, "notices")
	require.NotNil(t, stored().Chat)
	delete(want, "chat")
	require.Equal(t, http.StatusOK, h.call(portal, http.MethodPut, "/app/acme/notices", want).status)
	require.Nil(t, stored().Chat)
	require.JSONEq(t, `{"emails":[],"chat":null,"mailAvailable":true}`, h.call(portal, http.MethodPut, "/app/acme/notices", map[string]any{}).body)
	require.Nil(t, stored())
	require.NotContains(t, h.log.String(), "HUSH")
}

func TestNoticeSettingsRefused(t *testing.T) {
	t.Parallel()
	h, office := noticeHarness(t)
	h.tenant("acme")
	for field, body := range map[string]map[string]any{
		"emails 1":   {"emails": []string{"a@example.com", "Ops <b@example.com>"}},
		"failingFor": {"failingFor": "1m"},
		"chat url":   {"chat": map[string]any{"kind": "slack"}},
		"chat kind":  {"chat": map[string]any{"kind": "irc", "url": hooks}},
	} {
		got := h.call(h.operator, http.MethodPut, "/app/acme/notices", body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, got.body)
		loc := ""
		for _, p := range got.json(t)["detail"].([]any)[0].(map[string]any)["loc"].([]any)[1:] {
			loc += " " + p.(string)
		}
		require.Equal(t, " "+field, loc, got.body)
	}
	for _, body := range []string{
		`{"failingFor":"soon"}`, `{"successRate":101}`, `{"emails":["a@b.c","b@b.c","c@b.c","d@b.c","e@b.c","f@b.c"]}`,
		`{"chat":{"kind":"slack","url":"https://10.0.0.1/x"}}`, `{"chat":{"kind":"slack","url":"sealed:abc"}}`,
	} {
		got := h.call(h.operator, http.MethodPut, "/app/acme/notices", body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, body)
		require.NotContains(t, got.body, "sealed:")
	}
	office.noMail = true
	got := h.call(h.operator, http.MethodPut, "/app/acme/notices", `{"emails":["a@example.com"]}`)
	require.Contains(t, got.body, "this installation sends no mail")
	require.Contains(t, h.call(h.operator, http.MethodGet, "/app/acme/notices", nil).body, `"mailAvailable":false`)
}

func TestTestNotice(t *testing.T) {
	t.Parallel()
	h, office := noticeHarness(t)
	h.tenant("acme", func(t *subscription.Tenant) {
		t.Notices = &subscription.Notices{
			Emails: []string{"ops@example.com", "full@example.com"}, Chat: &subscription.Chat{Kind: subscription.ChatSlack, URL: hooks},
		}
	})
	h.tenant("quiet")
	require.Equal(t, http.StatusConflict, h.call(h.operator, http.MethodPost, "/app/quiet/notices/test", nil).status)
	got := h.call(h.operator, http.MethodPost, "/app/acme/notices/test", nil)
	require.JSONEq(t, `{"results":[
		{"medium":"email","email":"ops@example.com","taken":true},
		{"medium":"email","email":"full@example.com","taken":false,"error":"the mailbox is full"},
		{"medium":"slack","email":null,"taken":true}]}`, got.body)
	require.Equal(t, http.StatusTooManyRequests, h.call(h.operator, http.MethodPost, "/app/acme/notices/test", nil).status)
	require.Len(t, office.sent, 3)
	office.away = true
	require.Equal(t, http.StatusServiceUnavailable, h.call(h.operator, http.MethodPost, "/app/acme/notices/test", nil).status)
	require.Len(t, office.sent, 3)
}

func TestNoticeRecipients(t *testing.T) {
	t.Parallel()
	h, office := noticeHarness(t)
	acme := h.tenant("acme", func(t *subscription.Tenant) {
		t.Notices = &subscription.Notices{
			Emails: []string{"ops@example.com"}, Chat: &subscription.Chat{Kind: subscription.ChatTeams, URL: hooks}, EndpointDisabled: true,
		}
	})
	h.tenant("quiet")
	require.JSONEq(t, `{"recipients":[]}`, h.call(h.reader, http.MethodGet, "/app/quiet/notices/recipients", nil).body)
	tn, err := notice.ReadTenant(nil)
	require.NoError(t, err)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	recipients := notice.Recipients(acme.Notices)
	tn.Fold([]notice.Finding{{Problem: notice.Problem{Kind: notice.Disabled, Subscription: ident.New()}, Verdict: notice.Bad}}, at)
	news, _, ok := tn.News(recipients[0], notice.Timing{})
	require.True(t, ok)
	tn.Taken(recipients[0], news, at)
	tn.NotTaken(recipients[1], "the chat answered 404", true, at)
	office.states[acme.ID], err = tn.State()
	require.NoError(t, err)
	got := h.call(h.reader, http.MethodGet, "/app/acme/notices/recipients", nil)
	require.JSONEq(t, `{"recipients":[
		{"medium":"email","email":"ops@example.com","open":1,"lastSent":"2026-03-01T12:00:00Z","failures":0},
		{"medium":"teams","email":null,"open":0,"lastSent":null,"failures":1,"error":"the chat answered 404","retry":"2026-03-01T13:00:00Z"}]}`, got.body)
	office.away = true
	require.Equal(t, http.StatusServiceUnavailable, h.call(h.reader, http.MethodGet, "/app/acme/notices/recipients", nil).status)
	office.away, office.states[acme.ID] = false, json.RawMessage(`{`)
	require.Equal(t, http.StatusOK, h.call(h.reader, http.MethodGet, "/app/acme/notices/recipients", nil).status)
}
