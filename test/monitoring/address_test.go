package monitoring_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// freeAddress returns an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of this test
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
