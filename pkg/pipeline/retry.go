package pipeline

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/backoff"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/tracing"
	"github.com/postrider/postrider/topics"
)

// RetrierOptions are the bounds of a retrier. The zero value of a field takes its default.
type RetrierOptions struct {
	Topics Topics
	// Buffer is how many records wait in memory at most, see [Retrier]; 20,000 by default. 64 MiB of them are enough, too.
	Buffer int
	// Tracer makes the spans of stays in the tiers; nil: none.
	Tracer  *tracing.Tracer
	Log     *slog.Logger
	Metrics *Metrics
}

// Retrier is the stage that moves records from the retry tiers back to deliveries when they are due, never before. It
// implements [kafka.Handler].
//
// A record waits in the largest tier that is no longer than what is left, then hops to the next one, until little is left:
// that it waits out in memory. So records of a tier become ready in the order they were written, and only the head of each
// partition is looked at: while it waits, its partition is held, with no more in memory than a fetch or two, and one timer
// for all of them.
//
// Little is half a minute where nothing else waits: every hop is a record more to write and to read, and from half a minute down there
// can be nine. What may be left shrinks as half of the buffer fills, down to a second; the other half is for those.
type Retrier struct {
	opts RetrierOptions
	out  Producer
	fail func(error)

	mu    sync.Mutex
	heads map[*kafka.Partition]*head
	// timers are the ready heads and the records that wait in memory, the earliest first.
	timers  timers
	waiting int
	bytes   int         // of the data and metadata of those that wait
	halted  atomic.Bool // see [Retrier.SetStopped]
	wake    chan struct{}
	stopped chan struct{}
	done    chan struct{}
}

// head is what was fetched of a partition and is not ready.
type head struct {
	p       *kafka.Partition
	records []*waiter
	bytes   int  // of their data and metadata
	armed   bool // a timer is set
	// moving counts records that were written and are not acknowledged; a revoke waits for them.
	moving sync.WaitGroup
}

// waiter is one record of a retry tier.
type waiter struct {
	d     *delivery.Delivery
	at    int64     // its offset
	since time.Time // when it was written
}

// size is what it takes in memory.
func (w *waiter) size() int { return len(w.d.Data) + itemOverhead }

// early is how much before its time a record may leave a tier, to take those that are ready at almost the same time in
// one go. It never makes a delivery early: what is left is waited out in the next tier or in memory.
const early = 20 * time.Millisecond

// ahead is how far ahead of readiness a partition is read: the longest wait of a fetch that was on its way without it,
// and some.
const ahead = time.Second

// maxHeadBytes bounds the fetched records of a partition that wait: about 3,000 small ones, more than a tier's partition
// has to move in a second. Only a partition that is about to move so many holds them; a waiting one holds a fetch.
const maxHeadBytes = 4 << 20

// NewRetrier returns a retrier that works once [Retrier.Start] was called. fail is called with the first error that it
// cannot go on with.
func NewRetrier(opts RetrierOptions, out Producer, fail func(error)) *Retrier {
	setDefault(&opts.Buffer, 20_000)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	return &Retrier{
		opts: opts, out: out, fail: fail, heads: map[*kafka.Partition]*head{},
		wake: make(chan struct{}, 1), stopped: make(chan struct{}), done: make(chan struct{}),
	}
}

// Start starts the timer. It ends with [Retrier.Stop].
func (r *Retrier) Start() { go r.run() }

// Stop ends the timer and waits for it.
func (r *Retrier) Stop() {
	close(r.stopped)
	<-r.done
}

// Assign makes an empty head.
func (r *Retrier) Assign(p *kafka.Partition) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heads[p] = &head{p: p}
	return nil
}

// Records appends to the partition's head and holds the partition until the head is ready.
func (r *Retrier) Records(p *kafka.Partition, records []*kafka.Record) {
	for _, m := range r.take(p, records) {
		r.produce(m)
	}
}

