package pipeline

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/backoff"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/tracing"
)

// candidate is a delivery with everything that decides about it.
type candidate struct {
	*item
	*decision
	started time.Time
	// with is what the attempt is made with; see [Deliverer.prepared].
	with *preparedSender
	// message is that of a transformation; of other deliveries it is nil, and made for the attempt.
	message *profile.Message
	// digest is that of the request's body; empty before there is one.
	digest string
	// span is the attempt's; nil unless it is traced.
	span *tracing.Span
}

// verdict is what becomes of a delivery.
type verdict struct {
	outcome.Verdict
	reason outcome.Reason
	due    time.Time
}

// try takes one delivery through registry, transformation, breaker and attempt. It runs in a worker.
func (d *Deliverer) try(it *item) {
	o := it.lane.owner
	d.opts.Metrics.inFlight.Inc()
	defer d.opts.Metrics.inFlight.Dec()
	if d.overtaken(it) {
		return
	}
	snap, ok := d.confirmed(o, it.d.Registry)
	if !ok {
		d.abandon(it)
		return
	}
	c, reason := d.candidate(it, snap)
	if reason != "" {
		d.cancelled(it, reason)
		return
	}
	if d.paused(c, snap) {
		return
	}
	if c.profile == nil {
		d.opts.Log.Error("profile does not exist: see profiles_dir", "profile", subscription.ProfileOf(c.sub, c.tenant),
			"subscription", c.sub.ID.UUID())
		d.park(it, outcome.ReasonNoProfile, time.Now().Add(noProfileDelay))
		return
	}
	if c.sub.IsSealed() { // a few comparisons of prefixes; the registry's view said so already, in the log
		d.park(it, outcome.ReasonNoKey, time.Now().Add(noProfileDelay))
		return
	}
	if d.suspended(c) {
		d.bury(c, outcome.ReasonRetriesSuspended)
		return
	}
	if c.sub.Transforms() && !d.transform(c) {
		return
	}
	d.renew(c)
	if d.early(c) {
		return
	}
	permit, refusal := c.ep.breaker.Allow(time.Now())
	if permit == nil && !d.lastTry(c) {
		d.refused(c, refusal)
		return
	}
	d.attempt(c, permit)
}

// overtaken drops a delivery of which another record was delivered while this one waited in its lane. A kill after a park
// and before its commit leaves two that are read together: the parked one, and the one that it was made of.
//
// Of two such records one has a later pass than the first; where none of those was delivered meanwhile there is nothing to
// look for.
func (d *Deliverer) overtaken(it *item) bool {
	o := it.lane.owner
	o.mu.Lock()
	delivered := (it.d.Pass > 0 || it.later != o.window.later) && o.window.delivered(it.d.Key())
	o.mu.Unlock()
	if !delivered {
		return false
	}
	d.opts.Metrics.repeats.Inc()
	d.sched.release(it.lane)
	d.finish(it)
	return true
}

// remember notes that a delivery reached its endpoint. It does not wait for the outcome's acknowledgement: until that, the
// record's own offset is not finished, and whoever reads it again makes the attempt that is owed.
func (d *Deliverer) remember(it *item) {
	o := it.lane.owner
	o.mu.Lock()
	defer o.mu.Unlock()
	o.window.settled(it.d.Key(), outcome.Delivered)
}

// noProfileDelay is how long a delivery stays away whose profile, or whose secrets' key, this process does not have.
// Another process may have it, or this one after its next start.
const noProfileDelay = time.Minute

// confirmed returns a snapshot that is known to contain every change acknowledged until [maxUnconfirmed] ago, and is no
// older than the one the delivery was matched with. It waits for one, and reports false once the owner drains.
func (d *Deliverer) confirmed(o *owned, version int64) (*registry.Snapshot, bool) {
	if d.registry.Snapshot().Version() < version && d.registry.Wait(o.dispatch, version) != nil {
		return nil, false
	}
	for counted := false; ; {
		if o.draining.Load() {
			return nil, false
		}
		confirmed := time.Since(d.registry.ConfirmedAt()) <= maxUnconfirmed
		// What was taken in the moment in which egress was stopped waits here; see [Deliverer.SetStopped].
		if snap := d.registry.Snapshot(); confirmed && snap.EgressStopped() == nil {
			return snap, true
		}
		if !confirmed && !counted {
			d.opts.Metrics.unconfirmed.Inc()
			counted = true
		}
		if !pause(o.dispatch, confirmPoll) {
			return nil, false
		}
	}
}

// confirmPoll is how often a worker looks whether the registry was confirmed meanwhile.
const confirmPoll = 100 * time.Millisecond

