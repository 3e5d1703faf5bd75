package notify

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	stdmail "net/mail"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/postrider/postrider/pkg/notice"
)

// Encryption of the connection to a mail server.
const (
	TLSStart    = "starttls" // STARTTLS, and nothing is sent without
	TLSImplicit = "tls"      // TLS from the start, as on port 465
	TLSNone     = "none"     // for a relay on the same machine, and for tests
)

// SMTP is how to reach a mail server that takes mail for everybody. The zero value is none.
type SMTP struct {
	Host string
	Port int
	// TLS is one of [TLSStart], [TLSImplicit] and [TLSNone].
	TLS string
	// CAFile holds the certificates to trust, PEM; the system's if empty.
	CAFile string
	// Username is for AUTH; empty is none. PasswordFile is a file that holds the password, and wins.
	Username     string
	Password     string
	PasswordFile string
	// From is who mails are from: ops@example.com, or Acme <ops@example.com>.
	From string
}

// Validate names the key that is wrong. A password may be missing: processes that send no mail need none.
func (s SMTP) Validate() error {
	if s.Host == "" {
		if s.From != "" || s.Username != "" || s.Password != "" || s.PasswordFile != "" {
			return errors.New("host: missing: want the mail server's name, or nothing of one")
		}
		return nil
	}
	var errs []error
	if s.Port < 1 || s.Port > 65_535 {
		errs = append(errs, fmt.Errorf("port: %d: want 1 to 65535", s.Port))
	}
	switch s.TLS {
	case TLSStart, TLSImplicit:
	case TLSNone:
		if s.Username != "" {
			errs = append(errs, errors.New("tls: none: want starttls or tls, since a password is sent"))
		}
	default:
		errs = append(errs, fmt.Errorf("tls: %q: want starttls, tls or none", s.TLS))
	}
	if _, err := stdmail.ParseAddress(s.From); err != nil {
		errs = append(errs, fmt.Errorf("from: %q: want an address such as Acme <ops@example.com>", s.From))
	}
	if s.Password != "" && s.PasswordFile != "" {
		errs = append(errs, errors.New("password and password_file: want one of them"))
	}
	if s.Username == "" && (s.Password != "" || s.PasswordFile != "") {
		errs = append(errs, errors.New("username: missing: want it, or no password"))
	}
	return errors.Join(errs...)
}

// mailer sends mails, over a connection each: there are few.
type mailer struct {
	conf    SMTP
	from    *stdmail.Address
	options []mail.Option
	tls     *tls.Config
	// awayUntil, Unix milliseconds, spares whoever comes next the wait for a server that is away.
	awayUntil atomic.Int64
}

// awayFor is how long a mail server that could not be reached is not asked again.
const awayFor = 15 * time.Second

var errAway = errors.New("it could not a moment ago")

// newMailer returns nil for no mail server.
func newMailer(conf SMTP) (*mailer, error) {
	if conf.Host == "" {
		return nil, nil //nolint:nilnil // no mail server is a valid configuration
	}
	if err := conf.Validate(); err != nil {
		return nil, fmt.Errorf("notices.smtp.%w", err)
	}
	from, err := stdmail.ParseAddress(conf.From)
	if err != nil {
		return nil, errors.New("notices.smtp.from: want an address")
	}
	m := &mailer{conf: conf, from: from, tls: &tls.Config{ServerName: conf.Host, MinVersion: tls.VersionTLS12}}
	if conf.CAFile != "" {
		pem, err := os.ReadFile(conf.CAFile)
		if err != nil {
			return nil, fmt.Errorf("notices.smtp.ca_file: %w", err)
		}
		if m.tls.RootCAs = x509.NewCertPool(); !m.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("notices.smtp.ca_file: %s: holds no PEM certificate", conf.CAFile)
		}
	}
	m.options = []mail.Option{mail.WithPort(conf.Port), mail.WithTimeout(mailTimeout), mail.WithTLSConfig(m.tls), mail.WithTLSPolicy(mail.TLSMandatory)}
	auth := mail.SMTPAuthAutoDiscover
	switch conf.TLS {
	case TLSImplicit:
		m.options = append(m.options, mail.WithSSL())
		auth = mail.SMTPAuthPlain // the library does not see that our own dial is encrypted
	case TLSNone:
		m.options = append(m.options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if conf.Username == "" {
		return m, nil
	}
	password := conf.Password
	if conf.PasswordFile != "" {
		raw, err := os.ReadFile(conf.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("notices.smtp.password_file: %w", err)
		}
		password = strings.TrimRight(string(raw), "\r\n")
	}
	if password == "" {
		return nil, errors.New("notices.smtp.password_file: missing (and notices.smtp.password): want the password of notices.smtp.username")
	}
	m.options = append(m.options, mail.WithSMTPAuth(auth), mail.WithUsername(conf.Username), mail.WithPassword(password))
	return m, nil
}

func (m *mailer) send(ctx context.Context, to string, notice notice.Message) error {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(m.from)
	msg.ToMailAddress(&stdmail.Address{Address: to})
	msg.Subject(notice.Subject)
	msg.SetDateWithValue(time.Now())
	_, domain, _ := strings.Cut(m.from.Address, "@")
	msg.SetMessageIDWithValue(rand.Text() + "@" + domain) // the library would name this machine
	msg.SetGenHeader("Auto-Submitted", "auto-generated")  // RFC 3834: nobody answers with an absence
	msg.SetBodyString(mail.TypeTextPlain, notice.Text)
	msg.AddAlternativeString(mail.TypeTextHTML, notice.HTML)

	var conn net.Conn
	stop := func() bool { return true }
	dial := mail.WithDialContextFunc(func(dialing context.Context, network, address string) (_ net.Conn, err error) {
		if conn, err = m.dial(dialing, network, address); err == nil {
			stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // the library looks at ctx no more
		}
		return conn, err
	})
	defer func() {
		if stop(); conn != nil {
			_ = conn.Close() // the library leaves it open when a greeting fails
		}
	}()
	const unreachable = "the mail server could not be reached"
	if time.Now().UnixMilli() < m.awayUntil.Load() {
		return &Error{Why: unreachable, cause: errAway}
	}
	client, err := mail.NewClient(m.conf.Host, append(slices.Clip(m.options), dial)...)
	if err != nil {
		return &Error{Why: "the mail server is not configured rightly", cause: err}
	}
	if err := client.DialWithContext(ctx); err != nil {
		m.awayUntil.Store(time.Now().Add(awayFor).UnixMilli())
		return &Error{Why: unreachable, cause: why(ctx, err)}
	}
	if err := client.Send(msg); err != nil {
		return notSent(ctx, err)
	}
	_ = client.Close() // the mail was taken; whether the farewell was, is nobody's business
	return nil
}

func (m *mailer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if m.conf.TLS == TLSImplicit {
		return (&tls.Dialer{Config: m.tls}).DialContext(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// notSent says what the server said against a mail. The library's text has the recipient's address in it.
func notSent(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &Error{Why: "the mail server did not answer in time"}
	}
	refused, ok := errors.AsType[*mail.SendError](err)
	if !ok || refused.ErrorCode() == 0 {
		return &Error{Why: "the mail server did not take it"}
	}
	text := fmt.Sprintf("the mail server answered %d", refused.ErrorCode())
	if refused.Reason == mail.ErrSMTPRcptTo {
		text = fmt.Sprintf("the mail server did not take the address: it answered %d", refused.ErrorCode())
	}
	return &Error{Why: text, Refused: !refused.IsTemp()}
}
