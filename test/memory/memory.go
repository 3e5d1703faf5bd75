// Package memory is a registry in memory, for tests of what stands on one.
package memory

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/registry"
)

// Store returns an empty registry, which ends with the test. The cipher may be nil.
func Store(t testing.TB, cipher registry.Cipher) *registry.Store {
	t.Helper()
	memory := newLog()
	view, err := registry.Open(t.Context(), memory, registry.Options{Cipher: cipher})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = view.Run(ctx) })
	store := registry.OpenStore(view, func(context.Context) (registry.Appender, error) { return memory, nil }, registry.StoreOptions{})
	t.Cleanup(func() {
		store.Close()
		cancel()
		running.Wait()
	})
	return store
}

// log is a registry's log in memory, with a marker after every transaction as Kafka has it.
type log struct {
	mu      sync.Mutex
	entries []entry
	grown   chan struct{}
}

type entry struct {
	key    string
	value  []byte
	marker bool
}

func newLog() *log { return &log{grown: make(chan struct{})} }

func (m *log) Start(context.Context) (int64, error) { return 0, nil }

func (m *log) End(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.entries)), nil
}

func (m *log) Read(ctx context.Context, from int64, yield func(int64, []byte, []byte)) (int64, error) {
	deadline := time.NewTimer(250 * time.Millisecond)
	defer deadline.Stop()
	for {
		m.mu.Lock()
		grown, found := m.grown, slices.Clone(m.entries[from:])
		m.mu.Unlock()
		for i, e := range found {
			if !e.marker {
				yield(from+int64(i), []byte(e.key), e.value)
			}
		}
		if len(found) > 0 {
			return from + int64(len(found)), nil
		}
		select {
		case <-grown:
		case <-deadline.C:
			return from, nil
		case <-ctx.Done():
			return from, ctx.Err()
		}
	}
}

func (m *log) Append(_ context.Context, at int64, records iter.Seq[registry.Record]) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at != int64(len(m.entries)) {
		return 0, errors.New("the log is not where the writer thinks it is")
	}
	for r := range records {
		if r.Topic == "" {
			m.entries = append(m.entries, entry{key: r.Key, value: r.Value})
		}
	}
	last := int64(len(m.entries)) - 1
	m.entries = append(m.entries, entry{marker: true})
	close(m.grown)
	m.grown = make(chan struct{})
	return last, nil
}

func (m *log) Close() {}
