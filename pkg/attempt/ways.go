package attempt

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/h2"
)

// way is how the endpoints at an address are reached: over connections of HTTP/1.1, one for each request under way, or, where there are
// many at a time, over one that they share, of HTTP/2.
type way struct {
	secure bool
	busy   atomic.Int32 // requests under way over HTTP/1.1
	met    atomic.Int32 // requests of the present second that met a crowd of them
	second atomic.Int64 // Unix
	asking atomic.Bool  // somebody asks the endpoint for HTTP/2
	not    atomic.Int64 // the second before which nobody does
	only   atomic.Bool  // it had nothing else when it was last asked
	// turn is whose it is to open a connection to an endpoint that has nothing else: others wait, and find that one.
	turn   chan struct{}
	latest atomic.Pointer[h2.Conn]

	mu     sync.Mutex
	shared []*h2.Conn
}

func newWay(secure bool) *way { return &way{secure: secure, turn: make(chan struct{}, 1)} }

const (
	// crowd is how many requests are under way over HTTP/1.1 when one more would be better off with HTTP/2: with one or two, HTTP/1.1
	// costs less; with four begins a lane that nothing is known of.
	crowd = 4
	// often is how many such requests in a second have the next one ask for HTTP/2: so many save what the handshake costs, 0.5 ms.
	often = 100
	// notFor is how long an endpoint is left alone that chose HTTP/1.1, or whose HTTP/2 was none.
	notFor = time.Hour
)

// crowded reports whether this request is to ask for HTTP/2. Nobody else does until it has had its answer, and takes asking back.
func (w *way) crowded() bool {
	if !w.secure || w.busy.Load() < crowd {
		return false
	}
	now := time.Now().Unix()
	if w.second.Swap(now) != now {
		w.met.Store(0)
	}
	return w.met.Add(1) > often && now >= w.not.Load() && !w.asking.Swap(true)
}

// avoid has nobody ask for HTTP/2 for a while.
func (w *way) avoid() { w.not.Store(time.Now().Add(notFor).Unix()) }

// share makes a new connection one for all, once it is ready and until its end.
func (w *way) share(ctx context.Context, conn *egress.Conn, now func() time.Time) (shared *h2.Conn, err error) {
	hangUp := func() {
		w.forget()
		conn.Close()
	}
	err = conn.Share(func(idle time.Duration) func() {
		shared = h2.New(conn, hangUp, h2.Options{Now: now, Head: limits.Head, Body: limits.Body, Idle: idle})
		return shared.Leave
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	select {
	case <-shared.Ready():
	case <-ctx.Done():
		shared.Leave()
		return nil, ctx.Err()
	}
	w.mu.Lock()
	w.shared = append(w.shared, shared)
	w.latest.Store(shared)
	w.mu.Unlock()
	if err := shared.Err(); err != nil {
		w.forget()
		return nil, err
	}
	return shared, nil
}

// forget forgets the connections that have ended. Where one did for HTTP/2 itself, the next would, too.
func (w *way) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shared = slices.DeleteFunc(w.shared, func(c *h2.Conn) bool {
		if c.Refused() {
			w.avoid()
		}
		return c.Err() != nil
	})
	if c := w.latest.Load(); c != nil && c.Err() != nil {
		w.latest.Store(nil)
	}
}

// other returns a shared connection that has room, nil if there is none.
func (w *way) other() *h2.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.shared {
		if c.Room() {
			w.latest.Store(c)
			return c
		}
	}
	return nil // who comes next looks at the latest again: it may have room by then
}
