package transform

import (
	"maps"
	"reflect"

	"github.com/itchyny/gojq"
)

// editor changes a value at many paths. What the program holds of it is not changed: an array or object is copied when it
// is changed first, and then belongs to the editor until the program gets to see it. The interpreter's own editor makes
// arrays of a length that a path names, of 8 GiB if it is .[500000000].
type editor struct {
	m     *meter
	root  any
	own   map[uintptr]any // by where they are; the values keep the places from being used again
	drops [][]any
}

// deleted stands for values that are taken out at the end of result: before, indices would change.
type deleted struct{}

func newEditor(m *meter, root any) *editor {
	return &editor{m: m, root: root, own: map[uintptr]any{}}
}

// get returns the value at a path, null if there is none. The program may keep it, so nothing is the editor's own any more.
func (e *editor) get(path []any) (any, error) {
	v := e.root
	for _, step := range path {
		next, err := e.step(v, step)
		if err != nil {
			return nil, err
		}
		v = next
	}
	if composite(v) && len(e.own) > 0 {
		clear(e.own)
	}
	return v, nil
}

func (e *editor) step(v, step any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		if name, ok := step.(string); ok {
			return v[name], nil
		}
	case []any:
		if span, ok := step.(map[string]any); ok {
			from, to, err := bounds(span, len(v))
			if err != nil {
				return nil, err
			}
			return v[from:to:to], nil
		}
		if i, ok := gojq.ToInt(step); ok {
			if i < 0 {
				i += len(v)
			}
			if i < 0 || i >= len(v) {
				return nil, nil
			}
			return v[i], nil
		}
	}
	return nil, operand("%s cannot be indexed with %s", typeName(v), typeName(step))
}

// put sets the value at a path. Arrays and objects on the way are made where there is null.
func (e *editor) put(path []any, x any) error {
	root, err := e.update(e.root, path, x)
	if err == nil {
		e.root = root
	}
	return err
}

// remove takes the value at a path out when the edit is over, if there is one.
func (e *editor) remove(path []any) { e.drops = append(e.drops, path) }

func (e *editor) update(v any, path []any, x any) (any, error) {
	if v == nil && x == (deleted{}) && len(path) > 0 || v == (deleted{}) {
		return v, nil
	}
	if len(path) == 0 {
		return x, nil
	}
	switch step := path[0].(type) {
	case string:
		if o, ok := v.(map[string]any); ok || v == nil {
			return e.updateMember(o, step, path[1:], x)
		}
	case map[string]any:
		if a, ok := v.([]any); ok || v == nil {
			return e.updateSlice(a, step, path[1:], x)
		}
	default:
		i, isNumber := gojq.ToInt(step)
		if a, ok := v.([]any); isNumber && (ok || v == nil) {
			return e.updateElement(a, i, path[1:], x)
		}
	}
	return nil, operand("%s cannot be indexed with %s", typeName(v), typeName(path[0]))
}

func (e *editor) updateMember(o map[string]any, name string, path []any, x any) (any, error) {
	old, ok := o[name]
	if !ok && x == (deleted{}) {
		return o, nil
	}
	u, err := e.update(old, path, x)
	if err != nil {
		return nil, err
	}
	if !e.owns(o) {
		if err := e.m.spend(shallow(o)); err != nil {
			return nil, err
		}
		c := make(map[string]any, len(o)+1)
		maps.Copy(c, o)
		o = e.mine(c).(map[string]any) //nolint:forcetypeassert // what it was given
	}
	o[name] = u
	return o, nil
}

func (e *editor) updateElement(a []any, i int, path []any, x any) (any, error) {
	if i < 0 {
		i += len(a)
	}
	switch {
	case x == (deleted{}) && (i < 0 || i >= len(a)):
		return a, nil
	case i < 0:
		return nil, operand("an index is before the start of an array")
	case i >= MaxIndex:
		return nil, e.m.fail(tooLarge("an index of an array that is too large: want less than %d", MaxIndex))
	}
	var old any
	if i < len(a) {
		old = a[i]
	}
	u, err := e.update(old, path, x)
	if err != nil {
		return nil, err
	}
	if !e.owns(a) || i >= len(a) {
		n := max(len(a), i+1)
		if err := e.m.spend(1 + n); err != nil {
			return nil, err
		}
		c := make([]any, n)
		copy(c, a)
		a = e.mine(c).([]any) //nolint:forcetypeassert // what it was given
	}
	a[i] = u
	return a, nil
}

// updateSlice replaces a part of an array by another array, of any length.
func (e *editor) updateSlice(a []any, span map[string]any, path []any, x any) (any, error) {
	from, to, err := bounds(span, len(a))
	if err != nil {
		return nil, err
	}
	u, err := e.update(a[from:to:to], path, x)
	if err != nil {
		return nil, err
	}
	with, ok := u.([]any)
	if u == (deleted{}) {
		with, ok = make([]any, to-from), true
		for i := range with {
			with[i] = deleted{}
		}
	}
	if !ok {
		return nil, operand("a part of an array cannot be %s: want an array", typeName(u))
	}
	if err := e.m.spend(1 + len(a) + len(with)); err != nil {
		return nil, err
	}
	c := make([]any, 0, len(a)-(to-from)+len(with))
	c = append(append(append(c, a[:from]...), with...), a[to:]...)
	return e.mine(c), nil
}

// bounds returns from where to where the part of an array of length n is that a path names.
func bounds(span map[string]any, n int) (from, to int, err error) {
	clamp := func(v any, otherwise int) int {
		if v == nil {
			return otherwise
		}
		i, ok := gojq.ToInt(v)
		if !ok {
			err = operand("a part of an array starts and ends at a number: not at %s", typeName(v))
		}
		if i < 0 {
			i += n
		}
		return max(0, min(i, n))
	}
	from = clamp(span["start"], 0)
	return from, max(from, clamp(span["end"], n)), err
}

// result returns the edited value.
func (e *editor) result() (any, error) {
	if len(e.drops) == 0 {
		return e.root, nil
	}
	for _, path := range e.drops {
		if err := e.put(path, deleted{}); err != nil {
			return nil, err
		}
	}
	if err := e.m.spendDeep(e.root, 1); err != nil {
		return nil, err
	}
	return sweep(e.root), nil
}

// sweep returns a value without what is deleted.
func sweep(v any) any {
	switch v := v.(type) {
	case deleted:
		return nil
	case map[string]any:
		c := make(map[string]any, len(v))
		for name, x := range v {
			if x != (deleted{}) {
				c[name] = sweep(x)
			}
		}
		return c
	case []any:
		c := make([]any, 0, len(v))
		for _, x := range v {
			if x != (deleted{}) {
				c = append(c, sweep(x))
			}
		}
		return c
	}
	return v
}

func (e *editor) mine(v any) any {
	e.own[reflect.ValueOf(v).Pointer()] = v
	return v
}

func (e *editor) owns(v any) bool {
	_, ok := e.own[reflect.ValueOf(v).Pointer()]
	return ok
}