// take appends to the head and returns what cannot wait in it.
func (r *Retrier) take(p *kafka.Partition, records []*kafka.Record) (moves []move) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.heads[p]
	if h == nil {
		return nil
	}
	for _, rec := range records {
		d, err := decode(rec)
		if errors.Is(err, form.ErrNewer) {
			h.p.Halt(fmt.Errorf("offset %d: %w", rec.Offset, err))
			continue
		}
		if err != nil {
			// It goes to deliveries, whose owner buries it as a dead letter.
			r.opts.Log.Error("record in a retry tier is no delivery", "topic", p.Topic, "partition", p.ID, "error", err)
			back := &kafka.Record{Topic: r.opts.Topics.Name(topics.Deliveries), Key: rec.Key, Value: rec.Value, Headers: rec.Headers}
			h.moving.Add(1)
			moves = append(moves, move{h: h, record: back, at: rec.Offset})
			continue
		}
		h.records = append(h.records, &waiter{d: d, at: rec.Offset, since: rec.Timestamp})
		h.bytes += h.records[len(h.records)-1].size()
	}
	r.arm(h, time.Now())
	return moves
}

// arm holds or releases the partition of a head and sets the head's timer. What becomes ready within the next second has
// to be there: the partition is held when its last fetched record is not ready for longer than that, or when much was
// fetched already, and read on when that is not so any more.
func (r *Retrier) arm(h *head, now time.Time) {
	if len(h.records) == 0 {
		h.p.Release(kafka.HoldUntil)
		return
	}
	at := h.records[0].d.Ready.Add(-early)
	readOn := h.records[len(h.records)-1].d.Ready.Add(-ahead)
	switch full := h.p.Held(kafka.HoldUntil) && h.bytes > maxHeadBytes/2 || h.bytes > maxHeadBytes; {
	case full:
		h.p.Hold(kafka.HoldUntil)
	case readOn.After(now):
		h.p.Hold(kafka.HoldUntil)
		if readOn.Before(at) {
			at = readOn
		}
	default:
		h.p.Release(kafka.HoldUntil)
	}
	r.armAt(h, at)
}

func (r *Retrier) armAt(h *head, at time.Time) {
	if !h.armed {
		h.armed = true
		r.schedule(&timer{at: at, head: h})
	}
}

