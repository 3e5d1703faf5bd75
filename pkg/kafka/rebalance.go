package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/offset"
)

// A partition's way in: onAssigned makes it and holds it; adjustOffsets learns its commit and what is finished above it
// and checks both against the log; then prepare runs the handler's Assign and releases it. The client calls them in
// this order, and onRevoked or onLost after them.

func (g *Group) onAssigned(ctx context.Context, client *kgo.Client, assigned map[string][]int32) {
	<-g.connected
	_, generation := client.GroupMetadata()
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic, partitions := range assigned {
		for _, id := range partitions {
			p := &Partition{Topic: topic, ID: id, Generation: generation, group: g}
			p.ctx, p.cancel = context.WithCancelCause(ctx)
			g.parts[topicPartition{topic, id}] = p
			p.Hold(holdAssign)
			if g.paused {
				p.Hold(holdPaused)
			}
		}
	}
	g.joined.Store(true)
	g.opts.Metrics.assigned.WithLabelValues(g.opts.Name).Set(float64(len(g.parts)))
	if len(assigned) > 0 {
		g.opts.Log.Info("partitions assigned", "group", g.opts.Name, "partitions", assigned, "generation", generation)
	}
}

// checkTimeout bounds each question to the brokers while an assignment or a revocation waits for the answer.
const checkTimeout = 10 * time.Second

// adjustOffsets reads each commit with its metadata and compares it with its log. An offset below the start means that records were deleted before
// they were read, one above the end that the log lost records it had acknowledged: the client's own answers to both
// skip or repeat silently, so the decision is made here, where it can be told.
func (g *Group) adjustOffsets(ctx context.Context, starts map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	topics := make([]string, 0, len(starts))
	for topic := range starts {
		topics = append(topics, topic)
	}
	commits, err := g.admin.FetchOffsetsForTopics(ctx, g.opts.Name, topics...)
	if err != nil {
		return nil, fmt.Errorf("fetching committed offsets: %w", err)
	}
	low, err := g.admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("listing start offsets: %w", err)
	}
	high, err := g.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("listing end offsets: %w", err)
	}
	for topic, partitions := range starts {
		for id := range partitions {
			p := g.partition(topic, id)
			if p == nil {
				continue
			}
			if p.tracker.Load() == nil {
				c, ok := commits.Lookup(topic, id)
				if !ok {
					c.At = -1
				}
				if c.Err != nil {
					return nil, fmt.Errorf("fetching committed offset of %s/%d: %w", topic, id, c.Err)
				}
				p.start = g.begin(p, c.Offset, low, high)
				g.prepare(p)
			}
			// The client asks again if a rebalance came in between; the account was opened then.
			partitions[id] = p.start
		}
	}
	return starts, nil
}

// begin opens the partition's account and returns where reading starts.
func (g *Group) begin(p *Partition, c kadm.Offset, low, high kadm.ListedOffsets) kgo.Offset {
	var start kgo.Offset
	first, okLow := low.Lookup(p.Topic, p.ID)
	last, okHigh := high.Lookup(p.Topic, p.ID)
	switch known := okLow && okHigh && first.Err == nil && last.Err == nil; {
	case c.At < 0:
		p.tracker.Store(offset.NewTracker(max(first.Offset, 0), offset.Set{}))
		start = kgo.NewOffset().AtStart()
	case known && (c.At < first.Offset || c.At > last.Offset):
		reason := fmt.Sprintf("committed offset %d is outside the log [%d, %d]", c.At, first.Offset, last.Offset)
		start = kgo.NewOffset().At(first.Offset)
		if g.conf.OnOutOfRange != OutOfRangeEarliest {
			p.halt(reason) // before there is anything to commit
			p.tracker.Store(offset.NewTracker(first.Offset, offset.Set{}))
			break
		}
		p.tracker.Store(offset.NewTracker(first.Offset, offset.Set{}))
		g.opts.Log.Error("starting at the start of the log", "topic", p.Topic, "partition", p.ID, "reason", reason)
		g.opts.Metrics.outOfRange.WithLabelValues(p.Topic).Inc()
	default:
		finished, err := offset.DecodeMetadata(c.At, c.Metadata)
		if err != nil {
			// The finished offsets are unknown, so they are repeated: late is better than lost.
			g.opts.Log.Error("reading commit metadata", "topic", p.Topic, "partition", p.ID, "error", err)
		}
		p.tracker.Store(offset.NewTracker(c.At, finished))
		start = kgo.NewOffset().At(c.At).WithEpoch(c.LeaderEpoch)
	}
	return start
}

// prepareTries is how often a partition is prepared before the member gives up: brokers that are being restarted answer
// within that many seconds.
const prepareTries = 30

// prepare begins to prepare a partition, unless the member is leaving: its last revoke waits for those that were begun before.
func (g *Group) prepare(p *Partition) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.leaving {
		p.preparing.Go(p.prepare)
	}
}

