package transform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Costs of values, in units of work: a step of the interpreter is one, an element of an array or object that is looked at
// or copied is one, textUnit bytes of text are one. What a unit allocates is bounded too, by some 100 bytes.
const textUnit = 16

// clockSteps is how many steps pass between two looks at the clock; a step takes 20 to 100 ns.
const clockSteps = 1024

// meter counts the work of one run. It is the context that the interpreter runs under, which asks it for Done before each
// instruction: so a program ends after the same step on every machine, and no program can catch that.
type meter struct {
	parent context.Context //nolint:containedctx // the meter is a context
	limit  int             // of work
	work   int
	steps  int
	err    error // why the run ends
}

var _ context.Context = (*meter)(nil)

// closed is what Done returns for a run that ends.
var closed = func() <-chan struct{} { //nolint:gochecknoglobals // never changes
	c := make(chan struct{})
	close(c)
	return c
}()

var errNotDone = errors.New("the run goes on")

func (m *meter) start(ctx context.Context, limit int) { *m = meter{parent: ctx, limit: limit} }

// left is the work that may still be done.
func (m *meter) left() int { return m.limit - m.work }

// Done implements [context.Context].
func (m *meter) Done() <-chan struct{} {
	m.steps++
	if m.steps%clockSteps == 0 && m.err == nil {
		m.err = m.parent.Err()
	}
	if m.spend(1) != nil {
		return closed
	}
	return nil
}

// Err implements [context.Context].
func (m *meter) Err() error {
	if m.err == nil {
		return errNotDone // asked for only after Done
	}
	return m.err
}

// Deadline implements [context.Context].
func (m *meter) Deadline() (time.Time, bool) { return m.parent.Deadline() }

// Value implements [context.Context].
func (m *meter) Value(key any) any { return m.parent.Value(key) }

// spend counts n units of work, and returns an error if they are too many: then nothing must be done.
func (m *meter) spend(n int) error {
	if m.err != nil {
		return m.err
	}
	if n < 0 || n > m.left() { // a sum that went over is too much as well
		m.err = &Error{Kind: KindWork, Detail: fmt.Sprintf("more than %d units of work: want less to do, or smaller events", m.limit)}
		return m.err
	}
	m.work += n
	return nil
}

// fail ends the run with err.
func (m *meter) fail(err *Error) error {
	if m.err == nil {
		m.err = err
	}
	return m.err
}

// shallow is the cost of v without what is in its elements.
func shallow(v any) int {
	switch v := v.(type) {
	case string:
		return 1 + len(v)/textUnit
	case json.Number:
		return 1 + len(v)/textUnit
	case *big.Int:
		return 1 + v.BitLen()/64
	case []any:
		return 1 + len(v)
	case map[string]any:
		return 1 + 2*len(v)
	}
	return 1
}

// tooDeep is what deep returns for values that are nested deeper than [MaxDepth].
const tooDeep = -1

// deep is the cost of v with everything in it, or a number greater than limit. A value that is in another many times counts
// as often: thirty doublings of an array cost nothing to make and a billion to write.
func deep(v any, limit int) int { return deepAt(v, limit, 0) }

func deepAt(v any, limit, depth int) int {
	if depth > MaxDepth {
		return tooDeep
	}
	cost := shallow(v)
	add := func(x any) bool {
		c := deepAt(x, limit-cost, depth+1)
		if c == tooDeep {
			cost = tooDeep
			return false
		}
		cost += c
		return cost <= limit
	}
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			if !add(x) {
				return cost
			}
		}
	case map[string]any:
		for k, x := range v {
			// Every member counts alike in any order, but for which is too deep or too many, and both end the run.
			cost += len(k) / textUnit
			if !add(x) {
				return cost
			}
		}
	}
	return cost
}

// spendDeep counts factor times the deep cost of v.
func (m *meter) spendDeep(v any, factor int) error {
	left := m.left() / factor
	cost := deep(v, left)
	if cost == tooDeep {
		return m.fail(errTooDeep())
	}
	if cost > left {
		return m.spend(m.left() + 1)
	}
	return m.spend(cost * factor)
}
