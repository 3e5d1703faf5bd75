package transform

import (
	"encoding/json"
	"math/big"
	"math/bits"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// function is one of this package, under a name that programs cannot write. An error is returned as the value.
type function struct {
	name string
	args int
	run  func(r *instance, v any, args []any) any
}

// functions are those that need no jq: replacements, whose jq names are in direct, and guards, which return their input.
var functions = []function{ //nolint:gochecknoglobals // a table
	{"__iter", 0, guard(func(m *meter, v any) error { return m.spend(shallow(v)) })},
	{"__shallow", 0, guard(func(m *meter, v any) error { return m.spend(shallow(v)) })},
	{"__deep", 0, guard(func(m *meter, v any) error { return m.spendDeep(v, 1) })},
	{"__sorted", 0, guard(func(m *meter, v any) error { return m.spendDeep(v, 1+bits.Len(uint(shallow(v)))/4) })},
	{"__text", 0, guard(func(m *meter, v any) error { return m.spend(textUnit * shallow(v)) })},
	{"__short", 0, guard(short)},
	{"__zone", 0, guard(zone)},
	{"__position", 0, guard(position)},
	{"__steps", 1, steps},
	{"__product", 1, product},
	{"__edit", 0, func(r *instance, v any, _ []any) any { return newEditor(&r.meter, v) }},
	{"__get", 1, edit(func(e *editor, path []any, _ []any) (any, error) { return e.get(path) })},
	{"__put", 2, edit(func(e *editor, path []any, args []any) (any, error) { return nil, e.put(path, args[1]) })},
	{"__remove", 1, edit(func(e *editor, path []any, _ []any) (any, error) { e.remove(path); return nil, nil })},
	{"__result", 0, func(_ *instance, v any, _ []any) any { return either(v.(*editor).result()) }}, //nolint:forcetypeassert // of the prelude
	{"__match2", 2, onText(patterns.match)},
	{"__pieces", 2, onText(patterns.pieces)},
	{"__add", 0, func(r *instance, v any, _ []any) any { return add(&r.meter, v) }},
	{"__concat", 0, func(r *instance, v any, _ []any) any { return join(&r.meter, v, "") }},
	{"__join", 1, func(r *instance, v any, args []any) any { return join(&r.meter, v, args[0]) }},
	{"__split", 1, func(r *instance, v any, args []any) any { return split(&r.meter, v, args[0]) }},
	{"__fromjson", 0, func(r *instance, v any, _ []any) any { return fromJSON(&r.meter, v) }},
	{"__transpose", 0, func(r *instance, v any, _ []any) any { return transpose(&r.meter, v) }},
	{"__to_entries", 0, func(r *instance, v any, _ []any) any { return toEntries(&r.meter, v) }},
	{"__from_entries", 0, func(r *instance, v any, _ []any) any { return fromEntries(&r.meter, v) }},
}

// direct are the functions of jq that are written in Go, as the prelude calls them.
var direct = setOf( //nolint:gochecknoglobals // a table
	"add/0", "join/1", "split/1", "fromjson/0", "transpose/0", "to_entries/0", "from_entries/0",
)

func guard(check func(m *meter, v any) error) func(*instance, any, []any) any {
	return func(r *instance, v any, _ []any) any {
		if err := check(&r.meter, v); err != nil {
			return err
		}
		return v
	}
}

func either(v any, err error) any {
	if err != nil {
		return err
	}
	return v
}

// short allows texts whose handling takes long, or makes texts a thousand times as long: numbers, formats of times.
func short(m *meter, v any) error {
	if s, ok := v.(string); ok && len(s) > maxShort {
		return operand("a text of %d bytes: want at most %d for a number or the format of a time", len(s), maxShort)
	}
	return m.spend(maxShort / textUnit)
}

// zone refuses names of time zones, which mean what the machine's own zone makes of them.
func zone(_ *meter, v any) error {
	s, _ := v.(string)
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		for i++; i < len(s)-1 && strings.IndexByte(":-_0123456789^#", s[i]) >= 0; i++ {
			continue
		}
		if s[i] == 'Z' || s[i] == '+' {
			return operand("the format of a time names a zone: want %%z, the offset from UTC")
		}
	}
	return nil
}

// position allows what may stand in .[…], for the interpreter makes an array as long as it says.
func position(m *meter, v any) error {
	switch v.(type) {
	case string, []any, map[string]any, nil:
		return nil
	}
	if i, ok := gojq.ToInt(v); ok && i >= MaxIndex {
		return m.fail(tooLarge("an index of an array that is too large: want less than %d", MaxIndex))
	}
	return nil
}

