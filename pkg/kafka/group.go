package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/offset"
)

// Handler is what a [Group] feeds. Order of calls for one partition: Assign until it succeeds, Records any number of times, then
// Revoke or Lost once. Records, Revoke and Lost are never called concurrently with each other, nor with Assign of the same
// partition; Assign runs in a goroutine of its own for each partition and does not block polling. A partition that is
// taken away while it is prepared ends its context first, and Revoke or Lost comes when Assign has returned, whatever it
// returned.
type Handler interface {
	// Assign prepares a partition. No record of it is read before Assign returns. The partition's context ends when it
	// is taken away. After an error it is called again, for about half a minute; then [Group.Run] ends with it.
	Assign(p *Partition) error
	// Records hands over records in ascending offset order, those that an earlier owner finished left out. Each is in
	// flight until [Partition.Finish]. It must not block: to push back, it holds the partition.
	Records(p *Partition, records []*Record)
	// Revoke stops work on the partitions, waits for what is in flight as long as the stage's drain time, and cancels
	// the rest. The group commits afterwards.
	Revoke(ps []*Partition)
	// Lost cancels all work on the partitions at once. Nothing is committed: they belong to someone else already.
	Lost(ps []*Partition)
}

// GroupOptions says what a group reads and how.
type GroupOptions struct {
	// Name is the consumer group, with its prefix.
	Name string
	// Topics are read; if Pattern is set, it is one regular expression, anchored by whoever writes it.
	Topics  []string
	Pattern bool
	// MaxPartitionBytes bounds a fetch of one partition; 1 MiB + 128 KiB if 0.
	MaxPartitionBytes int32
	// Collect is how long a broker may collect records, up to 1 MiB, before it answers a fetch: a stage that nobody waits for has
	// a few fetches a second then instead of one for each batch that somebody wrote. 0 is not at all; [Config.FetchMaxWait] counts.
	Collect time.Duration
	// CommitEvery is the time between commits; 1 s if 0.
	CommitEvery time.Duration
	Log         *slog.Logger
	Metrics     *Metrics
}

// Group is one member of a consumer group with an exact account of each of its partitions: it commits the lowest
// contiguous finished offset and writes the finished offsets above it into the commit's metadata.
type Group struct {
	// client joins the group the moment it is made, so Run makes it; callbacks wait for connected.
	client    *kgo.Client
	admin     *kadm.Client
	connected chan struct{}

	conf    Config
	opts    GroupOptions
	handler Handler

	// mu guards parts, paused and leaving.
	mu      sync.Mutex
	parts   map[topicPartition]*Partition
	paused  bool
	leaving bool

	// commitMu is held from taking a commit until the broker answered. Revoking takes it too: a commit that was taken
	// before a revoke and sent after it would move the new owner's commit backwards, and the broker would let it.
	commitMu sync.Mutex

	commitSoon chan struct{}
	joined     atomic.Bool
	polled     atomic.Int64 // Unix nanoseconds of the last poll's end
	fatal      chan error
}

type topicPartition struct {
	topic     string
	partition int32
}

// NewGroup makes a member that joins when [Group.Run] is called. The options and the configuration must be valid.
func NewGroup(conf Config, opts GroupOptions, handler Handler) (*Group, error) {
	setDefault(&conf.FetchMaxWait, defaultFetchMaxWait)
	setDefault(&opts.MaxPartitionBytes, maxRecordBytes)
	setDefault(&opts.CommitEvery, time.Second)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	opts.Metrics.begin(opts.Name)
	g := &Group{
		conf: conf, opts: opts, handler: handler,
		connected: make(chan struct{}), parts: make(map[topicPartition]*Partition), fatal: make(chan error, 1), commitSoon: make(chan struct{}, 1),
	}
	reach, err := conf.Options()
	if err != nil {
		return nil, err
	}
	if err := kgo.ValidateOpts(append(reach, g.options()...)...); err != nil {
		return nil, fmt.Errorf("options of group %s: %w", opts.Name, err)
	}
	return g, nil
}

