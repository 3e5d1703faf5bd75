package offset_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/offset"
)

func TestTracker(t *testing.T) {
	tr := offset.NewTracker(10, offset.Set{})
	_, changed := tr.Commit()
	require.False(t, changed, "nothing happened")
	_, inFlight := tr.Lowest()
	require.False(t, inFlight)

	for _, o := range []int64{10, 11, 15, 16} {
		require.True(t, tr.Begin(o))
	}
	require.False(t, tr.Begin(15), "handed out before")
	require.False(t, tr.Begin(9), "below the start")
	require.Equal(t, 4, tr.InFlight())
	require.EqualValues(t, 7, tr.Span())

	require.NoError(t, tr.Finish(15))
	require.NoError(t, tr.Finish(15), "twice")
	require.NoError(t, tr.Finish(12), "never handed out")
	c, changed := tr.Commit()
	require.True(t, changed)
	require.Equal(t, offset.Commit{Offset: 10, Finished: offset.NewSet(15)}, c)
	_, changed = tr.Commit()
	require.False(t, changed)
	tr.Touch()
	again, changed := tr.Commit()
	require.True(t, changed, "a failed commit is tried again")
	require.Equal(t, c, again)

	require.NoError(t, tr.Finish(10))
	require.NoError(t, tr.Finish(11))
	lowest, _ := tr.Lowest()
	require.EqualValues(t, 16, lowest, "past the gap and what is finished")
	require.Equal(t, 1, tr.InFlight())
	require.NoError(t, tr.Finish(16))
	require.Equal(t, offset.Commit{Offset: 17}, tr.Revoke())
	require.Zero(t, tr.Span())

	require.ErrorIs(t, tr.Finish(16), offset.ErrRevoked)
	require.False(t, tr.Begin(17))
	_, changed = tr.Commit()
	require.False(t, changed)
	require.Equal(t, offset.Commit{Offset: 17}, tr.Revoke(), "the last word")
}

// model is the account of one partition as the design says it, over all its owners: a log, and what of it is finished.
type model struct {
	log      []int64        // the offsets that exist
	markers  map[int64]bool // those of them with nothing to handle
	finished map[int64]bool
	start    int64 // of the first owner

	tracker *offset.Tracker
	old     []*offset.Tracker
	read    int // how much of the log this owner was given
	begun   int // where it started
	last    offset.Commit
}

func (m *model) begin(t *rapid.T) {
	if m.read == len(m.log) {
		t.Skip("the whole log is read")
	}
	o := m.log[m.read]
	m.read++
	if m.markers[o] {
		m.tracker.Pass(o)
		return
	}
	require.Equal(t, !m.finished[o], m.tracker.Begin(o), "offset %d: skip exactly what is finished", o)
	require.False(t, m.tracker.Begin(o), "handed out before")
}

func (m *model) finish(t *rapid.T) {
	if m.read == m.begun {
		t.Skip("nothing handed out")
	}
	o := rapid.SampledFrom(m.log[m.begun:m.read]).Draw(t, "offset")
	require.NoError(t, m.tracker.Finish(o))
	m.finished[o] = !m.markers[o]
}

func (m *model) finishUnknown(t *rapid.T) {
	require.NoError(t, m.tracker.Finish(rapid.Int64Range(m.log[len(m.log)-1]+1, 1<<60).Draw(t, "unread")))
}

func (m *model) commit(t *rapid.T) {
	c, changed := m.tracker.Commit()
	if !changed {
		c = m.last // must still be true
	}
	m.check(t, c)
	if _, inFlight := m.tracker.Lowest(); !inFlight && m.read > m.begun {
		require.Equal(t, m.log[m.read-1]+1, c.Offset, "all that was read is below the commit")
	}
}

