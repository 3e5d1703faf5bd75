package attempt_test

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
)

// What may be written into a subscription or profile as a header is one line on the wire, byte for byte, and changes
// nothing else of the request: neither the validation nor the transport lets a name or a value become more.
func FuzzHeaderOnTheWire(f *testing.F) {
	for _, c := range [][2]string{
		{"X-Tenant", "acme"},
		{"x-LoWer", "a\tb"},
		{"X-A", "b\r\nX-B: c"},
		{"X-A\r\nX-B", "c"},
		{"X-A", "b\nX-B: c"},
		{"X-A:", "b"},
		{"X-A", "b\x00"},
		{"X-A", ""},
		{"X-A", " b"},
		{"X-A", "ü"},
		{"X A", "b"},
		{"Transfer-Encoding", "chunked"},
		{"cookie", "a=b; c=d"},
		{"Accept-Encoding", "gzip"},
		{"Range", "bytes=0-1"},
		{"content-LENGTH", "0"},
		{"!#$%&'*+-.^_`|~", "x"},
		{"0", "0"},
		{"Date", "now"},
	} {
		f.Add(c[0], c[1])
	}
	requests := make(chan string, 1)
	at := "http://" + rawEndpoint(f, func(conn *net.TCPConn) { recording(requests)(conn) })
	c := client(f)
	lines := func(t *testing.T, header ...sign.Header) []string {
		t.Helper()
		res := do(t, c, &attempt.Request{URL: at, Header: header, Body: []byte("{}")})
		require.Equal(t, 204, res.Status, "%s %v", res.Detail, header)
		head, body, found := strings.Cut(<-requests, "\r\n\r\n")
		require.True(t, found)
		require.Equal(t, "{}", body)
		return strings.Split(head, "\r\n")
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if subscription.CheckField(name, value) != nil || subscription.FramingHeader(name) {
			return
		}
		want := []string{name + ": " + value}
		for _, line := range lines(t) {
			if other, _, _ := strings.Cut(line, ":"); !strings.EqualFold(other, name) {
				want = append(want, line)
			}
		}
		require.ElementsMatch(t, want, lines(t, sign.Header{Name: name, Value: value}))
	})
}
