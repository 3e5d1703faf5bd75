package transform

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// binary is an operator: r is the right side. An error is returned as the value, as the interpreter wants it.
type binary func(m *meter, l, r any) any

// operators are those that the interpreter would run in one step however large their operands are.
var operators = map[gojq.Operator]struct { //nolint:gochecknoglobals // a table
	name string
	run  binary
}{
	gojq.OpAdd: {"__plus", plus},
	gojq.OpSub: {"__minus", minus},
	gojq.OpMul: {"__times", times},
	gojq.OpDiv: {"__divide", divide},
	gojq.OpMod: {"__modulo", modulo},
	gojq.OpEq:  {"__eq", comparison(func(c int) bool { return c == 0 })},
	gojq.OpNe:  {"__ne", comparison(func(c int) bool { return c != 0 })},
	gojq.OpGt:  {"__gt", comparison(func(c int) bool { return c > 0 })},
	gojq.OpLt:  {"__lt", comparison(func(c int) bool { return c < 0 })},
	gojq.OpGe:  {"__ge", comparison(func(c int) bool { return c >= 0 })},
	gojq.OpLe:  {"__le", comparison(func(c int) bool { return c <= 0 })},
}

// updates are the operators of a op= b.
var updates = map[gojq.Operator]gojq.Operator{ //nolint:gochecknoglobals // a table
	gojq.OpUpdateAdd: gojq.OpAdd, gojq.OpUpdateSub: gojq.OpSub, gojq.OpUpdateMul: gojq.OpMul,
	gojq.OpUpdateDiv: gojq.OpDiv, gojq.OpUpdateMod: gojq.OpMod, gojq.OpUpdateAlt: gojq.OpAlt,
}

// comparison compares; what is compared is never more than the smaller of both.
func comparison(is func(int) bool) binary {
	return func(m *meter, l, r any) any {
		if composite(l) && composite(r) {
			left := m.left()
			cost := deep(l, left)
			if other := deep(r, left); cost == tooDeep || other != tooDeep && other < cost {
				cost = other
			}
			if cost == tooDeep {
				return m.fail(errTooDeep())
			}
			if err := m.spend(cost); err != nil {
				return err
			}
		} else if err := m.spend(min(shallow(l), shallow(r))); err != nil {
			return err
		}
		return is(gojq.Compare(l, r))
	}
}

func composite(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return true
	}
	return false
}

// plus adds, joins or merges; null is the neutral element of all.
func plus(m *meter, l, r any) any {
	if l == nil {
		return r
	}
	if r == nil {
		return l
	}
	if a, ok := l.(int); ok {
		if b, ok := r.(int); ok && (a+b >= a) == (b >= 0) {
			return a + b
		}
	}
	if v, ok := arithmetic(m, l, r, (*big.Int).Add, func(a, b float64) float64 { return a + b }); ok {
		return v
	}
	if err := m.spend(shallow(l) + shallow(r)); err != nil {
		return err
	}
	switch a := l.(type) {
	case string:
		if b, ok := r.(string); ok {
			return m.text(len(a)+len(b), func() string { return a + b })
		}
	case []any:
		if b, ok := r.([]any); ok {
			return append(append(make([]any, 0, len(a)+len(b)), a...), b...)
		}
	case map[string]any:
		if b, ok := r.(map[string]any); ok {
			sum := make(map[string]any, len(a)+len(b))
			maps.Copy(sum, a)
			maps.Copy(sum, b)
			return sum
		}
	}
	return operand("%s and %s cannot be added", typeName(l), typeName(r))
}

// text makes a text of n bytes unless that is too long.
func (m *meter) text(n int, f func() string) any {
	if n > maxText {
		return m.fail(tooLarge("a text of more than %d bytes: want at most that", maxText))
	}
	return f()
}

func minus(m *meter, l, r any) any {
	if v, ok := arithmetic(m, l, r, (*big.Int).Sub, func(a, b float64) float64 { return a - b }); ok {
		return v
	}
	a, ok := l.([]any)
	b, both := r.([]any)
	if !ok || !both {
		return operand("%s cannot be subtracted from %s", typeName(r), typeName(l))
	}
	if err := m.spendDeep(r, 1+len(a)); err != nil {
		return err
	}
	rest := make([]any, 0, len(a))
	for _, x := range a {
		if !containsEqual(b, x) {
			rest = append(rest, x)
		}
	}
	return rest
}

func containsEqual(list []any, x any) bool {
	for _, y := range list {
		if gojq.Compare(x, y) == 0 {
			return true
		}
	}
	return false
}

