package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"
)

// memory is a log in memory with a marker after every transaction, as Kafka has it. Its writers fence each other.
type memory struct {
	mu      sync.Mutex
	entries []entry
	start   int64
	epoch   int
	// away makes every request fail, stuck makes reads bring nothing.
	away, stuck bool
	grown       chan struct{}
	reads       []int64
	// mute commits and does not say so; others are the records of other topics.
	mute   bool
	takes  time.Duration // of a transaction
	others []Record
}

type entry struct {
	key    string
	value  []byte
	marker bool
	gone   bool // compacted away
}

// errMute is the end of a transaction that was committed without an answer.
var errMute = errors.New("no answer")

var errAway = errors.New("log is away")

func newMemory() *memory { return &memory{grown: make(chan struct{})} }

func (m *memory) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	close(m.grown)
	m.grown = make(chan struct{})
}

func (m *memory) add(entries ...entry) {
	m.set(func() { m.entries = append(append(m.entries, entries...), entry{marker: true}) })
}

func (m *memory) Start(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return 0, errAway
	}
	return m.start, nil
}

func (m *memory) End(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return 0, errAway
	}
	return int64(len(m.entries)), nil
}

// Read brings at most three offsets at a time, so that there are many reads.
func (m *memory) Read(ctx context.Context, from int64, yield func(int64, []byte, []byte)) (int64, error) {
	deadline := time.NewTimer(250 * time.Millisecond)
	defer deadline.Stop()
	for {
		m.mu.Lock()
		grown, end := m.grown, int64(len(m.entries))
		m.reads = append(m.reads, from)
		switch {
		case !m.stuck && (from > end || from < m.start):
			m.mu.Unlock()
			return from, errors.New("offset is out of range")
		case !m.stuck && !m.away && from < end:
			end = min(end, from+3)
			found := slices.Clone(m.entries[from:end])
			m.mu.Unlock()
			for i, e := range found {
				if !e.marker && !e.gone {
					yield(from+int64(i), []byte(e.key), e.value)
				}
			}
			return end, nil
		}
		m.mu.Unlock()
		select {
		case <-grown:
		case <-deadline.C:
			return from, nil
		case <-ctx.Done():
			return from, ctx.Err()
		}
	}
}

// memoryWriter is the appender of a memory.
type memoryWriter struct {
	m     *memory
	epoch int
	fail  error
}

func (m *memory) open(context.Context) (Appender, error) { return m.writer(), nil }

func (m *memory) writer() *memoryWriter {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	return &memoryWriter{m: m, epoch: m.epoch}
}

type fencedError struct{}

func (fencedError) Error() string { return "fenced" }
func (fencedError) Fenced() bool  { return true }

func (w *memoryWriter) Append(_ context.Context, at int64, records iter.Seq[Record]) (int64, error) {
	if w.fail != nil {
		return 0, w.fail
	}
	var added []entry
	var others []Record
	for r := range records {
		if r.Topic == "" {
			added = append(added, entry{key: r.Key, value: r.Value})
		} else {
			others = append(others, r)
		}
	}
	w.m.mu.Lock()
	takes := w.m.takes
	w.m.mu.Unlock()
	time.Sleep(takes)
	var last int64
	var err error
	w.m.set(func() {
		switch {
		case w.epoch != w.m.epoch:
			err = fencedError{}
			return
		case at != int64(len(w.m.entries)):
			err = fmt.Errorf("log is at %d, not at %d", len(w.m.entries), at)
			w.m.entries = append(w.m.entries, entry{marker: true}) // aborted
			return
		}
		w.m.entries = append(w.m.entries, added...)
		w.m.others = append(w.m.others, others...)
		last = int64(len(w.m.entries)) - 1
		w.m.entries = append(w.m.entries, entry{marker: true})
		if w.m.mute {
			err = errMute
		}
	})
	return last, err
}

func (w *memoryWriter) Close() {}
