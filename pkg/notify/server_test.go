package notify_test

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/notify"
)

// received is a mail as a server got it.
type received struct {
	from, to, user string
	data           string
}

// postOffice is a mail server.
type postOffice struct {
	mu    sync.Mutex
	mails []received
	// refuse answers to an address.
	refuse func(to string) error
	// auth wants a password.
	auth bool
}

// session is one connection to it.
type session struct {
	office *postOffice
	mail   received
}

func (s *session) Reset()        { s.mail = received{user: s.mail.user} }
func (s *session) Logout() error { return nil }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "hush" {
			return smtp.ErrAuthFailed
		}
		s.mail.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.office.auth && s.mail.user == "" {
		return smtp.ErrAuthRequired
	}
	s.mail.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = to
	if s.office.refuse != nil {
		return s.office.refuse(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	s.mail.data = string(raw)
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.mails = append(s.office.mails, s.mail)
	return err
}

// taken are the mails that it has.
func (o *postOffice) taken() []received {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]received(nil), o.mails...)
}

// open starts the server, with a certificate for example.com where its connections are encrypted, and returns how to reach it.
func (o *postOffice) open(t *testing.T, encryption string) notify.SMTP {
	t.Helper()
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{office: o}, nil }))
	server.Domain, server.AllowInsecureAuth, server.ErrorLog = "mail.example.com", encryption == notify.TLSNone, quiet{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	conf := notify.SMTP{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, TLS: encryption, From: "Acme <hooks@example.com>"}
	if encryption != notify.TLSNone {
		certified := httptest.NewTLSServer(http.NotFoundHandler())
		t.Cleanup(certified.Close)
		server.TLSConfig = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
		conf.CAFile = filepath.Join(t.TempDir(), "ca.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw})
		require.NoError(t, os.WriteFile(conf.CAFile, block, 0o600))
	}
	if encryption == notify.TLSImplicit {
		listener = tls.NewListener(listener, server.TLSConfig)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return conf
}

// quiet is a log for nobody.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// silent accepts connections and says nothing.
func silent(t *testing.T) *net.TCPAddr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		var conns []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		accepting.Wait()
	})
	return listener.Addr().(*net.TCPAddr)
}

var errNoUser = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no ops@example.com here"}

// failure is the error of a notice that was not taken.
func failure(t *testing.T, err error) *notify.Error {
	t.Helper()
	told, ok := errors.AsType[*notify.Error](err)
	require.True(t, ok, "%v", err)
	return told
}
