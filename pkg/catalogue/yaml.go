package catalogue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// placeError is what is wrong at one place of a YAML document.
type placeError struct {
	position
	path, detail string
}

// Error implements error.
func (e *placeError) Error() string {
	text := e.detail
	if e.path != "" {
		text = e.path + ": " + text
	}
	if e.line > 0 {
		return fmt.Sprintf("line %d, column %d: %s", e.line, e.column, text)
	}
	return text
}

// parseYAML reads one YAML document. The parser is not that of the rest of Postrider: documents come from strangers, and
// goccy/go-yaml takes a time quadratic in the depth of a document.
func parseYAML(raw []byte) (*document, error) {
	d := yaml.NewDecoder(bytes.NewReader(raw))
	var first, second yaml.Node
	if err := d.Decode(&first); err != nil {
		return nil, syntaxError(err)
	}
	if err := d.Decode(&second); err == nil {
		return nil, &placeError{position{second.Line, second.Column}, "", "a second document: want one per file"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(err)
	}
	r := yamlReader{at: make(map[string]position), left: maxNodes}
	root, err := r.value(&first, "", maxDepth)
	if err != nil {
		return nil, err
	}
	return &document{root: root, at: r.at}, nil
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)`)

// syntaxError takes the line out of the parser's text: it has no other way to say it.
func syntaxError(err error) error {
	if errors.Is(err, io.EOF) {
		return &placeError{position{1, 1}, "", "is empty"}
	}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1])
		return &placeError{position{line, 1}, "", cut(m[2], 2*maxQuoted)}
	}
	return &placeError{position{1, 1}, "", cut(strings.TrimPrefix(err.Error(), "yaml: "), 2*maxQuoted)}
}

// yamlReader turns the parser's nodes into the values of a [document].
type yamlReader struct {
	at   map[string]position
	left int // nodes that may still be read
}

func (r *yamlReader) fail(n *yaml.Node, path, format string, args ...any) error {
	return &placeError{position{n.Line, n.Column}, path, fmt.Sprintf(format, args...)}
}

func (r *yamlReader) value(n *yaml.Node, path string, depth int) (any, error) {
	if r.left--; r.left < 0 {
		return nil, r.fail(n, "", "more than %d values, aliases included: want a smaller document", maxNodes)
	}
	if depth == 0 {
		return nil, r.fail(n, "", "is nested more than %d deep", maxDepth)
	}
	r.mark(path, n)
	switch n.Kind {
	case yaml.DocumentNode:
		return r.value(n.Content[0], path, depth)
	case yaml.AliasNode:
		return r.value(n.Alias, path, depth-1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			v, err := r.value(item, itemPath(path, i), depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return r.fields(n, path, depth)
	default:
		return r.scalar(n, path)
	}
}

func (r *yamlReader) fields(n *yaml.Node, path string, depth int) (map[string]any, error) {
	m := make(map[string]any, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return nil, r.fail(key, path, "want a text as name of a field")
		}
		if key.Tag == "!!merge" {
			merged = append(merged, value)
			continue
		}
		below := joinPath(path, key.Value)
		if _, twice := m[key.Value]; twice {
			return nil, r.fail(key, below, "is there twice")
		}
		r.mark(below, key)
		v, err := r.value(value, below, depth-1)
		if err != nil {
			return nil, err
		}
		m[key.Value] = v
	}
	for _, from := range merged {
		if err := r.merge(m, from, path, depth-1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// merge adds what "<<" names: fields, or a list of fields of which the first wins. Fields that are there stay.
func (r *yamlReader) merge(into map[string]any, n *yaml.Node, path string, depth int) error {
	v, err := r.value(n, path, depth)
	if err != nil {
		return err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, from := range list {
		fields, ok := from.(map[string]any)
		if !ok {
			return r.fail(n, joinPath(path, "<<"), "is %s: want fields or a list of them", kindOf(from))
		}
		for name, value := range fields {
			if _, there := into[name]; !there {
				into[name] = value
			}
		}
	}
	return nil
}

func (r *yamlReader) scalar(n *yaml.Node, path string) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		return r.number(n, path)
	case "!!str", "!!timestamp": // a date is a text in JSON
		return n.Value, nil
	}
	return nil, r.fail(n, path, "has the tag %s: want a value that JSON has, too", cut(n.Tag, maxQuoted))
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$`)

// number keeps numbers as they are written, where JSON writes them so, too.
func (r *yamlReader) number(n *yaml.Node, path string) (any, error) {
	if jsonNumber.MatchString(n.Value) {
		if err := checkNumber(n.Value); err != nil {
			return nil, r.fail(n, path, "%s", err)
		}
		return json.Number(n.Value), nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, r.fail(n, path, "%q: want a number", cut(n.Value, maxQuoted))
	}
	if f, ok := v.(float64); ok {
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, r.fail(n, path, "%s: want a number that JSON has, too", cut(n.Value, maxQuoted))
		}
		return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
	}
	return json.Number(fmt.Sprint(v)), nil
}

// Limits of the places that are remembered: beyond them errors name a place further out.
const (
	maxPath  = 300
	maxMarks = 100_000
)

// mark remembers where a path stands, the first time it is told.
func (r *yamlReader) mark(path string, n *yaml.Node) {
	if _, known := r.at[path]; !known && len(r.at) < maxMarks {
		r.at[path] = position{n.Line, n.Column}
	}
}

// joinPath appends the name of a field, and not to a path that is long already: a document may have names of a megabyte.
func joinPath(path, name string) string {
	switch {
	case len(path) > maxPath:
		return path
	case path == "":
		return cut(name, maxPath)
	}
	return path + "." + cut(name, maxPath)
}

// itemPath appends the index of a list.
func itemPath(path string, i int) string {
	if len(path) > maxPath {
		return path
	}
	return path + "[" + strconv.Itoa(i) + "]"
}
