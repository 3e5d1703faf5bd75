package demo

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// answer is how an endpoint answers one request.
type answer struct {
	status int
	// after is how long it takes.
	after time.Duration
	// retryAfter is in seconds; 0 says nothing.
	retryAfter int
	// hang: it never answers.
	hang bool
}

// behaviour decides how an endpoint answers. Its answers come in the same order in every run.
type behaviour struct {
	mu   sync.Mutex
	rand *rand.Rand
	// fast and slow bound how long an answer takes.
	fast, slow time.Duration
	// faulty is the share of requests that fail.
	faulty float64
}

// newBehaviour returns how the endpoint of that name behaves; one of another name is well and quick.
func newBehaviour(name string) *behaviour {
	b := &behaviour{rand: rand.New(rand.NewPCG(1, 2)), fast: 5 * time.Millisecond, slow: 30 * time.Millisecond} //nolint:gosec // the same every time, on purpose
	switch name {
	case "warehouse":
		b.fast, b.slow = 40*time.Millisecond, 150*time.Millisecond
	case "flaky":
		b.faulty = 0.4
	}
	return b
}

// next returns the next answer. Of the failures, a good part are errors, some ask for patience, and a few never come.
func (b *behaviour) next() answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := answer{status: http.StatusOK, after: b.fast + time.Duration(b.rand.Float64()*float64(b.slow-b.fast))}
	if b.rand.Float64() >= b.faulty {
		return a
	}
	switch n := b.rand.IntN(10); {
	case n < 4:
		a.status = http.StatusInternalServerError
	case n < 7:
		a.status = http.StatusServiceUnavailable
	case n < 9:
		a.status, a.retryAfter = http.StatusTooManyRequests, 2
	default:
		a.hang = true
	}
	return a
}
