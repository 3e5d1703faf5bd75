package h2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// What a body may not send waits for the peer's windows: the request's own, and that of all together.
func TestWindows(t *testing.T) {
	sent := func(seen []any) map[uint32]int {
		sum := map[uint32]int{}
		for _, f := range seen {
			if d, ok := f.(dataSeen); ok {
				sum[d.id] += len(d.data)
				require.LessOrEqual(t, len(d.data), maxFrame)
			}
		}
		return sum
	}
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		require.NoError(t, p.out.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10_000}))
		require.Equal(t, []any{ackSeen{}}, p.take())
		body := bytes.Repeat([]byte("x"), 50_000)
		a, b := ask(t.Context(), c, Request{Body: body}), ask(t.Context(), c, Request{Body: body})
		require.Equal(t, map[uint32]int{1: 10_000, 3: 10_000}, sent(p.take()))
		require.NoError(t, p.out.WriteWindowUpdate(3, 1000))
		require.Equal(t, map[uint32]int{3: 1000}, sent(p.take()))
		// A smaller one for all takes back what was not used, and what was.
		require.NoError(t, p.out.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5000}))
		require.NoError(t, p.out.WriteWindowUpdate(1, 5000))
		require.Equal(t, []any{ackSeen{}}, p.take())
		require.NoError(t, p.out.WriteWindowUpdate(1, 7))
		require.Equal(t, map[uint32]int{1: 7}, sent(p.take()))
		// The connection's is 65,535, of which 21,007 are used.
		require.NoError(t, p.out.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow}))
		got := sent(p.take())
		require.Equal(t, defaultWindow-21_007, got[1]+got[3])
		require.NoError(t, p.out.WriteWindowUpdate(0, 100_000))
		rest := sent(p.take())
		require.Equal(t, 100_000-defaultWindow, rest[1]+rest[3])
		p.answer(1, "200")
		p.answer(3, "200")
		require.Equal(t, 200, a.status(t))
		require.Equal(t, 200, b.status(t))
	})
}

// An answer may come before the request was read; the rest of it is not sent then.
func TestAnswerBeforeTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		a := ask(t.Context(), c, Request{Body: make([]byte, 100_000)})
		p.take()
		p.answer(1, "413")
		require.Equal(t, 413, a.status(t))
		require.Equal(t, []any{resetSeen{1, http2.ErrCodeCancel}}, p.take())
		require.NoError(t, p.out.WriteWindowUpdate(0, 100_000))
		require.Empty(t, p.take())
	})
}

// What an endpoint sends is bounded, for each request by itself.
func TestBounds(t *testing.T) {
	large := strings.Repeat("h", 1000)
	for name, c := range map[string]struct {
		send   func(p *peer, id uint32)
		status int
		err    string
		size   int // of the body
		tells  http2.ErrCode
	}{
		"a body that is too long": {func(p *peer, id uint32) {
			p.fields(id, false, ":status:200")
			for range 5 {
				_ = p.out.WriteData(id, false, make([]byte, 14_000))
			}
		}, 200, "", 64 << 10, http2.ErrCodeCancel},
		"a body that says that it is": {func(p *peer, id uint32) {
			p.fields(id, false, ":status:200", "content-length: 1000000")
			for range 5 {
				_ = p.out.WriteData(id, false, make([]byte, 14_000))
			}
		}, 200, "", 64 << 10, http2.ErrCodeCancel},
		"a body in nothing but pieces": {func(p *peer, id uint32) {
			p.fields(id, false, ":status:200")
			for range maxFrames {
				_ = p.out.WriteData(id, false, nil)
			}
		}, 200, "ENHANCE_YOUR_CALM", 0, http2.ErrCodeEnhanceYourCalm},
		"a head that is too long": {func(p *peer, id uint32) {
			p.fields(id, false, ":status:200", "a:"+large, "b:"+large, "c:"+large, "d:"+large, "e:"+large)
		}, 0, "a response head of more than 4096 bytes", 0, http2.ErrCodeCancel},
		"heads before the head": {func(p *peer, id uint32) {
			for range 5 {
				p.fields(id, false, ":status:103", "link:"+large)
			}
		}, 0, "a response head of more than 4096 bytes", 0, http2.ErrCodeCancel},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, conn *Conn, p *peer) {
				other, a := ask(t.Context(), conn, Request{}), ask(t.Context(), conn, Request{})
				p.take()
				c.send(p, 3)
				<-a.done
				if c.err == "" {
					require.NoError(t, a.err)
					require.True(t, a.res.Truncated)
				} else {
					require.ErrorContains(t, a.err, c.err)
				}
				require.Equal(t, c.status, a.res.Status)
				require.Len(t, a.res.Body, c.size)
				require.Contains(t, p.take(), resetSeen{3, c.tells})
				require.False(t, other.over())
				p.answer(1, "204")
				require.Equal(t, 204, other.status(t))
			})
		})
	}
}

