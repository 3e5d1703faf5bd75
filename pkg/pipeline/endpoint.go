package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/failure"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/topics"
)

// endpoint is the live state of one subscription's endpoint, at its partition's owner.
type endpoint struct {
	sub     ident.ID
	breaker *gate.Breaker
	state   failure.State // of the acknowledged outcomes; guarded by the owner's lock
	// live counts attempts as they are settled; guarded likewise. The state counts the same, when the outcomes are
	// acknowledged: with many attempts in flight that is too late to stop.
	live    failure.State
	counted bool // in the number of open breakers; guarded likewise
	dirty   bool // among the owner's; guarded likewise
	// disabled is the highest generation of the subscription that was disabled here; 0 for none.
	disabled atomic.Int64

	// generation is the subscription's, as of the last attempt.
	generation atomic.Int64

	pace gate.Pace
	rest gate.Rest
	// paused is until when deliveries are put off that an operator has paused.
	paused gate.Rest
}

// disabledAt reports whether a subscription of that generation is disabled by its endpoint's state. Enabling raises
// the generation, so an old state cannot disable it again.
func (e *endpoint) disabledAt(generation int64) bool {
	disabled := e.disabled.Load()
	return disabled > 0 && generation <= disabled
}

// renew starts anew with an endpoint whose subscription was enabled since its last attempt: whoever enables it has mended
// something, and does not want to wait for an open breaker.
func (d *Deliverer) renew(c *candidate) {
	was := c.ep.generation.Load()
	if c.sub.Generation <= was || !c.ep.generation.CompareAndSwap(was, c.sub.Generation) || was == 0 {
		return
	}
	if c.ep.breaker.Reset() {
		d.breakerChanged(c)
	}
}

// stateRecord is the value of endpoint-states under a subscription's key.
type stateRecord struct {
	Version int `json:"version"`
	// Generation and Sequence order the writers: of two snapshots the higher pair is the newer one, in whatever order
	// they arrived. A zombie's has a lower generation.
	Generation int32         `json:"generation"`
	Sequence   int64         `json:"sequence"`
	State      failure.State `json:"state"`
	Breaker    gate.State    `json:"breaker"`
}

// checkpointRecord is the value under the partition's own key: up to Folded, all states are snapshotted.
type checkpointRecord struct {
	Version    int   `json:"version"`
	Generation int32 `json:"generation"`
	Sequence   int64 `json:"sequence"`
	Folded     int64 `json:"folded"`
}

// disabledRecord is the value under a subscription's disabled key.
type disabledRecord struct {
	Version int `json:"version"`
	// Generation is the subscription's generation that is disabled.
	Generation int64          `json:"generation"`
	Reason     outcome.Reason `json:"reason"`
	At         time.Time      `json:"at"`
}

const (
	stateVersion     = 1
	disabledSuffix   = "/disabled"
	checkpointPrefix = "partition/"
	// snapshotEvery is the time between snapshots, which bounds what a new owner has to fold.
	snapshotEvery = 5 * time.Second
)

// endpoint returns the state of a subscription's endpoint.
func (d *Deliverer) endpoint(o *owned, sub ident.ID) *endpoint {
	o.mu.Lock()
	defer o.mu.Unlock()
	return d.endpointLocked(o, sub, gate.State{}, failure.NewState())
}

func (d *Deliverer) endpointLocked(o *owned, sub ident.ID, b gate.State, s failure.State) *endpoint {
	ep := o.endpoints[sub]
	if ep == nil {
		ep = &endpoint{
			sub: sub, state: s, live: s.Clone(), breaker: gate.New(d.opts.Breaker, b, s.Unhealthy, time.Now()),
		}
		ep.generation.Store(s.Generation)
		o.endpoints[sub] = ep
		d.countBreaker(o, ep)
		d.noteBreaker(o, ep)
	}
	return ep
}

// fold adds an acknowledged outcome to its endpoint's state. Acknowledgements of one partition come in log order, so
// the live state is the one that a new owner computes from the log.
func (d *Deliverer) fold(o *owned, r *row, offset int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ep := r.ep
	if ep == nil {
		ep = d.endpointLocked(o, r.Subscription, gate.State{}, failure.NewState())
	}
	ep.state.Fold(&r.Outcome, offset, r.policy)
	o.folded = max(o.folded, offset)
	if !ep.dirty {
		ep.dirty = true
		o.dirty = append(o.dirty, ep)
	}
}