// collectBytes is as many as a fetch collects, see [GroupOptions.Collect]: some 2,000 records, of which each costs a few µs, beside a fetch
// of 100 µs.
const collectBytes = 1 << 20

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (g *Group) options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(g.opts.Name),
		kgo.ConsumeTopics(g.opts.Topics...),
		kgo.DisableAutoCommit(),
		// What a producer took back was never said: aborted source events are not expanded, aborted operational ones not sent.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A transaction's marker takes an offset: without it the commit never reaches the end, and the lag never 0.
		kgo.KeepControlRecords(),
		kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(g.conf.FetchMaxWait),
		kgo.FetchMaxPartitionBytes(g.opts.MaxPartitionBytes),
		kgo.OnPartitionsAssigned(g.onAssigned),
		kgo.AdjustFetchOffsetsFn(g.adjustOffsets),
		kgo.OnPartitionsRevoked(g.onRevoked),
		kgo.OnPartitionsLost(g.onLost),
	}
	if g.opts.Pattern {
		opts = append(opts, kgo.ConsumeRegex())
	}
	if g.opts.Collect > 0 {
		opts = append(opts, kgo.FetchMinBytes(collectBytes), kgo.FetchMaxWait(g.opts.Collect))
	}
	if g.conf.GroupProtocol == ProtocolConsumer {
		// KIP-848 assigns on the broker and takes only range and sticky names; the session is the broker's.
		return append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	session := g.conf.SessionTimeout
	setDefault(&session, defaultSession)
	return append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(session), kgo.HeartbeatInterval(session/4))
}

// Joined reports whether the member is in its group. It stays true through rebalances and becomes false when the
// brokers threw the member out.
func (g *Group) Joined() bool { return g.joined.Load() }

// Polled returns when the poll loop last moved, the zero time before it started. It moves at least once a second.
func (g *Group) Polled() time.Time {
	if n := g.polled.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Halted returns why partitions stand still, by topic/partition; empty when all is well. See [Config.OnOutOfRange] and
// [Partition.Halt].
func (g *Group) Halted() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string]string{}
	for tp, p := range g.parts {
		if reason := p.Halted(); reason != "" {
			out[fmt.Sprintf("%s/%d", tp.topic, tp.partition)] = reason
		}
	}
	return out
}

// SetPaused stops reading all partitions, and those that are assigned meanwhile, or goes on with them. The member stays in its
// group, polls and commits; what was fetched before may still be handed over.
func (g *Group) SetPaused(paused bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused = paused
	for _, p := range g.parts {
		if paused {
			p.Hold(holdPaused)
		} else {
			p.Release(holdPaused)
		}
	}
}

// maxPoll is how many records one poll hands over: enough to amortise the poll, few enough that a rebalance never waits
// for the hand-over.
const maxPoll = 10_000

// pollTimeout ends a poll that found nothing, so that the time of the last poll tells whether the loop moves.
const pollTimeout = time.Second

// Run may be called once. It joins the group, hands over records and commits until ctx ends, then lets the handler drain, commits and leaves
// the group. It returns nil after that, or the first error that the member cannot go on with.
func (g *Group) Run(ctx context.Context) error {
	client, err := NewClient(g.conf, g.options()...)
	if err != nil {
		return err
	}
	g.client, g.admin = client, kadm.NewClient(client)
	close(g.connected)
	defer g.opts.Metrics.lags.add(g)()
	polling, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	commits := make(chan struct{})
	go func() {
		defer close(commits)
		g.commitLoop(polling)
	}()
	go func() {
		select {
		case err := <-g.fatal:
			stop(err)
		case <-polling.Done():
		}
	}()
	err = g.poll(polling)
	stop(err)
	<-commits
	if cause := context.Cause(polling); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	g.leave(context.WithoutCancel(ctx)) // its end is what leaving is for
	return err
}

// leaveTimeout bounds the end of a member: drain, last commit, leaving. A grace period of 30 s leaves room for it.
const leaveTimeout = 20 * time.Second