func (r *Retrier) schedule(t *timer) {
	heap.Push(&r.timers, t)
	if r.timers[0] == t {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// Revoke forgets what waits, which the next owner reads again, and waits a moment for what is being moved.
func (r *Retrier) Revoke(ps []*kafka.Partition) {
	gone := r.forget(ps)
	moved := make(chan struct{})
	go func() {
		for _, h := range gone {
			h.moving.Wait()
		}
		close(moved)
	}()
	t := time.NewTimer(settleTimeout)
	defer t.Stop()
	select {
	case <-moved:
	case <-t.C:
	}
}

// Lost forgets what waits.
func (r *Retrier) Lost(ps []*kafka.Partition) { r.forget(ps) }

func (r *Retrier) forget(ps []*kafka.Partition) []*head {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := make(map[*kafka.Partition]bool, len(ps))
	var heads []*head
	for _, p := range ps {
		gone[p] = true
		if h := r.heads[p]; h != nil {
			heads = append(heads, h)
		}
		delete(r.heads, p)
	}
	kept := r.timers[:0]
	for _, t := range r.timers {
		if !gone[t.partition()] {
			kept = append(kept, t)
		} else if t.head == nil {
			r.left(t.waiter)
		}
	}
	clear(r.timers[len(kept):])
	r.timers = kept
	heap.Init(&r.timers)
	r.opts.Metrics.waiting.Set(float64(r.waiting))
	return heads
}

func (r *Retrier) run() {
	defer close(r.done)
	t := time.NewTimer(maxSleep)
	defer t.Stop()
	for {
		t.Reset(r.fire())
		select {
		case <-t.C:
		case <-r.wake:
		case <-r.stopped:
			return
		}
	}
}

// maxSleep bounds the wait for a timer. The process sleeps by a clock that nobody sets, records are due by one that may be
// set forward meanwhile.
const maxSleep = 10 * time.Second

// fire handles every timer that has come and returns how long until the next one.
func (r *Retrier) fire() time.Duration {
	for {
		if r.halted.Load() {
			return maxSleep
		}
		r.mu.Lock()
		now := time.Now() // again each time: writing takes time
		if len(r.timers) == 0 {
			r.mu.Unlock()
			return maxSleep
		}
		if left := r.timers[0].at.Sub(now); left > 0 {
			r.mu.Unlock()
			return min(left, maxSleep)
		}
		t, _ := heap.Pop(&r.timers).(*timer)
		moves := r.pop(t, now)
		r.opts.Metrics.waiting.Set(float64(r.waiting))
		r.mu.Unlock()
		// Outside the lock: a full producer blocks, and Records must not.
		for _, m := range moves {
			r.produce(m)
		}
	}
}

// move is a record to be written, and the offset that its acknowledgement finishes.
type move struct {
	h      *head
	record *kafka.Record
	at     int64
}

// pop handles one timer: a record that is due goes to deliveries; of a head, everything that is ready hops to the next
// tier or, with little left, waits for its own timer.
func (r *Retrier) pop(t *timer, now time.Time) []move {
	if t.head == nil {
		r.left(t.waiter)
		return []move{r.back(t.of, t.waiter, now)}
	}
	var moves []move
	h := t.head
	h.armed = false
	for len(h.records) > 0 && !r.full() {
		w := h.records[0]
		if w.d.Ready.Sub(now) > early {
			break
		}
		h.records[0] = nil
		h.records = h.records[1:]
		h.bytes -= w.size()
		switch left := w.d.Due.Sub(now); {
		case left <= 0:
			moves = append(moves, r.back(h, w, now))
		case left < r.patience():
			r.wait(h, w)
		default:
			moves = append(moves, r.hop(h, w, now))
		}
	}
	if r.full() && len(h.records) > 0 {
		r.armAt(h, now.Add(early)) // full: look again when some of it has become due
		return moves
	}
	r.arm(h, now)
	return moves
}

// longest and shortest are what may be left of a record for it to wait in memory: the longest where nothing does, the shortest always.
const (
	longest  = 30 * time.Second
	shortest = time.Second
)

// maxWaitingBytes bounds the records that wait in memory.
const maxWaitingBytes = 64 << 20

// full reports whether no more may wait.
func (r *Retrier) full() bool { return r.waiting >= r.opts.Buffer || r.bytes >= maxWaitingBytes }

// patience is how much may be left of a record for it to wait in memory now, as one more.
func (r *Retrier) patience() time.Duration {
	used := max(float64(r.waiting+1)/float64(r.opts.Buffer), float64(r.bytes)/maxWaitingBytes)
	return shortest + time.Duration(max(0, 1-2*used)*float64(longest-shortest))
}

// wait has a record wait in memory until it is due.
func (r *Retrier) wait(h *head, w *waiter) {
	w.d.Data = bytes.Clone(w.d.Data) // it was a piece of a whole fetch, of which it may be the only one to wait
	r.waiting++
	r.bytes += w.size()
	r.schedule(&timer{at: w.d.Due, of: h, waiter: w})
}

// left notes that a record waits no more.
func (r *Retrier) left(w *waiter) {
	r.waiting--
	r.bytes -= w.size()
}

func (r *Retrier) hop(h *head, w *waiter, now time.Time) move {
	wait, _ := backoff.Ready(w.d.Due, now)
	r.opts.Tracer.Waited(w.d, h.p.Topic, w.since, now)
	r.opts.Metrics.moves.WithLabelValues(backoff.TierName(wait)).Inc()
	h.moving.Add(1)
	return move{h: h, record: r.opts.Topics.waiting(w.d, now), at: w.at}
}

func (r *Retrier) back(h *head, w *waiter, now time.Time) move {
	r.opts.Metrics.moves.WithLabelValues("deliveries").Inc()
	r.opts.Metrics.late.Observe(now.Sub(w.d.Due).Seconds())
	r.opts.Tracer.Waited(w.d, h.p.Topic, w.since, now)
	w.d.Ready = time.Time{}
	h.moving.Add(1)
	return move{h: h, record: encode(r.opts.Topics.Name(topics.Deliveries), w.d), at: w.at}
}

// produce writes a record and finishes the one it came from when that is acknowledged.
func (r *Retrier) produce(m move) {
	p := m.h.p
	r.out.Produce(p.Context(), m.record, func(_ *kafka.Record, err error) {
		defer m.h.moving.Done()
		switch {
		case err == nil:
			p.Finish(m.at)
		case p.Context().Err() == nil:
			r.fail(fmt.Errorf("moving from %s/%d: %w", p.Topic, p.ID, err))
		}
	})
}
