package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// member is a parameter or a member of a body, as the reference page shows it.
type member struct {
	Name, In, Type, Limits, Description string
	Required                            bool
	Members                             []member
}

// maxNesting is how deep bodies are shown: schemas may refer to themselves.
const maxNesting = 6

// describer puts schemas into words.
type describer struct{ registry huma.Registry }

// resolve follows a reference.
func (d describer) resolve(s *huma.Schema) *huma.Schema {
	for s != nil && s.Ref != "" {
		s = d.registry.SchemaFromRef(s.Ref)
	}
	return s
}

// members are those of an object, or of the elements of a list, in the order of their declaration as far as it is known:
// required ones first, then by name.
func (d describer) members(s *huma.Schema, depth int) []member {
	s = d.resolve(s)
	if s == nil || depth == maxNesting {
		return nil
	}
	if s.Items != nil {
		return d.members(s.Items, depth+1)
	}
	if len(s.Properties) == 0 {
		if values, ok := s.AdditionalProperties.(*huma.Schema); ok {
			return d.members(values, depth+1)
		}
		return nil
	}
	out := make([]member, 0, len(s.Properties))
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		out = append(out, d.member(name, s.Properties[name], slices.Contains(s.Required, name), depth))
	}
	slices.SortStableFunc(out, func(a, b member) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	return out
}

func (d describer) member(name string, s *huma.Schema, required bool, depth int) member {
	m := member{Name: name, Required: required, Type: d.typeOf(s), Description: s.Description}
	resolved := d.resolve(s)
	if m.Description == "" && resolved != nil {
		m.Description = resolved.Description
	}
	m.Limits = strings.Join(limitsOf(resolved), ", ")
	m.Members = d.members(s, depth+1)
	return m
}

// typeOf names a type: "string (date-time)", "list of string", "object or null".
func (d describer) typeOf(s *huma.Schema) string {
	nullable := s != nil && s.Nullable
	if s = d.resolve(s); s == nil {
		return "anything"
	}
	text := s.Type
	switch {
	case s.Items != nil:
		text = "list of " + d.typeOf(s.Items)
	case len(s.OneOf) > 0 || len(s.AnyOf) > 0:
		var texts []string
		for _, o := range append(slices.Clone(s.OneOf), s.AnyOf...) {
			texts = append(texts, d.typeOf(o))
		}
		text = strings.Join(texts, " or ")
	case text == "":
		text = "anything"
	case text == huma.TypeObject && s.AdditionalProperties != nil && s.AdditionalProperties != false && len(s.Properties) == 0:
		if values, ok := s.AdditionalProperties.(*huma.Schema); ok && d.typeOf(values) != "anything" {
			text = "object of " + d.typeOf(values)
		}
	}
	if s.Format != "" {
		text += " (" + s.Format + ")"
	}
	if (nullable || s.Nullable) && !strings.HasSuffix(text, "null") {
		text += " or null"
	}
	return text
}

// limitsOf are a schema's limits in words.
func limitsOf(s *huma.Schema) (out []string) {
	if s == nil {
		return nil
	}
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s.Default != nil {
		add("default %v", s.Default)
	}
	if len(s.Enum) > 0 {
		add("one of %s", strings.Trim(fmt.Sprint(s.Enum), "[]"))
	}
	if s.Minimum != nil {
		add("at least %v", *s.Minimum)
	}
	if s.Maximum != nil {
		add("at most %v", *s.Maximum)
	}
	out = append(out, span(s.MinLength, s.MaxLength, "characters")...)
	out = append(out, span(s.MinItems, s.MaxItems, "elements")...)
	if s.UniqueItems {
		add("no two alike")
	}
	if s.Pattern != "" {
		add("matches %s", s.Pattern)
	}
	if s.Deprecated {
		add("deprecated")
	}
	return out
}

func span(low, high *int, of string) []string {
	switch {
	case low != nil && high != nil && *low == *high:
		return []string{fmt.Sprintf("%d %s", *low, of)}
	case low != nil && high != nil:
		return []string{fmt.Sprintf("%d to %d %s", *low, *high, of)}
	case low != nil:
		return []string{fmt.Sprintf("at least %d %s", *low, of)}
	case high != nil:
		return []string{fmt.Sprintf("at most %d %s", *high, of)}
	}
	return nil
}

// example makes the smallest body that a schema takes, as far as it can be told: its required members.
func (d describer) example(s *huma.Schema) string {
	raw, err := json.Marshal(d.exampleValue(s, 0))
	if err != nil {
		return "{}" // no example is better than none of the page
	}
	return strings.ReplaceAll(string(raw), "'", `'\''`)
}

func (d describer) exampleValue(s *huma.Schema, depth int) any {
	if s = d.resolve(s); s == nil || depth == maxNesting {
		return nil
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Default != nil:
		return s.Default
	case s.Items != nil:
		return []any{d.exampleValue(s.Items, depth+1)}
	}
	switch s.Type {
	case huma.TypeString:
		return "…"
	case huma.TypeBoolean:
		return true
	case huma.TypeInteger, huma.TypeNumber:
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	}
	out := map[string]any{}
	for _, name := range s.Required {
		out[name] = d.exampleValue(s.Properties[name], depth+1)
	}
	return out
}
