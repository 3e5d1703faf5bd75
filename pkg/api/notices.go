package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/notice"
	"github.com/postrider/postrider/pkg/notify"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// NoticeSender sends notices; [notify.Sender] does. All methods may be called concurrently.
type NoticeSender interface {
	// Mails reports whether mail can be sent.
	Mails() bool
	// Send returns when the notice was taken; what goes wrong is a [*notify.Error].
	Send(ctx context.Context, r notice.Recipient, d notice.Digest) error
}

// NoticeMemory knows what tenants were told; [view.Redis] does. All methods may be called concurrently.
type NoticeMemory interface {
	NoticeState(ctx context.Context, tenant ident.ID) ([]byte, error)
	// ClaimNoticeTest reports whether a test may be sent now: one in each pause may.
	ClaimNoticeTest(ctx context.Context, tenant ident.ID, pause time.Duration) (bool, error)
}

const (
	// noticeTestEvery keeps tests from being a way to flood somebody's mailbox.
	noticeTestEvery = 10 * time.Second
	// noticeTestTimeout bounds a test; all recipients are written to at a time.
	noticeTestTimeout = 20 * time.Second
)

func (a *API) notices() {
	const tag, path = "Application", "/app/{app_id}/notices"
	register(a, route{
		method: http.MethodGet, path: path, id: "postrider.application.get-notices", versioned: true, tag: tag,
		needs: access.ViewTenant, summary: "Get who is told that endpoints fail, and of what",
	}, func(ctx context.Context, _ *AppPath) (*answer[AppNoticesOut], error) {
		return shownTenant(ctx, a.noticesOut), nil
	})
	registerBody(a, route{
		method: http.MethodPut, path: path, id: "postrider.application.set-notices", versioned: true, tag: tag,
		needs: access.ManageEndpoints, summary: "Set who is told that endpoints fail, and of what",
		doc: "What is left out is off. A recipient is told of what is new and what is well again, at most once an hour unless the installation has another time.",
	}, a.putNotices)
	register(a, route{
		method: http.MethodGet, path: path + "/recipients", id: "postrider.application.list-notice-recipients", tag: tag,
		needs: access.ViewTenant, summary: "List who is told, and how that went",
	}, a.noticeRecipients)
	register(a, route{
		method: http.MethodPost, path: path + "/test", id: "postrider.application.test-notices", tag: tag,
		needs: access.ManageEndpoints, summary: "Send a test notice to everybody who is told",
		doc: "One in ten seconds.",
	}, a.testNotices)
}

// noticeFields are the names that a tenant's fields have in the body of its notices.
var noticeFields = map[string]string{ //nolint:gochecknoglobals // a constant
	"notices.emails": "emails", "notices.chat": "chat", "notices.failingFor": "failingFor", "notices.successRate": "successRate",
}

// AppChatIn is a chat that is told.
type AppChatIn struct {
	Kind string  `json:"kind" enum:"slack,teams" doc:"slack: an incoming webhook of Slack, Mattermost and others; teams: a workflow of Microsoft Teams that takes adaptive cards."`
	URL  *string `json:"url,omitempty" minLength:"1" maxLength:"2048" doc:"The URL of the incoming webhook, which is never shown. Left out, the one that was set stays."`
}

// AppChatOut is a chat without its URL.
type AppChatOut struct {
	Kind string `json:"kind" enum:"slack,teams"`
}

// AppNoticeKinds are what is told of.
type AppNoticeKinds struct {
	EndpointDisabled bool   `json:"endpointDisabled,omitempty" doc:"Endpoints that were disabled because they failed, or answered 410."`
	FailingFor       string `json:"failingFor,omitempty" doc:"Endpoints at which nothing has succeeded for that long, 15m to 24h, and at least three attempts failed." example:"1h"`
	SuccessRate      int    `json:"successRate,omitempty" minimum:"1" maximum:"100" doc:"Endpoints of whose attempts in the last hour, 20 or more, fewer percent succeeded." example:"90"`
	EventTypeFailing bool   `json:"eventTypeFailing,omitempty" doc:"Event types whose last five attempts failed at an endpoint where others succeed."`
}

// AppNoticesIn is who is told, and of what.
type AppNoticesIn struct {
	Emails []string   `json:"emails,omitempty" nullable:"false" maxItems:"5" doc:"E-mail addresses."`
	Chat   *AppChatIn `json:"chat,omitempty"`
	AppNoticeKinds
}

// AppNoticesOut is that, without what is secret.
type AppNoticesOut struct {
	Emails []string           `json:"emails" nullable:"false"`
	Chat   orNull[AppChatOut] `json:"chat"`
	AppNoticeKinds
	MailAvailable bool `json:"mailAvailable" doc:"Whether the installation sends mail."`
}

func (a *API) noticesOut(t *subscription.Tenant) AppNoticesOut {
	out := AppNoticesOut{Emails: []string{}, MailAvailable: a.opts.Notices != nil && a.opts.Notices.Mails()}
	n := t.Notices
	if n == nil {
		return out
	}
	out.Emails = append(out.Emails, n.Emails...)
	if n.Chat != nil {
		out.Chat.value = &AppChatOut{string(n.Chat.Kind)}
	}
	out.AppNoticeKinds = AppNoticeKinds{n.EndpointDisabled, durationText(n.FailingFor), n.SuccessRate, n.EventTypeFailing}
	return out
}