// What the connection was allowed is given back, also for answers that nobody waits for any more.
func TestCredit(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		for id := uint32(1); id < 200; id += 2 {
			a := ask(t.Context(), c, Request{})
			p.fields(id, false, ":status:200")
			for range 5 {
				require.NoError(t, p.out.WriteData(id, false, make([]byte, 14_000)))
			}
			require.Equal(t, 200, a.status(t))
		}
		credit := 0
		for _, f := range p.take() {
			if u, ok := f.(creditSeen); ok && u.id == 0 {
				credit += int(u.n)
			}
		}
		require.InDelta(t, 100*5*14_000, credit, connWindow/2)
	})
}

// An answer that is none ends its request alone; a peer that does not speak HTTP/2, everything.
func TestMalformed(t *testing.T) {
	for name, c := range map[string]struct {
		send  func(p *peer)
		every bool
	}{
		"no status":               {func(p *peer) { p.fields(3, true, "a:b") }, false},
		"a status that is none":   {func(p *peer) { p.fields(3, true, ":status:ok") }, false},
		"a status of four digits": {func(p *peer) { p.fields(3, true, ":status:2000") }, false},
		"101":                     {func(p *peer) { p.fields(3, false, ":status:101") }, false},
		"100 at the end":          {func(p *peer) { p.fields(3, true, ":status:100") }, false},
		"a body before its head":  {func(p *peer) { _ = p.out.WriteData(3, false, []byte("x")) }, false},
		"names in upper case":     {func(p *peer) { p.fields(3, true, ":status:200", "A:b") }, false},
		"more than was said": {func(p *peer) {
			p.fields(3, false, ":status:200", "content-length: 1")
			_ = p.out.WriteData(3, false, []byte("xx"))
		}, false},
		"less than was said": {func(p *peer) { p.fields(3, true, ":status:200", "content-length: 1") }, false},
		"two lengths":        {func(p *peer) { p.fields(3, false, ":status:200", "content-length: 1", "content-length: 2") }, false},
		"no length":          {func(p *peer) { p.fields(3, false, ":status:200", "content-length: -1") }, false},
		"trailers that are not the last": {func(p *peer) {
			p.fields(3, false, ":status:200")
			p.fields(3, false, "a:b")
		}, false},
		"a window of more than there is": {func(p *peer) { _ = p.out.WriteWindowUpdate(3, maxWindow) }, false},
		"its end":                        {func(p *peer) { _ = p.out.WriteRSTStream(3, http2.ErrCodeInternal) }, false},
		"a push": {func(p *peer) {
			_ = p.out.WritePushPromise(http2.PushPromiseParam{StreamID: 3, PromiseID: 2, EndHeaders: true})
		}, true},
		"an answer to nothing": {func(p *peer) { p.answer(5, "200") }, true},
		"an answer to itself":  {func(p *peer) { p.answer(2, "200") }, true},
		"all windows of more":  {func(p *peer) { _ = p.out.WriteWindowUpdate(0, maxWindow) }, true},
		"HTTP/1.1":             {func(p *peer) { _, _ = io.WriteString(p.conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, true},
		"nothing but pings": {func(p *peer) {
			for range maxStray + 1 {
				if p.out.WritePing(false, [8]byte{}) != nil {
					return
				}
			}
		}, true},
		"nothing but settings": {func(p *peer) {
			for range maxStray + 1 {
				if p.out.WriteSettings() != nil {
					return
				}
			}
		}, true},
		"the end": {func(p *peer) { _ = p.conn.Close() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, conn *Conn, p *peer) {
				other, a := ask(t.Context(), conn, Request{}), ask(t.Context(), conn, Request{Body: []byte("x")})
				p.take()
				c.send(p)
				<-a.done
				require.Error(t, a.err)
				require.NotErrorIs(t, a.err, ErrUnprocessed)
				require.Equal(t, c.every, other.over())
				if c.every {
					require.Error(t, other.err)
					require.True(t, conn.Ended())
					require.Equal(t, name != "the end", conn.Refused())
					require.ErrorIs(t, ask(t.Context(), conn, Request{}).err, ErrNoRoom)
					return
				}
				p.answer(1, "204")
				require.Equal(t, 204, other.status(t))
			})
		})
	}
}

