package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/topics"
)

// TopicTail reads a topic from its start and goes on; [kafka.Tail] is one. It is used by one goroutine.
type TopicTail interface {
	// Poll calls fn for the records that are next, and blocks until there are some or ctx ends.
	Poll(ctx context.Context, fn func(*kafka.Record)) error
	// Ends returns where each partition starts and ends now; Left, how much of that Poll has not passed yet.
	Ends(ctx context.Context) (map[int32]kafka.Ends, error)
	Left(ends map[int32]kafka.Ends) int64
	Close()
}

var _ TopicTail = (*kafka.Tail)(nil)

// LoadingError says that a topic of letters was not read to its end yet.
type LoadingError struct {
	Topic   string
	Percent int
}

// Error implements error.
func (e *LoadingError) Error() string {
	return fmt.Sprintf("the topic %s is being read, %d %% so far: try again in a moment", e.Topic, e.Percent)
}

// Times of a [Letters].
const (
	// letterPoll is how long a poll waits for records, letterPause the pause after an error.
	letterPoll  = 250 * time.Millisecond
	letterPause = time.Second
	// letterExpiry is how often the letters that their log has lost are looked for; while the log is read for the first time
	// the ends are looked at more often.
	letterExpiry  = 10 * time.Minute
	letterLoading = 5 * time.Second
)

// Letters keeps the fold of a topic of letters: it reads it from its start, and then what comes. Each process that answers for
// letters has one; nothing else has to be kept.
type Letters[L letter.Letter] struct {
	topic string
	tail  func() (TopicTail, error)
	read  func(letter.Record) (L, *letter.Mark)
	most  int
	log   *slog.Logger

	mu      sync.Mutex
	fold    *letter.Open[L] // nil until the topic was read to where it ended at the start
	percent int
}

// Run follows the topic until ctx ends.
func (l *Letters[L]) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := l.follow(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("reading letters", "topic", l.topic, "error", err)
			pause(ctx, letterPause)
		}
	}
	return nil
}

// Open returns the letters that are open, or a [*LoadingError].
func (l *Letters[L]) Open() (*letter.Open[L], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fold == nil {
		return nil, &LoadingError{l.topic, l.percent}
	}
	return l.fold, nil
}

// follow folds the topic anew. What it has replaces what was there before once it is as complete. It returns to begin again
// when letters were left out for which there is room now.
func (l *Letters[L]) follow(ctx context.Context) error {
	tail, err := l.tail()
	if err != nil {
		return err
	}
	defer tail.Close()
	goal, err := tail.Ends(ctx)
	if err != nil {
		return err
	}
	fold, loaded, looked := letter.NewOpen[L](l.most), false, time.Now()
	if before, err := l.Open(); err == nil {
		fold = before.Again()
	}
	for ctx.Err() == nil {
		if !loaded && l.complete(tail, goal) {
			loaded = true
			l.adopt(fold)
		}
		if err := l.poll(ctx, tail, fold); err != nil {
			return err
		}
		if age := time.Since(looked); age < letterLoading || loaded && age < letterExpiry {
			continue
		}
		looked = time.Now()
		now, err := tail.Ends(ctx)
		if err != nil {
			return err
		}
		starts := map[int32]int64{}
		for p, e := range now {
			starts[p] = e.Start
			goal[p] = kafka.Ends{Start: max(goal[p].Start, e.Start), End: goal[p].End} // what was cut off will not be read any more
		}
		fold.Expire(starts)
		if held, leftOut := fold.Len(); loaded && leftOut > 0 && held < l.mostHeld()/2 {
			return nil
		}
	}
	return nil
}