func (a *API) putNotices(ctx context.Context, in *AppWriteBody, body *AppNoticesIn) (*answer[AppNoticesOut], error) {
	if len(body.Emails) > 0 && (a.opts.Notices == nil || !a.opts.Notices.Mails()) {
		return nil, invalid("emails", "want none: this installation sends no mail")
	}
	return changeTenant(ctx, a, in.WriteInput, func(_ *registry.Snapshot, t *subscription.Tenant) error {
		failing, err := readDuration("failingFor", body.FailingFor)
		n := subscription.Notices{
			Emails: body.Emails, EndpointDisabled: body.EndpointDisabled, FailingFor: failing,
			SuccessRate: body.SuccessRate, EventTypeFailing: body.EventTypeFailing,
		}
		var wrong error
		n.Chat, wrong = a.chatOf(t.Notices, body.Chat)
		if t.Notices = &n; len(n.Emails) == 0 && n.Chat == nil && body.AppNoticeKinds == (AppNoticeKinds{}) {
			t.Notices = nil
		}
		return errors.Join(err, wrong)
	}, a.noticesOut)
}

// chatOf is the chat of a body, with the URL that was set before if it has none.
func (a *API) chatOf(was *subscription.Notices, in *AppChatIn) (*subscription.Chat, error) {
	if in == nil {
		return nil, nil //nolint:nilnil // no chat is told
	}
	c := &subscription.Chat{Kind: subscription.ChatKind(in.Kind), URL: value(in.URL)}
	switch {
	case in.URL == nil && was != nil && was.Chat != nil:
		c.URL = was.Chat.URL
	case subscription.Sealed(c.URL):
		return nil, &subscription.FieldError{Field: "chat.url", Detail: "want the URL of an incoming webhook"}
	}
	return c, nil
}

// NoticeRecipientOut is somebody who is told, and how that went.
type NoticeRecipientOut struct {
	Medium   string     `json:"medium" enum:"email,slack,teams"`
	Email    *string    `json:"email" nullable:"true" doc:"null for a chat."`
	Open     int        `json:"open" doc:"Problems it was told of that go on."`
	LastSent *time.Time `json:"lastSent" nullable:"true" doc:"When it took a notice last."`
	Failures int        `json:"failures" doc:"Notices that it did not take since."`
	Error    string     `json:"error,omitempty" doc:"Why it did not take the last one."`
	Retry    *time.Time `json:"retry,omitempty" doc:"When it is tried again."`
}

// NoticeRecipientsOut are all of a tenant.
type NoticeRecipientsOut struct {
	Recipients []NoticeRecipientOut `json:"recipients" nullable:"false"`
}

func (a *API) noticeRecipients(ctx context.Context, _ *AppPath) (*answer[NoticeRecipientsOut], error) {
	t, out := called(ctx).tenant, NoticeRecipientsOut{Recipients: []NoticeRecipientOut{}}
	recipients := notice.Recipients(t.Notices)
	if len(recipients) == 0 || a.opts.NoticeMemory == nil {
		return &answer[NoticeRecipientsOut]{Body: out}, nil
	}
	raw, err := a.opts.NoticeMemory.NoticeState(ctx, t.ID)
	if err != nil {
		return nil, a.away(ctx, "reading what a tenant was told", err)
	}
	state, err := notice.ReadTenant(raw)
	if err != nil {
		a.opts.Log.WarnContext(ctx, "what a tenant was told cannot be read", "tenant", t.ID.UUID(), "error", err)
	}
	for _, r := range recipients {
		told := state.Told(r)
		out.Recipients = append(out.Recipients, NoticeRecipientOut{
			Medium: string(r.Medium), Email: emailOf(r), Open: len(told.Problems), LastSent: optional(told.Sent),
			Failures: told.Failures, Error: told.Error, Retry: optional(told.Retry),
		})
	}
	return &answer[NoticeRecipientsOut]{Body: out}, nil
}

// emailOf is the address of a recipient, which of a chat is a secret.
func emailOf(r notice.Recipient) *string {
	if r.Medium != notice.Email {
		return nil
	}
	return &r.Address
}

// NoticeTestOut is what became of a test.
type NoticeTestOut struct {
	Results []NoticeTestResult `json:"results" nullable:"false"`
}

// NoticeTestResult is what became of it at one recipient.
type NoticeTestResult struct {
	Medium string  `json:"medium" enum:"email,slack,teams"`
	Email  *string `json:"email" nullable:"true" doc:"null for a chat."`
	Taken  bool    `json:"taken" doc:"Whether it was taken. A mail server may still send a mail back."`
	Error  string  `json:"error,omitempty" doc:"Why it was not."`
}

func (a *API) testNotices(ctx context.Context, _ *AppPath) (*answer[NoticeTestOut], error) {
	t := called(ctx).tenant
	recipients := notice.Recipients(t.Notices)
	if len(recipients) == 0 || a.opts.Notices == nil {
		return nil, refuse(http.StatusConflict, "nobody_is_told", "nobody is told: set e-mail addresses or a chat first")
	}
	ok, err := a.opts.NoticeMemory.ClaimNoticeTest(ctx, t.ID, noticeTestEvery)
	if err != nil {
		return nil, a.away(ctx, "claiming a test notice", err)
	}
	if !ok {
		return nil, refuse(http.StatusTooManyRequests, "too_many_requests", "a test was sent a moment ago: want one in %s", noticeTestEvery)
	}
	ctx, cancel := context.WithTimeout(ctx, noticeTestTimeout)
	defer cancel()
	out := NoticeTestOut{Results: make([]NoticeTestResult, len(recipients))}
	var sending errgroup.Group
	for i, r := range recipients {
		sending.Go(func() error {
			err := a.opts.Notices.Send(ctx, r, a.opts.NoticePortal.Test(t))
			result := NoticeTestResult{Medium: string(r.Medium), Email: emailOf(r), Taken: err == nil}
			if told, ok := errors.AsType[*notify.Error](err); ok {
				result.Error = told.Why
			}
			out.Results[i] = result
			return nil
		})
	}
	return &answer[NoticeTestOut]{Body: out}, sending.Wait()
}
