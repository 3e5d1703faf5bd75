package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/offset"
)

// Causes of the end of a partition's context.
var (
	// ErrRevoked: the partition was given up in a rebalance or at the end; what is not finished is repeated by its next
	// owner.
	ErrRevoked = errors.New("partition was revoked")
	// ErrLost: the brokers took the partition from this member; its next owner may be at work already.
	ErrLost = errors.New("partition was lost")
)

// Partition is one partition for the time of one ownership.
type Partition struct {
	Topic string
	ID    int32
	// Generation is the group's generation (under KIP-848 the member's epoch) at assignment. It rises with every owner.
	Generation int32

	group  *Group
	ctx    context.Context //nolint:containedctx // it is the ownership's lifetime, which is what a Partition is
	cancel context.CancelCauseFunc

	tracker atomic.Pointer[offset.Tracker] // nil until the commit is known
	start   kgo.Offset                     // where reading starts; set with the tracker
	// preparing ends when the handler's Assign is not running and will not be called again.
	preparing sync.WaitGroup
	halted    atomic.Pointer[string] // out of range
	newer     atomic.Pointer[string] // see Halt
	marks     marks

	holdMu sync.Mutex
	holds  Hold
	gone   bool // the ownership has ended: pauses are the next one's
}

// Hold is a reason not to read a partition further. Reasons add up: it is read again when the last one is released.
type Hold uint8

// Reasons to hold a partition.
const (
	// HoldBacklog: the stage's queue for the partition is full.
	HoldBacklog Hold = 1 << iota
	// HoldBytes: the bytes in flight of all partitions are at their bound.
	HoldBytes
	// HoldWindow: the commit metadata cannot describe a wider window.
	HoldWindow
	// HoldUntil: the head of a waiting partition is not ready.
	HoldUntil

	holdAssign // not prepared yet
	holdHalted // out of range
	holdPaused // the group is, see [Group.SetPaused]
	holdNewer  // see Halt
)

// NewPartition returns a partition that belongs to no group, for tests of handlers: it is never paused.
func NewPartition(ctx context.Context, topic string, id int32, tracker *offset.Tracker) *Partition {
	p := &Partition{Topic: topic, ID: id}
	p.tracker.Store(tracker)
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	return p
}

// Context ends when the partition is taken away; its cause is [ErrRevoked] or [ErrLost].
func (p *Partition) Context() context.Context { return p.ctx }

// Finish records that everything the record at this offset promises was acknowledged. After the partition was taken
// away it does nothing: a late acknowledgement never moves the commit.
func (p *Partition) Finish(at int64) { _ = p.tracker.Load().Finish(at) }

// Tracker returns the partition's account.
func (p *Partition) Tracker() *offset.Tracker { return p.tracker.Load() }

// CommitSoon commits what is finished without waiting for the next tick.
func (p *Partition) CommitSoon() {
	if p.group == nil {
		return
	}
	select {
	case p.group.commitSoon <- struct{}{}:
	default: // one is due already
	}
}

// Hold stops reading the partition until the same reason is released. What is buffered may still arrive.
func (p *Partition) Hold(why Hold) {
	p.holdMu.Lock()
	defer p.holdMu.Unlock()
	before := p.holds
	p.holds |= why
	if before == 0 && p.group != nil && !p.gone {
		p.group.client.PauseFetchPartitions(p.asMap())
	}
}

// Release takes back one reason.
func (p *Partition) Release(why Hold) {
	p.holdMu.Lock()
	defer p.holdMu.Unlock()
	before := p.holds
	p.holds &^= why
	if before != 0 && p.holds == 0 && p.group != nil && !p.gone {
		p.group.client.ResumeFetchPartitions(p.asMap())
	}
}

// leave ends the ownership for the client: it remembers pauses by name, and the next ownership must not inherit them.
func (p *Partition) leave() {
	p.holdMu.Lock()
	defer p.holdMu.Unlock()
	p.gone = true
	p.group.client.ResumeFetchPartitions(p.asMap())
}

// Held reports whether why holds the partition.
func (p *Partition) Held(why Hold) bool {
	p.holdMu.Lock()
	defer p.holdMu.Unlock()
	return p.holds&why != 0
}

func (p *Partition) halt(reason string) {
	if p.halted.Swap(&reason) == nil {
		p.group.opts.Metrics.halted.WithLabelValues(p.Topic).Inc()
		p.group.opts.Log.Error("partition halted; see kafka.on_out_of_range", "topic", p.Topic, "partition", p.ID,
			"group", p.group.opts.Name, "reason", reason)
	}
	p.Hold(holdHalted)
}

// Halt stops reading the partition until it has another owner: a record in it, or one that belongs to it, is for a newer release.
// What is at work goes on and is committed, up to that record. [Group.Halted] tells the reason.
func (p *Partition) Halt(reason error) {
	text := reason.Error()
	if p.newer.Swap(&text) == nil && p.group != nil {
		p.group.opts.Metrics.halted.WithLabelValues(p.Topic).Inc()
		p.group.opts.Log.Error("partition halted; a newer release goes on with it", "topic", p.Topic, "partition", p.ID,
			"group", p.group.opts.Name, "reason", reason)
	}
	p.Hold(holdNewer)
}

// Halted returns why the partition stands still; empty if it does not.
func (p *Partition) Halted() string {
	for _, reason := range []*string{p.halted.Load(), p.newer.Load()} {
		if reason != nil {
			return *reason
		}
	}
	return ""
}

func (p *Partition) asMap() map[string][]int32 { return map[string][]int32{p.Topic: {p.ID}} }
