package catalogue

import (
	"encoding/json"
	"fmt"

	"github.com/postrider/postrider/pkg/subscription"
)

// Example returns the example of that index from the current schema of et, byte for byte as it is stored. If the schema
// has none, index 0 is made from the schema: the same every time, and valid wherever that takes no search (patterns and
// combinations with not are not solved). The error is a [*subscription.FieldError] of eventType or exampleIndex.
func Example(et *EventType, index int) (json.RawMessage, error) {
	_, raw, ok := et.Current()
	if !ok {
		return nil, &subscription.FieldError{
			Field:  "eventType",
			Detail: fmt.Sprintf("%q has no schema to take an example from: want one that has", et.Name),
		}
	}
	examples := examplesOf(raw, raw, maxHops)
	count := max(len(examples), 1)
	if index < 0 || index >= count {
		return nil, &subscription.FieldError{
			Field:  "exampleIndex",
			Detail: fmt.Sprintf("%d: event type %q has %d, want 0 to %d", index, et.Name, count, count-1),
		}
	}
	if len(examples) > 0 {
		return examples[index], nil
	}
	return generate(et.Name, raw)
}

// examplesOf returns the examples of a schema or, if it has none, those of the schema within root that it refers to.
func examplesOf(root, schema json.RawMessage, hops int) []json.RawMessage {
	var fields struct {
		Ref      string            `json:"$ref"`
		Example  json.RawMessage   `json:"example"` // OpenAPI 3.0
		Examples []json.RawMessage `json:"examples"`
	}
	if json.Unmarshal(schema, &fields) != nil || hops == 0 {
		return nil
	}
	switch {
	case len(fields.Examples) > 0:
		return fields.Examples
	case fields.Example != nil:
		return []json.RawMessage{fields.Example}
	case fields.Ref == "":
		return nil
	}
	tokens, err := pointerTokens(fields.Ref)
	if err != nil {
		return nil
	}
	for _, token := range tokens {
		var below map[string]json.RawMessage
		if json.Unmarshal(root, &below) != nil || below[token] == nil {
			return nil
		}
		schema, root = below[token], below[token]
	}
	return examplesOf(root, schema, hops-1)
}

// generate makes an example: with all fields, or with those that are required if the schema refuses that.
func generate(name string, raw json.RawMessage) (json.RawMessage, error) {
	c, err := compile(raw)
	if err != nil {
		return nil, fmt.Errorf("compiling schema of %s: %w", name, err)
	}
	root, err := decodeJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("reading schema of %s: %w", name, err)
	}
	var first json.RawMessage
	for _, sparse := range []bool{false, true} {
		g := generator{root: root, sparse: sparse, left: maxGenerated}
		v, _ := g.value(root, 0)
		made, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("writing example of %s: %w", name, err)
		}
		if first == nil {
			first = made
		}
		if data, err := decodeJSON(made); err == nil && len(c.validate(data, len(made), 1)) == 0 {
			return made, nil
		}
	}
	return first, nil
}
