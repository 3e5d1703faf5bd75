package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/failure"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/topics"
)

// restore takes up the endpoint states of a partition: the snapshots, then the outcomes after the checkpoint. The fold
// starts a window's length earlier, which refills the window of recent deliveries.
func (d *Deliverer) restore(o *owned) error {
	started := time.Now()
	r := restored{states: map[ident.ID]stateRecord{}, disabled: map[ident.ID]int64{}, checkpoint: -1}
	states := d.opts.Topics.Name(topics.EndpointStates)
	if _, err := d.reader.Range(o.ctx, states, o.p.ID, 0, r.read); err != nil {
		return fmt.Errorf("restoring endpoint states: %w", err)
	}
	o.folded = r.checkpoint
	from := max(0, r.checkpoint+1-int64(d.opts.Window))
	if r.checkpoint < 0 {
		from = 0
	}
	folded := map[ident.ID]*failure.State{}
	_, err := d.reader.Range(o.ctx, d.opts.Topics.Name(topics.Outcomes), o.p.ID, from, func(rec *kafka.Record) error {
		return d.refold(o, &r, folded, rec)
	})
	if err != nil {
		return fmt.Errorf("folding outcomes: %w", err)
	}
	d.adopt(o, &r, folded)
	d.opts.Metrics.restore.Observe(time.Since(started).Seconds())
	return nil
}

type restored struct {
	states     map[ident.ID]stateRecord
	disabled   map[ident.ID]int64
	checkpoint int64
	order      [2]int64 // generation and sequence of the checkpoint
	undecoded  int
}

// read takes one record of endpoint-states. A snapshot of a lower (generation, sequence) than one already read is a
// zombie's.
func (r *restored) read(rec *kafka.Record) error {
	key := string(rec.Key)
	if number, ok := strings.CutPrefix(key, checkpointPrefix); ok && number != "" {
		var c checkpointRecord
		if ok, err := readState(rec, &c, &c.Version); !ok || older(c.Generation, c.Sequence, r.order) {
			return err
		}
		r.checkpoint, r.order = c.Folded, [2]int64{int64(c.Generation), c.Sequence}
		return nil
	}
	text, isDisabled := strings.CutSuffix(key, disabledSuffix)
	sub, err := ident.ParseUUID(text)
	if err != nil {
		r.undecoded++
		return nil //nolint:nilerr // a foreign record is no reason to stand still
	}
	switch {
	case rec.Value == nil && isDisabled:
		delete(r.disabled, sub)
	case rec.Value == nil:
		delete(r.states, sub)
	case isDisabled:
		var v disabledRecord
		if ok, err := readState(rec, &v, &v.Version); !ok {
			return err
		}
		r.disabled[sub] = max(r.disabled[sub], v.Generation)
	default:
		var v stateRecord
		prev := r.states[sub]
		if ok, err := readState(rec, &v, &v.Version); !ok || older(v.Generation, v.Sequence, [2]int64{int64(prev.Generation), prev.Sequence}) {
			return err
		}
		r.states[sub] = v
	}
	return nil
}

// readState reads a value of endpoint-states; ok is false for what is none. An error says that it is of a newer release, which
// alone may go on with the partition.
func readState(rec *kafka.Record, v any, version *int) (ok bool, err error) {
	err = form.Read(rec.Value, v, version, stateVersion)
	if errors.Is(err, form.ErrNewer) {
		return false, fmt.Errorf("offset %d: %w", rec.Offset, err)
	}
	return err == nil, nil
}

func older(generation int32, sequence int64, than [2]int64) bool {
	if int64(generation) != than[0] {
		return int64(generation) < than[0]
	}
	return sequence < than[1]
}

// refold folds one outcome of the log, unless it repeats one. An error says that it is of a newer release.
func (d *Deliverer) refold(o *owned, r *restored, folded map[ident.ID]*failure.State, rec *kafka.Record) error {
	row, err := outcome.Read(rec.Value)
	switch {
	case errors.Is(err, form.ErrNewer):
		return fmt.Errorf("offset %d: %w", rec.Offset, err)
	case err != nil:
		d.opts.Log.Error("reading outcome", "partition", rec.Partition, "offset", rec.Offset, "error", err)
		return nil
	}
	o.folded = max(o.folded, rec.Offset)
	key, ok := rowKey(row)
	if !ok || o.window.seen(key) || o.window.delivered(key) {
		return nil
	}
	o.window.settled(key, row.Verdict)
	s := folded[row.Subscription]
	if s == nil {
		clean := failure.NewState()
		if snap, ok := r.states[row.Subscription]; ok {
			clean = snap.State.Clone()
		}
		s = &clean
		folded[row.Subscription] = s
	}
	s.Fold(row, rec.Offset, d.failurePolicy(row.Subscription))
	return nil
}

// adopt makes the endpoints of what was restored.
func (d *Deliverer) adopt(o *owned, r *restored, folded map[ident.ID]*failure.State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for sub, snap := range r.states {
		state := snap.State
		breaker := snap.Breaker
		if s, ok := folded[sub]; ok {
			if s.LastSuccess.After(state.LastSuccess) {
				breaker = gate.State{} // it recovered after the snapshot
			}
			state = *s
			delete(folded, sub)
		}
		d.endpointLocked(o, sub, breaker, state)
	}
	for sub, state := range folded {
		d.endpointLocked(o, sub, gate.State{}, *state)
	}
	for sub, generation := range r.disabled {
		d.endpointLocked(o, sub, gate.State{}, failure.NewState()).disabled.Store(generation)
	}
}

// rowKey is the key of the record that an outcome tells about.
func rowKey(row *outcome.Outcome) (delivery.Key, bool) {
	id, err := ident.ParseBase62(delivery.IDPrefix, row.Delivery)
	if err != nil {
		return delivery.Key{}, false
	}
	return delivery.Key{Delivery: id, Trigger: delivery.Trigger{Kind: row.Trigger, ID: row.TriggerID}, Pass: row.Pass}, true
}
