package pipeline

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/postrider/postrider/pkg/kafka"
)

// chunk is a range of source records, expanded. A crash before its end repeats it, with the same identities.
type chunk struct {
	records []*kafka.Record
	routed  RoutedRecord
	made    acks
	// size is what it counts towards [RouterOptions.MaxExpansions].
	size int
}

// weigh is no less than the number of records, for they are kept in memory.
func (r *RoutedRecord) weigh() int { return max(r.Expanded+r.Rejected, r.Events) }

// conveyor expands the records of one source partition, chunk by chunk, and settles them behind that in the same order: a chunk's
// deliveries are on their way to Kafka while those before are waited for, so an event waits for no acknowledgement but its own.
type conveyor struct {
	*Router
	p   *kafka.Partition
	sel *selector
	// ctx ends with the partition's, or when a chunk could not be settled.
	ctx    context.Context //nolint:containedctx // it is the conveyor's lifetime
	cancel context.CancelFunc
	chunks chan *chunk
	// underWay is the size of the chunks that are not settled; room is told when it has become less.
	underWay atomic.Int64
	room     chan struct{}
	// settled is the size of the chunks since a commit was asked for.
	settled int
}

const (
	// chunksUnderWay is the most chunks that wait to be settled. Those that wait while a routed record is written share the next.
	chunksUnderWay = 64
	// chunkParts is how many chunks of the largest size may be under way.
	chunkParts = 4
)

func (r *Router) work(p *kafka.Partition, b *backlog) {
	defer close(b.done)
	c := &conveyor{
		Router: r, p: p, sel: newSelector(&r.filters, r.opts.Profiles, r.opts.Metrics),
		chunks: make(chan *chunk, chunksUnderWay), room: make(chan struct{}, 1),
	}
	c.ctx, c.cancel = context.WithCancel(p.Context())
	defer c.cancel()
	var settling sync.WaitGroup
	settling.Go(c.settleAll)
	defer settling.Wait()
	defer close(c.chunks)
	for {
		select {
		case <-b.wake:
		case <-b.stop:
			return
		case <-c.ctx.Done():
			return
		}
		if !c.hasRoom(b.stop) { // before more is taken, for what is not taken holds the partition
			return
		}
		for records := b.take(p); len(records) > 0 && c.hasRoom(b.stop); {
			next := c.expandSome(records)
			records = records[len(next.records):]
			select {
			case c.chunks <- next:
			case <-c.ctx.Done():
			}
		}
	}
}

// hasRoom waits until another chunk may be under way. It reports false when there is to be none.
func (c *conveyor) hasRoom(stop <-chan struct{}) bool {
	for {
		select {
		case <-stop:
			return false
		case <-c.ctx.Done():
			return false
		default:
		}
		if c.underWay.Load() < int64(c.opts.MaxExpansions) {
			return true
		}
		select {
		case <-c.room:
		case <-stop:
		case <-c.ctx.Done():
		}
	}
}

// expandSome expands the first of the records, up to the size of a chunk, with one snapshot of the registry.
func (c *conveyor) expandSome(records []*kafka.Record) *chunk {
	snap := c.registry.Snapshot()
	out := &chunk{routed: RoutedRecord{
		Version: RoutedVersion, Topic: c.p.Topic, Partition: c.p.ID, First: records[0].Offset, Registry: snap.Version(),
	}}
	n, most := 0, max(1, min(c.opts.MaxExpansions/chunkParts, c.opts.MaxExpansions-int(c.underWay.Load())))
	var ahead []incoming
	for n < len(records) && out.routed.weigh() < most {
		if len(ahead) == 0 {
			ahead = c.ahead(snap, records[n:])
		}
		c.expand(c.p.Context(), snap, c.sel, ahead[0], &out.routed, &out.made)
		ahead = ahead[1:]
		n++
		out.routed.Events = n
	}
	out.records, out.routed.Last, out.size = records[:n], records[n-1].Offset, out.routed.weigh()
	c.underWay.Add(int64(out.size))
	return out
}

// settleAll settles chunks until there are no more. After an error it settles none.
func (c *conveyor) settleAll() {
	failed := false
	for first := range c.chunks {
		some := []*chunk{first}
		for len(c.chunks) > 0 { // nobody else takes any
			some = append(some, <-c.chunks)
		}
		if failed {
			continue
		}
		if err := c.settle(some); err != nil {
			if c.p.Context().Err() == nil {
				c.fail(fmt.Errorf("routing %s/%d: %w", c.p.Topic, c.p.ID, err))
			}
			failed = true
			c.cancel()
		}
	}
}

// settle waits until Kafka has all of the chunks, writes a routed record for those that one version of the registry expanded, and
// only then finishes the source offsets.
func (c *conveyor) settle(chunks []*chunk) error {
	var routed []*RoutedRecord
	for _, next := range chunks {
		if err := next.made.wait(c.p.Context()); err != nil {
			return err
		}
		if last := len(routed) - 1; last >= 0 && routed[last].Registry == next.routed.Registry {
			routed[last].join(&next.routed)
		} else {
			routed = append(routed, &next.routed)
		}
	}
	for _, one := range routed {
		if err := c.writeRouted(c.p.Context(), one); err != nil {
			return err
		}
		c.count(one)
	}
	c.finish(chunks)
	return nil
}

// finish finishes the source offsets and makes room.
func (c *conveyor) finish(chunks []*chunk) {
	for _, done := range chunks {
		for _, rec := range done.records {
			c.p.Finish(rec.Offset)
		}
		c.underWay.Add(-int64(done.size))
		c.settled += done.size
	}
	select {
	case c.room <- struct{}{}:
	default:
	}
	if c.settled >= c.opts.MaxExpansions {
		c.settled = 0
		c.p.CommitSoon()
	}
}

// join adds the range that follows, of the same version.
func (r *RoutedRecord) join(next *RoutedRecord) {
	r.Last = next.Last
	r.Events += next.Events
	r.Expanded += next.Expanded
	r.Filtered += next.Filtered
	r.Unmatched += next.Unmatched
	r.Rejected += next.Rejected
}
