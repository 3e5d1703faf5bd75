package topics_test

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
)

// promise says who relies on a schema.
type promise int

const (
	// toReaders: Postrider writes what the schema describes. Members and values are added; whoever read the last form reads this.
	toReaders promise = iota
	// toWriters: others write it. What was accepted is accepted.
	toWriters
)

// breaks lists what a schema does to those who rely on the published one: JSON pointers, and what is wrong there. Nothing that
// was valid may be refused: members and values are added and none taken away, none becomes required, no type or bound gets
// narrower. Readers are promised more: what is always there stays so, and no type gets wider.
//
// Of keywords that cannot be compared, such as pattern, any change is taken for the worst.
func breaks(published, current map[string]any, to promise) []string {
	c := comparison{to: to, published: published, current: current}
	c.compare("", published, current, 0)
	slices.Sort(c.found)
	return c.found
}

type comparison struct {
	to                 promise
	published, current map[string]any
	found              []string
}

func (c *comparison) report(at, format string, args ...any) {
	c.found = append(c.found, at+": "+fmt.Sprintf(format, args...))
}

// maxSchemaDepth ends what refers to itself.
const maxSchemaDepth = 20

// compare compares two schemas, which are objects or booleans; nil is none, and allows everything.
func (c *comparison) compare(at string, published, current any, depth int) {
	if depth > maxSchemaDepth {
		c.report(at, "deeper than %d", maxSchemaDepth)
		return
	}
	was, is := resolve(c.published, published), resolve(c.current, current)
	if reflect.DeepEqual(was, map[string]any{"not": map[string]any{}}) && c.to == toWriters {
		return // nothing was allowed
	}
	words := maps.Clone(was)
	maps.Copy(words, is)
	for word := range words {
		c.word(at, word, was, is, depth)
	}
}

// resolve follows references within a document, and writes booleans as objects.
func resolve(doc map[string]any, schema any) map[string]any {
	switch s := schema.(type) {
	case nil:
		return map[string]any{}
	case bool:
		if s {
			return map[string]any{}
		}
		return map[string]any{"not": map[string]any{}}
	case map[string]any:
		ref, ok := s["$ref"].(string)
		if !ok {
			return s
		}
		name, ok := strings.CutPrefix(ref, "#/$defs/")
		if defs, isMap := doc["$defs"].(map[string]any); ok && isMap && defs[name] != nil {
			return resolve(doc, defs[name])
		}
	}
	panic(fmt.Sprintf("no schema that is understood here: %v", schema))
}

func (c *comparison) word(at, word string, was, is map[string]any, depth int) {
	at += "/" + word
	switch word {
	case "$schema", "$id", "$defs", "$comment", "title", "description", "examples", "default", "deprecated":
		// said to people, or followed where it is referred to
	case "properties":
		c.members(at, was, is, depth)
	case "items", "additionalProperties":
		c.compare(at, was[word], is[word], depth+1)
	case "required":
		c.required(at, list(was[word]), list(is[word]))
	case "enum":
		c.values(at, was[word], is[word])
	case "type":
		c.types(at, was[word], is[word])
	case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
		if bound(is[word], math.Inf(-1)) > bound(was[word], math.Inf(-1)) {
			c.report(at, "narrower: %v, was %v", is[word], was[word])
		}
	case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
		if bound(is[word], math.Inf(1)) < bound(was[word], math.Inf(1)) {
			c.report(at, "narrower: %v, was %v", is[word], was[word])
		}
	default:
		if !reflect.DeepEqual(was[word], is[word]) {
			c.report(at, "changed: %v, was %v", is[word], was[word])
		}
	}
}

func (c *comparison) members(at string, was, is map[string]any, depth int) {
	before, _ := was["properties"].(map[string]any)
	after, _ := is["properties"].(map[string]any)
	for name := range before {
		if after[name] == nil {
			c.report(at+"/"+name, "taken away")
			continue
		}
		c.compare(at+"/"+name, before[name], after[name], depth+1)
	}
	// A member that is new was allowed as one that nobody knew.
	others := resolve(c.published, was["additionalProperties"])
	for name, schema := range after {
		if before[name] == nil && others["type"] != nil {
			c.types(at+"/"+name+"/type", others["type"], resolve(c.current, schema)["type"])
		}
	}
}

func (c *comparison) required(at string, was, is []string) {
	for _, name := range is {
		if !slices.Contains(was, name) {
			c.report(at, "%s is required, and was not", name)
		}
	}
	for _, name := range was {
		if c.to == toReaders && !slices.Contains(is, name) {
			c.report(at, "%s may be absent, and was always there", name)
		}
	}
}

func (c *comparison) values(at string, was, is any) {
	if (was == nil) != (is == nil) {
		c.report(at, "a closed set is opened or an open one closed")
		return
	}
	now, _ := is.([]any)
	before, _ := was.([]any)
	for _, v := range before {
		if !slices.Contains(now, v) {
			c.report(at, "%v is taken away", v)
		}
	}
}

func (c *comparison) types(at string, was, is any) {
	before, after := list(was), list(is)
	for _, t := range before {
		if len(after) > 0 && !slices.Contains(after, t) {
			c.report(at, "narrower: no %s any more", t)
		}
	}
	for _, t := range after {
		if len(before) == 0 || c.to == toReaders && !slices.Contains(before, t) {
			c.report(at, "is %s, and was not said to be", t)
		}
	}
	if c.to == toReaders && len(before) > 0 && len(after) == 0 {
		c.report(at, "may be anything, and was %v", before)
	}
}

// list reads a text or a list of texts; nil is none.
func list(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			out = append(out, e.(string))
		}
	}
	return out
}

func bound(v any, none float64) float64 {
	if n, ok := v.(float64); ok {
		return n
	}
	return none
}
