package catalogue

import (
	"fmt"
	"maps"
	"slices"
)

// holding says how a keyword of JSON Schema holds other schemas.
type holding int

const (
	holdsNone   holding = iota
	holdsOne            // not: {…}
	holdsNamed          // properties: {a: {…}, b: {…}}
	holdsList           // allOf: [{…}, {…}]
	holdsEither         // items: {…} or, in older drafts, [{…}, {…}]
)

// holdingOf returns how a keyword holds other schemas. Keywords that hold none may hold anything that looks like a schema
// (default, enum, examples), which must be left alone.
func holdingOf(keyword string) holding {
	switch keyword {
	case "not", "if", "then", "else", "contains", "propertyNames", "additionalProperties", "additionalItems",
		"unevaluatedItems", "unevaluatedProperties", "contentSchema":
		return holdsOne
	case "properties", "patternProperties", "dependentSchemas", "$defs", "definitions":
		return holdsNamed
	case "allOf", "anyOf", "oneOf", "prefixItems":
		return holdsList
	case "items":
		return holdsEither
	}
	return holdsNone
}

// rewriter copies a schema and calls its functions on the way. The schema it copies stays as it is.
type rewriter struct {
	// ref returns what a reference is replaced by.
	ref func(ref string) (string, error)
	// object changes the copy of an object that is a schema, after what it holds. May be nil.
	object func(map[string]any)
	// drop says which keywords are left out. May be nil.
	drop func(keyword string) bool
	// visit is called for every schema and, with literal true, for every value of a keyword that holds none. May be nil.
	visit func(v any, literal bool) error
}

// rewrite returns the copy. Errors name the place within the schema.
func (w *rewriter) rewrite(v any) (any, error) {
	if w.visit != nil {
		if err := w.visit(v, false); err != nil {
			return nil, err
		}
	}
	in, ok := v.(map[string]any)
	if !ok {
		if _, isBool := v.(bool); isBool {
			return v, nil
		}
		return nil, fmt.Errorf("is %s: want a schema, an object", kindOf(v))
	}
	out := make(map[string]any, len(in))
	for _, keyword := range slices.Sorted(maps.Keys(in)) {
		if w.drop != nil && w.drop(keyword) {
			continue
		}
		value, err := w.keyword(keyword, in[keyword])
		if err != nil {
			return nil, within(keyword, err)
		}
		out[keyword] = value
	}
	if w.object != nil {
		w.object(out)
	}
	return out, nil
}

func (w *rewriter) keyword(keyword string, value any) (any, error) {
	if keyword == "$ref" {
		ref, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("is %s: want a reference, a text", kindOf(value))
		}
		return w.ref(ref)
	}
	held := holdingOf(keyword)
	list, isList := value.([]any)
	fields, isMap := value.(map[string]any)
	switch {
	case held == holdsOne, held == holdsEither && !isList:
		return w.rewrite(value)
	case held == holdsNamed && isMap:
		return w.named(fields)
	case (held == holdsList || held == holdsEither) && isList:
		return w.list(list)
	}
	if w.visit != nil { // a literal, or no JSON Schema, which compiling it tells
		return value, w.visit(value, true)
	}
	return value, nil
}

func (w *rewriter) named(in map[string]any) (any, error) {
	out := make(map[string]any, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		v, err := w.rewrite(in[name])
		if err != nil {
			return nil, within(name, err)
		}
		out[name] = v
	}
	return out, nil
}

func (w *rewriter) list(in []any) (any, error) {
	out := make([]any, len(in))
	for i := range in {
		v, err := w.rewrite(in[i])
		if err != nil {
			return nil, within(fmt.Sprintf("[%d]", i), err)
		}
		out[i] = v
	}
	return out, nil
}

// modernise rewrites what older drafts and OpenAPI 3.0 say in their own way as draft 2020-12 says it.
func modernise(s map[string]any) {
	moderniseNull(s)
	moderniseBound(s, "exclusiveMinimum", "minimum")
	moderniseBound(s, "exclusiveMaximum", "maximum")
	if list, ok := s["items"].([]any); ok { // a tuple, until draft 2019-09
		s["prefixItems"] = list
		delete(s, "items")
		if rest, ok := s["additionalItems"]; ok {
			s["items"] = rest
		}
	}
	delete(s, "additionalItems")
	if example, ok := s["example"]; ok {
		if _, there := s["examples"]; !there {
			s["examples"] = []any{example}
		}
		delete(s, "example")
	}
	moderniseDependencies(s)
}

// moderniseNull replaces "nullable: true" by the type null.
func moderniseNull(s map[string]any) {
	nullable, ok := s["nullable"].(bool)
	if !ok {
		return
	}
	delete(s, "nullable")
	t, ok := s["type"].(string)
	if !nullable || !ok || t == "null" {
		return
	}
	s["type"] = []any{t, "null"}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, nil) {
		s["enum"] = append(slices.Clone(enum), nil)
	}
}

// moderniseBound replaces "exclusiveMinimum: true" beside "minimum: 3" by "exclusiveMinimum: 3".
func moderniseBound(s map[string]any, exclusive, bound string) {
	is, ok := s[exclusive].(bool)
	if !ok {
		return
	}
	delete(s, exclusive)
	if limit, there := s[bound]; is && there {
		s[exclusive] = limit
		delete(s, bound)
	}
}

func moderniseDependencies(s map[string]any) {
	dependencies, ok := s["dependencies"].(map[string]any)
	if !ok {
		return
	}
	required, schemas := map[string]any{}, map[string]any{}
	for name, d := range dependencies {
		if _, ok := d.([]any); ok {
			required[name] = d
		} else {
			schemas[name] = d
		}
	}
	delete(s, "dependencies")
	if len(required) > 0 {
		s["dependentRequired"] = required
	}
	if len(schemas) > 0 {
		s["dependentSchemas"] = schemas
	}
}

// placedError is an error with the place where it stands, outermost first.
type placedError struct {
	place string
	err   error
}

// Error implements error.
func (e *placedError) Error() string { return e.place + ": " + e.err.Error() }

// Unwrap returns the error without its place.
func (e *placedError) Unwrap() error { return e.err }

// within puts a place in front of that of err.
func within(place string, err error) error {
	place = cut(place, maxQuoted)
	if inner, ok := err.(*placedError); ok { //nolint:errorlint // only the outermost has a place to extend
		if inner.place[0] == '[' {
			return &placedError{place + inner.place, inner.err}
		}
		return &placedError{place + "." + inner.place, inner.err}
	}
	return &placedError{place, err}
}
