package h2

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/postrider/postrider/pkg/sign"
)

const idle = time.Minute

// peer is an endpoint that does what a test says.
type peer struct {
	t    *testing.T
	conn net.Conn
	out  *http2.Framer
	head bytes.Buffer
	enc  *hpack.Encoder

	mu   sync.Mutex
	seen []any         // frames, see [peer.read]
	hold chan struct{} // until when no more are read; nil: all are
}

// Frames that came, as far as tests look at them.
type (
	headSeen struct {
		id     uint32
		fields []hpack.HeaderField
		ended  bool
	}
	dataSeen struct {
		id    uint32
		data  string
		ended bool
	}
	resetSeen struct {
		id   uint32
		code http2.ErrCode
	}
	creditSeen struct{ id, n uint32 }
	pingSeen   struct{ ack bool }
	ackSeen    struct{}
)

// connect returns a connection and its other end, within a bubble; it ends with the test's function.
func connect(t *testing.T) (*Conn, *peer) {
	t.Helper()
	near, far := net.Pipe()
	c := New(near, func() { near.Close() }, Options{Now: time.Now, Head: 4 << 10, Body: 64 << 10, Idle: idle})
	p := &peer{t: t, conn: far, out: http2.NewFramer(far, nil)}
	p.enc = hpack.NewEncoder(&p.head)
	go p.read()
	require.NoError(t, p.out.WriteSettings())
	synctest.Wait()
	p.take()
	return c, p
}

// read notes what comes.
func (p *peer) read() {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(p.conn, preface); err != nil || string(preface) != http2.ClientPreface {
		p.t.Errorf("preface %q: %v", preface, err)
		return
	}
	in := http2.NewFramer(nil, p.conn)
	in.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		f, err := in.ReadFrame()
		if err != nil {
			return
		}
		var seen any
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			seen = headSeen{f.StreamID, f.Fields, f.StreamEnded()}
		case *http2.DataFrame:
			seen = dataSeen{f.StreamID, string(f.Data()), f.StreamEnded()}
		case *http2.RSTStreamFrame:
			seen = resetSeen{f.StreamID, f.ErrCode}
		case *http2.WindowUpdateFrame:
			seen = creditSeen{f.StreamID, f.Increment}
		case *http2.PingFrame:
			seen = pingSeen{f.IsAck()}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				continue
			}
			seen = ackSeen{}
		default:
			p.t.Errorf("frame %T", f)
		}
		p.mu.Lock()
		p.seen = append(p.seen, seen)
		hold := p.hold
		p.mu.Unlock()
		if hold != nil {
			<-hold
		}
	}
}

// take returns what came since the last call, when nothing more does.
func (p *peer) take() []any {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

// fields writes a head.
func (p *peer) fields(id uint32, ended bool, fields ...string) {
	p.head.Reset()
	for _, f := range fields {
		name, value, _ := strings.Cut(f[1:], ":")
		require.NoError(p.t, p.enc.WriteField(hpack.HeaderField{Name: f[:1] + name, Value: strings.TrimSpace(value)}))
	}
	_ = p.out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.head.Bytes(), EndHeaders: true, EndStream: ended})
}

// answer answers a request with a status alone.
func (p *peer) answer(id uint32, status string) { p.fields(id, true, ":status:"+status) }

// asked is a request under way.
type asked struct {
	res  Response
	err  error
	done chan struct{}
}

// ask makes a request, and returns when it was written as far as it may be.
func ask(ctx context.Context, c *Conn, r Request) *asked {
	if r.Method == "" {
		r.Method, r.Authority, r.Path = "POST", "example.com", "/hook"
	}
	if r.Deadline.IsZero() {
		r.Deadline = time.Now().Add(10 * time.Second)
	}
	a := &asked{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.err = c.Do(ctx, &r, &a.res)
	}()
	synctest.Wait()
	return a
}