func (p *Partition) prepare() {
	for try := 1; ; try++ {
		err := p.group.handler.Assign(p)
		switch {
		case err == nil:
			p.Release(holdAssign)
			return
		case p.ctx.Err() != nil:
			return
		case errors.Is(err, form.ErrNewer):
			p.Halt(err) // and never released from holdAssign
			return
		case try == prepareTries:
			p.group.fail(fmt.Errorf("preparing %s/%d: %w", p.Topic, p.ID, err))
			return
		}
		p.group.opts.Log.Warn("preparing partition", "topic", p.Topic, "partition", p.ID, "error", err)
		t := time.NewTimer(time.Second)
		select {
		case <-t.C:
		case <-p.ctx.Done():
			t.Stop()
			return
		}
	}
}

func (g *Group) onRevoked(ctx context.Context, _ *kgo.Client, revoked map[string][]int32) {
	g.revoke(ctx, g.take(revoked))
}

// revoke gives partitions up: what is being prepared is cut off, what is at work drains, and then the last commit goes
// out.
func (g *Group) revoke(ctx context.Context, ps []*Partition) {
	if len(ps) == 0 {
		return
	}
	for _, p := range ps {
		if p.Held(holdAssign) {
			p.cancel(ErrRevoked)
			p.preparing.Wait()
		}
	}
	g.handler.Revoke(ps)
	g.commitMu.Lock()
	defer g.commitMu.Unlock()
	last := map[*Partition]offset.Commit{}
	for _, p := range ps {
		p.cancel(ErrRevoked)
		if p.tracker.Load() != nil && p.halted.Load() == nil {
			last[p] = p.tracker.Load().Revoke()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	g.commit(ctx, last)
	g.drop(ps)
	g.opts.Log.Info("partitions revoked", "group", g.opts.Name, "partitions", names(ps))
}

func (g *Group) onLost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	<-g.connected
	ps := g.take(lost)
	g.joined.Store(false)
	for _, p := range ps {
		p.cancel(ErrLost)
		if p.tracker.Load() != nil {
			p.tracker.Load().Revoke()
		}
	}
	for _, p := range ps {
		p.preparing.Wait()
	}
	g.handler.Lost(ps)
	// A commit that was taken before must be answered before the member joins again: under its next generation the
	// brokers would accept it, for partitions that others own by then.
	g.commitMu.Lock()
	g.drop(ps)
	g.commitMu.Unlock()
	g.opts.Metrics.lost.WithLabelValues(g.opts.Name).Inc()
	g.opts.Log.Warn("partitions lost", "group", g.opts.Name, "partitions", lost)
}

func names(ps []*Partition) map[string][]int32 {
	out := map[string][]int32{}
	for _, p := range ps {
		out[p.Topic] = append(out[p.Topic], p.ID)
	}
	return out
}

func (g *Group) take(m map[string][]int32) []*Partition {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []*Partition
	for topic, partitions := range m {
		for _, id := range partitions {
			if p := g.parts[topicPartition{topic, id}]; p != nil {
				out = append(out, p)
			}
		}
	}
	return out
}

func (g *Group) drop(ps []*Partition) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range ps {
		delete(g.parts, topicPartition{p.Topic, p.ID})
		p.leave()
	}
	g.opts.Metrics.assigned.WithLabelValues(g.opts.Name).Set(float64(len(g.parts)))
}

// commit sends the commits in one request. A failed one is taken again at the next tick; the brokers refuse those of a
// member that is not in the group any more.
func (g *Group) commit(ctx context.Context, commits map[*Partition]offset.Commit) {
	if len(commits) == 0 {
		return
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	metadata := map[topicPartition]string{}
	byName := map[topicPartition]*Partition{}
	for p, c := range commits {
		text, complete := c.EncodeMetadata()
		if !complete {
			g.opts.Metrics.metadataOverflow.WithLabelValues(p.Topic).Inc()
		}
		if offsets[p.Topic] == nil {
			offsets[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[p.Topic][p.ID] = kgo.EpochOffset{Epoch: -1, Offset: c.Offset}
		metadata[topicPartition{p.Topic, p.ID}] = text
		byName[topicPartition{p.Topic, p.ID}] = p
	}
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i, t := range req.Topics {
			for j, p := range t.Partitions {
				text := metadata[topicPartition{t.Topic, p.Partition}]
				req.Topics[i].Partitions[j].Metadata = &text
			}
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	g.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			g.commitFailed("", 0, err, byName)
			return
		}
		for _, t := range resp.Topics {
			for _, rp := range t.Partitions {
				if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
					tp := topicPartition{t.Topic, rp.Partition}
					g.commitFailed(t.Topic, rp.Partition, err, map[topicPartition]*Partition{tp: byName[tp]})
				}
			}
		}
	})
	g.opts.Metrics.commits.WithLabelValues(g.opts.Name).Inc()
}

func (g *Group) commitFailed(topic string, partition int32, err error, ps map[topicPartition]*Partition) {
	for _, p := range ps {
		if p != nil {
			p.tracker.Load().Touch()
		}
	}
	g.opts.Metrics.commitErrors.WithLabelValues(g.opts.Name).Inc()
	g.opts.Log.Warn("committing", "group", g.opts.Name, "topic", topic, "partition", partition, "error", err)
}
