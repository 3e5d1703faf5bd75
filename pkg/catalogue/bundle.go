package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// bundler copies one schema out of a document, together with all it refers to.
type bundler struct {
	doc   *document
	root  node // the schema itself
	spent *budget

	names map[string]string // names in $defs by pointer
	taken map[string]bool   // these names
	queue []node            // what is in names but not yet in $defs
}

// bundle returns the schema at n as one that stands alone: every reference goes to its $defs, or to "#" where it refers
// to itself. A schema that is but a reference is replaced by what it names.
func (d *document) bundle(n node, spent *budget) (map[string]any, error) {
	root, err := d.bareRef(n)
	if err != nil {
		return nil, err
	}
	b := bundler{doc: d, root: root, spent: spent, names: map[string]string{}, taken: map[string]bool{}}
	copied, err := b.copy(root.value)
	if err != nil {
		return nil, err
	}
	out, ok := copied.(map[string]any)
	if !ok { // a truth value: true allows everything, false nothing
		out = map[string]any{}
		if copied == false {
			out["not"] = map[string]any{}
		}
	}
	defs := map[string]any{}
	for i := 0; i < len(b.queue); i++ {
		name := b.names[pointer(b.queue[i].at)]
		if defs[name], err = b.copy(b.queue[i].value); err != nil {
			return nil, within(pointer(b.queue[i].at), err)
		}
	}
	if len(defs) > 0 {
		out["$defs"] = defs
	}
	return out, nil
}

// bareRef follows references that have nothing beside them.
func (d *document) bareRef(n node) (node, error) {
	for range maxHops {
		m, _ := n.value.(map[string]any)
		ref, ok := m["$ref"].(string)
		if !ok || len(m) > 1 {
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

func (b *bundler) copy(v any) (any, error) {
	w := rewriter{
		ref:    b.ref,
		object: modernise,
		drop: func(keyword string) bool {
			// $defs are taken out one by one where something refers to them; $id would give references another base.
			return keyword == "$defs" || keyword == "definitions" || keyword == "$schema" || keyword == "$id"
		},
		visit: b.spent.spend,
	}
	return w.rewrite(v)
}

// ref gives the place that ref names a name in $defs.
func (b *bundler) ref(ref string) (string, error) {
	if ref == "#" {
		return ref, nil // as in a file of its own: the whole document is no schema
	}
	to, err := b.doc.resolve(ref)
	if err != nil {
		if to, err = b.own(ref, err); err != nil {
			return "", err
		}
	}
	if slices.Equal(to.at, b.root.at) {
		return "#", nil
	}
	key := pointer(to.at)
	name, known := b.names[key]
	if !known {
		name = b.newName(to.at[len(to.at)-1])
		b.names[key] = name
		b.queue = append(b.queue, to)
	}
	return "#/$defs/" + name, nil
}

// own resolves a reference against the schema itself: generators of schemas put files with $defs of their own into
// documents without changing them. failed is why the document has no such place.
func (b *bundler) own(ref string, failed error) (node, error) {
	tokens, err := pointerTokens(ref)
	if err != nil {
		return node{}, failed
	}
	v, ok := lookup(b.root.value, tokens)
	if !ok {
		return node{}, failed
	}
	return node{v, append(slices.Clip(b.root.at), tokens...)}, nil
}

// newName returns a name that needs no escaping and is not taken.
func (b *bundler) newName(from string) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && wordByte(byte(r)) { //nolint:gosec // ASCII
			return r
		}
		return '_'
	}, cut(from, maxQuoted))
	if name == "" {
		name = "_"
	}
	unique := name
	for i := 2; b.taken[unique]; i++ {
		unique = fmt.Sprintf("%s_%d", name, i)
	}
	b.taken[unique] = true
	return unique
}

// addExamples puts examples in front of those that a schema has.
func addExamples(schema map[string]any, examples []any) {
	if len(examples) == 0 {
		return
	}
	there, _ := schema["examples"].([]any)
	schema["examples"] = append(slices.Clone(examples), there...)
}

// encodeSchema writes a schema as it is stored.
func encodeSchema(schema map[string]any) (json.RawMessage, error) {
	raw, err := json.Marshal(schema)
	if err != nil {
		return nil, errors.New("cannot be written as JSON") // numbers and texts only: cannot happen
	}
	return raw, nil
}
