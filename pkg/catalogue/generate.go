package catalogue

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
)

// Bounds of a made example.
const (
	maxGenerated    = 2_000 // values
	maxGenerateDeep = 12    // levels
	maxRepeated     = 100   // items or characters that are made because a schema wants so many
)

// generator makes an example of a schema.
type generator struct {
	root   any
	sparse bool // leave out what is not required
	left   int  // values that may still be made
}

// value makes a value. It is false where a schema within itself was cut off: whoever can leave the value out does.
func (g *generator) value(schema any, depth int) (any, bool) {
	if g.left--; g.left < 0 || depth > maxGenerateDeep {
		return nil, false
	}
	s := g.flat(schema, maxHops)
	if v, ok := given(s); ok {
		return v, true
	}
	switch typeIn(s) {
	case "object":
		return g.object(s, depth)
	case "array":
		return g.array(s, depth)
	case "string":
		return text(s), true
	case "integer":
		return numeric(s, true), true
	case "number":
		return numeric(s, false), true
	case "boolean":
		return true, true
	case "null":
		return nil, true
	}
	return map[string]any{}, true // anything goes
}

// given returns the value that a schema itself names.
func given(s map[string]any) (any, bool) {
	for _, keyword := range []string{"const", "default"} {
		if v, ok := s[keyword]; ok {
			return v, true
		}
	}
	for _, keyword := range []string{"examples", "enum"} {
		if list, ok := s[keyword].([]any); ok && len(list) > 0 {
			return list[0], true
		}
	}
	return nil, false
}

// flat merges a schema with what it refers to, all of its allOf and the first of its anyOf and oneOf that is not null.
func (g *generator) flat(schema any, hops int) map[string]any {
	s, ok := schema.(map[string]any)
	if !ok || hops == 0 {
		return nil
	}
	out := map[string]any{}
	if ref, ok := s["$ref"].(string); ok {
		if tokens, err := pointerTokens(ref); err == nil {
			if to, ok := lookup(g.root, tokens); ok {
				out = g.flat(to, hops-1)
			}
		}
	}
	if list, ok := s["allOf"].([]any); ok {
		for _, part := range list {
			out = merged(out, g.flat(part, hops-1))
		}
	}
	for _, keyword := range []string{"anyOf", "oneOf"} {
		if list, ok := s[keyword].([]any); ok {
			out = merged(out, g.firstOf(list, hops-1))
		}
	}
	return merged(out, s)
}

func (g *generator) firstOf(list []any, hops int) map[string]any {
	for _, branch := range list {
		if s := g.flat(branch, hops); typeIn(s) != "null" {
			return s
		}
	}
	return nil
}

// merged returns a with b's keywords; properties and required of both.
func merged(a, b map[string]any) map[string]any {
	out := make(map[string]any, len(a)+len(b))
	maps.Copy(out, a)
	for keyword, v := range b {
		switch before := out[keyword].(type) {
		case map[string]any:
			if m, ok := v.(map[string]any); ok && keyword == "properties" {
				both := maps.Clone(before)
				maps.Copy(both, m)
				v = both
			}
		case []any:
			if l, ok := v.([]any); ok && keyword == "required" {
				v = append(slices.Clone(before), l...)
			}
		}
		out[keyword] = v
	}
	return out
}

// typeIn returns the type of a schema, the first that is not null, or what its keywords are for.
func typeIn(s map[string]any) string {
	switch t := s["type"].(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if name, _ := one.(string); name != "null" && name != "" {
				return name
			}
		}
		return "null"
	}
	for _, hint := range [][2]string{
		{"properties", "object"},
		{"required", "object"},
		{"additionalProperties", "object"},
		{"items", "array"},
		{"prefixItems", "array"},
		{"format", "string"},
		{"pattern", "string"},
		{"minLength", "string"},
		{"maxLength", "string"},
		{"minimum", "number"},
		{"maximum", "number"},
	} {
		if _, ok := s[hint[0]]; ok {
			return hint[1]
		}
	}
	return ""
}

func (g *generator) object(s map[string]any, depth int) (any, bool) {
	required := map[string]bool{}
	if list, ok := s["required"].([]any); ok {
		for _, name := range list {
			if text, ok := name.(string); ok {
				required[text] = true
			}
		}
	}
	properties, _ := s["properties"].(map[string]any)
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(required)) {
		v, ok := g.value(properties[name], depth+1)
		if !ok {
			return nil, false
		}
		out[name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if _, there := out[name]; there || g.sparse || properties[name] == false {
			continue
		}
		if v, ok := g.value(properties[name], depth+1); ok {
			out[name] = v
		}
	}
	return out, true
}

func (g *generator) array(s map[string]any, depth int) (any, bool) {
	out := []any{}
	if list, ok := s["prefixItems"].([]any); ok {
		for _, item := range list {
			v, ok := g.value(item, depth+1)
			if !ok {
				return nil, false
			}
			out = append(out, v)
		}
	}
	least := limit(s, "minItems", 0)
	wanted := least
	if wanted == 0 && len(out) == 0 && !g.sparse && s["items"] != nil {
		wanted = min(1, limit(s, "maxItems", 1))
	}
	for len(out) < min(wanted, maxRepeated) {
		v, ok := g.value(s["items"], depth+1)
		if !ok {
			return out, len(out) >= least
		}
		out = append(out, v)
	}
	return out, true
}

// limit returns a keyword that is a count.
func limit(s map[string]any, keyword string, without int) int {
	f, ok := floatIn(s, keyword)
	if !ok || f < 0 || f > math.MaxInt32 {
		return without
	}
	return int(f)
}

func floatIn(s map[string]any, keyword string) (float64, bool) {
	n, ok := s[keyword].(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}
