// Package notify carries notices to people: as mail through the operator's SMTP server, and to chats over HTTP.
//
// The SMTP server is the operator's configuration and is dialled as it stands there. The URL of a chat is a tenant's: it goes
// through the transport of endpoints, with its guard, and in no log and no error.
package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/notice"
)

// Times of a notice.
const (
	// mailTimeout bounds a mail: servers take seconds when they look at who sends.
	mailTimeout = 30 * time.Second
	// chatTimeout bounds a request to a chat.
	chatTimeout = 10 * time.Second
)

// Error says why a notice was not taken.
type Error struct {
	// Why is for the tenant: it says nothing of the installation, and holds neither address nor URL.
	Why string
	// Refused says that the other side was reached and does not want it: trying soon is of no use.
	Refused bool
	// cause is for the operator; it holds neither address nor URL.
	cause error
}

// Error implements error, for the operator's log.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Why
	}
	return e.Why + ": " + e.cause.Error()
}

// Options are what a [Sender] may use.
type Options struct {
	// SMTP is the mail server; without a host no mail is sent.
	SMTP SMTP
	// Transport carries requests to chats; it is wanted, and guards its dials.
	Transport http.RoundTripper
	UserAgent string
}

// Sender sends notices. All methods may be called concurrently. Make it with [New].
type Sender struct {
	mail *mailer // nil without a mail server
	chat chat
}

// New returns a sender. It reads files that the options name and connects to nothing.
func New(opts Options) (*Sender, error) {
	m, err := newMailer(opts.SMTP)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport: opts.Transport, Timeout: chatTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Sender{mail: m, chat: chat{client: client, userAgent: opts.UserAgent}}, nil
}

// Mails reports whether mail can be sent.
func (s *Sender) Mails() bool { return s.mail != nil }

// Send sends one notice to one recipient, and returns when it was taken. What goes wrong is an [*Error].
func (s *Sender) Send(ctx context.Context, r notice.Recipient, d notice.Digest) error {
	var err error
	switch r.Medium {
	case notice.Email:
		err = s.sendMail(ctx, r.Address, d)
	case notice.Slack, notice.Teams:
		err = s.sendChat(ctx, r, d)
	default:
		err = &Error{Why: fmt.Sprintf("medium %q: want email, slack or teams", r.Medium), Refused: true}
	}
	if err == nil {
		return nil
	}
	if told, ok := errors.AsType[*Error](err); ok {
		return told
	}
	return &Error{Why: "it could not be written", cause: err}
}

func (s *Sender) sendMail(ctx context.Context, to string, d notice.Digest) error {
	if s.mail == nil {
		return &Error{Why: "this installation sends no mail", Refused: true}
	}
	m, err := d.Mail()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	return s.mail.send(ctx, to, m)
}

func (s *Sender) sendChat(ctx context.Context, r notice.Recipient, d notice.Digest) error {
	body, err := d.Chat(r.Medium)
	if err != nil {
		return err
	}
	return s.chat.send(ctx, r.Address, body)
}

// why prefers the end of the context, which is what a broken connection is then.
func why(ctx context.Context, err error) error { return cmp.Or(ctx.Err(), err) }
