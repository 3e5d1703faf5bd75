package wire_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/wire"
)

var limits = wire.Limits{Head: 1024, Body: 64}

// bufSize is smaller than the limit, so that there are heads that do not fit.
const bufSize = 512

// silent is the rest of a connection whose endpoint says nothing more: nobody may wait for it.
type silent struct{}

var errWaited = errors.New("waited for more than the response")

func (silent) Read([]byte) (int, error) { return 0, errWaited }

// reads are ways in which bytes arrive.
var reads = map[string]func(io.Reader) io.Reader{
	"at once":      func(r io.Reader) io.Reader { return r },
	"byte by byte": iotest.OneByteReader,
	"in halves":    iotest.HalfReader,
}

func read(sent string, rest io.Reader, in func(io.Reader) io.Reader) (wire.Response, error) {
	var r wire.Response
	err := r.Read(in(io.MultiReader(strings.NewReader(sent), rest)), make([]byte, bufSize), limits)
	return r, err
}

// TestResponses: every framing of RFC 9112, however it arrives, and who keeps the connection open is not waited for.
func TestResponses(t *testing.T) {
	long := strings.Repeat("x", 64)
	big := "X-Big: " + strings.Repeat("b", bufSize) + "\r\n"
	for name, c := range map[string]struct {
		sent   string
		status int
		body   string
		keeps  bool
	}{
		"length":                     {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
		"no length in 204":           {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
		"no reason":                  {"HTTP/1.1 204\r\n\r\n", 204, "", true},
		"no body in 304":             {"HTTP/1.1 304 Not Modified\r\n\r\n", 304, "", true},
		"a length in 304":            {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", false},
		"a length in 204":            {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, "", false},
		"chunks in 204":              {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, "", false},
		"length 0":                   {"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 500, "", true},
		"at the limit":               {"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + long, 200, long, true},
		"keep-alive":                 {"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n", 200, "", true},
		"close":                      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 200, "", false},
		"close among others":         {"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", 200, "", false},
		"close, then keep-alive":     {"HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 200, "", false},
		"close with chunks":          {"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "", false},
		"any case":                   {"HTTP/1.1 200 OK\r\ncontent-LENGTH:2 \r\n\r\nok", 200, "ok", true},
		"chunks":                     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n1;x=y\r\n!\r\n0\r\n\r\n", 200, "ok!", true},
		"chunks and trailer":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", 200, "ok", true},
		"no chunk":                   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "", true},
		"both":                       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok", false},
		"the same length twice":      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		"HTTP/1.0 with length":       {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		"HTTP/1.0 with keep-alive":   {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		"lines without CR":           {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, "ok", false},
		"a folded line":              {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		"a space before the colon":   {"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		"a head beyond the buffer":   {"HTTP/1.1 200 OK\r\n" + big + "Content-Length: 2\r\n\r\nok", 200, "ok", false},
		"100, then 200":              {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		"103 twice, then 204":        {strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 2) + "HTTP/1.1 204 No\r\n\r\n", 204, "", false},
		"101":                        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nanything", 101, "", false},
		"below 100":                  {"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n", 99, "", false},
		"beyond 599":                 {"HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n", 999, "", true},
		"bytes that are not ASCII":   {"HTTP/1.1 200 Ja\xfc\r\nX: \xff\r\nContent-Length: 0\r\n\r\n", 200, "", true},
		"a value of spaces and tabs": {"HTTP/1.1 200 OK\r\nX:\r\nY: \t \r\nContent-Length:\t2\t\r\n\r\nok", 200, "ok", true},
	} {
		for how, in := range reads {
			t.Run(name+" "+how, func(t *testing.T) {
				r, err := read(c.sent, silent{}, in)
				require.NoError(t, err)
				require.Equal(t, c.status, r.Status)
				require.Equal(t, c.body, string(r.Body))
				require.Equal(t, c.keeps, r.Reusable, "reusable")
				require.False(t, r.Truncated)
				require.True(t, r.Begun)
			})
		}
	}
}

// The connection's end is the body's, where nothing else is.
func TestBodiesThatEndWithTheConnection(t *testing.T) {
	for _, head := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\n\n"} {
		r, err := read(head+"ok", iotest.ErrReader(io.EOF), reads["at once"])
		require.NoError(t, err)
		require.Equal(t, "ok", string(r.Body))
		require.False(t, r.Reusable)
	}
}

// A longer body is cut off, and costs the connection.
func TestLongBodies(t *testing.T) {
	long := strings.Repeat("x", 65)
	for _, sent := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n" + long, "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\n" + long,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n" + long + "\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n" + long,
	} {
		for how, in := range reads {
			r, err := read(sent, silent{}, in)
			require.NoError(t, err, how)
			require.Equal(t, long[:64], string(r.Body))
			require.True(t, r.Truncated)
			require.False(t, r.Reusable)
			require.Less(t, cap(r.Body), 1024)
		}
	}
}

// What comes after a response belongs to no request: the connection ends.
func TestSurplus(t *testing.T) {
	for _, sent := range []string{
		"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	} {
		for _, more := range []string{"\r", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", strings.Repeat("x", 5000)} {
			r, err := read(sent+more, silent{}, reads["at once"])
			require.NoError(t, err)
			require.False(t, r.Reusable, "%q", more)
			var large wire.Response
			require.NoError(t, large.Read(strings.NewReader(sent+more), make([]byte, 1<<14), limits))
			require.False(t, large.Reusable, "%q, all of it read", more)
		}
	}
}

// What is broken is an error as soon as it is seen, with the status if the head was whole.
func TestBrokenResponses(t *testing.T) {
	for sent, status := range map[string]int{
		"SSH-2.0-OpenSSH_9.9\r\n":                    0,
		"HTTP/1.1 20\r\n":                            0,
		"HTTP/1.1 2000 OK\r\n":                       0,
		"HTTP/1.1 -20 OK\r\n":                        0,
		"HTTP/1.1 abc OK\r\n":                        0,
		"HTTP/1.1  200 OK":                           0,
		"HTTP/11 200 OK\r\n":                         0,
		"http/1.1 200 OK\r\n":                        0,
		"\r\nHTTP/1.1 200 OK\r\n":                    0,
		"HTTP/1.1 200 OK\r\n: x\r\nno colon\r\n\r\n": 0,
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n":        0,
		"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n":      0,
		"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n":         0,
		"HTTP/1.1 200 OK\r\nX\x01: y\r\n\r\n":        0,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok":                          0,
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nok":                                            0,
		"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok":                                              0,
		"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok":                                              0,
		"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok":                                             0,
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok":                            0,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n":                         0,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 0,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n":                                       0,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":                                  200,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n":                  200,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("x", 8192):          200,
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 4096):                                           0,
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: x\r\n", 1000):                                       0,
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000):                                          0,
	} {
		for how, in := range reads {
			r, err := read(sent, iotest.ErrReader(io.ErrUnexpectedEOF), in)
			require.Error(t, err, "%.60q %s", sent, how)
			require.NotErrorIs(t, err, errWaited)
			require.Equal(t, status, r.Status, "%.60q", sent)
			require.False(t, r.Reusable)
		}
	}
}

// Without a byte the error is the connection's own, and nobody thinks that a response began.
func TestNoResponse(t *testing.T) {
	gone := errors.New("gone")
	r, err := read("", iotest.ErrReader(gone), reads["at once"])
	require.Equal(t, gone, err)
	require.False(t, r.Begun)
	r, err = read("H", iotest.ErrReader(gone), reads["at once"])
	require.Error(t, err)
	require.True(t, r.Begun)
	r, err = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", iotest.ErrReader(gone), reads["at once"])
	require.Equal(t, gone, err)
	require.Equal(t, 200, r.Status)
	require.Equal(t, "ok", string(r.Body))
	_, err = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", iotest.ErrReader(io.EOF), reads["at once"])
	require.Equal(t, io.ErrUnexpectedEOF, err)
}

// fieldsOf are the fields by canonical names.
func fieldsOf(r *wire.Response) http.Header {
	h := http.Header{}
	for name, value := range r.Fields() {
		h.Add(string(name), string(value))
	}
	return h
}

// The fields are those that were sent, whoever read them.
func TestFields(t *testing.T) {
	head := "HTTP/1.1 429 Slow\r\nretry-AFTER: 5\r\nWebhook-Delivery: a\r\nX: y\r\nwebhook-delivery:b \r\n"
	for _, end := range []string{"Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		r, err := read(head+end, silent{}, reads["at once"])
		require.NoError(t, err)
		h := fieldsOf(&r)
		require.Equal(t, "5", h.Get("Retry-After"))
		require.Equal(t, []string{"a", "b"}, h["Webhook-Delivery"])
		require.Equal(t, []string{"y"}, h["X"])
		for range r.Fields() {
			break // may end early
		}
	}
	r, err := read("HTTP/1.1 204 No Content\r\n\r\n", silent{}, reads["at once"])
	require.NoError(t, err)
	require.Empty(t, fieldsOf(&r))
	r, err = read("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nok", iotest.ErrReader(io.EOF), reads["at once"])
	require.Error(t, err)
	require.Equal(t, []string{"y"}, fieldsOf(&r)["X"], "of a response that was cut off")
}

// reference is net/http's opinion of a response, and how much of the connection it leaves.
func reference(sent []byte) (status int, header http.Header, body []byte, closes bool, left int, err error) {
	conn := bytes.NewReader(sent)
	b := bufio.NewReader(conn)
	for {
		got, err := http.ReadResponse(b, nil) //nolint:bodyclose // there is nothing behind it
		if err != nil {
			return 0, nil, nil, false, 0, err
		}
		if got.StatusCode >= 100 && got.StatusCode <= 199 && got.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		if got.StatusCode != http.StatusSwitchingProtocols {
			body, err = io.ReadAll(got.Body)
		}
		return got.StatusCode, got.Header, body, got.Close || got.StatusCode <= 199, b.Buffered() + conn.Len(), err
	}
}

// FuzzResponse: what is accepted is what net/http accepts, with the same status, fields and body; what is refused is what
// net/http refuses; and a connection that is used again stands where net/http's would.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 x\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\nHTTP", "HTTP/1.1 200 OK\n\nok",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 101 x\r\n\r\nx", "HTTP/1.1 099 x\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200\r\nRetry-After: 5\r\nContent-Length:0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nWebhook-Delivery: a\r\nwebhook-delivery: b\r\nContent-Length: 1\r\n\r\nok", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
	} {
		for piece := range 3 {
			f.Add([]byte(s), piece*7)
		}
	}
	wide := wire.Limits{Head: 1 << 20, Body: 1 << 20}
	f.Fuzz(func(t *testing.T, sent []byte, piece int) {
		status, header, body, closes, left, refused := reference(sent)
		conn := bytes.NewReader(sent)
		var from io.Reader = conn
		if piece > 0 {
			from = &pieces{r: conn, size: piece}
		}
		var r wire.Response
		err := r.Read(from, make([]byte, bufSize), wide)
		require.Equal(t, refused == nil, err == nil, "net/http: %v, here: %v", refused, err)
		if err != nil {
			require.False(t, r.Reusable)
			return
		}
		require.Equal(t, status, r.Status)
		require.Equal(t, string(body), string(r.Body))
		got := fieldsOf(&r)
		if status != http.StatusSwitchingProtocols { // net/http acts on them, and keeps them to itself
			got.Del("Transfer-Encoding")
			got.Del("Trailer")
			header.Del("Trailer")
		}
		if len(got["Content-Length"]) == 2 { // the same twice is once for net/http
			t.Fatal("understood here, and should not be")
		}
		require.Equal(t, fmt.Sprint(header), fmt.Sprint(got))
		if r.Reusable {
			require.False(t, closes, "net/http would close the connection")
			require.Equal(t, left, conn.Len(), "the connection stands elsewhere")
		}
	})
}

// pieces gives bytes in pieces of a size.
type pieces struct {
	r    io.Reader
	size int
}

func (p *pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.size)]) }
