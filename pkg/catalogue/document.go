package catalogue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Limits of documents.
const (
	// MaxDocument bounds a document or catalogue file in bytes.
	MaxDocument = 4 << 20
	// MaxEventTypes bounds the event types of one document or catalogue file.
	MaxEventTypes = 2000
	// maxNodes bounds the values of a document with its aliases replaced by what they stand for: aliases of aliases make a
	// short document stand for a huge one.
	maxNodes = 1_000_000
	// maxHops bounds how many references are followed from one to the next.
	maxHops = 16
)

// position is where something stands in a document, from 1; the zero position is unknown.
type position struct{ line, column int }

// document is a JSON or YAML document as maps, lists, strings, json.Numbers, truth values and nils.
type document struct {
	root any
	// at is where every value or, in maps, its name stands, by path ("eventTypes[0].name"). It is nil for JSON.
	at map[string]position
}

// parseDocument reads JSON or YAML.
func parseDocument(raw []byte) (*document, error) {
	if n := len(raw); n > MaxDocument {
		return nil, fmt.Errorf("document of %d bytes: want at most %d", n, MaxDocument)
	}
	if text := bytes.TrimSpace(raw); len(text) > 0 && text[0] == '{' {
		if root, err := decodeJSON(text); err == nil {
			return &document{root: root}, nil
		}
		// Flow style YAML begins like JSON, and its parser knows the line of a mistake.
	}
	return parseYAML(raw)
}

// node is a value of a document and where it stands, as the tokens of a JSON pointer.
type node struct {
	value any
	at    []string
}

// child returns what stands in a map under name; it has a nil value if there is nothing.
func (n node) child(name string) node {
	m, _ := n.value.(map[string]any)
	return node{m[name], append(slices.Clip(n.at), name)}
}

// item returns an element of a list.
func (n node) item(i int) node {
	return node{n.value.([]any)[i], append(slices.Clip(n.at), fmt.Sprint(i))}
}

// text returns the first of the names under which a map has a text that is not empty.
func (n node) text(names ...string) string {
	for _, name := range names {
		if s, _ := n.child(name).value.(string); s != "" {
			return s
		}
	}
	return ""
}

// truth reports whether a map has true under one of the names.
func (n node) truth(names ...string) bool {
	for _, name := range names {
		if b, _ := n.child(name).value.(bool); b {
			return true
		}
	}
	return false
}

// deref follows references until it is at something else.
func (d *document) deref(n node) (node, error) {
	for range maxHops {
		m, _ := n.value.(map[string]any)
		ref, ok := m["$ref"].(string)
		if !ok {
			return n, nil
		}
		to, err := d.resolve(ref)
		if err != nil {
			return n, err
		}
		n = to
	}
	return n, fmt.Errorf("$ref: more than %d references one after the other", maxHops)
}

// resolve returns what a reference within the document names.
func (d *document) resolve(ref string) (node, error) {
	tokens, err := pointerTokens(ref)
	if err != nil {
		return node{}, err
	}
	v, ok := lookup(d.root, tokens)
	if !ok {
		return node{}, fmt.Errorf("$ref %q: there is no such place in the document", cut(ref, maxQuoted))
	}
	return node{v, tokens}, nil
}

// pointerTokens splits a reference that is a JSON pointer in a fragment: "#/components/schemas/Order".
func pointerTokens(ref string) ([]string, error) {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || pointer != "" && pointer[0] != '/' {
		return nil, fmt.Errorf("$ref %q: want a place within the document, #/…", cut(ref, maxQuoted))
	}
	pointer, err := url.PathUnescape(pointer)
	if err != nil {
		return nil, fmt.Errorf("$ref %q: want a place within the document, #/…", cut(ref, maxQuoted))
	}
	if pointer == "" {
		return nil, nil
	}
	tokens := strings.Split(pointer[1:], "/")
	for i, t := range tokens {
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(t)
	}
	return tokens, nil
}

// pointer writes tokens as a reference.
func pointer(tokens []string) string {
	var b strings.Builder
	b.WriteByte('#')
	for _, t := range tokens {
		b.WriteByte('/')
		t = strings.NewReplacer("~", "~0", "/", "~1").Replace(t)
		b.WriteString((&url.URL{Fragment: t}).EscapedFragment())
	}
	return b.String()
}

func lookup(v any, tokens []string) (any, bool) {
	for _, t := range tokens {
		switch in := v.(type) {
		case map[string]any:
			below, ok := in[t]
			if !ok {
				return nil, false
			}
			v = below
		case []any:
			if v = elementOf(in, t); v == nil {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return v, true
}

// budget bounds the bytes that bundling writes: a document of many event types that all refer to one large schema would
// otherwise become the product of both.
type budget struct{ left int }

// maxBundled is the bytes of all schemas of a document together.
const maxBundled = 32 << 20

var errBundled = errors.New("the schemas of all event types together are too large: import fewer at a time")

// spend takes what v, without what it holds if deep is false, needs in JSON, roughly.
func (b *budget) spend(v any, deep bool) error {
	if b.left < 0 {
		return errBundled
	}
	b.left -= 4
	switch v := v.(type) {
	case string:
		b.left -= len(v)
	case json.Number:
		b.left -= len(v)
	case map[string]any:
		for name, below := range v {
			b.left -= len(name) + 3
			if deep && b.spend(below, deep) != nil {
				return errBundled
			}
		}
	case []any:
		for _, below := range v {
			if deep && b.spend(below, deep) != nil {
				return errBundled
			}
		}
	}
	return nil
}
