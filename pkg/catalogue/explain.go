package catalogue

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxQuoted bounds, in bytes, what a problem quotes of a schema or of the name of a field.
const maxQuoted = 100

// explainer turns the library's tree of errors into problems that say what is expected and hold no value.
type explainer struct {
	data any // for telling indexes from names; may be nil
	// isSchema allows what the checks of formats say, which may quote the data.
	isSchema bool
	problems []Problem
}

func (e *explainer) add(at []string, format string, args ...any) {
	p := Problem{Path: jsonPath(e.data, at), Want: fmt.Sprintf(format, args...)}
	if len(e.problems) == 0 || e.problems[len(e.problems)-1] != p {
		e.problems = append(e.problems, p)
	}
}

// texts returns the first n problems as texts.
func (e *explainer) texts(n int) (out []string) {
	for _, p := range e.problems[:min(n, len(e.problems))] {
		out = append(out, p.String())
	}
	return out
}

func (e *explainer) explain(err *jsonschema.ValidationError) {
	if len(e.problems) > 10*MaxProblems {
		return
	}
	switch err.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		e.alternatives(err)
		return
	}
	if len(err.Causes) == 0 {
		e.leaf(err.InstanceLocation, err.ErrorKind)
		return
	}
	for _, cause := range err.Causes {
		e.explain(cause)
	}
}

// alternatives explains the branch that got deepest: it is the one that was probably meant. Branches that differ in
// the type only are told together.
func (e *explainer) alternatives(err *jsonschema.ValidationError) {
	var types []string
	var deepest *jsonschema.ValidationError
	depth := -1
	for _, cause := range err.Causes {
		if t := typeBelow(cause); t != nil && len(cause.InstanceLocation) == len(err.InstanceLocation) {
			types = append(types, t.Want...)
			continue
		}
		if d := depthOf(cause); d > depth {
			deepest, depth = cause, d
		}
	}
	switch {
	case deepest != nil:
		e.explain(deepest)
	case len(types) > 0:
		e.add(err.InstanceLocation, "%s", strings.Join(types, " or "))
	default:
		e.add(err.InstanceLocation, "exactly one of the alternatives of the schema")
	}
}

// typeBelow returns the type error that err is, seen through references.
func typeBelow(err *jsonschema.ValidationError) *kind.Type {
	for {
		if t, ok := err.ErrorKind.(*kind.Type); ok {
			return t
		}
		if len(err.Causes) != 1 {
			return nil
		}
		err = err.Causes[0]
	}
}

func depthOf(err *jsonschema.ValidationError) int {
	depth := len(err.InstanceLocation)
	for _, cause := range err.Causes {
		depth = max(depth, depthOf(cause))
	}
	return depth
}

func (e *explainer) leaf(at []string, k jsonschema.ErrorKind) {
	switch k := k.(type) {
	case *kind.Required:
		e.missing(at, k.Missing)
	case *kind.DependentRequired:
		e.missing(at, k.Missing)
	case *kind.Dependency:
		e.missing(at, k.Missing)
	case *kind.AdditionalProperties:
		for _, name := range k.Properties[:min(len(k.Properties), MaxProblems)] {
			e.add(append(slices.Clip(at), name), "no field of this name")
		}
	case *kind.PropertyNames:
		e.add(at, "another name than %q", cut(k.Property, maxQuoted))
	case *kind.Format:
		if e.isSchema && k.Err != nil {
			e.add(at, "the format %s: %s", k.Want, cut(k.Err.Error(), 2*maxQuoted))
			return
		}
		e.add(at, "the format %s", k.Want)
	default:
		e.add(at, "%s", expectation(k))
	}
}

func (e *explainer) missing(at, names []string) {
	for _, name := range names[:min(len(names), MaxProblems)] {
		e.add(append(slices.Clip(at), name), "this field: it is missing")
	}
}

// expectation says what the keyword wants, without what it got.
func expectation(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("%s, got %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Enum:
		return "one of " + quoteJSON(k.Want)
	case *kind.Const:
		return quoteJSON(k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("text that matches %q", cut(k.Want, maxQuoted))
	case *kind.FalseSchema:
		return "nothing here"
	case *kind.Not:
		return "other data: this is what the schema excludes"
	case *kind.UniqueItems:
		return fmt.Sprintf("items that differ: %d and %d are the same", k.Duplicates[0], k.Duplicates[1])
	case *kind.RefCycle:
		return "a schema that does not refer to itself only"
	}
	if text := sizeExpectation(k); text != "" {
		return text
	}
	return "what the schema's " + strings.Join(k.KeywordPath(), "/") + " allows"
}

func sizeExpectation(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.MinLength:
		return fmt.Sprintf("at least %d characters, got %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("at most %d characters, got %d", k.Want, k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("at least %d items, got %d", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("at most %d items, got %d", k.Want, k.Got)
	case *kind.MinProperties:
		return fmt.Sprintf("at least %d fields, got %d", k.Want, k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("at most %d fields, got %d", k.Want, k.Got)
	case *kind.AdditionalItems:
		return fmt.Sprintf("%d items fewer", k.Count)
	case *kind.Minimum:
		return "at least " + number(k.Want)
	case *kind.Maximum:
		return "at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "more than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "less than " + number(k.Want)
	case *kind.MultipleOf:
		return "a multiple of " + number(k.Want)
	}
	return ""
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return cut(r.Num().String(), maxQuoted)
	}
	f, _ := r.Float64()
	return fmt.Sprint(f)
}

// quoteJSON writes a value of a schema, shortened.
func quoteJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "a value that the schema names"
	}
	return cut(string(text), 2*maxQuoted)
}

// cut shortens s to at most n bytes and an ellipsis, at the beginning of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// jsonPath writes the place of a value within data.
func jsonPath(data any, at []string) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, token := range at {
		switch v := data.(type) {
		case []any:
			fmt.Fprintf(&b, "[%s]", token)
			data = elementOf(v, token)
			continue
		case map[string]any:
			data = v[token]
		}
		if badWord(token) == "" && !strings.Contains(token, ".") {
			b.WriteString("." + token)
		} else {
			fmt.Fprintf(&b, "[%q]", cut(token, maxQuoted))
		}
	}
	return b.String()
}

// elementOf returns the element of list that the token of a path names, or nil.
func elementOf(list []any, token string) any {
	if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(list) {
		return list[i]
	}
	return nil
}
