package kafka

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whoever asks how old records are asks from a goroutine of its own, while others come and go. Either may be the first to see
// that some are finished, and drops their marks.
func TestMarksAreSharedByTheirAskers(t *testing.T) {
	const records, unfinished = 5000, 3
	start := time.Now()
	written := func(offset int64) time.Time { return start.Add(time.Duration(offset) * markEvery) }
	var m marks
	var position atomic.Int64
	ask := func() {
		for position.Load() < records-unfinished {
			m.age(position.Load(), true, written(records))
		}
	}
	var asking sync.WaitGroup
	asking.Go(ask)
	asking.Go(ask)
	for offset := range int64(records) {
		m.add(position.Load(), []*Record{{Offset: offset, Timestamp: written(offset)}})
		position.Store(max(0, offset+1-unfinished))
	}
	asking.Wait()
	require.Equal(t, unfinished*time.Second, m.age(position.Load(), true, written(records)))
	require.Len(t, m.list, unfinished)
}