// check compares a commit with what is finished: it tells no less and, which would lose events, no more.
func (m *model) check(t *rapid.T, c offset.Commit) {
	require.GreaterOrEqual(t, c.Offset, m.last.Offset, "never backwards")
	for _, o := range m.log {
		if m.markers[o] {
			require.False(t, c.Finished.Contains(o), "a marker takes no room")
			continue
		}
		require.Equal(t, m.finished[o], o < c.Offset || c.Finished.Contains(o), "offset %d after commit %d", o, c.Offset)
	}
	for o := range c.Finished.All() {
		require.True(t, m.finished[o])
		require.GreaterOrEqual(t, o, c.Offset)
	}
	m.last = c
}

func (m *model) late(t *rapid.T) {
	if len(m.old) == 0 {
		t.Skip("no earlier owner")
	}
	late := rapid.SampledFrom(m.old).Draw(t, "owner")
	require.ErrorIs(t, late.Finish(rapid.SampledFrom(m.log).Draw(t, "offset")), offset.ErrRevoked)
}

func (m *model) takeOver(t *rapid.T) {
	c := m.tracker.Revoke()
	m.check(t, c)
	text, complete := c.EncodeMetadata()
	require.True(t, complete)
	finished, err := offset.DecodeMetadata(c.Offset, text)
	require.NoError(t, err)
	m.old = append(m.old, m.tracker)
	m.tracker = offset.NewTracker(c.Offset, finished)
	m.read = 0
	for m.read < len(m.log) && m.log[m.read] < c.Offset {
		m.read++
	}
	m.begun = m.read
}

func (m *model) counts(t *rapid.T) {
	inFlight, lowest, next := 0, int64(-1), int64(0)
	for _, o := range m.log[m.begun:m.read] {
		next = o + 1
		if !m.finished[o] && !m.markers[o] {
			if inFlight == 0 {
				lowest = o
			}
			inFlight++
		}
	}
	require.Equal(t, inFlight, m.tracker.InFlight())
	runs, done := 0, false
	for _, o := range m.log[m.begun:m.read] {
		if o < lowest || lowest < 0 || m.markers[o] {
			continue
		}
		if m.finished[o] && !done {
			runs++
		}
		done = m.finished[o]
	}
	require.Equal(t, runs, m.tracker.Runs())
	got, ok := m.tracker.Lowest()
	require.Equal(t, inFlight > 0, ok)
	if ok {
		require.Equal(t, lowest, got)
		require.Equal(t, next-lowest, m.tracker.Span())
	} else {
		require.Zero(t, m.tracker.Span())
	}
}

func TestTrackerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{finished: map[int64]bool{}, markers: map[int64]bool{}, start: rapid.Int64Range(0, 1<<40).Draw(t, "start")}
		gap := rapid.SampledFrom([]int64{1, 1, 1, 1, 2, 7, 1 << 40})
		for o, n := m.start, rapid.IntRange(1, 200).Draw(t, "records"); n > 0; n-- {
			m.log = append(m.log, o)
			m.markers[o] = rapid.IntRange(0, 4).Draw(t, "marker") == 0
			o += gap.Draw(t, "gap")
		}
		m.tracker = offset.NewTracker(m.start, offset.Set{})
		m.last = offset.Commit{Offset: m.start}
		t.Repeat(map[string]func(*rapid.T){
			"begin":          m.begin,
			"begin more":     func(t *rapid.T) { m.begin(t) },
			"finish":         m.finish,
			"finish more":    func(t *rapid.T) { m.finish(t) },
			"finish unknown": m.finishUnknown,
			"commit":         m.commit,
			"touch":          func(*rapid.T) { m.tracker.Touch() },
			"late":           m.late,
			"take over":      m.takeOver,
			"":               m.counts,
		})
		m.takeOver(t)
	})
}