func steps(r *instance, v any, args []any) any {
	if err := r.meter.spend(shallow(args[0])); err != nil {
		return err
	}
	path, _ := args[0].([]any)
	for _, step := range path {
		if err := position(&r.meter, step); err != nil {
			return err
		}
	}
	return v
}

// product is the guard of functions that compare all of a value with all of another.
func product(r *instance, v any, args []any) any {
	other := deep(args[0], r.meter.left())
	if other == tooDeep {
		return r.meter.fail(errTooDeep())
	}
	if s, ok := v.(string); ok { // the interpreter makes arrays of two texts
		if err := r.meter.spend(len(s)); err != nil {
			return err
		}
	}
	if err := r.meter.spendDeep(v, max(1, other)); err != nil {
		return err
	}
	return v
}

func edit(f func(e *editor, path, args []any) (any, error)) func(*instance, any, []any) any {
	return func(r *instance, v any, args []any) any {
		path, ok := args[0].([]any)
		if !ok {
			return operand("a path is %s: want an array", typeName(args[0]))
		}
		if err := r.meter.spend(len(path)); err != nil {
			return err
		}
		return either(f(v.(*editor), path, args)) //nolint:forcetypeassert // only the prelude calls it
	}
}

func onText(f func(p patterns, m *meter, s, re, flags string) (any, error)) func(*instance, any, []any) any {
	return func(r *instance, v any, args []any) any {
		s, ok := v.(string)
		re, both := args[0].(string)
		flags, isText := args[1].(string)
		if !ok || !both || !isText && args[1] != nil {
			return operand("%s cannot be matched with %s: want strings", typeName(v), typeName(args[0]))
		}
		return either(f(r.patterns, &r.meter, s, re, flags))
	}
}

func split(m *meter, v, by any) any {
	s, ok := v.(string)
	sep, both := by.(string)
	if !ok || !both {
		return operand("%s cannot be split by %s: want strings", typeName(v), typeName(by))
	}
	return splitText(m, s, sep)
}

func splitText(m *meter, s, sep string) any {
	if s == "" {
		return []any{}
	}
	n := len(s)
	if sep != "" {
		n = strings.Count(s, sep)
	}
	if err := m.spend(2 + n + len(s)/textUnit); err != nil {
		return err
	}
	parts := strings.Split(s, sep)
	list := make([]any, len(parts))
	for i, p := range parts {
		list[i] = p
	}
	return list
}

// join puts a text between others; null is the empty text, and numbers and booleans are written.
func join(m *meter, v, by any) any {
	list, ok := v.([]any)
	sep, both := by.(string)
	if !ok || !both {
		return operand("%s cannot be joined with %s", typeName(v), typeName(by))
	}
	if err := m.spendDeep(v, 1); err != nil {
		return err
	}
	var b strings.Builder
	for i, x := range list {
		if i > 0 {
			b.WriteString(sep)
		}
		switch x := x.(type) {
		case nil:
		case string:
			b.WriteString(x)
		case bool:
			b.WriteString(strconv.FormatBool(x))
		case int, float64, *big.Int, json.Number:
			b.Write(encode(x))
		default:
			return operand("%s cannot be joined: want strings, numbers, booleans and null", typeName(x))
		}
		if b.Len() > maxText {
			return m.fail(tooLarge("a text of more than %d bytes: want at most that", maxText))
		}
	}
	if err := m.spend(b.Len() / textUnit); err != nil {
		return err
	}
	return b.String()
}

// fromJSON reads JSON as it reads that of the event.
func fromJSON(m *meter, v any) any {
	s, ok := v.(string)
	if !ok {
		return operand("%s is no JSON: want a string", typeName(v))
	}
	if err := m.spend(1 + len(s)); err != nil { // [[[[ is a byte for each array
		return err
	}
	value, err := decode([]byte(s))
	if err != nil {
		return operand("a text is no JSON: %s", err.Detail)
	}
	return value
}

func transpose(m *meter, v any) any {
	rows, ok := v.([]any)
	if !ok {
		return operand("%s cannot be transposed: want an array of arrays", typeName(v))
	}
	width := 0
	for _, row := range rows {
		r, ok := row.([]any)
		if !ok {
			return operand("%s cannot be transposed: want an array of arrays", typeName(row))
		}
		width = max(width, len(r))
	}
	if err := m.spend((1 + len(rows)) * (1 + width)); err != nil {
		return err
	}
	columns := make([]any, width)
	for j := range columns {
		column := make([]any, len(rows))
		for i, row := range rows {
			if r, _ := row.([]any); j < len(r) {
				column[i] = r[j]
			}
		}
		columns[j] = column
	}
	return columns
}
