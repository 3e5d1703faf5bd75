package notify_test

import (
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/notify"
)

// silent accepts connections and says nothing.
func silent(t *testing.T) *net.TCPAddr {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
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