// pause waits, and reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// decision is what decides about all deliveries of a subscription, as of one version of the registry.
type decision struct {
	version int64
	sub     *subscription.Subscription
	tenant  *subscription.Tenant
	profile *profile.Profile // nil if there is none of its name
	policy  subscription.RetryPolicy
	failure *subscription.FailurePolicy
	ep      *endpoint
	// prepared is what its last attempt was made with.
	prepared atomic.Pointer[preparedSender]
}

// candidate looks up what decides about a delivery. Without a subscription that wants it, it returns the reason.
func (d *Deliverer) candidate(it *item, snap *registry.Snapshot) (*candidate, outcome.Reason) {
	k := it.lane.decided.Load()
	if k == nil || k.version != snap.Version() {
		if k = d.lookUp(it, snap); k == nil {
			return nil, outcome.ReasonDeleted
		}
		it.lane.decided.Store(k) // an older one that comes last is looked up again
	}
	if k.sub.Disabled || k.ep.disabledAt(k.sub.Generation) {
		return nil, outcome.ReasonDisabled
	}
	return &candidate{item: it, decision: k}, ""
}

// lookUp returns what a snapshot knows; nil without the subscription or its tenant.
func (d *Deliverer) lookUp(it *item, snap *registry.Snapshot) *decision {
	sub, ok := snap.Subscription(it.d.Subscription)
	if !ok {
		return nil
	}
	tenant, ok := snap.Tenant(sub.Tenant)
	if !ok {
		return nil
	}
	k := &decision{version: snap.Version(), sub: sub, tenant: tenant, ep: d.endpoint(it.lane.owner, sub.ID)}
	if k.profile, _ = d.profiles.Get(subscription.ProfileOf(sub, tenant)); k.profile != nil {
		k.policy, k.failure = k.profile.RetryFor(sub), k.profile.FailureFor(sub)
	}
	return k
}

// lastTry reports whether a delivery that the breaker refuses is tried all the same: its age limit is reached, and the
// breaker delays tries but never takes one away.
func (d *Deliverer) lastTry(c *candidate) bool {
	limit, ok := c.ageLimit()
	return ok && !time.Now().Before(limit)
}

// ageLimit is when the policy's age limit passes; it reports false without a limit or before the first attempt.
func (c *candidate) ageLimit() (time.Time, bool) {
	if c.policy.MaxAge <= 0 || c.d.First.IsZero() {
		return time.Time{}, false
	}
	return c.d.First.Add(c.policy.MaxAge.Std()), true
}

// refused parks a delivery that the breaker did not let through, or lets it wait for the end of a probe.
func (d *Deliverer) refused(c *candidate, r gate.Refusal) {
	if r.Probing {
		if !d.sched.putBack(c.item, time.Time{}) {
			d.abandon(c.item)
		} else if !c.ep.breaker.Probing() {
			d.sched.unblock(c.lane) // the probe ended in between and unblocked nobody
		}
		return
	}
	due := r.Due
	if limit, ok := c.ageLimit(); ok && due.After(limit) {
		due = limit
	}
	d.park(c.item, outcome.ReasonBreakerOpen, due)
}

// attempt makes the request and decides what follows. A nil permit is a last try past the breaker.
func (d *Deliverer) attempt(c *candidate, permit *gate.Permit) {
	o := c.lane.owner
	c.started = time.Now()
	c.span = d.opts.Tracer.Attempt(c.d, c.started)
	req, err := d.request(c)
	var resp attempt.Response
	if err != nil {
		resp = attempt.Response{Result: outcome.ResultRequest, Detail: err.Error(), Started: c.started}
	} else if resp, err = d.clientOf(c).Do(o.ctx, req); err != nil {
		if permit != nil {
			permit.Abandon(time.Now())
		}
		c.span.GivenUp()
		d.sched.unblock(c.lane)
		d.abandon(c.item)
		return
	}
	judged := c.profile.Judge(resp.Result, resp.Status)
	changed := d.report(c, permit, judged, &resp)
	h := d.count(c, resp, judged)
	v := d.decide(c, resp, judged, h)
	if v.Verdict == outcome.Delivered {
		d.remember(c.item) // before the lane hands out another record of this delivery
	}
	d.leave(c, judged, &resp, changed)
	d.settle(c, resp, judged, h, v)
}

// report tells the breaker how the attempt went, and whether its endpoint wants a rest. It reports whether the breaker changed.
func (d *Deliverer) report(c *candidate, permit *gate.Permit, j profile.Judgement, resp *attempt.Response) (changed bool) {
	now := time.Now()
	changed = permit != nil && permit.Done(j.Result.Unhealthy(), now)
	if changed {
		d.breakerChanged(c)
	}
	if !j.Success && resp.RetryAfter > 0 {
		c.ep.rest.Begin(now.Add(min(resp.RetryAfter, backoff.MaxRetryAfter)))
	}
	return changed
}

