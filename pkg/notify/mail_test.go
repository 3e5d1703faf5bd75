package notify_test

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/notice"
	"github.com/postrider/postrider/pkg/notify"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/mailserver"
)

const hostile = "<img src=x>\r\nBcc: all@example.com\r\n\r\nÄ?= \u202e`@here`"

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

var ops = notice.Recipient{Medium: notice.Email, Address: "ops@example.com"}

// digest is a notice of one endpoint with a name.
func digest(name string) notice.Digest {
	problem := notice.Problem{Kind: notice.Disabled, Subscription: ident.Derive("test", "one")}
	return notice.Portal{URL: "https://hooks.example.com/portal", Product: "Webhooks"}.Digest(
		&subscription.Tenant{ID: ident.Derive("test", "acme"), Name: name},
		notice.News{Bad: []notice.Item{{Problem: problem, Since: time.Unix(1, 0), Detail: "It was disabled."}}},
		func(id ident.ID) (*subscription.Subscription, bool) {
			return &subscription.Subscription{ID: id, Name: name, URL: "https://erp.example.com/x"}, true
		})
}

func sender(t *testing.T, conf notify.SMTP) *notify.Sender {
	t.Helper()
	s, err := notify.New(notify.Options{SMTP: conf})
	require.NoError(t, err)
	return s
}

// parts are the bodies of a mail by media type.
func parts(t *testing.T, m *mail.Message) map[string]string {
	t.Helper()
	media, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", media)
	out := map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		raw, err := io.ReadAll(part)
		require.NoError(t, err)
		media, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		require.NoError(t, err)
		out[media] = string(raw)
	}
}

func TestMailArrives(t *testing.T) {
	t.Parallel()
	for _, encryption := range []string{notify.TLSStart, notify.TLSImplicit, notify.TLSNone} {
		t.Run(encryption, func(t *testing.T) {
			t.Parallel()
			office := &mailserver.Server{Auth: encryption != notify.TLSNone}
			conf := office.Open(t, encryption)
			if office.Auth {
				conf.Username, conf.PasswordFile = "hooks", filepath.Join(t.TempDir(), "password")
				require.NoError(t, os.WriteFile(conf.PasswordFile, []byte("hush\n"), 0o600))
			}
			require.NoError(t, sender(t, conf).Send(t.Context(), ops, digest(hostile)))
			mails := office.Mails()
			require.Len(t, mails, 1)
			require.Equal(t, "hooks@example.com", mails[0].From)
			require.Equal(t, "ops@example.com", mails[0].To)
			require.Equal(t, conf.Username, mails[0].User)

			m, err := mail.ReadMessage(strings.NewReader(mails[0].Data))
			require.NoError(t, err)
			subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
			require.NoError(t, err)
			require.Equal(t, "Webhooks of <img src=x> Bcc: all@example.com Ä?= `@here`: 1 new problem", subject)
			require.Empty(t, m.Header.Get("Bcc"), "a name makes no header")
			require.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
			require.Equal(t, `"Acme" <hooks@example.com>`, m.Header.Get("From"))
			require.Regexp(t, `^<[A-Z0-9]+@example\.com>$`, m.Header.Get("Message-ID"))
			require.NotEmpty(t, m.Header.Get("Date"))
			bodies := parts(t, m)
			require.Contains(t, bodies["text/plain"], "It was disabled.")
			require.Contains(t, bodies["text/plain"], "https://hooks.example.com/portal/app/app_")
			require.Contains(t, bodies["text/html"], "&lt;img src=x&gt;")
			require.NotContains(t, bodies["text/html"], "<img")
		})
	}
}

