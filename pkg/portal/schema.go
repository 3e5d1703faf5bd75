package portal

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// schemaField is a row of the table that shows a JSON Schema to people.
type schemaField struct {
	Path, Type, Description string
	Required                bool
}

const (
	// maxDepth and maxFields bound a table: schemas may refer to themselves.
	maxDepth  = 8
	maxFields = 400
)

// schemaNode is what a table shows of a schema.
type schemaNode struct {
	Ref         string                     `json:"$ref"`
	Type        json.RawMessage            `json:"type"`
	Format      string                     `json:"format"`
	Title       string                     `json:"title"`
	Description string                     `json:"description"`
	Enum        []json.RawMessage          `json:"enum"`
	Const       json.RawMessage            `json:"const"`
	Properties  map[string]json.RawMessage `json:"properties"`
	Required    []string                   `json:"required"`
	Items       json.RawMessage            `json:"items"`
	OneOf       []json.RawMessage          `json:"oneOf"`
	AnyOf       []json.RawMessage          `json:"anyOf"`
	AllOf       []json.RawMessage          `json:"allOf"`
}

// schemaWalk makes the table of one document.
type schemaWalk struct {
	root json.RawMessage
	rows []schemaField
}

// schemaFields makes the table of a JSON Schema: a row for each field, by its path.
func schemaFields(raw json.RawMessage) []schemaField {
	w := &schemaWalk{root: raw}
	w.children("", w.read(raw), 0)
	return w.rows
}

// read reads a schema, through its reference if it is one. What is no object (true, false) has nothing to show.
func (w *schemaWalk) read(raw json.RawMessage) schemaNode {
	var n schemaNode
	for range maxDepth {
		n = schemaNode{}
		if json.Unmarshal(raw, &n) != nil || n.Ref == "" {
			break
		}
		if raw = w.resolve(n.Ref); raw == nil {
			break
		}
	}
	return n
}

// resolve finds what a reference within the document points to (RFC 6901), nil for nothing.
func (w *schemaWalk) resolve(ref string) json.RawMessage {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	at := w.root
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if token == "" {
			continue
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(at, &object) != nil {
			return nil
		}
		at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
	}
	return at
}

// children adds the rows of what is below a schema.
func (w *schemaWalk) children(at string, n schemaNode, depth int) {
	if depth > maxDepth {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		if len(w.rows) >= maxFields {
			return
		}
		child, below := w.read(n.Properties[name]), name
		if at != "" {
			below = at + "." + name
		}
		if len(child.Items) > 0 {
			below += "[]"
		}
		w.rows = append(w.rows, schemaField{
			Path: below, Type: w.typeOf(child), Description: strings.TrimSpace(child.Description + enumText(child)), Required: slices.Contains(n.Required, name),
		})
		if len(child.Items) > 0 {
			child = w.read(child.Items)
		}
		w.children(below, child, depth+1)
	}
	for _, part := range slices.Concat(n.AllOf, n.OneOf, n.AnyOf) {
		w.children(at, w.read(part), depth+1)
	}
}

// typeOf is the type of a schema in words.
func (w *schemaWalk) typeOf(n schemaNode) string {
	text := typeText(n.Type)
	switch {
	case len(n.Items) > 0:
		if inner := w.typeOf(w.read(n.Items)); inner != "" {
			return "array of " + inner
		}
		return "array"
	case text == "" && len(n.Properties) > 0:
		text = "object"
	case text == "" && len(n.Enum) > 0:
		text = "one of a list"
	}
	if n.Format != "" {
		text += " (" + n.Format + ")"
	}
	return text
}

// typeText reads a type, or a list of types.
func typeText(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var many []string
	_ = json.Unmarshal(raw, &many) // what is neither is no type
	return strings.Join(many, " or ")
}

// enumText lists the values that are allowed.
func enumText(n schemaNode) string {
	values := n.Enum
	if n.Const != nil {
		values = []json.RawMessage{n.Const}
	}
	if len(values) == 0 {
		return ""
	}
	texts := make([]string, 0, len(values))
	for _, v := range values {
		texts = append(texts, string(v))
	}
	return " One of: " + strings.Join(texts, ", ") + "."
}

// prettyJSON indents JSON; what is none stays as it is.
func prettyJSON(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return b.String()
}
