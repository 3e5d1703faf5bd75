package portal

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/postrider/postrider/pkg/api"
)

// noticesPage is whom a tenant tells of failures, in the texts that were typed.
type noticesPage struct {
	ETag string
	// Emails are addresses, one a line. URL is one that was just typed: the one that is kept is never shown.
	Emails, Chat, URL, Rate string
	// Kept says that a chat is told already.
	Kept               bool
	Disabled, TypeFail bool
	Chats, Failing     []choice
	MailAvailable      bool

	Wrong []string
	// Recipients are how the last notices went; Away says that this is not known at present.
	Recipients []api.NoticeRecipientOut
	Away       bool
	// Tested are the results of a test that was just sent.
	Tested []api.NoticeTestResult
}

// Bounds of a first form: what most want.
const (
	usualFailing = "1h0m0s"
	usualRate    = "90"
)

// showNotices shows whom a tenant tells of failures, and how that went.
func (v *visit) showNotices() error { return v.noticesWith(nil) }

// noticesWith shows it as it is stored, with the results of a test.
func (v *visit) noticesWith(tested []api.NoticeTestResult) error {
	var now struct {
		api.AppNoticesIn      // what goes out reads as what comes in: the chat has no URL
		MailAvailable    bool `json:"mailAvailable"`
	}
	out := noticesPage{Tested: tested}
	var err error
	if out.ETag, err = v.calls.do(http.MethodGet, v.appPath("notices"), nil, &now); err != nil {
		return err
	}
	out.MailAvailable, out.Emails = now.MailAvailable, strings.Join(now.Emails, "\n")
	out.Kept = now.Chat != nil
	if out.Kept {
		out.Chat = now.Chat.Kind
	}
	kinds := now.AppNoticeKinds
	if len(now.Emails) == 0 && !out.Kept && kinds == (api.AppNoticeKinds{}) {
		kinds = api.AppNoticeKinds{EndpointDisabled: true, FailingFor: usualFailing, EventTypeFailing: true}
		out.Rate = usualRate
	}
	if kinds.SuccessRate > 0 {
		out.Rate = strconv.Itoa(kinds.SuccessRate)
	}
	out.Disabled, out.TypeFail = kinds.EndpointDisabled, kinds.EventTypeFailing
	return v.notices(http.StatusOK, out, kinds.FailingFor)
}

// notices shows the page of what is chosen.
func (v *visit) notices(status int, out noticesPage, failing string) error {
	out.Chats = choices(out.Chat, "", "No chat", "slack", "Slack, Mattermost or another that takes Slack's incoming webhooks",
		"teams", "Microsoft Teams, through a workflow")
	pairs := []string{"", "never", "15m0s", "15 minutes", "1h0m0s", "an hour", "6h0m0s", "6 hours", "24h0m0s", "a day"}
	known := false
	for i := 0; i < len(pairs); i += 2 {
		known = known || pairs[i] == failing
	}
	if !known {
		pairs = append(pairs, failing, failing)
	}
	out.Failing = choices(failing, pairs...)
	var told api.NoticeRecipientsOut
	var err error
	if out.Away, err = v.look(v.appPath("notices", "recipients"), &told); err != nil {
		return err
	}
	out.Recipients = told.Recipients
	v.show(status, "notices", &page{Title: "Notices", Data: out, Done: v.r.URL.Query().Get("done")})
	return nil
}

// saveNotices changes it to what the form says.
func (v *visit) saveNotices() error {
	form := v.r.PostForm
	out := noticesPage{
		ETag: form.Get("etag"), Emails: form.Get("emails"), Chat: form.Get("chat"), URL: strings.TrimSpace(form.Get("url")),
		Rate: strings.TrimSpace(form.Get("rate")), Kept: form.Get("kept") != "", Disabled: form.Get("disabled") != "",
		TypeFail: form.Get("types") != "", MailAvailable: form.Get("mail") != "",
	}
	body := map[string]any{"endpointDisabled": out.Disabled, "failingFor": form.Get("failing"), "eventTypeFailing": out.TypeFail}
	if emails := strings.Fields(strings.ReplaceAll(out.Emails, ",", " ")); len(emails) > 0 {
		body["emails"] = emails
	}
	if out.Chat != "" {
		chat := map[string]any{"kind": out.Chat}
		if out.URL != "" {
			chat["url"] = out.URL
		}
		body["chat"] = chat
	}
	if out.Rate != "" {
		rate, err := strconv.Atoi(out.Rate)
		if err != nil || rate < 1 || rate > 100 {
			out.Wrong = []string{"Success rate: want a whole number from 1 to 100, or nothing."}
			return v.notices(http.StatusUnprocessableEntity, out, form.Get("failing"))
		}
		body["successRate"] = rate
	}
	_, err := v.calls.do(http.MethodPut, v.appPath("notices"), body, nil, "If-Match", out.ETag)
	if err == nil {
		return v.redirect(v.appPath("notices") + "?done=saved")
	}
	if refused, ok := errors.AsType[*Refusal](err); ok && refused.Status == http.StatusPreconditionFailed {
		out.Wrong = []string{"Somebody else changed this meanwhile. Load the page again to see how it is now; what you typed is still here."}
	} else if out.Wrong, err = complaints(err); err != nil {
		return err
	}
	return v.notices(http.StatusUnprocessableEntity, out, form.Get("failing"))
}

// testNotices sends a test to whoever is stored, and shows what became of it.
func (v *visit) testNotices() error {
	var out api.NoticeTestOut
	if _, err := v.calls.do(http.MethodPost, v.appPath("notices", "test"), nil, &out); err != nil {
		return err
	}
	return v.noticesWith(out.Results)
}

// recipientWords names a recipient.
func recipientWords(medium string, email *string) string {
	switch medium {
	case "slack":
		return "Chat (Slack's form)"
	case "teams":
		return "Chat (Microsoft Teams)"
	}
	return value(email)
}