// Two owners in a row, the second of which reads only part of what the first one finished.
func TestTwoTakeOvers(t *testing.T) {
	first := offset.NewTracker(0, offset.Set{})
	for o := range int64(10) {
		require.True(t, first.Begin(o))
	}
	for _, o := range []int64{1, 3, 4, 8} {
		require.NoError(t, first.Finish(o))
	}
	second := takeOver(t, first)
	require.True(t, second.Begin(0))
	require.False(t, second.Begin(1))
	require.True(t, second.Begin(2))
	require.NoError(t, second.Finish(2))
	third := takeOver(t, second)
	var handed []int64
	for o := range int64(10) {
		if third.Begin(o) {
			handed = append(handed, o)
		}
	}
	require.Equal(t, []int64{0, 5, 6, 7, 9}, handed)
	require.Zero(t, third.Skipped(), "what is read again is forgotten")
}

func takeOver(t *testing.T, from *offset.Tracker) *offset.Tracker {
	t.Helper()
	c := from.Revoke()
	text, complete := c.EncodeMetadata()
	require.True(t, complete)
	finished, err := offset.DecodeMetadata(c.Offset, text)
	require.NoError(t, err)
	return offset.NewTracker(c.Offset, finished)
}

// Skipped offsets move the commit although nobody finishes them.
func TestSkippedMoveTheCommit(t *testing.T) {
	tr := offset.NewTracker(5, offset.NewSet(5, 6))
	require.False(t, tr.Begin(5))
	require.False(t, tr.Begin(6))
	c, changed := tr.Commit()
	require.True(t, changed)
	require.Equal(t, offset.Commit{Offset: 7}, c)
}

// lateSchedules is how often acknowledgements race with a revocation.
const lateSchedules = 100_000

// An acknowledgement is either in the commit that Revoke returned or was refused; there is no third.
func TestRevokeIsFinal(t *testing.T) {
	const offsets, ackers = 6, 3
	late := 0
	for seed := range uint64(lateSchedules) {
		random := rand.New(rand.NewPCG(seed, 0))
		tr := offset.NewTracker(0, offset.Set{})
		for o := range int64(offsets) {
			tr.Begin(o)
		}
		var accepted [ackers][offsets]bool
		var wg sync.WaitGroup
		for a := range ackers {
			order := random.Perm(offsets)
			wg.Go(func() {
				for _, o := range order {
					accepted[a][o] = tr.Finish(int64(o)) == nil
				}
			})
		}
		for range random.IntN(4) {
			runtime.Gosched()
		}
		c := tr.Revoke()
		wg.Wait()
		for o := range int64(offsets) {
			in := o < c.Offset || c.Finished.Contains(o)
			said := accepted[0][o] || accepted[1][o] || accepted[2][o]
			if in != said {
				t.Fatalf("schedule %d: offset %d committed: %t, acknowledged: %t", seed, o, in, said)
			}
			if !said {
				late++
			}
		}
		require.Equal(t, c, tr.Revoke())
	}
	require.NotZero(t, late, "no schedule had a late acknowledgement")
	require.Less(t, late, lateSchedules*offsets, "every acknowledgement was late")
}

func TestMemoryIsGivenBack(t *testing.T) {
	tr := offset.NewTracker(0, offset.Set{})
	const backlog = 1 << 16
	for o := range int64(backlog) {
		tr.Begin(o)
	}
	for o := range int64(backlog) {
		require.NoError(t, tr.Finish(backlog-1-o)) // the oldest last
	}
	require.Less(t, tr.Room(), 2048)
	for o := range int64(backlog) { // ten in flight, always
		tr.Begin(backlog + o)
		require.NoError(t, tr.Finish(backlog+o-10))
	}
	require.Less(t, tr.Room(), 2048)
	require.Equal(t, 10, tr.InFlight())
}

func BenchmarkTracker(b *testing.B) {
	tr := offset.NewTracker(0, offset.Set{})
	b.ReportAllocs()
	for o := int64(0); b.Loop(); o++ {
		tr.Begin(o)
		_ = tr.Finish(o - 1000)
	}
}
