// Package gate decides whether an attempt may start now: a circuit breaker per endpoint. Each breaker has one owner,
// the owner of the subscription's partition, so no breaker is shared between processes.
//
// The state machine is sony/gobreaker's two-step breaker. It has no restore, no expiry accessor and a fixed timeout, so
// a Breaker keeps the expiry beside it and puts a fresh one in its place whenever the expiry grows. While closed it has none:
// then nothing is asked of it but to count failures in a row.
package gate

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Config is the behaviour of all breakers of a deliverer. The zero value of a field takes its default.
type Config struct {
	// Failures in a row open the breaker; 5 by default. What counts as a failure is the caller's to say.
	Failures int
	// OpenFor is how long it stays open the first time; 5 s by default. It doubles with every failed probe.
	OpenFor time.Duration
	// MaxOpenFor bounds the doubling; 15 min by default.
	MaxOpenFor time.Duration
	// Probes is how many parked deliveries come due when it expires; 3 by default. One of them is let through.
	Probes int
	// RampRate is how many of the other parked deliveries come due a second after it; 50 by default.
	RampRate float64
}

func (c Config) withDefaults() Config {
	setDefault(&c.Failures, 5)
	setDefault(&c.OpenFor, 5*time.Second)
	setDefault(&c.MaxOpenFor, 15*time.Minute)
	setDefault(&c.Probes, 3)
	setDefault(&c.RampRate, 50)
	return c
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// State is a breaker's state as the next owner takes it up. The zero State is a closed breaker.
type State struct {
	// Until is when an open breaker lets a probe through; zero while closed.
	Until time.Time `json:"until,omitzero"`
	// Trips is how often it opened since it was last closed.
	Trips int `json:"trips,omitempty"`
}

// Open reports whether s is the state of a breaker that is not closed.
func (s State) Open() bool { return s.Trips > 0 }

// Refusal says what to do with a delivery that may not be attempted now.
type Refusal struct {
	// Probing: a probe is under way. The delivery waits where it is until that has ended.
	Probing bool
	// Due is when to come back, otherwise.
	Due time.Time
}

// Breaker is the circuit breaker of one endpoint. Its methods may be called concurrently.
type Breaker struct {
	conf Config

	mu       sync.Mutex
	state    State
	failures int // in a row, kept here because gobreaker forgets its counts with every change of state
	parked   int // refusals since it opened
	era      int // changes of state
	// two is nil while the breaker is closed: nothing is asked of it then but to count failures, which are counted here.
	two *gobreaker.TwoStepCircuitBreaker[struct{}]
}

// New returns a breaker in the given state, with the given number of failures in a row behind it.
func New(conf Config, s State, failures int, now time.Time) *Breaker {
	b := &Breaker{conf: conf.withDefaults(), state: s, failures: failures}
	if s.Open() {
		// The previous owner may have had another clock, or another bound.
		if latest := now.Add(b.conf.MaxOpenFor); s.Until.After(latest) {
			b.state.Until = latest
		}
		b.two = b.opened(max(0, b.state.Until.Sub(now)))
		return b
	}
	if b.failures >= b.conf.Failures {
		b.trip(now)
	}
	return b
}

var errFailed = errors.New("attempt failed")

// opened returns a breaker that is open for the given time: the only way in is through a failed attempt. It refuses at
// its expiry still, so it is made to expire a nanosecond before: what comes due at Until must not be refused. A time
// that is over leaves the shortest timeout there is, and the next attempt is the probe.
func (b *Breaker) opened(timeout time.Duration) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	two := b.make(max(timeout-time.Nanosecond, time.Nanosecond))
	if done, err := two.Allow(); err == nil {
		done(errFailed)
	}
	return two
}

func (b *Breaker) make(timeout time.Duration) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1, // one probe
		Timeout:     timeout,
		ReadyToTrip: func(gobreaker.Counts) bool { return true },
	})
}

// trip opens the breaker for the time that its number of trips gives.
func (b *Breaker) trip(now time.Time) {
	timeout := b.conf.OpenFor
	for i := 0; i < b.state.Trips && timeout < b.conf.MaxOpenFor; i++ {
		timeout *= 2
	}
	timeout = min(timeout, b.conf.MaxOpenFor)
	b.state = State{Until: now.Add(timeout), Trips: b.state.Trips + 1}
	b.parked = 0
	b.era++
	b.two = b.opened(timeout)
}

// Permit is leave to make one attempt. Exactly one of its methods must be called, whatever becomes of the attempt: a
// probe that never ends would keep the breaker half-open for good.
type Permit struct {
	b   *Breaker
	era int
	two func(error) // ends a probe; nil for what is none
}

func (p *Permit) done(err error) {
	if p.two != nil {
		p.two(err)
	}
}

// Allow asks for leave to make an attempt now. Without a permit, the refusal says what to do.
func (b *Breaker) Allow(now time.Time) (*Permit, Refusal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.state.Open() {
		return &Permit{b: b, era: b.era}, Refusal{}
	}
	done, err := b.two.Allow()
	switch {
	case err == nil:
		return &Permit{b: b, era: b.era, two: done}, Refusal{}
	case errors.Is(err, gobreaker.ErrTooManyRequests):
		return nil, Refusal{Probing: true}
	}
	due := b.state.Until
	if b.parked >= b.conf.Probes {
		spread := float64(b.parked-b.conf.Probes+1) / b.conf.RampRate
		due = due.Add(time.Duration(spread * float64(time.Second)))
	}
	b.parked++
	if !due.After(now) {
		due = now
	}
	return nil, Refusal{Due: due}
}

// Done ends the attempt as failed or not and reports whether the breaker's state changed.
func (p *Permit) Done(failed bool, now time.Time) (changed bool) {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.era != p.era {
		p.done(nil)
		return false // the breaker opened while the attempt was under way; its end says nothing new
	}
	if !failed {
		b.failures = 0
		changed = b.state.Open()
		p.done(nil)
		if changed {
			b.close()
		}
		return changed
	}
	b.failures++
	p.done(errFailed)
	// A failed probe always opens it again. The two-step breaker is no witness of that: one that was taken up after its
	// expiry has the shortest timeout there is, and is half-open again before it can be asked.
	if b.state.Open() || b.failures >= b.conf.Failures {
		b.trip(now)
		return true
	}
	return false
}

// Abandon ends an attempt of which nobody knows how it went. A probe that is abandoned opens the breaker again for as
// long as before.
func (p *Permit) Abandon(now time.Time) {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.era != p.era || !b.state.Open() {
		p.done(nil)
		return
	}
	p.done(errFailed)
	b.state.Trips--
	b.trip(now)
}

// Probing reports whether a probe is under way.
func (b *Breaker) Probing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.Open() && b.two.State() == gobreaker.StateHalfOpen && b.two.Counts().Requests > 0
}

// Reset closes the breaker whatever it has seen, and reports whether it was open. Attempts that are under way change it no
// more.
func (b *Breaker) Reset() (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed = b.state.Open()
	b.failures, b.parked = 0, 0
	b.close()
	return changed
}

func (b *Breaker) close() {
	b.state, b.two = State{}, nil
	b.era++
}

// State returns the breaker's state for the next owner.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}
