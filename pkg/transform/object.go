package transform

import (
	"maps"
	"slices"
	"strings"
)

// elements returns the elements of an array, or the values of an object by their names' order.
func elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case map[string]any:
		list := make([]any, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			list = append(list, v[name])
		}
		return list, true
	}
	return nil, false
}

// add is the sum of all elements: in proportion to their sizes, where a + b + c copies a twice.
func add(m *meter, v any) any {
	list, ok := elements(v)
	if !ok {
		return operand("the elements of %s cannot be added: want an array or object", typeName(v))
	}
	if err := m.spend(shallow(v)); err != nil {
		return err
	}
	var s sum
	for _, x := range list {
		if err := s.add(m, x); err != nil {
			return err
		}
	}
	return s.value()
}

// sum is what add has added up; texts, arrays and objects that it made itself grow in place.
type sum struct {
	total any
	text  *strings.Builder
	own   bool
}

func (s *sum) value() any {
	if s.text != nil {
		s.total, s.text = s.text.String(), nil
	}
	return s.total
}

func (s *sum) add(m *meter, x any) error {
	if err := m.spend(shallow(x)); err != nil {
		return err
	}
	switch x := x.(type) {
	case string:
		if s.text != nil {
			if s.text.Len()+len(x) > maxText {
				return m.fail(tooLarge("a text of more than %d bytes: want at most that", maxText))
			}
			s.text.WriteString(x)
			return nil
		}
		if t, ok := s.total.(string); ok && len(t)+len(x) <= maxText {
			s.text, s.total = &strings.Builder{}, nil
			s.text.WriteString(t)
			s.text.WriteString(x)
			return nil
		}
	case []any:
		if a, ok := s.total.([]any); ok && s.own {
			a = append(a, x...)
			s.total = a
			return nil
		}
	case map[string]any:
		if o, ok := s.total.(map[string]any); ok && s.own {
			maps.Copy(o, x)
			return nil
		}
	}
	before := s.value()
	switch total := plus(m, before, x).(type) {
	case error:
		return total
	default:
		// A sum with null is the operand itself.
		s.total, s.own = total, before != nil && x != nil
	}
	return nil
}

func toEntries(m *meter, v any) any {
	o, ok := v.(map[string]any)
	if !ok {
		return operand("%s has no entries: want an object", typeName(v))
	}
	if err := m.spend(8 * shallow(v)); err != nil {
		return err
	}
	list := make([]any, 0, len(o))
	for _, name := range slices.Sorted(maps.Keys(o)) {
		list = append(list, map[string]any{"key": name, "value": o[name]})
	}
	return list
}

// fromEntries makes an object of what toEntries makes, and of name and value in their other spellings.
func fromEntries(m *meter, v any) any {
	list, ok := elements(v)
	if !ok {
		return operand("%s is no list of entries: want an array", typeName(v))
	}
	if err := m.spend(4 * shallow(v)); err != nil {
		return err
	}
	object := make(map[string]any, len(list))
	for _, x := range list {
		entry, ok := x.(map[string]any)
		if !ok {
			return operand("an entry is %s: want an object with key and value", typeName(x))
		}
		var key any
		for _, name := range []string{"key", "Key", "name", "Name"} {
			if key = entry[name]; key != nil && key != false {
				break
			}
		}
		name, ok := key.(string)
		if !ok {
			return operand("the key of an entry is %s: want a string", typeName(key))
		}
		value, ok := entry["value"]
		if !ok {
			value = entry["Value"]
		}
		object[name] = value
	}
	return object
}
