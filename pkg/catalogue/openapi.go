package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
)

// Extensions of our own in OpenAPI documents.
const (
	// xVersion is the version that the schema of the request body has, "1" if it is not there.
	xVersion = "x-schema-version"
	// xVersions holds the schemas of the other versions.
	xVersions = "x-schema-versions"
)

// openAPI reads webhooks (3.1) and x-webhooks (3.0).
func (im *importer) openAPI(root node) {
	for _, section := range []string{"webhooks", "x-webhooks"} {
		hooks := root.child(section)
		fields, ok := hooks.value.(map[string]any)
		if !ok && hooks.value != nil {
			im.fail(section, fmt.Errorf("is %s: want event types by name", kindOf(hooks.value)))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			if im.full() {
				return
			}
			im.pathItem(section+"."+cut(key, maxQuoted), key, hooks.child(key))
		}
	}
}

// pathItem adds the event types of one webhook: of its only operation or, if there are several, of each.
func (im *importer) pathItem(place, key string, n node) {
	item, err := im.doc.deref(n)
	if err != nil {
		im.fail(place, err)
		return
	}
	var methods []string
	for _, method := range []string{"post", "put", "patch", "get", "delete", "options", "head", "trace"} {
		if _, ok := item.child(method).value.(map[string]any); ok {
			methods = append(methods, method)
		}
	}
	if len(methods) == 0 {
		im.fail(place, errors.New("has no operation: want post"))
	}
	for _, method := range methods {
		im.operation(place+"."+method, key, len(methods) > 1, item, item.child(method))
	}
}

func (im *importer) operation(place, key string, several bool, item, op node) {
	et := EventType{Name: key}
	if id := op.text("operationId"); id != "" && (several || badWord(key) != "") {
		et.Name = id
	}
	if err := described(&et, op, item); err != nil {
		im.fail(place, err)
		return
	}
	if err := im.bodySchemas(&et, op); err != nil {
		im.fail(place, err)
		return
	}
	im.add(place, et)
}

// bodySchemas fills in the schemas: none if there is no request body.
func (im *importer) bodySchemas(et *EventType, op node) error {
	schemas := map[string]map[string]any{}
	if err := im.otherVersions(schemas, op.child(xVersions)); err != nil {
		return within(xVersions, err)
	}
	body, err := im.bodySchema(op.child("requestBody"))
	if err != nil {
		return within("requestBody", err)
	}
	if body != nil {
		version := op.text(xVersion)
		if version == "" {
			version = "1"
		}
		schemas[version] = body
	}
	et.Schemas, err = encodeSchemas(schemas)
	return err
}

func (im *importer) otherVersions(schemas map[string]map[string]any, n node) error {
	versions, _ := n.value.(map[string]any)
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		schema, err := im.schema(n.child(version), nil)
		if err != nil {
			return within(version, err)
		}
		schemas[version] = schema
	}
	return nil
}

func encodeSchemas(schemas map[string]map[string]any) (map[string]json.RawMessage, error) {
	if len(schemas) == 0 {
		return nil, nil
	}
	out := make(map[string]json.RawMessage, len(schemas))
	for version, schema := range schemas {
		raw, err := encodeSchema(schema)
		if err != nil {
			return nil, err
		}
		out[version] = raw
	}
	return out, nil
}

// bodySchema returns the schema of the JSON in a request body, or nil if there is no body.
func (im *importer) bodySchema(n node) (map[string]any, error) {
	if n.value == nil {
		return nil, nil
	}
	body, err := im.doc.deref(n)
	if err != nil {
		return nil, err
	}
	content := body.child("content")
	types, _ := content.value.(map[string]any)
	for _, mediaType := range slices.Sorted(maps.Keys(types)) {
		if !isJSON(mediaType) {
			continue
		}
		media := content.child(mediaType)
		schema := media.child("schema")
		if schema.value == nil {
			schema.value = map[string]any{}
		}
		examples, err := im.mediaExamples(media)
		if err == nil {
			var out map[string]any
			if out, err = im.schema(schema, examples); err == nil {
				return out, nil
			}
			err = within("schema", err)
		}
		return nil, within("content."+mediaType, err)
	}
	return nil, errors.New("has no JSON: want content with application/json")
}

// isJSON reports whether a media type is JSON: application/json, or one that is written in it.
func isJSON(mediaType string) bool {
	t, _, err := mime.ParseMediaType(mediaType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// mediaExamples returns the value of example, and of the examples in the order of their names.
func (im *importer) mediaExamples(media node) (out []any, err error) {
	fields, _ := media.value.(map[string]any)
	if example, ok := fields["example"]; ok {
		out = append(out, example)
	}
	examples := media.child("examples")
	named, _ := examples.value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(named)) {
		example, err := im.doc.deref(examples.child(name))
		if err != nil {
			return nil, within("examples."+name, err)
		}
		fields, _ := example.value.(map[string]any)
		if value, ok := fields["value"]; ok { // else it is elsewhere: externalValue
			out = append(out, value)
		}
	}
	return out, nil
}
