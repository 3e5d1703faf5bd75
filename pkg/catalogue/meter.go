package catalogue

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Budgets of a meter. A unit is a visit of a value by a schema or of an element by a keyword, 0.1 to 1 µs: a check takes at
// most some tens of milliseconds, and a second or two for a payload of 1 MiB.
const (
	checkBudget     = 100_000 // of every check: a schema of 256 KiB has about 10,000 places to visit
	checkBudgetByte = 2       // beside that for each byte of the payload; its values have ten bytes or so
	compileBudget   = 1_000_000
	// maxProgram bounds a pattern by its instructions: "(a{30}){30}" is short and has a thousand.
	maxProgram = 5_000
)

// meter bounds what a validation costs. The library has no bound of its own, and a schema that refers to itself twice, in
// two branches of an anyOf, takes a time exponential in the depth of the payload.
type meter struct{ left int }

// errOverBudget is what charge panics with; guard catches it. The library cannot be told to stop.
var errOverBudget = errors.New("over budget")

func (m *meter) charge(units int) {
	if m.left -= units; m.left < 0 {
		panic(errOverBudget)
	}
}

// guard runs f and reports whether it stayed within the budget.
func (m *meter) guard(f func() error) (err error, within bool) { //nolint:revive // err is f's, not guard's
	defer func() {
		switch r := recover(); r {
		case nil:
		case any(errOverBudget):
			err, within = nil, false
		default:
			panic(r)
		}
	}()
	return f(), true
}

// attach puts the meter into every schema that can be reached from root. A format is the only thing that the library
// calls for every value before it goes on to subschemas, so each schema gets one that charges first.
func (m *meter) attach(root *jsonschema.Schema) error {
	seen := map[*jsonschema.Schema]bool{root: true}
	for queue := []*jsonschema.Schema{root}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if !strings.HasPrefix(s.Location, schemaURL+"#") {
			return fmt.Errorf("refers to %q: %w", s.Location, errNoLoading)
		}
		if s.DynamicRef != nil || s.RecursiveRef != nil {
			return errors.New("has a $dynamicRef or $recursiveRef: want $ref")
		}
		below := subschemas(s)
		m.meterOne(s, len(below))
		for _, b := range below {
			if !seen[b] {
				seen[b] = true
				queue = append(queue, b)
			}
		}
	}
	return nil
}

func (m *meter) meterOne(s *jsonschema.Schema, below int) {
	if s.Bool != nil {
		return
	}
	weight := 1 + below + len(s.Required)
	if s.Enum != nil {
		weight += len(s.Enum.Values)
	}
	format, inner := &jsonschema.Format{}, s.Format
	if inner != nil {
		format.Name = inner.Name
		if inner.Name == "regex" {
			format.Name = "regular expression" // the library treats the other name itself
		}
	}
	format.Validate = func(v any) error {
		m.charge(weight + sizeOf(v))
		if inner != nil {
			return inner.Validate(v)
		}
		return nil
	}
	s.Format = format
}

// sizeOf is what the keywords of one schema may look at in v.
func sizeOf(v any) int {
	switch v := v.(type) {
	case map[string]any:
		return len(v)
	case []any:
		return len(v)
	case string:
		return len(v) / 64
	}
	return 0
}

// subschemas returns the schemas that the fields of s hold.
func subschemas(s *jsonschema.Schema) (below []*jsonschema.Schema) {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			below = appendSchemas(below, v.Field(i))
		}
	}
	return below
}

func appendSchemas(to []*jsonschema.Schema, v reflect.Value) []*jsonschema.Schema {
	switch v.Kind() { //nolint:exhaustive // only these are or hold schemas
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if s, ok := reflect.TypeAssert[*jsonschema.Schema](v); ok {
			if s != nil {
				to = append(to, s)
			}
			return to
		}
	case reflect.Interface:
		return appendSchemas(to, v.Elem()) // items and additionalProperties: a truth value, a schema or several
	}
	switch v.Kind() { //nolint:exhaustive // only these hold schemas
	case reflect.Slice:
		for i := range v.Len() {
			to = appendSchemas(to, v.Index(i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			to = appendSchemas(to, it.Value())
		}
	}
	return to
}

// regexp is a jsonschema.RegexpEngine with bounded programs and metered matching.
func (m *meter) regexp(pattern string) (jsonschema.Regexp, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if n := len(program.Inst); n > maxProgram {
		return nil, fmt.Errorf("takes %d steps: want at most %d, so smaller repetitions", n, maxProgram)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return &meteredRegexp{re: re, steps: len(program.Inst), meter: m}, nil
}

type meteredRegexp struct {
	re    *regexp.Regexp
	steps int
	meter *meter
}

// MatchString implements jsonschema.Regexp. At worst every step is taken at every byte.
func (r *meteredRegexp) MatchString(s string) bool {
	r.meter.charge(1 + len(s)*r.steps/64)
	return r.re.MatchString(s)
}

// String implements jsonschema.Regexp.
func (r *meteredRegexp) String() string { return r.re.String() }