// leave drains and commits as a member that heartbeats, and then leaves. The client's own way, to revoke while it leaves,
// heartbeats no more: a drain of 5 s behind a heartbeat of 2 s ago ends after a session of 6 s, the partitions have a new
// owner by then, and what the drain finished is sent twice.
func (g *Group) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	ended, end := context.WithCancel(ctx)
	end()
	g.client.PollRecords(ended, 1) // takes no records; rebalances wait from here on
	g.mu.Lock()
	g.leaving = true // an assignment may still be on its way
	g.mu.Unlock()
	g.revoke(ctx, g.all())
	g.client.AllowRebalance()
	if err := g.client.LeaveGroupContext(ctx); err != nil {
		g.opts.Log.Warn("leaving group", "group", g.opts.Name, "error", err)
	}
	g.client.Close()
	g.joined.Store(false)
}

func (g *Group) poll(ctx context.Context) error {
	defer g.client.AllowRebalance()
	for ctx.Err() == nil {
		polling, cancel := context.WithTimeout(ctx, pollTimeout)
		fetches := g.client.PollRecords(polling, maxPoll)
		cancel()
		g.polled.Store(time.Now().UnixNano())
		if fetches.IsClientClosed() {
			return errors.New("polling: client was closed")
		}
		if err := g.fetchErrors(ctx, fetches); err != nil {
			return err
		}
		fetches.EachPartition(g.hand)
		g.client.AllowRebalance()
	}
	return nil
}

func (g *Group) hand(f kgo.FetchTopicPartition) {
	p := g.partition(f.Topic, f.Partition)
	if p == nil || len(f.Records) == 0 {
		return // taken away while the fetch was on its way
	}
	if p.tracker.Load() == nil || p.Held(holdAssign) {
		// The client's pause forbids it. Going on would lose what it has read past.
		g.fail(fmt.Errorf("polling: records of %s/%d before it was prepared", p.Topic, p.ID))
		return
	}
	fresh, tracker := f.Records[:0], p.tracker.Load()
	for _, r := range f.Records {
		if r.Attrs.IsControl() {
			tracker.Pass(r.Offset)
		} else if tracker.Begin(r.Offset) {
			fresh = append(fresh, r)
		}
	}
	if len(fresh) > 0 {
		p.marks.add(tracker.Position(), fresh)
		g.handler.Records(p, fresh)
	}
}

// fetchErrors returns the error that the member cannot go on with. An offset out of range halts its partition only; what
// the client tries again by itself is logged.
func (g *Group) fetchErrors(ctx context.Context, fetches kgo.Fetches) (fatal error) {
	fetches.EachError(func(topic string, partition int32, err error) {
		var loss *kgo.ErrDataLoss
		switch {
		case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		case errors.Is(err, kerr.OffsetOutOfRange) || errors.As(err, &loss):
			if p := g.partition(topic, partition); p != nil {
				p.halt(fmt.Sprintf("the log was cut under the reader: %v", err))
			}
		case errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.GroupAuthorizationFailed):
			fatal = fmt.Errorf("fetching %s/%d: %w", topic, partition, err)
		default:
			g.opts.Log.Warn("fetching", "group", g.opts.Name, "topic", topic, "partition", partition, "error", err)
		}
	})
	return fatal
}

func (g *Group) partition(topic string, partition int32) *Partition {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.parts[topicPartition{topic, partition}]
}

func (g *Group) fail(err error) {
	select {
	case g.fatal <- err:
	default: // the first one ends the member
	}
}

func (g *Group) commitLoop(ctx context.Context) {
	ticker := time.NewTicker(g.opts.CommitEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			g.commitAll(ctx)
		case <-g.commitSoon:
			g.commitAll(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (g *Group) commitAll(ctx context.Context) {
	g.commitMu.Lock()
	defer g.commitMu.Unlock()
	taken := map[*Partition]offset.Commit{}
	for _, p := range g.all() {
		tracker := p.tracker.Load()
		if tracker == nil || p.halted.Load() != nil {
			continue
		}
		if c, changed := tracker.Commit(); changed {
			taken[p] = c
		}
	}
	g.commit(ctx, taken)
}

func (g *Group) all() []*Partition {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]*Partition, 0, len(g.parts))
	for _, p := range g.parts {
		out = append(out, p)
	}
	return out
}