// times multiplies, repeats a text or merges objects deeply.
func times(m *meter, l, r any) any {
	if v, ok := arithmetic(m, l, r, (*big.Int).Mul, func(a, b float64) float64 { return a * b }); ok {
		return v
	}
	if s, ok := l.(string); ok {
		if n, ok := gojq.ToFloat64(r); ok {
			return repeat(m, s, n)
		}
	}
	if s, ok := r.(string); ok {
		if n, ok := gojq.ToFloat64(l); ok {
			return repeat(m, s, n)
		}
	}
	a, ok := l.(map[string]any)
	b, both := r.(map[string]any)
	if !ok || !both {
		return operand("%s and %s cannot be multiplied", typeName(l), typeName(r))
	}
	if err := m.spendDeep(l, 1); err != nil {
		return err
	}
	if err := m.spendDeep(r, 1); err != nil {
		return err
	}
	return merge(a, b)
}

func repeat(m *meter, s string, n float64) any {
	switch {
	case n < 0 || math.IsNaN(n):
		return nil
	case n > maxText: // of any text, so that the product is no surprise
		n = maxText + 1
	}
	size := len(s) * int(n)
	if size > maxText {
		return m.fail(tooLarge("a text of more than %d bytes: want at most that", maxText))
	}
	if err := m.spend(1 + size/textUnit); err != nil {
		return err
	}
	return strings.Repeat(s, int(n))
}

func merge(a, b map[string]any) map[string]any {
	sum := make(map[string]any, len(a)+len(b))
	maps.Copy(sum, a)
	for k, v := range b {
		x, ok := sum[k].(map[string]any)
		y, both := v.(map[string]any)
		if ok && both {
			v = merge(x, y)
		}
		sum[k] = v
	}
	return sum
}

func divide(m *meter, l, r any) any {
	if a, ok := l.(string); ok {
		if b, ok := r.(string); ok {
			return splitText(m, a, b)
		}
	}
	a, ok := number(l)
	b, both := number(r)
	if !ok || !both {
		return operand("%s cannot be divided by %s", typeName(l), typeName(r))
	}
	if f, _ := gojq.ToFloat64(b); f == 0 {
		return operand("a number cannot be divided by zero")
	}
	x, y, whole := bigs(a, b)
	if whole {
		if q, rest := new(big.Int).QuoRem(x, y, new(big.Int)); rest.Sign() == 0 {
			return whole64(q)
		}
	}
	f, _ := gojq.ToFloat64(a)
	g, _ := gojq.ToFloat64(b)
	return f / g
}

// modulo is that of the numbers cut to integers, with the sign of the dividend.
func modulo(_ *meter, l, r any) any {
	a, ok := number(l)
	b, both := number(r)
	if !ok || !both {
		return operand("%s has no remainder by %s", typeName(l), typeName(r))
	}
	x, y, whole := bigs(a, b)
	if !whole {
		f, _ := gojq.ToFloat64(a)
		g, _ := gojq.ToFloat64(b)
		if math.IsNaN(f) || math.IsNaN(g) {
			return math.NaN()
		}
		i, _ := gojq.ToInt(a)
		j, _ := gojq.ToInt(b)
		x, y = big.NewInt(int64(i)), big.NewInt(int64(j))
	}
	if y.Sign() == 0 {
		return operand("a number has no remainder by zero")
	}
	return whole64(new(big.Int).Rem(x, y))
}

// arithmetic computes with integers as far as both are, of any size up to maxBits. ok is false if one is no number.
func arithmetic(
	m *meter, l, r any, exact func(z, x, y *big.Int) *big.Int, approximate func(a, b float64) float64,
) (any, bool) {
	a, ok := number(l)
	b, both := number(r)
	if !ok || !both {
		return nil, false
	}
	if x, y, whole := bigs(a, b); whole {
		z := exact(new(big.Int), x, y)
		if z.BitLen() > maxBits {
			return m.fail(tooLarge("an integer of more than %d bits: want at most that", maxBits)), true
		}
		return whole64(z), true
	}
	f, _ := gojq.ToFloat64(a)
	g, _ := gojq.ToFloat64(b)
	return approximate(f, g), true
}

// number returns a number as int, *big.Int or float64.
func number(v any) (any, bool) {
	switch v := v.(type) {
	case int, float64, *big.Int:
		return v, true
	case json.Number:
		return parseNumber(string(v)), true
	}
	return nil, false
}

// parseNumber returns a JSON number as int, *big.Int or float64.
func parseNumber(text string) any {
	if !strings.ContainsAny(text, ".eE") {
		if i, ok := new(big.Int).SetString(text, 10); ok {
			return whole64(i)
		}
	}
	f, err := strconv.ParseFloat(text, 64) // infinite if it is out of range
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return math.NaN()
	}
	return f
}

func bigs(a, b any) (x, y *big.Int, ok bool) {
	x, ok = bigOf(a)
	if !ok {
		return nil, nil, false
	}
	y, ok = bigOf(b)
	return x, y, ok
}

func bigOf(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case int:
		return big.NewInt(int64(v)), true
	case *big.Int:
		return v, true
	}
	return nil, false
}

// whole64 returns an integer as int if it is one.
func whole64(i *big.Int) any {
	if i.IsInt64() && (bits.UintSize == 64 || int64(int(i.Int64())) == i.Int64()) {
		return int(i.Int64())
	}
	return i
}
