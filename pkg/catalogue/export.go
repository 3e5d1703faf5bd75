package catalogue

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Export writes event types as an OpenAPI 3.1 document with webhooks, indented. [Import] reads the same event types from
// it; times and registry versions are not in it, and of $defs only those that something refers to come back.
func Export(types []EventType) ([]byte, error) {
	ex := exporter{schemas: map[string]any{}}
	hooks := map[string]any{}
	for i := range types {
		et := &types[i]
		if _, twice := hooks[et.Name]; twice {
			return nil, fmt.Errorf("exporting event types: %q is there twice", et.Name)
		}
		op, err := ex.operation(et)
		if err != nil {
			return nil, fmt.Errorf("exporting event type %s: %w", et.Name, err)
		}
		hooks[et.Name] = map[string]any{"post": op}
	}
	doc := map[string]any{
		"openapi":  "3.1.0",
		"info":     map[string]any{"title": "Event types", "version": "1"},
		"webhooks": hooks,
	}
	if len(ex.schemas) > 0 {
		doc["components"] = map[string]any{"schemas": ex.schemas}
	}
	raw, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("exporting event types: %w", err)
	}
	return append(raw, '\n'), nil
}

type exporter struct {
	schemas map[string]any // components.schemas
}

func (ex *exporter) operation(et *EventType) (map[string]any, error) {
	op := map[string]any{
		"operationId": et.Name,
		"description": et.Description,
		"responses":   map[string]any{"2XX": map[string]any{"description": "The event was received."}},
	}
	if et.Deprecated {
		op["deprecated"] = true
	}
	if et.Archived {
		op["x-archived"] = true
	}
	if et.GroupName != "" {
		op["tags"] = []any{et.GroupName}
		op["x-svix-group-name"] = et.GroupName
	}
	if len(et.FeatureFlags) > 0 {
		op["x-svix-feature-flags"] = et.FeatureFlags
	}
	return op, ex.addSchemas(op, et)
}

// addSchemas gives the operation its request body and, beside it, the other versions.
func (ex *exporter) addSchemas(op map[string]any, et *EventType) error {
	current, _, ok := et.Current()
	if !ok {
		return nil
	}
	others := map[string]any{}
	for _, version := range slices.Sorted(maps.Keys(et.Schemas)) {
		name := et.Name
		if version != current {
			name += ".v" + version
		}
		ref, err := ex.component(name, et.Schemas[version])
		if err != nil {
			return fmt.Errorf("schema %s: %w", version, err)
		}
		if version != current {
			others[version] = ref
			continue
		}
		op["requestBody"] = map[string]any{
			"content": map[string]any{"application/json": map[string]any{"schema": ref}},
		}
	}
	if current != "1" {
		op[xVersion] = current
	}
	if len(others) > 0 {
		op[xVersions] = others
	}
	return nil
}

// component puts a schema under a name that is free and returns the reference to it. References within the schema are
// made to go there: in an OpenAPI document they start at its root.
func (ex *exporter) component(name string, raw json.RawMessage) (map[string]any, error) {
	v, err := decodeJSON(raw)
	if err != nil {
		return nil, err
	}
	for ex.schemas[name] != nil {
		name += "_"
	}
	at := pointer([]string{"components", "schemas", name})
	w := rewriter{ref: func(ref string) (string, error) {
		if _, err := pointerTokens(ref); err != nil {
			return ref, nil //nolint:nilerr // an anchor
		}
		return at + ref[1:], nil
	}}
	if ex.schemas[name], err = w.rewrite(v); err != nil {
		return nil, err
	}
	return map[string]any{"$ref": at}, nil
}
