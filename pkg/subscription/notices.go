package subscription

import (
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// Limits of [Notices].
const (
	MaxNoticeEmails = 5   // addresses of a tenant
	MaxEmail        = 254 // bytes of one (RFC 5321, section 4.5.3.1.3, without the brackets)
	MinFailingFor   = 15 * time.Minute
	MaxFailingFor   = 24 * time.Hour
)

// Notices are how a tenant's people are told that its endpoints do badly, and of what. The zero value tells nobody.
type Notices struct {
	// Emails are the addresses that get each notice, each in a mail of its own.
	Emails []string `json:"emails,omitempty"`
	// Chat is the chat that gets it, too.
	Chat *Chat `json:"chat,omitempty"`

	// EndpointDisabled tells of endpoints that Postrider disabled.
	EndpointDisabled bool `json:"endpointDisabled,omitempty"`
	// FailingFor tells of endpoints that nothing succeeded at for that long; 0 does not.
	FailingFor Duration `json:"failingFor,omitempty"`
	// SuccessRate tells of endpoints that succeed less often, in percent; 0 does not.
	SuccessRate int `json:"successRate,omitempty"`
	// EventTypeFailing tells of event types that fail at an endpoint that is well otherwise.
	EventTypeFailing bool `json:"eventTypeFailing,omitempty"`
}

// ChatKind is what a chat takes.
type ChatKind string

// Kinds of chats.
const (
	// ChatSlack takes Slack's incoming webhooks; Mattermost, Rocket.Chat and others take them as well.
	ChatSlack ChatKind = "slack"
	// ChatTeams takes adaptive cards, as a workflow of Microsoft Teams does.
	ChatTeams ChatKind = "teams"
)

// Chat is the incoming webhook of a chat. Whoever knows the URL can write there: it is a secret.
type Chat struct {
	Kind ChatKind `json:"kind"`
	URL  string   `json:"url"`
}

// Told reports whether anybody is told.
func (n *Notices) Told() bool { return n != nil && (len(n.Emails) > 0 || n.Chat != nil) }

// IsSealed reports whether the secret of t is encrypted still: the process has not the key.
func (t *Tenant) IsSealed() bool {
	return t.Notices != nil && t.Notices.Chat != nil && Sealed(t.Notices.Chat.URL)
}

// EachSecret is [Subscription.EachSecret] for a tenant.
func (t *Tenant) EachSecret(seal func(field, value string) (string, error)) error {
	if t.Notices == nil || t.Notices.Chat == nil {
		return nil
	}
	v, notices, chat := visitor{seal: seal}, *t.Notices, *t.Notices.Chat
	v.visit("notices.chat.url", &chat.URL)
	notices.Chat, t.Notices = &chat, &notices
	return v.err
}

func (p *problems) notices(n *Notices, rules Rules) {
	if n == nil {
		return
	}
	if len(n.Emails) > MaxNoticeEmails {
		p.add("notices.emails", "%d: want at most %d", len(n.Emails), MaxNoticeEmails)
		return
	}
	for i, address := range n.Emails {
		field := fmt.Sprintf("notices.emails[%d]", i)
		p.check(field, checkEmail(address))
		if slices.ContainsFunc(n.Emails[:i], func(other string) bool { return strings.EqualFold(other, address) }) {
			p.add(field, "%q: is there twice", address)
		}
	}
	if c := n.Chat; c != nil {
		if c.Kind != ChatSlack && c.Kind != ChatTeams {
			p.add("notices.chat.kind", "%q: want %s or %s", c.Kind, ChatSlack, ChatTeams)
		}
		switch {
		case c.URL == "":
			p.add("notices.chat.url", "missing: want the URL of an incoming webhook")
		case rules.CheckURL != nil && !Sealed(c.URL):
			if err := rules.CheckURL(c.URL); err != nil {
				p.add("notices.chat.url", "%s", strings.TrimPrefix(err.Error(), "url: "))
			}
		}
	}
	if d := n.FailingFor.Std(); d != 0 && (d < MinFailingFor || d > MaxFailingFor) {
		p.add("notices.failingFor", "%s: want %s to %s, or none", d, MinFailingFor, MaxFailingFor)
	}
	if n.SuccessRate < 0 || n.SuccessRate > 100 {
		p.add("notices.successRate", "%d: want 1 to 100 percent, or none", n.SuccessRate)
	}
}

// checkEmail wants an address that any mail server takes for the same: no name beside it, no quotes, no address in place of
// a domain, no name of a machine in the mail server's own network.
func checkEmail(address string) error {
	want := errors.New("want an address such as ops@example.com")
	if len(address) > MaxEmail {
		return fmt.Errorf("%d bytes: want at most %d", len(address), MaxEmail)
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'<>()[]\,;:`, r) }) {
		return want
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return want
	}
	_, domain, _ := strings.Cut(address, "@")
	if !strings.Contains(strings.Trim(domain, "."), ".") {
		return want
	}
	return nil
}
