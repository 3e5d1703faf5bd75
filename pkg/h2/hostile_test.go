package h2

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// A peer whose table is smaller is told that nothing is put there, once, before anything else (RFC 9113, section 4.3.1).
func TestSmallerTable(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		require.NoError(t, p.out.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}))
		p.take()
		for i, first := range []byte{emptyTable, methodPOST, methodPOST} {
			a := ask(t.Context(), c, Request{})
			require.Equal(t, first, c.block[0])
			p.answer(uint32(2*i+1), "204")
			require.Equal(t, 204, a.status(t))
		}
	})
}

// What a peer asks for and does not read is bounded, however many answers it gives in between.
func TestRepliesThatNobodyReads(t *testing.T) {
	for name, write := range map[string]func(out *http2.Framer) error{
		"settings": func(out *http2.Framer) error { return out.WriteSettings() },
		"pings":    func(out *http2.Framer) error { return out.WritePing(false, [8]byte{}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, c *Conn, p *peer) {
				p.hold = make(chan struct{})
				defer close(p.hold)
				for range 20 {
					ask(t.Context(), c, Request{Deadline: time.Now().Add(time.Hour)})
				}
				for i := range uint32(20) {
					for range maxStray - 1000 {
						if write(p.out) != nil {
							break
						}
					}
					c.mu.Lock()
					require.Less(t, len(c.queue.text), 2*maxReplies)
					c.mu.Unlock()
					p.answer(2*i+1, "204")
				}
				synctest.Wait()
				require.True(t, c.Refused())
			})
		})
	}
}

// A connection that has ended holds nothing.
func TestEndedHoldsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		p.hold = make(chan struct{})
		for range 10 {
			ask(t.Context(), c, Request{Body: make([]byte, 60_000)})
		}
		_ = p.conn.Close()
		synctest.Wait()
		close(p.hold)
		require.Error(t, c.Err())
		require.Empty(t, cap(c.queue.text)+cap(c.spare)+cap(c.block)+cap(c.waiting))
	})
}

// A GOAWAY that finds fault with the connection is told from one that says goodbye, also if nothing was processed.
func TestFaultFound(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		seen, unseen := ask(t.Context(), c, Request{}), ask(t.Context(), c, Request{})
		require.NoError(t, p.out.WriteGoAway(1, http2.ErrCodeInadequateSecurity, nil))
		require.ErrorIs(t, unseen.errAfter(), ErrUnprocessed)
		require.EqualError(t, seen.errAfter(), "the endpoint ended the connection: INADEQUATE_SECURITY")
		require.True(t, c.Refused())
	})
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		a := ask(t.Context(), c, Request{})
		require.NoError(t, p.out.WriteGoAway(0, http2.ErrCodeInadequateSecurity, nil))
		require.ErrorIs(t, a.errAfter(), ErrUnprocessed)
		synctest.Wait()
		require.True(t, c.Refused())
		require.ErrorAs(t, c.Err(), new(GoAwayError))
	})
}

// Padding counts towards windows, and is given back.
func TestPadding(t *testing.T) {
	bubble(t, func(t *testing.T, c *Conn, p *peer) {
		a := ask(t.Context(), c, Request{})
		p.take()
		p.fields(1, false, ":status:200")
		require.NoError(t, p.out.WriteDataPadded(1, false, []byte("o"), make([]byte, 100)))
		require.Equal(t, []any{creditSeen{1, 101}}, p.take(), "with the byte of its length")
		require.NoError(t, p.out.WriteDataPadded(1, true, []byte("k"), make([]byte, 100)))
		require.Equal(t, 200, a.status(t))
		require.Equal(t, "ok", string(a.res.Body))
	})
}

// cutConn fails to be written to after it was cut.
type cutConn struct {
	net.Conn
	cut chan struct{}
}

func (c *cutConn) Write(p []byte) (int, error) {
	select {
	case <-c.cut:
		return 0, errCut
	default:
		return c.Conn.Write(p)
	}
}

var errCut = errors.New("cut")

// An endpoint that does not take more may have answered what it took. What it took, and has not answered within a second, ends.
func TestAnswerOfWhoReadsNoMore(t *testing.T) {
	for _, answers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			cut := &cutConn{near, make(chan struct{})}
			c := New(cut, func() { near.Close() }, Options{Now: time.Now, Head: 4 << 10, Body: 64 << 10, Idle: idle})
			p := &peer{t: t, conn: far, out: http2.NewFramer(far, nil)}
			go func() { _, _ = io.Copy(io.Discard, far) }()
			require.NoError(t, p.out.WriteSettings())
			synctest.Wait()
			taken := ask(t.Context(), c, Request{})
			close(cut.cut)
			began := time.Now()
			next := ask(t.Context(), c, Request{})
			require.False(t, c.Room())
			if answers {
				require.NoError(t, p.out.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x89}, EndHeaders: true, EndStream: true}))
				require.Equal(t, 204, taken.status(t))
				require.NoError(t, far.Close())
			} else {
				require.ErrorIs(t, taken.errAfter(), errCut)
				require.Equal(t, lingering, time.Since(began))
			}
			require.Error(t, next.errAfter())
			synctest.Wait()
			require.Error(t, c.Err())
			far.Close()
		})
	}
}
