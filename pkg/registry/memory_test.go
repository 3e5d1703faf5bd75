package registry

import (
	"context"
	"errors"
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
}

type entry struct {
	key    string
	value  []byte
	marker bool
	gone   bool // compacted away
}

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

func (w *memoryWriter) Append(_ context.Context, records iter.Seq2[string, []byte]) (int64, error) {
	if w.fail != nil {
		return 0, w.fail
	}
	var added []entry
	for k, v := range records {
		added = append(added, entry{key: k, value: v})
	}
	var last int64
	var err error
	w.m.set(func() {
		if w.epoch != w.m.epoch {
			err = fencedError{}
			return
		}
		w.m.entries = append(w.m.entries, added...)
		last = int64(len(w.m.entries)) - 1
		w.m.entries = append(w.m.entries, entry{marker: true})
	})
	return last, err
}

func (w *memoryWriter) Close() {}
