package history

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/topics"
)

// logs reads topics.
type logs struct {
	opts   Options
	reader *kafka.Reader
	// mu guards what partitions are read into beside each other.
	mu sync.Mutex
}

// startsAt returns where reading from a time on begins; nil for the start.
func (l *logs) startsAt(ctx context.Context, topic string, since time.Time) (map[int32]int64, error) {
	if since.IsZero() {
		return nil, nil
	}
	return kafka.OffsetsAt(ctx, l.opts.Kafka, topic, since)
}

func (l *logs) progress(what string, done, total int64) {
	if l.opts.Progress != nil {
		l.opts.Progress(what, done, total)
	}
}

// groupCommits are what the groups of roles have committed, by role.
func (l *logs) groupCommits(ctx context.Context, roles ...string) (map[string]kafka.Commits, error) {
	all := map[string]kafka.Commits{}
	for _, role := range roles {
		commits, err := kafka.GroupCommits(ctx, l.opts.Kafka, l.opts.topic(role))
		if err != nil {
			return nil, err
		}
		all[role] = commits
	}
	return all, nil
}

// known finds from which version on the registry's log has everything: what it keeps whole by the topic's declaration, less an
// hour for what is compacted while this reads. A log that was compacted earlier than that, by a broker that does not know the
// setting or a topic without it, shows in changes of what it never had; then deletions may be gone as well that are older than
// the topic keeps those.
func (l *logs) known(ctx context.Context, past *registry.Past) (int64, error) {
	all := topics.All()
	declared := all[slices.IndexFunc(all, func(t topics.Topic) bool { return t.Name == topics.Registry })]
	whole, err := l.registryAt(ctx, declared.MinCompactionLag-time.Hour)
	if err != nil {
		return 0, err
	}
	traced, err := past.KnownFrom(ctx)
	if err != nil || traced <= whole {
		return whole, err
	}
	deletions, err := l.registryAt(ctx, declared.DeleteRetention-time.Hour)
	return max(traced, deletions), err
}

// registryAt returns the version that the registry had some time ago.
func (l *logs) registryAt(ctx context.Context, ago time.Duration) (int64, error) {
	at, err := kafka.OffsetsAt(ctx, l.opts.Kafka, l.opts.topic(topics.Registry), time.Now().Add(-ago))
	return at[0], err
}

// readers is how many partitions are read at a time.
const readers = 4

// readAll calls fn for the records of one of Postrider's own topics from offsets on, or from the start. Records of a partition
// come in order, partitions beside each other.
func (l *logs) readAll(ctx context.Context, name string, from map[int32]int64, what string, fn func(*kafka.Record) error) error {
	return l.readTopic(ctx, l.opts.topic(name), from, what, fn)
}

func (l *logs) readTopic(ctx context.Context, topic string, from map[int32]int64, what string, fn func(*kafka.Record) error) error {
	ends, err := kafka.TopicEnds(ctx, l.opts.Kafka, topic)
	if err != nil {
		return err
	}
	var total int64
	for p, e := range ends {
		total += max(0, e.End-max(from[p], e.Start))
	}
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for p, e := range ends {
		at := max(from[p], e.Start)
		if at >= e.End {
			continue
		}
		g.Go(func() error {
			next := at
			_, err := l.reader.Range(ctx, topic, p, at, func(rec *kafka.Record) error {
				l.progress(what, min(total, done.Add(rec.Offset+1-next)), total)
				next = rec.Offset + 1
				return fn(rec)
			})
			if err != nil {
				return fmt.Errorf("reading %s/%d: %w", topic, p, err)
			}
			return nil
		})
	}
	return g.Wait()
}
