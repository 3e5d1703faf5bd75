package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/topics"
)

// ReadOutcome is a position that the views have and the row that is there.
type ReadOutcome struct {
	Position delivery.Position
	State    ReadState
	Outcome  *outcome.Outcome // nil unless it was found
}

// Progress says how far the recorder is with a topic; [view.Redis] does.
type Progress interface {
	Progress(ctx context.Context, topic string) ([]view.Progress, error)
}

// LogEnds says where the partitions of a topic begin and end; [kafka.Fetcher] does.
type LogEnds interface {
	Ends(ctx context.Context, topic string) (map[int32]kafka.Ends, error)
}

// Bounds of an [OutcomeReader].
const (
	// maxOutcomeBytes is what a call reads at most, but for the rows on their way: all of 250, however long their URLs.
	maxOutcomeBytes = 32 << 20
	// completeFor is how long it is taken for true how far the views are. To look costs three calls of Kafka and one of Redis.
	completeFor = time.Second
	// completeTimeout bounds the look: whoever asks wants something else.
	completeTimeout = 2 * time.Second
)

// OutcomeReader reads rows of outcomes that the views have found, and says how far the views are. All methods may be called
// concurrently.
type OutcomeReader struct {
	topic    string
	from     RecordFetcher
	ends     LogEnds
	progress Progress

	looking sync.Mutex // one looks, the others wait for what it sees
	seen    view.Completeness
	seenErr error
	seenAt  time.Time
}

// NewOutcomeReader returns a reader.
func NewOutcomeReader(names Topics, from RecordFetcher, ends LogEnds, progress Progress) *OutcomeReader {
	return &OutcomeReader{topic: names.Name(topics.Outcomes), from: from, ends: ends, progress: progress}
}

// Read returns the rows at positions, in their order. Rows of another tenant, and what is no row, are as if they were not there
// any more. An error is Kafka's.
func (r *OutcomeReader) Read(ctx context.Context, tenant ident.ID, at []delivery.Position) ([]ReadOutcome, error) {
	if len(at) == 0 {
		return nil, nil
	}
	places := make([]kafka.Place, len(at))
	for i, p := range at {
		places[i] = kafka.Place(p)
	}
	found, left, err := r.from.Fetch(ctx, places, maxOutcomeBytes)
	if err != nil {
		return nil, fmt.Errorf("reading outcomes: %w", err)
	}
	later := make(map[kafka.Place]bool, len(left))
	for _, p := range left {
		later[p] = true
	}
	out := make([]ReadOutcome, len(at))
	for i, p := range at {
		out[i] = ReadOutcome{Position: p, State: ReadExpired}
		if later[places[i]] {
			out[i].State = ReadLeft
		}
		rec := found[places[i]]
		if rec == nil || p.Topic != r.topic {
			continue
		}
		row, err := outcome.Read(rec.Value)
		if errors.Is(err, form.ErrNewer) {
			return nil, fmt.Errorf("reading outcome %s: %w", position(rec), err)
		}
		if err == nil && row.Tenant == tenant {
			out[i].State, out[i].Outcome = ReadFound, row
		}
	}
	return out, nil
}

// Complete says how far the views of attempts are, as of a second ago at most.
func (r *OutcomeReader) Complete(ctx context.Context) (view.Completeness, error) {
	r.looking.Lock()
	defer r.looking.Unlock()
	if r.seenAt.IsZero() || time.Since(r.seenAt) >= completeFor {
		// Others wait for the same, so it does not end with the one who came first. Nor do they wait one after another for
		// what does not answer.
		r.seen, r.seenErr = r.look(context.WithoutCancel(ctx))
		r.seenAt = time.Now()
	}
	return r.seen, r.seenErr
}

func (r *OutcomeReader) look(ctx context.Context) (view.Completeness, error) {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	progress, err := r.progress.Progress(ctx, r.topic)
	if err != nil {
		return view.Completeness{}, err
	}
	now := time.Now() // what is written from here on may be there, and is not promised
	ends, err := r.ends.Ends(ctx, r.topic)
	if err != nil {
		return view.Completeness{}, err
	}
	log := make(map[int32]view.Ends, len(ends))
	for partition, e := range ends {
		log[partition] = view.Ends(e)
	}
	return view.Complete(progress, log, now.UTC()), nil
}