// What the endpoint has not looked at may be sent again, and nothing else.
func TestUnprocessed(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		refused, http1 := ask(t.Context(), c, Request{}), ask(t.Context(), c, Request{})
		require.NoError(t, p.out.WriteRSTStream(1, http2.ErrCodeRefusedStream))
		require.NoError(t, p.out.WriteRSTStream(3, http2.ErrCodeHTTP11Required))
		<-refused.done
		<-http1.done
		require.ErrorIs(t, refused.err, ErrUnprocessed)
		require.ErrorIs(t, http1.err, ErrHTTP1)

		early := ask(t.Context(), c, Request{})
		p.fields(5, false, ":status:200")
		require.NoError(t, p.out.WriteRSTStream(5, http2.ErrCodeRefusedStream))
		<-early.done
		require.NotErrorIs(t, early.err, ErrUnprocessed)

		seen, unseen := ask(t.Context(), c, Request{}), ask(t.Context(), c, Request{})
		require.NoError(t, p.out.WriteGoAway(7, http2.ErrCodeNo, nil))
		<-unseen.done
		require.ErrorIs(t, unseen.err, ErrUnprocessed)
		require.True(t, c.Ended())
		require.False(t, c.Room())
		require.ErrorIs(t, ask(t.Context(), c, Request{}).err, ErrNoRoom)
		require.False(t, seen.over())
		require.NoError(t, c.Err())
		p.answer(7, "204")
		require.Equal(t, 204, seen.status(t))
		require.Error(t, c.Err(), "nobody needs it any more")
		require.False(t, c.Refused())
	})
}

// A request that waits behind what an endpoint does not read was not written.
func TestNotWritten(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		p.hold = make(chan struct{})
		a, b := ask(t.Context(), c, Request{Body: []byte("x")}), ask(t.Context(), c, Request{})
		require.False(t, b.over())
		_ = p.conn.Close()
		<-a.done
		<-b.done
		close(p.hold)
		require.ErrorIs(t, b.err, ErrUnprocessed)
		require.NotErrorIs(t, a.err, ErrUnprocessed)
	})
}

// There are no more requests under way than the peer takes.
func TestRoom(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		require.NoError(t, p.out.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2}))
		p.take()
		a, b := ask(t.Context(), c, Request{}), ask(t.Context(), c, Request{})
		require.False(t, c.Room())
		require.False(t, c.Ended())
		require.ErrorIs(t, ask(t.Context(), c, Request{}).err, ErrNoRoom)
		p.answer(1, "204")
		require.Equal(t, 204, a.status(t))
		require.True(t, c.Room())
		p.answer(3, "204")
		require.Equal(t, 204, b.status(t))
		c.next = lastStream - 1
		require.ErrorIs(t, ask(t.Context(), c, Request{Deadline: time.Now().Add(time.Second)}).errAfter(), os.ErrDeadlineExceeded)
		require.True(t, c.Ended(), "ids come to an end")
	})
}

func (a *asked) errAfter() error {
	<-a.done
	return a.err
}

// The end of its context or its deadline ends a request, and the endpoint is told; others go on.
func TestEnds(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cut, late, other := ask(ctx, c, Request{}), ask(t.Context(), c, Request{Deadline: time.Now().Add(3 * time.Second)}), ask(t.Context(), c, Request{})
		p.take()
		revoked := errors.New("revoked")
		cancel(revoked)
		require.ErrorIs(t, cut.errAfter(), revoked)
		require.Equal(t, []any{resetSeen{1, http2.ErrCodeCancel}}, p.take())
		p.answer(1, "200") // too late

		began := time.Now()
		require.ErrorIs(t, late.errAfter(), os.ErrDeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Equal(t, []any{resetSeen{3, http2.ErrCodeCancel}}, p.take())
		require.True(t, c.Room(), "the endpoint is there: it answered late")
		p.answer(5, "204")
		require.Equal(t, 204, other.status(t))
	})
}

// A connection on which nothing has come since a request began is not used after that has timed out.
func TestSilence(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, _ *peer) {
		time.Sleep(time.Second)
		a := ask(t.Context(), c, Request{})
		require.ErrorIs(t, a.errAfter(), os.ErrDeadlineExceeded)
		require.True(t, c.Ended())
	})
}

