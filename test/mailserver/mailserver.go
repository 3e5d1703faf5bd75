// Package mailserver is a mail server in the test's own process.
package mailserver

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/notify"
)

// Mail is a mail as the server got it.
type Mail struct {
	From, To string
	// User is who signed in.
	User string
	// Data are header and body.
	Data string
}

// Password is that of everybody.
const Password = "hush"

// Server is a mail server. Set its fields before it is opened.
type Server struct {
	// Refuse answers to an address; nil takes all.
	Refuse func(to string) error
	// Auth wants users to sign in.
	Auth bool

	mu    sync.Mutex
	mails []Mail
}

// session is one connection to it.
type session struct {
	server *Server
	mail   Mail
}

func (s *session) Reset()        { s.mail = Mail{User: s.mail.User} }
func (s *session) Logout() error { return nil }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != Password {
			return smtp.ErrAuthFailed
		}
		s.mail.User = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.Auth && s.mail.User == "" {
		return smtp.ErrAuthRequired
	}
	s.mail.From = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = to
	if s.server.Refuse != nil {
		return s.server.Refuse(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	s.mail.Data = string(raw)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, s.mail)
	return err
}

// Mails are those that it took.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Open starts the server, with a certificate for example.com where its connections are encrypted, and returns how to reach it.
func (s *Server) Open(t *testing.T, encryption string) notify.SMTP {
	t.Helper()
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	server.Domain, server.AllowInsecureAuth, server.ErrorLog = "mail.example.com", encryption == notify.TLSNone, quiet{}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
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