// over reports whether it has ended.
func (a *asked) over() bool {
	synctest.Wait()
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// status waits for the answer.
func (a *asked) status(t *testing.T) int {
	t.Helper()
	<-a.done
	require.NoError(t, a.err)
	return a.res.Status
}

// bubble runs a test whose connection may be left to itself.
func bubble(t *testing.T, test func(t *testing.T, c *Conn, p *peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, p := connect(t)
		test(t, c, p)
		_ = p.conn.Close()
		synctest.Wait()
		require.Error(t, c.Err())
		require.Empty(t, c.streams)
	})
}

// The head is what HTTP/2 has for the request, names in lower case and nothing for anybody's tables.
func TestHead(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		a := ask(t.Context(), c, Request{
			Method: "PUT", Authority: "example.com:8443", Path: "/a?b=" + strings.Repeat("c", 300), Body: []byte("{}"),
			Fields: []sign.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "X-DIXA-Signature", Value: " t=1,v1=2\t"}},
		})
		field := func(name, value string) hpack.HeaderField { return hpack.HeaderField{Name: name, Value: value} }
		secret := func(name, value string) hpack.HeaderField {
			return hpack.HeaderField{Name: name, Value: value, Sensitive: true}
		}
		require.Equal(t, []any{
			headSeen{1, []hpack.HeaderField{
				field(":method", "PUT"), field(":scheme", "https"), field(":authority", "example.com:8443"),
				field(":path", "/a?b="+strings.Repeat("c", 300)), secret("content-type", "application/json"),
				secret("x-dixa-signature", "t=1,v1=2"), secret("content-length", "2"),
			}, false},
			dataSeen{1, "{}", true},
		}, p.take())
		p.fields(1, false, ":status:200", "content-type: text/plain", "x-id: 7", "x-id: 8", "content-length: 2")
		require.NoError(t, p.out.WriteData(1, false, []byte("o")))
		require.NoError(t, p.out.WriteDataPadded(1, true, []byte("k"), make([]byte, 10)))
		require.Equal(t, 200, a.status(t))
		require.Equal(t, "content-type: text/plain\r\nx-id: 7\r\nx-id: 8\r\ncontent-length: 2\r\n", string(a.res.Lines))
		require.Equal(t, "ok", string(a.res.Body))
		require.False(t, a.res.Truncated)

		a = ask(t.Context(), c, Request{Method: "DELETE", Authority: "example.com", Path: "/"})
		require.Equal(t, []any{headSeen{3, []hpack.HeaderField{
			field(":method", "DELETE"), field(":scheme", "https"), field(":authority", "example.com"), field(":path", "/"),
		}, true}}, p.take())
		p.fields(3, true, ":status:204")
		require.Equal(t, 204, a.status(t))
		require.Nil(t, a.res.Body)
	})
}

// A head of any size is sent.
func TestLargeHead(t *testing.T) {
	for _, size := range []int{126, 127, 128, 254, 255, 16_000, 40_000} {
		bubble(t, func(t *testing.T, c *Conn, p *peer) {
			value := strings.Repeat("v", size)
			a := ask(t.Context(), c, Request{Fields: []sign.Header{{Name: "X-Large", Value: value}}, Method: "POST", Authority: "a", Path: "/"})
			seen := p.take()
			require.Len(t, seen, 1)
			require.Contains(t, seen[0].(headSeen).fields, hpack.HeaderField{Name: "x-large", Value: value, Sensitive: true})
			p.answer(1, "204")
			require.Equal(t, 204, a.status(t))
		})
	}
}

// What is asked while the connection is written to is written together.
func TestTogether(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		var all []*asked
		before := c.part
		for range 10 {
			all = append(all, &asked{done: make(chan struct{})})
			a := all[len(all)-1]
			go func() {
				defer close(a.done)
				a.err = c.Do(t.Context(), &Request{
					Method: "POST", Authority: "a", Path: "/", Body: []byte("x"), Deadline: time.Now().Add(time.Second),
				}, &a.res)
			}()
		}
		require.Len(t, p.take(), 20)
		require.Less(t, c.part-before, uint64(10))
		ids := make([]uint32, 0, 10)
		for id := uint32(1); id < 20; id += 2 {
			ids = append(ids, id)
		}
		slices.Reverse(ids)
		for _, id := range ids {
			p.answer(id, "204")
		}
		for _, a := range all {
			require.Equal(t, 204, a.status(t))
		}
	})
}