// An endpoint that is silent for long is asked whether it is there.
func TestPings(t *testing.T) {
	for _, answers := range []bool{true, false} {
		bubble(t, func(t *testing.T, c *Conn, p *peer) {
			a := ask(t.Context(), c, Request{Deadline: time.Now().Add(time.Minute)})
			p.take()
			began := time.Now()
			time.Sleep(pingAfter - time.Nanosecond)
			require.Empty(t, p.take())
			time.Sleep(time.Nanosecond)
			require.Equal(t, []any{pingSeen{}}, p.take())
			if !answers {
				require.ErrorIs(t, a.errAfter(), errLost)
				require.Equal(t, pingAfter+pingTimeout, time.Since(began))
				return
			}
			time.Sleep(time.Second)
			require.NoError(t, p.out.WritePing(true, [8]byte{}))
			time.Sleep(pingAfter - time.Nanosecond)
			require.Empty(t, p.take())
			time.Sleep(time.Nanosecond)
			require.Equal(t, []any{pingSeen{}}, p.take())
			p.answer(1, "204")
			require.Equal(t, 204, a.status(t))
		})
	}
}

// A connection that nobody uses ends, and so does one that is not to be used, after what is under way.
func TestRest(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		a := ask(t.Context(), c, Request{})
		time.Sleep(time.Second)
		p.answer(1, "204")
		require.Equal(t, 204, a.status(t))
		time.Sleep(idle - time.Nanosecond)
		require.True(t, c.Room())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.ErrorIs(t, ask(t.Context(), c, Request{}).err, ErrNoRoom)
		require.ErrorIs(t, c.Err(), errNobody)
	})
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		a := ask(t.Context(), c, Request{})
		c.Leave()
		require.True(t, c.Ended())
		require.NoError(t, c.Err())
		p.answer(1, "204")
		require.Equal(t, 204, a.status(t))
		require.ErrorIs(t, c.Err(), errNobody)
	})
	bubble(t, func(_ *testing.T, c *Conn, _ *peer) { c.Leave() })
}

// net/http's server gets what was sent, whatever its size and however many there are.
func TestServer(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		n, err := io.Copy(hash, r.Body)
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s %s %d %v", r.Proto, r.Method, r.Host, r.URL, n, err))
		_, _ = io.WriteString(w, hex.EncodeToString(hash.Sum(nil)))
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	trust := x509.NewCertPool()
	trust.AddCert(srv.Certificate())
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: trust, NextProtos: []string{"h2"}}}
	conn, err := dialer.DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	c := New(conn, func() { conn.Close() }, Options{Now: time.Now, Head: 64 << 10, Body: 64 << 10, Idle: time.Minute})
	defer c.Leave()
	var workers sync.WaitGroup
	for w := range 20 {
		workers.Go(func() {
			for i := range 30 {
				size := []int{0, 1, 1000, 16_384, 70_000, 300_000}[(w+i)%6]
				body := bytes.Repeat([]byte{byte(w), byte(i)}, size)[:size]
				path := fmt.Sprintf("/a%%20b?w=%d&i=%d", w, i)
				var res Response
				err := c.Do(t.Context(), &Request{
					Method: "POST", Authority: "example.com", Path: path, Body: body, Deadline: time.Now().Add(time.Minute),
				}, &res)
				sum := sha256.Sum256(body)
				if err != nil || string(res.Body) != hex.EncodeToString(sum[:]) ||
					!strings.Contains(string(res.Lines), fmt.Sprintf("x-seen: HTTP/2.0 POST example.com %s %d <nil>\r\n", path, size)) {
					t.Errorf("%d bytes: %v %s %s", size, err, res.Lines, res.Body)
				}
			}
		})
	}
	workers.Wait()
}

// Whatever a peer sends, the request ends, and so does the connection.
func FuzzPeer(f *testing.F) {
	var out bytes.Buffer
	framer := http2.NewFramer(&out, nil)
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true})
	_ = framer.WriteData(1, true, []byte("ok"))
	_ = framer.WriteGoAway(1, http2.ErrCodeNo, nil)
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, answer []byte) {
		bubble(t, func(t *testing.T, c *Conn, p *peer) {
			a := ask(t.Context(), c, Request{Body: make([]byte, 100_000)})
			_, _ = p.conn.Write(answer)
			_ = a.errAfter()
			require.LessOrEqual(t, len(a.res.Body), 64<<10)
		})
	})
}
