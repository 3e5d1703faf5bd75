package match

import (
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// Ask is what an event asks an [Index].
type Ask struct {
	Tenant ident.ID
	Type   string
}

// aheadOf is how many asks [Index.Ahead] takes at a time: more than a core can wait for, fewer than its caches hold.
const aheadOf = 32

// Ahead reads what [Index.Append] will read for each of the asks, one step for all of them before the next. Where an event
// reads next is known when its last read is through, and memory takes that long; the reads of different events do not depend on
// each other, so a core waits for many of them at once. Append is right without it, and as fast where caches hold the index.
//
// The sum means nothing. It is there because what nobody uses is not read.
func (ix Index) Ahead(asks []Ask) (sum uint64) {
	for ; len(asks) > aheadOf; asks = asks[aheadOf:] {
		sum += ix.ahead(asks[:aheadOf])
	}
	return sum + ix.ahead(asks)
}

// ahead is [Index.Ahead] for at most aheadOf asks. Patterns of many subscriptions are left out: those do not depend on each other
// either.
func (ix Index) ahead(asks []Ask) (sum uint64) {
	var tenants [aheadOf]*tenant
	for i, ask := range asks {
		if t, ok := ix.tenants.Get(ask.Tenant); ok {
			tenants[i] = t
			sum += t.names.Ahead(ask.Type)
		}
	}
	subs := make([]*subscription.Subscription, 0, 2*aheadOf)
	for i, ask := range asks {
		t := tenants[i]
		if t == nil {
			continue
		}
		if t.every.one != nil {
			subs = append(subs, t.every.one)
		}
		if n, ok := t.names.Get(ask.Type); ok && n.subs.one != nil {
			subs = append(subs, n.subs.one)
		}
	}
	for _, s := range subs { // nothing else in this loop: it has all of them on the way together
		sum += uint64(len(s.Filter))
	}
	return sum
}
