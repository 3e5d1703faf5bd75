package gate_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/gate"
)

// quick is conf a thousand times faster: rapid stops when its own time is over, and in a bubble that time passes too.
var quick = gate.Config{
	Failures: 3, OpenFor: 10 * time.Millisecond, MaxOpenFor: 60 * time.Millisecond, Probes: 2, RampRate: 2000,
}

// model is what the breaker's documentation says, in the plainest form.
type model struct {
	b        *gate.Breaker
	failures int
	state    gate.State
	parked   int
	epoch    int // rises with every change of state
	probe    bool
	earliest time.Time // of a probe: Until, or just after a restore that came later
	permits  []permit
}

type permit struct {
	p     *gate.Permit
	epoch int
	probe bool
}

func (m *model) allow(t *rapid.T) {
	now := time.Now()
	p, r := m.b.Allow(now)
	switch {
	case !m.state.Open():
		require.NotNil(t, p)
		m.permits = append(m.permits, permit{p, m.epoch, false})
	case m.probe:
		require.Nil(t, p)
		require.Equal(t, gate.Refusal{Probing: true}, r)
	case !now.Before(m.earliest):
		require.NotNil(t, p)
		m.permits = append(m.permits, permit{p, m.epoch, true})
		m.probe = true
	default:
		require.Nil(t, p)
		due := m.state.Until
		if n := m.parked + 1 - quick.Probes; n > 0 {
			due = due.Add(time.Duration(n) * time.Second / time.Duration(quick.RampRate))
		}
		m.parked++
		if due.Before(now) {
			due = now
		}
		require.Equal(t, gate.Refusal{Due: due}, r)
	}
}

func (m *model) take(t *rapid.T) permit {
	if len(m.permits) == 0 {
		t.Skip("no attempt under way")
	}
	i := rapid.IntRange(0, len(m.permits)-1).Draw(t, "permit")
	p := m.permits[i]
	m.permits = append(m.permits[:i:i], m.permits[i+1:]...)
	return p
}

func (m *model) done(t *rapid.T, failed bool) {
	p := m.take(t)
	changed := p.p.Done(failed, time.Now())
	if p.epoch != m.epoch {
		require.False(t, changed)
		return
	}
	switch {
	case !failed:
		m.failures = 0
		require.Equal(t, p.probe, changed)
		if p.probe {
			m.state, m.probe = gate.State{}, false
			m.epoch++
		}
	case p.probe || m.failures+1 >= quick.Failures:
		require.True(t, changed)
		m.failures++
		m.trip()
	default:
		require.False(t, changed)
		m.failures++
	}
}

func (m *model) trip() {
	openFor := min(quick.OpenFor<<min(m.state.Trips, 10), quick.MaxOpenFor)
	m.state = gate.State{Until: time.Now().Add(openFor), Trips: m.state.Trips + 1}
	m.earliest = m.state.Until
	m.parked, m.probe = 0, false
	m.epoch++
}

func (m *model) abandon(t *rapid.T) {
	p := m.take(t)
	p.p.Abandon(time.Now())
	if p.epoch == m.epoch && p.probe {
		m.state.Trips--
		m.trip()
	}
}

func (m *model) wait(t *rapid.T) {
	left := max(time.Until(m.state.Until), 2)
	time.Sleep(rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Millisecond, left - 1, left, left + 1, time.Second}).Draw(t, "wait"))
}

// restore hands the breaker to the next owner.
func (m *model) restore(*rapid.T) {
	now := time.Now()
	m.b = gate.New(quick, m.b.State(), m.failures, now)
	m.permits, m.parked, m.probe = nil, 0, false
	m.epoch++
	if m.earliest = m.state.Until; !m.earliest.After(now.Add(time.Nanosecond)) {
		m.earliest = now.Add(2 * time.Nanosecond)
	}
}

func (m *model) check(t *rapid.T) {
	require.Equal(t, m.state, m.b.State())
	require.Equal(t, m.probe, m.b.Probing())
}

func TestBreakerModel(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		// Only the methods of the interface: a bubble's T panics when it is asked for its deadline.
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) {
			m := &model{b: gate.New(quick, gate.State{}, 0, time.Now())}
			t.Repeat(map[string]func(*rapid.T){
				"allow":      m.allow,
				"allow more": func(t *rapid.T) { m.allow(t) },
				"succeed":    func(t *rapid.T) { m.done(t, false) },
				"fail":       func(t *rapid.T) { m.done(t, true) },
				"fail more":  func(t *rapid.T) { m.done(t, true) },
				"abandon":    m.abandon,
				"wait":       m.wait,
				"restore":    m.restore,
				"":           m.check,
			})
		})
	})
}

// Many lanes ask at the same moment, round after round: one probe is let through, never two, never none.
func TestConcurrentProbes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const workers, rounds = 16, 300
		b := opened(t)
		for round := range rounds {
			sleepUntil(b.State().Until)
			var mu sync.Mutex
			var probes []*gate.Permit
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					if p, r := b.Allow(time.Now()); p != nil {
						mu.Lock()
						probes = append(probes, p)
						mu.Unlock()
					} else if !r.Probing {
						t.Errorf("round %d: refused until %v at %v", round, r.Due, time.Now())
					}
				})
			}
			wg.Wait()
			require.Len(t, probes, 1, "round %d", round)
			switch round % 3 {
			case 0:
				probes[0].Abandon(time.Now())
			case 1:
				probes[0].Done(true, time.Now())
			case 2:
				probes[0].Done(false, time.Now())
				for range workers {
					wg.Go(func() {
						if p, _ := b.Allow(time.Now()); p != nil {
							p.Done(true, time.Now())
						}
					})
				}
				wg.Wait()
			}
			require.True(t, b.State().Open())
			require.False(t, b.Probing())
		}
	})
}

// Everybody does everything at once, and in the end it is not stuck.
func TestConcurrentEverything(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := gate.New(conf, gate.State{}, 0, time.Now())
		var probing, probes atomic.Int32
		var wg sync.WaitGroup
		for w := range 12 {
			wg.Go(func() {
				for i := range 400 {
					p, r := b.Allow(time.Now())
					if p == nil {
						if !r.Probing && r.Due.Before(time.Now()) {
							t.Errorf("due in the past: %v", r.Due)
						}
						time.Sleep(time.Duration(w+i%7) * time.Second)
						continue
					}
					probe := p.Probe()
					if probe {
						probes.Add(1)
						if probing.Add(1) > 1 {
							t.Error("two probes at once")
						}
					}
					time.Sleep(time.Duration((w*7+i)%5) * time.Second)
					if probe {
						probing.Add(-1) // before the end, which lets the next one in
					}
					switch (w + i) % 8 {
					case 0:
						p.Done(false, time.Now())
					case 1:
						p.Abandon(time.Now())
					default:
						p.Done(true, time.Now())
					}
					b.State()
					b.Probing()
				}
			})
		}
		wg.Wait()
		require.Greater(t, probes.Load(), int32(10))
		require.False(t, b.Probing(), "a probe that nobody makes")
		time.Sleep(conf.MaxOpenFor)
		attempt(t, b, false)
		require.False(t, b.State().Open())
		synctest.Wait()
	})
}

func BenchmarkAllowDone(b *testing.B) {
	g := gate.New(conf, gate.State{}, 0, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		p, _ := g.Allow(time.Now())
		p.Done(false, time.Now())
	}
}
