package pipeline

import (
	"strconv"
	"time"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
)

// health is what an attempt comes to together with those before it.
type health struct {
	// full says that the attempt filled the measure of a policy that disables.
	full bool
	// suspended says that retries are suspended after the attempt; suspends and resumes that it is this one's doing.
	suspended, suspends, resumes bool
	// since is when the first of the failures in a row started, including those that the attempt ended.
	since time.Time
}

// count adds an attempt to what its endpoint's attempts add up to.
func (d *Deliverer) count(c *candidate, resp attempt.Response, j profile.Judgement) health {
	o := c.lane.owner
	o.mu.Lock()
	defer o.mu.Unlock()
	live := &c.ep.live
	h := health{since: live.FailingSince}
	before := !live.Suspended.IsZero()
	live.Add(&outcome.Outcome{Result: j.Result, Generation: c.sub.Generation, At: resp.Started}, c.failure)
	if c.sub.Generation < live.Generation {
		return health{} // of before the subscription was enabled
	}
	if !j.Success {
		h.since = live.FailingSince
	}
	disables := c.failure.Does(subscription.EffectDisable) || c.failure.Does(subscription.EffectLock)
	h.full = disables && live.Full(c.failure) && !c.ep.disabledAt(c.sub.Generation)
	after := !live.Suspended.IsZero()
	h.suspends, h.resumes = after && !before, before && !after
	h.suspended = after && c.failure.Does(subscription.EffectSuspendRetries) // it may have another policy since
	return h
}

// suspended reports whether a delivery is a retry that came due while retries are suspended.
func (d *Deliverer) suspended(c *candidate) bool {
	if c.d.Attempts <= c.d.Base || !c.failure.Does(subscription.EffectSuspendRetries) {
		return false
	}
	o := c.lane.owner
	o.mu.Lock()
	defer o.mu.Unlock()
	return !c.ep.live.Suspended.IsZero() && c.sub.Generation <= c.ep.live.Generation
}

// failurePolicy is the failure policy of a subscription as of now, nil for none.
func (d *Deliverer) failurePolicy(id ident.ID) *subscription.FailurePolicy {
	snap := d.registry.Snapshot()
	sub, ok := snap.Subscription(id)
	if !ok {
		return nil
	}
	tenant, ok := snap.Tenant(sub.Tenant)
	if !ok {
		return nil
	}
	p, ok := d.profiles.Get(subscription.ProfileOf(sub, tenant))
	if !ok {
		return nil
	}
	return p.FailureFor(sub)
}

// stop disables the subscription and tells its tenant, of a subscription to operational events too: that happens once, and
// the registry learns of it by this event. It reports false if Kafka did not take one of the two.
func (d *Deliverer) stop(c *candidate, reason outcome.Reason, since time.Time) bool {
	if !d.written(c.item, d.disable(c, reason)) {
		return false
	}
	d.opts.Log.Warn("subscription disabled", "subscription", c.sub.ID.UUID(), "tenant", c.tenant.ID.UUID(),
		"reason", string(reason), "generation", c.sub.Generation)
	data := endpointData(c, since)
	data.Trigger, data.Reason = operational.TriggerAutomatic, string(reason)
	data.Locked = reason == outcome.ReasonFailing && c.failure.Does(subscription.EffectLock)
	return d.tell(c, operational.New(operational.EndpointDisabled, c.tenant.ID, time.Now(), data,
		c.sub.ID.UUID(), strconv.FormatInt(c.sub.Generation, 10)))
}

// tellSuspension writes the operational event of an attempt that suspends retries or ends that. Its id is derived from
// when the failures began, so that what a crash repeats is the same event.
func (d *Deliverer) tellSuspension(c *candidate, h health) bool {
	typ := operational.RetriesSuspended
	switch {
	case h.resumes:
		typ = operational.RetriesResumed
	case !h.suspends:
		return true
	}
	return d.tell(c, operational.New(typ, c.tenant.ID, time.Now(), endpointData(c, h.since),
		c.sub.ID.UUID(), strconv.FormatInt(c.sub.Generation, 10), strconv.FormatInt(h.since.UnixMilli(), 10)))
}

func endpointData(c *candidate, since time.Time) operational.Endpoint {
	data := operational.Endpoint{
		App: c.tenant.ID.Base62(subscription.TenantPrefix), AppUID: optional(c.tenant.UID),
		Endpoint: c.sub.ID.Base62(subscription.SubscriptionPrefix), EndpointUID: optional(c.sub.UID),
		Generation: c.sub.Generation,
	}
	if !since.IsZero() {
		utc := since.UTC()
		data.FailSince = &utc
	}
	return data
}

// bury ends a delivery without an attempt.
func (d *Deliverer) bury(c *candidate, reason outcome.Reason) {
	r := d.rowFor(c, verdict{Verdict: outcome.Dead, reason: reason}, time.Now())
	d.sched.release(c.lane)
	if d.write(c.item, d.deadLetter(c, &r.Outcome)) && d.tellAttempt(c, &r.Outcome) {
		d.record(c.item, r, nil)
	}
}
