package pipeline

import (
	"context"
	"time"

	"github.com/postrider/postrider/pkg/view"
)

// check is what is known of an event before it is published.
type check struct {
	// reservation keeps others from it; nil if there is none.
	reservation *view.Reservation
	// unchecked: Redis is away.
	unchecked bool
	// seen is what was published before with the same idempotency key.
	seen *Published
}

// reserve makes sure that nobody has published the event. The error is a [*DuplicateError]. An event with an id that was
// made just now needs no look.
func (p *Publisher) reserve(ctx context.Context, pub Publication, out Published) (check, error) {
	if pub.EventID == "" && pub.IdempotencyKey == "" {
		return check{}, nil
	}
	var res view.Reservation
	ok := p.ask(ctx, func(ctx context.Context) (err error) {
		res, err = p.index.ReserveEvent(ctx, pub.Tenant.ID, out.Message)
		return err
	})
	switch {
	case !ok:
		p.opts.Metrics.unchecked.Inc()
		return check{unchecked: true}, nil
	case res.State == view.EventReserved:
		return check{reservation: &res}, nil
	}
	duplicate := &DuplicateError{EventID: pub.EventID, Message: out.Message, InProgress: res.State == view.EventBusy}
	if pub.EventID != "" || duplicate.InProgress {
		return check{}, duplicate
	}
	found := false
	p.ask(ctx, func(ctx context.Context) (err error) {
		var entry view.EventEntry
		if entry, found, err = p.index.Event(ctx, pub.Tenant.ID, out.Message); found {
			out.Time, out.Position, out.Duplicate = entry.Time, entry.Position, true
		}
		return err
	})
	if !found {
		return check{}, duplicate
	}
	return check{seen: &out}, nil
}

// release takes a reservation back after a failure, so that the publisher may try again at once.
func (p *Publisher) release(ctx context.Context, res *view.Reservation) {
	if res == nil {
		return
	}
	p.ask(context.WithoutCancel(ctx), func(ctx context.Context) error { // the failure may be the end of ctx
		return p.index.ReleaseEvent(ctx, *res)
	})
}

// add puts what was published into the index. That it cannot is no failure: the recorder does it.
func (p *Publisher) add(ctx context.Context, entry view.EventEntry) {
	ok := p.ask(context.WithoutCancel(ctx), func(ctx context.Context) error { // it was published, whoever is still there
		return p.index.AddEvents(ctx, []view.EventEntry{entry})
	})
	if !ok {
		p.opts.Metrics.unindexed.Inc()
	}
}

// ask calls Redis, unless it was away a moment ago, and reports whether it answered.
func (p *Publisher) ask(ctx context.Context, call func(context.Context) error) bool {
	away := p.redis.Load()
	if away != 0 && time.Since(time.Unix(0, away)) < indexPause {
		return false
	}
	within, cancel := context.WithTimeout(ctx, p.opts.IndexTimeout)
	defer cancel()
	err := call(within)
	switch {
	case err == nil:
		if p.redis.Swap(0) != 0 {
			p.opts.Log.Info("Redis is back; events are checked for having been published before")
		}
	case ctx.Err() != nil: // the caller's end, not Redis'
	case p.redis.Swap(time.Now().UnixNano()) == 0:
		p.opts.Log.Warn("Redis is away; events are published without being checked or found at once", "error", err)
	}
	return err == nil
}
