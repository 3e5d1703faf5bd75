package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/token"
	"github.com/postrider/postrider/pkg/tracing"
	"github.com/postrider/postrider/topics"
)

// Attempter makes one HTTP request. [attempt.Client] is one. An error means that nobody knows how it went: ctx ended.
type Attempter interface {
	Do(ctx context.Context, req *attempt.Request) (attempt.Response, error)
}

// Exception is a subscription, of this tenant, whose attempts another client makes; without a client there is none.
type Exception struct {
	Tenant, Subscription ident.ID
	Client               Attempter
}

// clientOf returns what makes the attempts of a candidate.
func (d *Deliverer) clientOf(c *candidate) Attempter {
	if e := &d.opts.Exception; e.Client != nil && c.sub.ID == e.Subscription && c.sub.Tenant == e.Tenant {
		return e.Client
	}
	return d.client
}

// RangeReader reads a stretch of a partition. [kafka.Reader] is one.
type RangeReader interface {
	Range(ctx context.Context, topic string, partition int32, from int64, fn func(*kafka.Record) error) (kafka.Ends, error)
}

// Profiles finds a profile by name.
type Profiles interface {
	Get(name string) (*profile.Profile, bool)
}

// DelivererOptions are the bounds of a deliverer. The zero value of a field takes its default.
type DelivererOptions struct {
	Topics Topics
	// Workers is the most attempts in flight; 512 by default.
	Workers int
	// MaxBytes bounds the deliveries in memory; at the bound partitions are held. 256 MiB by default.
	MaxBytes int64
	// LaneQueue is how many deliveries of one subscription wait in memory before their partition is held; 10,000 by
	// default, and fewer if they hold an eighth of MaxBytes.
	LaneQueue int
	// LaneConcurrency is the most attempts in flight to one endpoint; 32 by default.
	LaneConcurrency int
	// Drain is how long attempts in flight may go on after a revoke; 5 s by default.
	Drain time.Duration
	// Window is how many recent (delivery, trigger, pass) a partition remembers; 65,536 by default.
	Window  int
	Breaker gate.Config
	// Breakers is told which breakers are open, for people to see; nil is told nothing.
	Breakers Breakers
	// Tokens gets the access tokens of subscriptions with OAuth; without it, their attempts end as requests that cannot be
	// made.
	Tokens *token.Store
	// Programs is the most transformations that run at a time; as many as there are processors by default.
	Programs int
	// CheckURL says what is wrong with a URL that a transformation made; nil allows all. The transport's guard looks at it, too.
	CheckURL func(url string) error
	Outcomes OutcomeOptions
	// Rand returns a number in [0, 1) for the jitter of retry policies, from many goroutines; math/rand by default.
	Rand func() float64
	// Saturated is asked every 100 ms whether there have been too few processors since it was asked last; by default the Go
	// runtime and Linux know.
	Saturated func() bool
	// Exception is the one subscription whose attempts go out another way.
	Exception Exception
	// Tracer makes the spans of attempts; nil: none.
	Tracer  *tracing.Tracer
	Log     *slog.Logger
	Metrics *Metrics
}

// maxUnconfirmed is how long sends go on without word that the registry snapshot is complete. A disabled subscription
// stops within 2 s of the acknowledged change: this, and one question every 500 ms.
const maxUnconfirmed = 1500 * time.Millisecond

// Deliverer is the stage that makes attempts. It owns partitions of deliveries, and with them all live state of the
// subscriptions in them. It implements [kafka.Handler].
type Deliverer struct {
	opts     DelivererOptions
	registry Registry
	profiles Profiles
	client   Attempter
	out      Producer
	reader   RangeReader
	fail     func(error)

	// outcomes is the name of that topic.
	outcomes string

	stopped chan struct{}
	sched   *scheduler

	senders senders
	bodies  *bodies
	rows    rows
	// programs has a place for each transformation that runs.
	programs chan struct{}
	bytes    atomic.Int64
	// crammed: partitions are held for the bytes in memory, and whoever gives some back looks whether they may go on.
	crammed atomic.Bool
	workers sync.WaitGroup
	news    breakerNews

	mu    sync.Mutex
	owned map[int32]*owned
}

