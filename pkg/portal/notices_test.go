package portal_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/notice"
	"github.com/postrider/postrider/pkg/notify"
)

// noticeOffice takes all notices but those of a mailbox that is full. It remembers nothing.
type noticeOffice struct{}

func (noticeOffice) Mails() bool { return true }

func (noticeOffice) Send(_ context.Context, r notice.Recipient, _ notice.Digest) error {
	if r.Address == "full@example.com" {
		return &notify.Error{Why: hostile}
	}
	return nil
}

func (noticeOffice) NoticeState(context.Context, ident.ID) ([]byte, error) { return nil, nil }

func (noticeOffice) ClaimNoticeTest(context.Context, ident.ID, time.Duration) (bool, error) {
	return true, nil
}

func TestNotices(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, at := s.owner(), "/portal/app/"+s.tenant("acme")+"/notices"
	page := b.get(at).body
	require.Contains(t, page, "Nobody is told yet.")
	form := formOf(t, page)
	require.Equal(t, "90", form.Get("rate"), "what most want is there to be saved")
	require.Equal(t, "1h0m0s", form.Get("failing"))

	form.Set("emails", "ops@example.com\r\nfull@example.com")
	form.Set("chat", "slack")
	form.Set("url", "https://hooks.example/HUSH")
	got := b.post(at, form)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, "The changes are saved.")
	require.NotContains(t, got.body, "HUSH")
	require.Contains(t, got.body, "stays if you type none")
	require.Equal(t, map[string]any{
		"emails": []any{"ops@example.com", "full@example.com"}, "chat": map[string]any{"kind": "slack"}, "endpointDisabled": true,
		"failingFor": "1h0m0s", "successRate": 90.0, "eventTypeFailing": true, "mailAvailable": true,
	}, s.api(http.MethodGet, "/app/acme/notices", ""))

	// Saved as it is shown, it stays as it is, the URL as well.
	form = formOf(t, got.body)
	require.Equal(t, http.StatusOK, b.post(at, form).status)
	acme, _ := s.store.Snapshot().ResolveTenant("acme")
	require.Equal(t, "https://hooks.example/HUSH", acme.Notices.Chat.URL)
	require.Equal(t, http.StatusOK, b.post(at, formOf(t, b.get(at).body)).status)

	tested := b.submit(at, at+"/test", url.Values{})
	require.Equal(t, http.StatusOK, tested.status, tested.body)
	require.Contains(t, tested.body, "ops@example.com: taken")
	require.Contains(t, tested.body, "Chat (Slack&#39;s form): taken")
	require.Contains(t, tested.body, "not taken")
	requireClean(t, at, tested.body)

	require.Equal(t, http.StatusNotFound, b.get("/portal/app/"+s.tenant("other")+"/notices").status, "another tenant's are not shown")
	require.Equal(t, http.StatusNotFound, b.submit(at, "/portal/app/"+s.tenant("other")+"/notices/test", url.Values{}).status)
	require.NotContains(t, s.log.String(), "HUSH")
}

// What is refused is said, and what was typed is still there, as text.
func TestNoticesRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, at := s.owner(), "/portal/app/"+s.tenant("acme")+"/notices"
	for _, c := range []struct{ field, value, want string }{
		{"emails", hostile, "emails.0: want an address"},
		{"rate", hostile, "Success rate: want a whole number"},
		{"rate", "101", "Success rate: want a whole number"},
		{"failing", hostile, "failingFor: "},
		{"chat", "slack", "chat.url: missing"},
		{"etag", `"1"`, "Somebody else changed this meanwhile"},
	} {
		form := formOf(t, b.get(at).body)
		form.Set(c.field, c.value)
		got := b.post(at, form)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", c.field, got.body)
		require.Contains(t, got.body, c.want, c.field)
		requireClean(t, at, got.body)
	}
	require.Equal(t, map[string]any{"emails": []any{}, "chat": nil, "mailAvailable": true}, s.api(http.MethodGet, "/app/acme/notices", ""))
}