// poll takes up what comes within [letterPoll].
func (l *Letters[L]) poll(ctx context.Context, tail TopicTail, fold *letter.Open[L]) error {
	waiting, cancel := context.WithTimeout(ctx, letterPoll)
	defer cancel()
	err := tail.Poll(waiting, func(r *kafka.Record) { l.add(fold, r) })
	if waiting.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

func (l *Letters[L]) mostHeld() int {
	if l.most == 0 {
		return letter.MaxOpen
	}
	return l.most
}

func (l *Letters[L]) adopt(fold *letter.Open[L]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fold = fold
}

// complete reports whether a topic was read to its goal, and notes how much of it was.
func (l *Letters[L]) complete(tail TopicTail, goal map[int32]kafka.Ends) bool {
	left, all := tail.Left(goal), int64(0)
	for _, e := range goal {
		all += max(0, e.End-e.Start)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.percent = int(100 * (all - left) / max(all, 1))
	return left == 0
}

func (l *Letters[L]) add(fold *letter.Open[L], r *kafka.Record) {
	v, mark := l.read(letterRecord(r))
	if mark != nil {
		fold.Close(mark)
		return
	}
	fold.Put(v)
}

func letterRecord(r *kafka.Record) letter.Record {
	return letter.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp, Position: position(r), Headers: headers(r)}
}

// LetterWork is what both kinds of work on letters have: which tenant's, from where on, how many and how fast. It can be
// ended at any time and begun again: letters that were dealt with are closed, and a cursor leads past those that were skipped.
type LetterWork struct {
	// Tenant is whose letters are meant; zero for all.
	Tenant ident.ID
	// After is where to begin, and Most how many to look at; 0 for all.
	After letter.Cursor
	Most  int
	// PerSecond bounds how many are dealt with in a second; 0 is as fast as Kafka takes them.
	PerSecond float64
	// By is who wants it, kind:id.
	By string
	// DryRun changes nothing and counts.
	DryRun bool
	// Progress is told after every batch of [letterBatch], in the goroutine of the call. It may be nil.
	Progress func(LetterProgress)
}

// LetterProgress is how far a work is. All that it counts is acknowledged.
type LetterProgress struct {
	// Done were dealt with; with DryRun they would have been. Tenants says whose they were.
	Done    int
	Tenants map[ident.ID]int
	// Skipped are those that stay open, by why.
	Skipped map[Skip]int
	// Cursor is where to go on, and More whether there is anything: Most was reached.
	Cursor letter.Cursor
	More   bool
}

// Skip says why a letter was left as it is. It is a closed set.
type Skip string

// Reasons to skip.
const (
	// SkipUndecodable: it is no delivery.
	SkipUndecodable Skip = "undecodable"
	// SkipEndpointDeleted and SkipEndpointDisabled: its delivery would be cancelled at once, and be a dead letter no more.
	SkipEndpointDeleted  Skip = "endpoint_deleted"
	SkipEndpointDisabled Skip = "endpoint_disabled"
	// SkipExpired: Kafka does not have the record any more.
	SkipExpired Skip = "expired"
	// SkipIncomplete: not all of the record could be kept.
	SkipIncomplete Skip = "incomplete"
	// SkipNoSource: no source that is configured reads its topic.
	SkipNoSource Skip = "no_source"
	// SkipStillRejected: it could not be read as an event today either.
	SkipStillRejected Skip = "still_rejected"
)

// Skips lists every Skip.
func Skips() []Skip {
	return []Skip{
		SkipUndecodable, SkipEndpointDeleted, SkipEndpointDisabled, SkipExpired, SkipIncomplete, SkipNoSource, SkipStillRejected,
	}
}

const (
	// letterBatch is how many letters are dealt with at a time: what a kill in between repeats at most.
	letterBatch = 100
	// letterBytes bounds what is read of Kafka for one batch at a time.
	letterBytes = 32 << 20
)

func (p *LetterProgress) skip(why Skip) { p.Skipped[why]++ }

func (p *LetterProgress) unskip(why Skip) {
	if p.Skipped[why]--; p.Skipped[why] == 0 {
		delete(p.Skipped, why)
	}
}

func (p *LetterProgress) done(tenant ident.ID) {
	p.Done++
	p.Tenants[tenant]++
}

// run deals with the open letters that the work is about, oldest first, a batch at a time.
func (l *Letters[L]) run(ctx context.Context, w LetterWork, ids []ident.ID, matches func(L) bool, deal func(context.Context, []L, *LetterProgress) error) (LetterProgress, error) {
	p := LetterProgress{Skipped: map[Skip]int{}, Tenants: map[ident.ID]int{}, Cursor: w.After}
	fold, err := l.Open()
	if err != nil {
		return p, err
	}
	size, limit := letterBatch, rate.NewLimiter(rate.Inf, 0)
	if w.PerSecond > 0 && !w.DryRun {
		size = max(1, min(size, int(w.PerSecond)))
		limit = rate.NewLimiter(rate.Limit(w.PerSecond), size)
	}
	batch, looked := make([]L, 0, size), 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := limit.WaitN(ctx, len(batch)); err != nil {
			return context.Cause(ctx)
		}
		last := letter.CursorOf(batch[len(batch)-1])
		now, err := l.Open() // which may be another by now
		if err != nil {
			return err
		}
		open := slices.DeleteFunc(slices.Clone(batch), func(v L) bool { return !now.Has(v) })
		if err := deal(ctx, open, &p); err != nil {
			return err
		}
		batch, p.Cursor = batch[:0], last
		if w.Progress != nil {
			w.Progress(p)
		}
		return nil
	}
	for v := range fold.Select(w.Tenant, ids, w.After) {
		if !matches(v) {
			continue
		}
		if p.More = w.Most > 0 && looked == w.Most; p.More {
			break
		}
		looked++
		if batch = append(batch, v); len(batch) == size {
			if err := flush(); err != nil {
				return p, err
			}
		}
	}
	return p, flush()
}

// close writes the marks of letters that were dealt with, waits until Kafka has them, and closes them here as well: whoever
// asks next does not see them.
func (l *Letters[L]) close(ctx context.Context, out Producer, t Topics, letters []L, mark func(L) (*letter.Mark, *kafka.Record)) error {
	marked := &acks{}
	marks := make([]*letter.Mark, len(letters))
	for i, v := range letters {
		m, r := mark(v)
		for name, text := range m.Headers() {
			r.Headers = append(r.Headers, kafka.Header{Key: name, Value: []byte(text)})
		}
		r.Topic, r.Partition = t.Name(l.topic), m.Of.Partition
		marks[i] = m
		marked.produce(ctx, out, r)
	}
	if err := marked.wait(ctx); err != nil {
		return fmt.Errorf("marking letters: %w", err)
	}
	fold, err := l.Open()
	if err != nil {
		return err
	}
	for _, m := range marks {
		fold.Close(m)
	}
	return nil
}

// fetchEach reads records at places and calls fn for each that is there, in the order of the places.
func fetchEach(ctx context.Context, from RecordFetcher, places []kafka.Place, fn func(i int, r *kafka.Record) error) error {
	at := map[kafka.Place]int{}
	for i, p := range places {
		at[p] = i
	}
	for len(places) > 0 {
		found, left, err := from.Fetch(ctx, places, letterBytes)
		if err != nil {
			return fmt.Errorf("reading letters: %w", err)
		}
		for _, p := range places {
			if r, ok := found[p]; ok {
				if err := fn(at[p], r); err != nil {
					return err
				}
			}
		}
		if len(left) == len(places) {
			return fmt.Errorf("reading letters: the reader did not get to any of %d", len(left))
		}
		places = left
	}
	return nil
}

// The topics of letters, without prefix.
const (
	deadTopic     = topics.DeadLetters
	rejectedTopic = topics.Rejected
)