// The refusal of an address is told without the address, and told apart from a server that has no time.
func TestMailIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer  error
		why     string
		refused bool
	}{
		{errNoUser, "the mail server did not take the address: it answered 550", true},
		{&smtp.SMTPError{Code: 451, Message: "later, ops@example.com"}, "the mail server did not take the address: it answered 451", false},
	} {
		office := &mailserver.Server{Refuse: func(string) error { return c.answer }}
		err := failure(t, sender(t, office.Open(t, notify.TLSNone)).Send(t.Context(), ops, digest("Acme")))
		require.Equal(t, c.why, err.Why)
		require.Equal(t, c.refused, err.Refused)
		require.NotContains(t, err.Error(), ops.Address)
		require.Empty(t, office.Mails())
	}
}

func TestMailServerIsNotThere(t *testing.T) {
	t.Parallel()
	none := sender(t, notify.SMTP{})
	require.False(t, none.Mails())
	require.True(t, failure(t, none.Send(t.Context(), ops, digest("Acme"))).Refused)

	quiet := sender(t, notify.SMTP{Host: "127.0.0.1", Port: silent(t).Port, TLS: notify.TLSNone, From: "a@example.com"})
	require.True(t, quiet.Mails())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	err := failure(t, quiet.Send(ctx, ops, digest("Acme")))
	require.False(t, err.Refused)
	require.Equal(t, "the mail server could not be reached", err.Why)
	err = failure(t, quiet.Send(t.Context(), ops, digest("Acme")))
	require.Equal(t, "the mail server could not be reached: it could not a moment ago", err.Error(), "nobody waits for it again")

	plain := new(mailserver.Server).Open(t, notify.TLSNone)
	plain.TLS = notify.TLSStart
	require.ErrorContains(t, sender(t, plain).Send(t.Context(), ops, digest("Acme")), "STARTTLS", "nothing is sent without")

	office := &mailserver.Server{Auth: true}
	locked := office.Open(t, notify.TLSStart)
	locked.Username, locked.Password = "hooks", "wrong"
	failed := failure(t, sender(t, locked).Send(t.Context(), ops, digest("Acme")))
	require.NotContains(t, failed.Error(), "wrong")
	locked.Password, locked.CAFile = "hush", ""
	require.Error(t, sender(t, locked).Send(t.Context(), ops, digest("Acme")), "its certificate is of nobody's")
	require.Empty(t, office.Mails())
}

func TestSMTPValidate(t *testing.T) {
	t.Parallel()
	good := notify.SMTP{Host: "mail.example.com", Port: 587, TLS: notify.TLSStart, From: "Acme <ops@example.com>"}
	require.NoError(t, good.Validate())
	require.NoError(t, notify.SMTP{Port: 587, TLS: notify.TLSStart}.Validate(), "none")
	for want, change := range map[string]func(*notify.SMTP){
		"host: missing":              func(s *notify.SMTP) { s.Host = "" },
		"port: 0: want":              func(s *notify.SMTP) { s.Port = 0 },
		`tls: "ssl": want`:           func(s *notify.SMTP) { s.TLS = "ssl" },
		"tls: none: want":            func(s *notify.SMTP) { s.TLS, s.Username, s.Password = notify.TLSNone, "a", "b" },
		`from: "x": want`:            func(s *notify.SMTP) { s.From = "x" },
		"password and password_file": func(s *notify.SMTP) { s.Username, s.Password, s.PasswordFile = "a", "hush", "c" },
		"username: missing: want it": func(s *notify.SMTP) { s.Password = "hush" },
	} {
		bad := good
		change(&bad)
		err := bad.Validate()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hush")
		_, err = notify.New(notify.Options{SMTP: bad})
		require.Equal(t, bad.Host != "", err != nil, want)
	}
	user := good
	user.Username = "hooks"
	require.NoError(t, user.Validate(), "where nothing is sent no password is needed")
	_, err := notify.New(notify.Options{SMTP: user})
	require.ErrorContains(t, err, "notices.smtp.password_file: missing")
	good.CAFile = "/nonexistent"
	_, err = notify.New(notify.Options{SMTP: good})
	require.ErrorContains(t, err, "notices.smtp.ca_file")
}