// breakerChanged publishes a breaker that opened or closed without waiting for the next snapshot.
func (d *Deliverer) breakerChanged(c *candidate) {
	o := c.lane.owner
	o.mu.Lock()
	d.countBreaker(o, c.ep)
	d.noteBreaker(o, c.ep)
	record := o.snapshotOf(c.ep)
	o.mu.Unlock()
	d.produceState(o.p.Context(), o, c.ep.sub.UUID(), record, func() {})
}

// countBreaker makes the number of open breakers right for one endpoint; those of partitions that are given up do not
// count, though the drain may still change them. The owner's lock is held.
func (d *Deliverer) countBreaker(o *owned, ep *endpoint) {
	open := ep.breaker.State().Open() && !o.draining.Load()
	switch {
	case open && !ep.counted:
		d.opts.Metrics.breakers.Inc()
	case !open && ep.counted:
		d.opts.Metrics.breakers.Dec()
	}
	ep.counted = open
}

func (d *Deliverer) forgetBreakers(o *owned) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, ep := range o.endpoints {
		d.countBreaker(o, ep)
	}
}

// disable records that the subscription's generation is disabled, and waits until that is acknowledged.
func (d *Deliverer) disable(c *candidate, reason outcome.Reason) error {
	o := c.lane.owner
	r, err := d.stateRecordFor(o, c.sub.ID.UUID()+disabledSuffix, disabledRecord{
		Version: stateVersion, Generation: c.sub.Generation, Reason: reason, At: time.Now().UTC(),
	})
	if err != nil {
		return err
	}
	if err := produceSync(o.p.Context(), d.out, r); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	c.ep.disabled.Store(max(c.ep.disabled.Load(), c.sub.Generation))
	return nil
}

func (d *Deliverer) stateRecordFor(o *owned, key string, value any) (*kafka.Record, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding endpoint state: %w", err)
	}
	return &kafka.Record{
		Topic: d.opts.Topics.Name(topics.EndpointStates), Partition: o.p.ID, Key: []byte(key), Value: text,
	}, nil
}

// snapshots writes the states that changed, every few seconds.
func (d *Deliverer) snapshots() {
	ticker := time.NewTicker(snapshotEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-d.stopped:
			return
		}
		d.mu.Lock()
		all := make([]*owned, 0, len(d.owned))
		for _, o := range d.owned {
			all = append(all, o)
		}
		d.mu.Unlock()
		for _, o := range all {
			d.snapshot(o.dispatch, o)
		}
		d.measure()
	}
}

// snapshot writes the changed states and then the checkpoint, whose end it tells. The producer keeps the order within the
// partition, so whoever reads the checkpoint has read the states. The owner's lock is not held over the writes: the
// acknowledgements that would make room in a full producer, for which ctx bounds the wait, need it.
func (d *Deliverer) snapshot(ctx context.Context, o *owned) (written <-chan struct{}) {
	ended := make(chan struct{})
	o.snapshotting.Lock()
	defer o.snapshotting.Unlock()
	o.mu.Lock()
	states := make(map[ident.ID]stateRecord, len(o.dirty))
	for _, ep := range o.dirty {
		states[ep.sub] = o.snapshotOf(ep)
		ep.dirty = false
	}
	clear(o.dirty)
	o.dirty = o.dirty[:0]
	o.sequence++
	checkpoint := checkpointRecord{Version: stateVersion, Generation: o.p.Generation, Sequence: o.sequence, Folded: o.folded}
	o.mu.Unlock()
	if len(states) == 0 {
		close(ended)
		return ended
	}
	for sub, state := range states {
		d.produceState(ctx, o, sub.UUID(), state, func() {})
	}
	d.produceState(ctx, o, checkpointPrefix+strconv.Itoa(int(o.p.ID)), checkpoint, func() { close(ended) })
	return ended
}

// snapshotOf returns the record of an endpoint's state now. The owner's lock is held.
func (o *owned) snapshotOf(ep *endpoint) stateRecord {
	o.sequence++
	return stateRecord{
		Version: stateVersion, Generation: o.p.Generation, Sequence: o.sequence, State: ep.state.Clone(), Breaker: ep.breaker.State(),
	}
}

// produceState writes without waiting for the end, which it tells: a snapshot that gets lost is folded again from the outcomes.
func (d *Deliverer) produceState(ctx context.Context, o *owned, key string, value any, ended func()) {
	r, err := d.stateRecordFor(o, key, value)
	if err != nil {
		d.opts.Log.Error("writing endpoint state", "error", err)
		ended()
		return
	}
	d.out.Produce(ctx, r, func(_ *kafka.Record, err error) {
		defer ended()
		if err != nil && o.p.Context().Err() == nil {
			d.opts.Log.Error("writing endpoint state", "partition", o.p.ID, "error", err)
		}
	})
}
