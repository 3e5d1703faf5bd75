package filter

import "sync"

// Cache keeps compiled expressions, errors included: many subscriptions share few expressions, and compiling takes
// hundreds of microseconds. The zero value works. All methods may be called concurrently.
type Cache struct {
	mu      sync.RWMutex
	entries map[string]compiled
	// limit is maxCached but for tests.
	limit int
}

type compiled struct {
	program *Program
	err     error
}

// maxCached bounds the cache; at the bound it starts anew. A program takes a few KB.
const maxCached = 10_000

// Get returns the compiled expression. The error is that of [Compile], or [ErrNone] for the empty expression.
func (c *Cache) Get(expression string) (*Program, error) {
	if expression == "" {
		return nil, ErrNone
	}
	c.mu.RLock()
	e, ok := c.entries[expression]
	c.mu.RUnlock()
	if ok {
		return e.program, e.err
	}
	e.program, e.err = Compile(expression)
	limit := c.limit
	if limit == 0 {
		limit = maxCached
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || len(c.entries) >= limit {
		c.entries = map[string]compiled{}
	}
	c.entries[expression] = e
	return e.program, e.err
}
