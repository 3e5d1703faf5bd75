package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/view"
)

// Breakers are where people see which breakers are open; [view.Redis] is one. Nothing of a delivery waits for it, and no
// deliverer reads it: the next owner of a partition takes up what is in endpoint-states.
type Breakers interface {
	// SetBreakers notes how some breakers are now, closed ones among them. After an error they are told again.
	SetBreakers(ctx context.Context, all []view.Breaker) error
}

var _ Breakers = (*view.Redis)(nil)

const (
	// breakersEvery is how often changes of breakers are told, all of that time at once.
	breakersEvery = time.Second
	// breakersAgain is how often all open ones are: what has them may have lost them.
	breakersAgain = time.Minute
	// breakersTimeout bounds a call.
	breakersTimeout = 2 * time.Second
	// breakersAtOnce is how many a call tells: those of a partition that was just taken up may be many.
	breakersAtOnce = 1000
)

// breakerNews are the endpoints whose breakers may not be as they were told.
type breakerNews struct {
	mu      sync.Mutex
	changed map[*endpoint]*owned
}

// add notes an endpoint. The lock of its owner may be held.
func (n *breakerNews) add(o *owned, ep *endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed == nil {
		n.changed = map[*endpoint]*owned{}
	}
	n.changed[ep] = o
}

// take returns some that were added and forgets them.
func (n *breakerNews) take(most int) map[*endpoint]*owned {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[*endpoint]*owned{}
	for ep, o := range n.changed {
		if len(out) == most {
			break
		}
		out[ep] = o
		delete(n.changed, ep)
	}
	return out
}

// noteBreaker has a breaker told that is new here, opened or closed. Also a closed one that is new: the owner before may have
// ended between closing it and telling so.
func (d *Deliverer) noteBreaker(o *owned, ep *endpoint) {
	if d.opts.Breakers != nil {
		d.news.add(o, ep)
	}
}

// tellBreakers tells changes until the deliverer stops.
func (d *Deliverer) tellBreakers() {
	if d.opts.Breakers == nil {
		return
	}
	ticker := time.NewTicker(breakersEvery)
	defer ticker.Stop()
	for again := time.Now().Add(breakersAgain); ; {
		select {
		case <-ticker.C:
		case <-d.stopped:
			return
		}
		if now := time.Now(); now.After(again) {
			again = now.Add(breakersAgain)
			d.noteOpen()
		}
		for d.tellSome() { // until all are told
		}
	}
}

// noteOpen has all open breakers told.
func (d *Deliverer) noteOpen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.owned {
		o.mu.Lock()
		for _, ep := range o.endpoints {
			if ep.counted {
				d.noteBreaker(o, ep)
			}
		}
		o.mu.Unlock()
	}
}

// tellSome tells how some breakers are now, but for those of partitions that are given up: the next owner tells those. It
// reports whether there may be more.
func (d *Deliverer) tellSome() (more bool) {
	some := d.news.take(breakersAtOnce)
	all := make([]view.Breaker, 0, len(some))
	for ep, o := range some {
		if !o.draining.Load() {
			all = append(all, view.Breaker{Subscription: ep.sub, Until: ep.breaker.State().Until})
		}
	}
	if len(all) == 0 {
		return len(some) == breakersAtOnce
	}
	ctx, cancel := context.WithTimeout(context.Background(), breakersTimeout)
	defer cancel()
	if err := d.opts.Breakers.SetBreakers(ctx, all); err != nil {
		d.opts.Log.Debug("telling breakers", "error", err) // that Redis is away is told by the role's reports
		for ep, o := range some {
			if !o.draining.Load() { // else it would be kept for as long as Redis is away
				d.news.add(o, ep)
			}
		}
		return false
	}
	return len(some) == breakersAtOnce
}
