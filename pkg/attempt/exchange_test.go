package attempt

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/wire"
)

// Only a kept connection that took no byte lets a request go over another: whatever else fails may have been read.
func TestWhatIsStale(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
	for name, c := range map[string]struct {
		kept  bool
		body  string
		cut   bool   // before the request
		path  string // what the endpoint does
		stale bool
		sent  int32
	}{
		"kept, and gone":            {kept: true, cut: true, stale: true},
		"kept, and gone, large":     {kept: true, cut: true, body: strings.Repeat("x", 100), stale: true},
		"new, and gone":             {cut: true},
		"kept, and closes":          {kept: true, path: "/abort", sent: 1},
		"kept, and closes, large":   {kept: true, path: "/abort", body: strings.Repeat("x", 100), sent: 1},
		"kept, and answers":         {kept: true, sent: 1},
		"kept, and answers, larger": {kept: true, body: strings.Repeat("x", 100), sent: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				seen.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				if r.URL.Path == "/abort" {
					panic(http.ErrAbortHandler)
				}
			}))
			t.Cleanup(srv.Close)
			tr, err := egress.New(egress.Config{
				AllowHTTP: true, AnyPort: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			})
			require.NoError(t, err)
			t.Cleanup(tr.Close)
			connect := func() *egress.Conn {
				conn, err := tr.Connect(t.Context(), egress.Target{Address: srv.Listener.Addr().String()}, nil, time.Now().Add(time.Minute), new(egress.Timings))
				require.NoError(t, err)
				return conn
			}
			conn := connect()
			if c.kept {
				conn.Keep()
				conn = connect()
				require.False(t, conn.Fresh())
			}
			if c.cut {
				conn.Cut()
			}
			head := request
			if c.path != "" {
				head = strings.Replace(head, "/", c.path, 1)
			}
			if c.body != "" {
				head = strings.Replace(head, "Length: 0", "Length: 100", 1)
			}
			x := &exchange{now: time.Now, out: []byte(head)}
			var got wire.Response
			stale, err := x.on(t.Context(), conn, []byte(c.body), &got)
			require.Equal(t, c.stale, stale)
			require.Equal(t, c.cut || c.path != "", err != nil, "%v", err)
			require.Equal(t, c.sent, seen.Load())
		})
	}
}