// leave gives back the delivery's place in its lane, whose limit changes by how the attempt went and whether that changed the
// breaker.
func (d *Deliverer) leave(c *candidate, j profile.Judgement, resp *attempt.Response, changed bool) {
	failed := j.Result.Unhealthy()
	d.sched.attempted(c.lane, func(limit *gate.Limit, waiting bool, now time.Time) {
		switch {
		case j.Throttle || changed && !failed:
			limit.Restart(now)
		case j.Result == outcome.ResultTimeout:
			limit.Silent(now)
		case !failed:
			limit.Answered(resp.Duration, waiting, now)
		}
	})
}

func (d *Deliverer) request(c *candidate) (*attempt.Request, error) {
	with := d.prepared(c)
	if with.err != nil {
		return nil, with.err
	}
	m := c.message
	if m == nil {
		made, err := with.sender.Message(c.lane.owner.ctx, c.d)
		if err != nil {
			return nil, err
		}
		m = &made
	}
	body, digest, err := d.bodies.render(with.sender, c, m)
	if err != nil {
		return nil, err
	}
	c.digest = digest
	req := &attempt.Request{
		Method: cmp.Or(m.Method, http.MethodPost), URL: m.URL, Body: body,
		Header:     c.traceContext(with.sender.AppendHeaders(nil, m, c.started, body)),
		Timeout:    c.profile.TimeoutFor(c.sub),
		Authorizer: with.authorizer, TLS: with.tls,
	}
	if m.Elsewhere {
		req.Authorizer, req.TLS = nil, nil
	}
	c.span.Sends(req.Method, req.URL, len(body))
	return req, nil
}

// decide turns the judgement of an attempt into a verdict.
func (d *Deliverer) decide(c *candidate, resp attempt.Response, j profile.Judgement, h health) verdict {
	switch {
	case j.Success:
		return verdict{Verdict: outcome.Delivered, reason: outcome.ReasonDelivered}
	case j.Disable || resp.Disable:
		return verdict{Verdict: outcome.Dead, reason: outcome.ReasonGone}
	case resp.AbortMessage:
		return verdict{Verdict: outcome.Dead, reason: outcome.ReasonAborted}
	case !j.Retryable:
		return verdict{Verdict: outcome.Dead, reason: outcome.ReasonNotRetryable}
	case h.suspended:
		return verdict{Verdict: outcome.Dead, reason: outcome.ReasonRetriesSuspended}
	}
	next := backoff.Next(c.policy, backoff.Input{
		Attempt: c.d.Attempts - c.d.Base + 1, First: c.first(),
		Now: c.scheduled().Add(resp.Duration), RetryAfter: resp.RetryAfter, Rand: d.opts.Rand,
	})
	if !next.OK {
		return verdict{Verdict: outcome.Dead, reason: next.Reason}
	}
	return verdict{Verdict: outcome.Retry, reason: next.Reason, due: ceilMilli(next.Due)}
}

// first is when the first attempt started.
func (c *candidate) first() time.Time {
	if c.d.First.IsZero() {
		return c.started
	}
	return c.d.First
}

// scheduled is when the attempt was meant to start. The next one is counted from there, so that the milliseconds that
// each try is late do not add up over a ladder of days; unless it was late by more than onTime, after an outage, say.
func (c *candidate) scheduled() time.Time {
	if late := c.started.Sub(c.d.Due); !c.d.Due.IsZero() && late >= 0 && late <= onTime {
		return c.d.Due
	}
	return c.started
}

// onTime is how late a try may start and still count as on schedule: what the retry path promises at p99.
const onTime = time.Second

// cancelled settles a delivery that nobody wants any more.
func (d *Deliverer) cancelled(it *item, reason outcome.Reason) {
	row := d.row(it, verdict{Verdict: outcome.Cancelled, reason: reason}, time.Now())
	d.sched.release(it.lane)
	d.record(it, row, nil)
}

// bodyHash is the digest of a request body for its outcome.
func bodyHash(body []byte) string {
	sum := sha256.Sum256(body)
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum[:])
	return string(text[:])
}

// copyFor returns a copy of the delivery for its next writing: passes rise whenever a record is written again.
func copyFor(d *delivery.Delivery, reason outcome.Reason) *delivery.Delivery {
	next := *d
	next.Pass++
	next.Reason = string(reason)
	next.Ready, next.Slot = time.Time{}, time.Time{}
	return &next
}
