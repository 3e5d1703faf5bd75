package egress

import (
	"crypto/tls"
	"errors"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The watch adds up what a connection took, whatever it is told twice, late or not at all.
func TestStopwatch(t *testing.T) {
	const ms = time.Millisecond
	failed := errors.New("failed")
	type step = func(h *httptrace.ClientTrace)
	dns := func(err error) []step {
		return []step{
			func(h *httptrace.ClientTrace) { h.DNSStart(httptrace.DNSStartInfo{}) },
			func(h *httptrace.ClientTrace) { h.DNSDone(httptrace.DNSDoneInfo{Err: err}) },
		}
	}
	connect := func(h *httptrace.ClientTrace) { h.ConnectStart("tcp", "192.0.2.1:443") }
	shake := func(h *httptrace.ClientTrace) { h.TLSHandshakeStart() }
	shook := func(err error) step {
		return func(h *httptrace.ClientTrace) { h.TLSHandshakeDone(tls.ConnectionState{}, err) }
	}
	got := func(reused bool) step {
		return func(h *httptrace.ClientTrace) { h.GotConn(httptrace.GotConnInfo{Reused: reused}) }
	}
	for name, c := range map[string]struct {
		steps []step // a millisecond apart
		want  Timings
	}{
		"nothing":                 {nil, Timings{}},
		"all":                     {append(dns(nil), connect, shake, shook(nil), got(false)), Timings{ms, ms, ms}},
		"no name, no TLS":         {[]step{connect, got(false)}, Timings{Connect: ms}},
		"two addresses at a time": {[]step{connect, connect, shake, shook(nil)}, Timings{Connect: 2 * ms, TLS: ms}},
		"twice":                   {[]step{connect, shake, shook(nil), connect, shake, shook(nil)}, Timings{Connect: 2 * ms, TLS: 2 * ms}},
		"no such name":            {dns(failed), Timings{}},
		"a name, then another":    {append(dns(nil), dns(nil)...), Timings{DNS: 2 * ms}},
		"refused":                 {append(dns(nil), connect), Timings{DNS: ms}},
		"no handshake":            {[]step{connect, shake, shook(failed)}, Timings{Connect: ms}},
		"another's connection":    {append(dns(nil), connect, got(true)), Timings{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var watch Stopwatch
				hooks := watch.Trace()
				for _, s := range c.steps {
					time.Sleep(ms)
					s(hooks)
				}
				time.Sleep(ms)
				require.Equal(t, c.want, watch.Took())
			})
		})
	}
}
