package egress

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

// route tells connections apart that must not be used for each other: by the endpoint's address, and by the TLS that a
// subscription brought to the handshake.
type route struct {
	to  Target
	own [sha256.Size]byte // zero without
}

// lane is the connections of a route. It exists as long as one of them does.
type lane struct {
	route route
	open  int     // connections, in use or not
	idle  []*Conn // in the order of their last use
}

// idle keeps the connections that no attempt uses, of all endpoints together: at the bound the one that was not used for
// longest is closed. No goroutine belongs to a connection; one timer closes those whose time is over.
type idle struct {
	max, perHost int
	timeout      time.Duration

	mu    sync.Mutex
	lanes map[route]*lane
	n     int // idle connections
	// The ends of a list of them, in the order of their last use.
	oldest, newest *Conn
	// shared are connections that many use at a time, in the order of their opening.
	shared  []*Conn
	timer   *time.Timer // nil before the first
	ticking bool        // the timer runs: it does while there is a connection, and then once more
	closed  bool
}

func newIdle(c Config) *idle {
	return &idle{max: c.MaxIdleConns, perHost: c.MaxIdleConnsPerHost, timeout: c.IdleTimeout, lanes: map[route]*lane{}}
}

// take returns the connection of a route that was used last, nil if there is none.
func (p *idle) take(r route) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lanes[r]
	if l == nil || len(l.idle) == 0 {
		return nil
	}
	c := l.idle[len(l.idle)-1]
	p.remove(c, len(l.idle)-1)
	return c
}

// opened gives a new connection its lane.
func (p *idle) opened(c *Conn, r route) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lanes[r]
	if l == nil {
		l = &lane{route: r}
		p.lanes[r] = l
	}
	l.open++
	c.lane = l
}

// gone forgets a connection that is in use.
func (p *idle) gone(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.lane.open--; c.lane.open == 0 {
		delete(p.lanes, c.lane.route)
	}
	c.over = true
	if c.leave != nil {
		p.shared = slices.DeleteFunc(p.shared, func(other *Conn) bool { return other == c })
	}
}

// mayRest is how long a shared connection may stay that nobody uses.
func (p *idle) mayRest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed { // for what is still under way
		return min(time.Second, p.timeout)
	}
	return p.timeout
}

// share takes a connection that many will use, and has the first one left if there are enough.
func (p *idle) share(c *Conn, leave func()) {
	p.mu.Lock()
	if c.over || p.closed {
		p.mu.Unlock()
		return
	}
	c.leave = leave
	var surplus *Conn
	if len(p.shared) >= p.max {
		surplus = p.shared[0]
		p.shared = slices.Delete(p.shared, 0, 1)
	}
	p.shared = append(p.shared, c)
	p.mu.Unlock()
	if surplus != nil {
		surplus.leave()
	}
}

// put takes a connection that is ready for another exchange, and closes one if there are enough.
func (p *idle) put(c *Conn) {
	c.since = time.Now()
	if surplus := p.add(c); surplus != nil {
		surplus.Close()
	}
}

func (p *idle) add(c *Conn) (surplus *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(c.lane.idle) >= p.perHost {
		return c
	}
	if p.n >= p.max {
		surplus = p.removeOldest()
	}
	c.lane.idle = append(c.lane.idle, c)
	c.older = p.newest
	if c.older != nil {
		c.older.newer = c
	} else {
		p.oldest = c
	}
	p.newest = c
	p.n++
	if !p.ticking {
		p.wakeAfter(p.timeout)
	}
	return surplus
}

// remove takes out the i-th connection of its lane.
func (p *idle) remove(c *Conn, i int) {
	kept := c.lane.idle
	copy(kept[i:], kept[i+1:])
	kept[len(kept)-1] = nil
	c.lane.idle = kept[:len(kept)-1]
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		p.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		p.newest = c.older
	}
	c.older, c.newer = nil, nil
	p.n--
}

// removeOldest takes out the connection that was not used for longest, which is the first of its lane.
func (p *idle) removeOldest() *Conn {
	c := p.oldest
	p.remove(c, 0)
	return c
}

// wakeAfter has [idle.expire] called. While connections come and go the timer is left alone: when it wakes it sees.
func (p *idle) wakeAfter(d time.Duration) {
	p.ticking = true
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.expire)
		return
	}
	p.timer.Reset(d)
}

// expire closes the connections that nobody used for too long.
func (p *idle) expire() {
	now := time.Now()
	for _, c := range p.expired(now) {
		c.Close()
	}
}

func (p *idle) expired(now time.Time) (over []*Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ticking = false
	for p.oldest != nil && !p.closed {
		if left := p.timeout - now.Sub(p.oldest.since); left > 0 {
			p.wakeAfter(left)
			break
		}
		over = append(over, p.removeOldest())
	}
	return over
}

// close closes the idle connections; those in use are closed after it.
func (p *idle) close() {
	kept, shared := p.all()
	for _, c := range kept {
		c.Close()
	}
	for _, c := range shared {
		c.leave()
	}
}

func (p *idle) all() (kept, shared []*Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	for p.oldest != nil {
		kept = append(kept, p.removeOldest())
	}
	shared, p.shared = p.shared, nil
	return kept, shared
}
