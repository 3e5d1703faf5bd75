package pipeline

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/view"
)

// toldBreakers keeps what it is told.
type toldBreakers struct {
	mu    sync.Mutex
	away  bool
	calls int
	known map[ident.ID]time.Time
}

func (b *toldBreakers) SetBreakers(_ context.Context, all []view.Breaker) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.away {
		return errors.New("away")
	}
	if b.known == nil {
		b.known = map[ident.ID]time.Time{}
	}
	for _, one := range all {
		b.known[one.Subscription] = one.Until
	}
	return nil
}

func (b *toldBreakers) set(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

// forget loses what was told, and returns how many calls there were.
func (b *toldBreakers) forget() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known = nil
	return b.calls
}

// until is when the breaker of a subscription lets a probe through; nil if nothing was told of it.
func (b *toldBreakers) until(sub ident.ID) *time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.known[sub]; ok {
		return &at
	}
	return nil
}

// A breaker is told when it opens and when it closes, also if that could not be told at once, and by the next owner; while
// nothing changes, once a minute if it is open.
func TestBreakersAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		told := &toldBreakers{away: true}
		var code atomic.Int64
		code.Store(500)
		seen := make(chan arrival, 100)
		answer := arrivals(seen, func(string) attempt.Response { return response(int(code.Load())) })
		opts := DelivererOptions{Workers: 4, Breakers: told, Breaker: gate.Config{OpenFor: time.Hour, MaxOpenFor: time.Hour}}
		s := newStage(t, opts, answer, sub)
		var ds []*delivery.Delivery
		for n := range 5 {
			ds = append(ds, deliveryOf(sub, n))
		}
		s.sendDelivery(ds...)
		time.Sleep(3 * time.Second)
		require.Nil(t, told.until(sub.ID), "it could not be told")
		told.set(false)
		opened := time.Now()
		time.Sleep(2 * time.Second)
		require.NotNil(t, told.until(sub.ID))
		require.WithinRange(t, *told.until(sub.ID), opened.Add(time.Hour-5*time.Second), opened.Add(time.Hour))
		calls := told.forget()
		time.Sleep(10 * time.Minute)
		require.NotNil(t, told.until(sub.ID), "what was lost is told again")
		require.InDelta(t, calls+10, told.forget(), 1, "nothing changed")
		s.revoke(s.p)
		s.p, s.lose = s.assign(0)
		time.Sleep(2 * time.Second)
		require.NotNil(t, told.until(sub.ID))
		require.False(t, told.until(sub.ID).IsZero())

		code.Store(200)
		time.Sleep(time.Hour)
		s.sendDelivery(deliveryOf(sub, 6))
		time.Sleep(2 * time.Second)
		require.True(t, told.until(sub.ID).IsZero(), "closed")
	})
}
