package pipeline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/kafka"
)

// batches is a [kafka.Handler] that hands the records of every partition, in order and a batch at a time, to a function
// until it succeeds, and finishes them only then. As long as it fails its partition is held: nothing is skipped, nothing
// piles up.
type batches struct {
	// do deals with some records of a partition. It is called again with the same ones after an error; one that wraps
	// [form.ErrNewer] halts the partition with them.
	do func(ctx context.Context, p *kafka.Partition, records []*kafka.Record) error
	// most is how many records do is given at most.
	most int
	// queue is how many may wait before their partition is held; maxBatchQueue if 0.
	queue int
	// gather is how long the first record of a batch waits for others.
	gather time.Duration
	// away and back are what the log says when do fails after it succeeded, and the other way round.
	away, back string
	log        *slog.Logger
	retries    prometheus.Counter

	mu    sync.Mutex
	parts map[*kafka.Partition]*batchQueue
	down  map[*kafka.Partition]bool // partitions whose last try failed
}

// Bounds of the records of a partition that wait; what was fetched already comes on top.
const (
	maxBatchQueue = 2000
	maxBatchBytes = 4 << 20
)

// Pauses between two tries of a batch.
const (
	firstBatchRetry = 250 * time.Millisecond
	maxBatchRetry   = 5 * time.Second
)

// batchQueue is what waits of one partition, and the goroutine that works on it.
type batchQueue struct {
	mu      sync.Mutex
	records []*kafka.Record
	bytes   int // of their values
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

var _ kafka.Handler = (*batches)(nil)

// Assign starts the partition's worker.
func (b *batches) Assign(p *kafka.Partition) error {
	q := &batchQueue{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parts == nil {
		b.parts, b.down = map[*kafka.Partition]*batchQueue{}, map[*kafka.Partition]bool{}
	}
	b.parts[p] = q
	go func() {
		defer close(q.done)
		b.work(p, q)
	}()
	return nil
}

// Records adds to the queue.
func (b *batches) Records(p *kafka.Partition, records []*kafka.Record) {
	b.mu.Lock()
	q := b.parts[p]
	b.mu.Unlock()
	if q == nil {
		return
	}
	q.mu.Lock()
	q.records = append(q.records, records...)
	for _, r := range records {
		q.bytes += len(r.Value)
	}
	if len(q.records) > b.limit() || q.bytes > maxBatchBytes {
		p.Hold(kafka.HoldBacklog)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Revoke ends the workers after the batch they are at, for which it waits a moment.
func (b *batches) Revoke(ps []*kafka.Partition) {
	limit := time.NewTimer(chunkTimeout)
	defer limit.Stop()
	for _, q := range b.take(ps) {
		select {
		case <-q.done:
		case <-limit.C:
			return // its partition's context ends next, and cuts it off
		}
	}
}

// Lost ends the workers; the batch they are at is cut off with the partition's context.
func (b *batches) Lost(ps []*kafka.Partition) { b.take(ps) }

func (b *batches) take(ps []*kafka.Partition) (queues []*batchQueue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range ps {
		if q := b.parts[p]; q != nil {
			close(q.stop)
			delete(b.parts, p)
			delete(b.down, p)
			queues = append(queues, q)
		}
	}
	return queues
}

func (b *batches) work(p *kafka.Partition, q *batchQueue) {
	for {
		select {
		case <-q.wake:
		case <-q.stop:
			return
		case <-p.Context().Done():
			return
		}
		b.wait(p, q)
		for records := b.next(p, q); len(records) > 0; records = b.next(p, q) {
			if !b.insist(p, q, records) {
				return
			}
			for _, r := range records {
				p.Finish(r.Offset)
			}
		}
	}
}

// wait waits for more records: until there are as many as a batch may have, or for as long as they are gathered.
func (b *batches) wait(p *kafka.Partition, q *batchQueue) {
	if b.gather == 0 {
		return
	}
	timer := time.NewTimer(b.gather)
	defer timer.Stop()
	for {
		q.mu.Lock()
		full := len(q.records) >= b.most || p.Held(kafka.HoldBacklog)
		q.mu.Unlock()
		if full {
			return
		}
		select {
		case <-q.wake:
		case <-timer.C:
			return
		case <-q.stop:
			return
		case <-p.Context().Done():
			return
		}
	}
}

func (b *batches) limit() int { return cmp.Or(b.queue, maxBatchQueue) }

// next takes the next batch off the queue.
func (b *batches) next(p *kafka.Partition, q *batchQueue) []*kafka.Record {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.records), b.most)
	batch := q.records[:n]
	q.records = slices.Clone(q.records[n:]) // what was taken is not kept in memory
	for _, r := range batch {
		q.bytes -= len(r.Value)
	}
	if len(q.records) <= b.limit()/2 && q.bytes <= maxBatchBytes/2 {
		p.Release(kafka.HoldBacklog)
	}
	return batch
}

// insist calls do until it succeeds, or the partition is taken away.
func (b *batches) insist(p *kafka.Partition, q *batchQueue, records []*kafka.Record) bool {
	retry := firstBatchRetry
	for {
		err := b.do(p.Context(), p, records)
		if p.Context().Err() != nil {
			return false
		}
		if errors.Is(err, form.ErrNewer) {
			p.Halt(err)
			return false
		}
		b.tell(p, err)
		if err == nil {
			return true
		}
		b.retries.Inc()
		p.Hold(kafka.HoldBacklog) // released with the next batch
		select {
		case <-q.stop:
			return false
		default:
		}
		timer := time.NewTimer(retry)
		select {
		case <-timer.C:
		case <-q.stop:
		case <-p.Context().Done():
		}
		timer.Stop()
		select {
		case <-q.stop:
			return false
		default:
		}
		retry = min(2*retry, maxBatchRetry)
	}
}

// tell says once that do fails, whatever the number of partitions, and once that it is over.
func (b *batches) tell(p *kafka.Partition, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.down)
	switch {
	case b.parts[p] == nil:
		return // taken away
	case err != nil:
		b.down[p] = true
	default:
		delete(b.down, p)
	}
	switch now := len(b.down); {
	case before == 0 && now > 0:
		b.log.Warn(b.away, "error", err) //nolint:sloglint // one of two literals
	case before > 0 && now == 0:
		b.log.Info(b.back) //nolint:sloglint // as above
	}
}