// NewDeliverer returns a deliverer that works once [Deliverer.Start] was called. fail is called with the first error
// that it cannot go on with: a record that Kafka refused.
func NewDeliverer(
	opts DelivererOptions, reg Registry, profiles Profiles, client Attempter, out Producer, reader RangeReader, fail func(error),
) *Deliverer {
	setDefault(&opts.Workers, 512)
	setDefault(&opts.MaxBytes, 256<<20)
	setDefault(&opts.LaneQueue, 10_000)
	setDefault(&opts.LaneConcurrency, 32)
	setDefault(&opts.Drain, 5*time.Second)
	setDefault(&opts.Window, 1<<16)
	setDefault(&opts.Programs, runtime.GOMAXPROCS(0))
	if opts.Rand == nil {
		opts.Rand = rand.Float64
	}
	if opts.Saturated == nil {
		opts.Saturated = newSaturation().now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	return &Deliverer{
		opts: opts, registry: reg, profiles: profiles, client: client, out: out, reader: reader, fail: fail,
		outcomes: opts.Topics.Name(topics.Outcomes), stopped: make(chan struct{}), sched: newScheduler(bounds{
			concurrency: opts.LaneConcurrency, queue: opts.LaneQueue, laneBytes: opts.MaxBytes / 8,
			workers: opts.Workers, share: opts.MaxBytes / 2,
		}), owned: map[int32]*owned{},
		senders: senders{tokens: opts.Tokens, keepQueries: opts.Outcomes.KeepQueries}, bodies: newBodies(opts.MaxBytes),
		programs: make(chan struct{}, opts.Programs),
	}
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// owned is one partition of deliveries for the time of one ownership.
type owned struct {
	p *kafka.Partition
	// dispatch ends when no attempt may start any more; ctx ends when attempts are to be cut off: after the drain of a revoke, or at once when the partition is lost.
	dispatch context.Context //nolint:containedctx // it is the ownership's lifetime
	stop     context.CancelFunc
	ctx      context.Context //nolint:containedctx // likewise
	cancel   context.CancelFunc
	// settling counts deliveries between dispatch and acknowledgement; a revoke waits for it.
	settling sync.WaitGroup
	draining atomic.Bool
	watched  atomic.Bool // see [Deliverer.watchAgain]

	// snapshotting keeps snapshots apart: the checkpoint must follow the states it stands for.
	snapshotting sync.Mutex

	mu        sync.Mutex
	lanes     map[ident.ID]*lane // guarded by the scheduler's lock, as are longLanes and activity
	longLanes int
	activity  activity
	endpoints map[ident.ID]*endpoint
	window    *window
	dirty     []*endpoint // with outcomes since the last snapshot
	folded    int64       // offset of the last outcome that is folded in
	sequence  int64
}

// Start starts the workers. They end with [Deliverer.Stop].
func (d *Deliverer) Start() {
	for range d.opts.Workers {
		d.workers.Go(func() {
			w := newWorker()
			for it := d.sched.next(w); it != nil; it = d.sched.next(w) {
				d.try(it)
			}
		})
	}
	for range diverters {
		d.workers.Go(d.divertLoop)
	}
	d.workers.Go(d.snapshots)
	d.workers.Go(d.watchSaturation)
	d.workers.Go(d.tellBreakers)
}

// Stop ends the workers, after the group has revoked every partition. It waits for them.
func (d *Deliverer) Stop() {
	close(d.stopped)
	d.sched.close()
	d.workers.Wait()
}

// Assign takes up the partition's endpoint states and window.
func (d *Deliverer) Assign(p *kafka.Partition) error {
	o := &owned{
		p: p, lanes: map[ident.ID]*lane{}, endpoints: map[ident.ID]*endpoint{},
		window: newWindow(d.opts.Window), folded: -1,
	}
	o.ctx, o.cancel = context.WithCancel(p.Context())
	o.dispatch, o.stop = context.WithCancel(o.ctx)
	if err := d.restore(o); err != nil {
		o.cancel()
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owned[p.ID] = o
	return nil
}

// Records queues deliveries in their lanes.
func (d *Deliverer) Records(p *kafka.Partition, records []*kafka.Record) {
	d.mu.Lock()
	o := d.owned[p.ID]
	d.mu.Unlock()
	if o == nil {
		return
	}
	now := time.Now()
	d.sched.read(len(records))
	for some := range slices.Chunk(records, queuedAtOnce) {
		d.queue(o, some, now)
	}
	d.watchWindow(o)
	if d.sched.bytes.Load() > d.opts.MaxBytes {
		d.holdAll()
	}
	// What the holds wait for may have happened before they were set, and then nothing else would release them.
	d.eased(o)
	d.easeBytes()
	d.measure()
}

func (d *Deliverer) measure() {
	d.opts.Metrics.queued.Set(float64(d.sched.load()))
	d.opts.Metrics.bytes.Set(float64(d.sched.bytes.Load()))
}

// queuedAtOnce is how many records share a turn at the locks of owner and scheduler; workers wait for them meanwhile.
const queuedAtOnce = 64

func (d *Deliverer) queue(o *owned, records []*kafka.Record, now time.Time) {
	items := make([]*item, 0, len(records))
	for _, r := range records {
		dl, err := decode(r)
		switch {
		case errors.Is(err, form.ErrNewer):
			o.p.Halt(fmt.Errorf("offset %d: %w", r.Offset, err))
		case err != nil:
			d.buryUndecodable(o, r, err)
		default:
			items = append(items, &item{d: dl, at: position(r), arrived: now})
		}
	}
	fresh, repeats := o.unrepeated(items)
	for _, it := range repeats {
		d.opts.Metrics.repeats.Inc()
		o.p.Finish(it.at.Offset)
	}
	for _, it := range fresh {
		// The record's value is a piece of the fetch it came in: one delivery that waits would keep a megabyte in memory.
		it.common = d.bodies.keep(it.d)
	}
	for _, l := range d.sched.admit(o, fresh, now) {
		d.fullLane(l)
	}
}

// unrepeated parts what is new from repeats, and remembers it.
func (o *owned) unrepeated(items []*item) (fresh, repeats []*item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fresh = items[:0]
	for _, it := range items {
		if o.window.repeated(it.d.Key()) {
			repeats = append(repeats, it)
			continue
		}
		it.later = o.window.later
		fresh = append(fresh, it)
	}
	return fresh, repeats
}

// Revoke stops dispatching, lets what is in flight end within the drain time, then cuts it off.
func (d *Deliverer) Revoke(ps []*kafka.Partition) {
	gone := d.take(ps)
	drained := make(chan struct{})
	go func() {
		for _, o := range gone {
			o.settling.Wait()
		}
		close(drained)
	}()
	drain := time.NewTimer(d.opts.Drain)
	defer drain.Stop()
	select {
	case <-drained:
	case <-drain.C:
	}
	for _, o := range gone {
		o.cancel()
	}
	// What was cut off ends at once; what ended in time may wait for its acknowledgement a moment longer.
	settle, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	select {
	case <-drained:
	case <-settle.Done():
		d.opts.Log.Warn("acknowledgements outstanding at revoke; their deliveries are repeated")
	}
	d.lastSnapshots(settle, gone)
}

// lastSnapshots writes what the next owners start with. Without it they fold as much more as their own would say.
func (d *Deliverer) lastSnapshots(ctx context.Context, gone []*owned) {
	var all []<-chan struct{}
	for _, o := range gone {
		all = append(all, d.snapshot(ctx, o))
	}
	for _, written := range all {
		select {
		case <-written:
		case <-ctx.Done():
			return
		}
	}
}

// settleTimeout is how long a revoke waits for the brokers' acknowledgements after the drain, of the last snapshots as well.
const settleTimeout = 2 * time.Second

// Lost cuts off everything at once: the partitions have another owner.
func (d *Deliverer) Lost(ps []*kafka.Partition) {
	for _, o := range d.take(ps) {
		o.cancel()
	}
}

// take forgets the partitions and what waits for them.
func (d *Deliverer) take(ps []*kafka.Partition) []*owned {
	defer d.easeBytes() // others may be held for the bytes of those that go
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*owned
	for _, p := range ps {
		o := d.owned[p.ID]
		if o == nil || o.p != p {
			continue
		}
		delete(d.owned, p.ID)
		o.draining.Store(true)
		o.stop()
		d.sched.drop(o)
		d.forgetBreakers(o)
		out = append(out, o)
	}
	return out
}
