package subscription

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxNodes bounds what one file may hold: aliases of aliases can make a short file stand for a huge one.
const maxNodes = 5_000_000

// yamlReader fills structs from YAML and keeps going after an error, so that all are told at once. It remembers where
// every field stands.
type yamlReader struct {
	file    string
	errs    []*FileError
	at      map[string]*token.Position
	anchors map[string]ast.Node
	nodes   int // still allowed
}

// readYAML fills the struct that into points to. Fields are named by their yaml tags; there may be no others.
// A text in the place of a struct stands for the field with the tag short, if there is one.
// At most nodes values are read.
func readYAML(file string, text []byte, into any, nodes int) *yamlReader {
	r := &yamlReader{file: file, at: map[string]*token.Position{}, anchors: map[string]ast.Node{}, nodes: nodes}
	parsed, err := parser.ParseBytes(text, 0)
	if err != nil {
		r.syntax(err)
		return r
	}
	for i, doc := range parsed.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentType:
		case i > 0:
			r.fail(position(doc.Body), "", "a second document: want one per file")
		default:
			r.value(doc.Body, reflect.ValueOf(into).Elem(), "")
		}
	}
	return r
}

func (r *yamlReader) syntax(err error) {
	var bad *yaml.SyntaxError
	if errors.As(err, &bad) && bad.Token != nil {
		r.fail(bad.Token.Position, "", "%s", bad.Message)
		return
	}
	r.fail(nil, "", "%s", err)
}

func (r *yamlReader) fail(at *token.Position, field, format string, args ...any) {
	e := &FileError{File: r.file, Field: field, Detail: fmt.Sprintf(format, args...)}
	if at != nil {
		e.Line, e.Column = at.Line, at.Column
	}
	r.errs = append(r.errs, e)
}

// failField reports a problem of a field by its path, at the field or, if it is not in the file, at what would hold it.
func (r *yamlReader) failField(field, format string, args ...any) {
	path := field
	for r.at[path] == nil && path != "" {
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	r.fail(r.at[path], field, format, args...)
}

// err returns all errors in the order of the file, joined.
func (r *yamlReader) err() error {
	slices.SortStableFunc(r.errs, func(a, b *FileError) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	errs := make([]error, len(r.errs))
	for i, e := range r.errs {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// value sets to from n, which stands at path.
func (r *yamlReader) value(n ast.Node, to reflect.Value, path string) {
	at := position(n)
	if r.at[path] == nil {
		r.at[path] = at
	}
	if r.nodes--; r.nodes < 0 {
		if r.nodes == -1 {
			r.fail(at, path, "too many values in one file: split it")
		}
		return
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		r.value(n.Value, to, path)
		r.anchors[n.Name.GetToken().Value] = n.Value // not before: nothing can hold itself
		return
	case *ast.AliasNode:
		r.alias(n, to, path)
		return
	case *ast.NullNode:
		return
	}
	if text, ok := reflect.TypeAssert[encoding.TextUnmarshaler](to.Addr()); ok {
		if s, ok := r.scalar(n, path); ok {
			if err := text.UnmarshalText([]byte(s)); err != nil {
				r.fail(at, path, "%s", err)
			}
		}
		return
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		r.value(n, to.Elem(), path)
	case reflect.Struct:
		if field, ok := short(n, to); ok {
			r.value(n, field, path)
			return
		}
		r.fields(n, to, path)
	case reflect.Slice:
		r.list(n, to, path)
	case reflect.Map:
		r.entries(n, to, path)
	default:
		r.plain(n, to, path)
	}
}

// alias reads what the alias stands for.
func (r *yamlReader) alias(n *ast.AliasNode, to reflect.Value, path string) {
	name := n.Value.GetToken().Value
	target, ok := r.anchors[name]
	if !ok {
		r.fail(position(n), path, "*%s: there is no anchor &%s above", name, name)
		return
	}
	r.value(target, to, path)
}

// mapping returns the pairs of n.
func (r *yamlReader) mapping(n ast.Node, path string) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	r.fail(position(n), path, "want fields (name: value), got %s", describe(n))
	return nil
}

func (r *yamlReader) fields(n ast.Node, to reflect.Value, path string) {
	known := map[string]int{}
	var names []string
	for i := range to.NumField() {
		if name := to.Type().Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			known[name] = i
			names = append(names, name)
		}
	}
	for _, pair := range r.mapping(n, path) {
		name := pair.Key.GetToken().Value
		field := join(path, name)
		i, ok := known[name]
		if !ok {
			r.fail(pair.Key.GetToken().Position, field, "there is no such field%s", suggest(name, names))
			continue
		}
		r.at[field] = pair.Key.GetToken().Position
		r.value(pair.Value, to.Field(i), field)
	}
}

// short returns the field of a struct that a text in the struct's place stands for: the one with the tag short.
func short(n ast.Node, to reflect.Value) (reflect.Value, bool) {
	if describe(n) != singleValue {
		return reflect.Value{}, false
	}
	for i := range to.NumField() {
		if to.Type().Field(i).Tag.Get("short") != "" {
			return to.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func (r *yamlReader) entries(n ast.Node, to reflect.Value, path string) {
	to.Set(reflect.MakeMap(to.Type()))
	for _, pair := range r.mapping(n, path) {
		name := pair.Key.GetToken().Value
		field := join(path, name)
		r.at[field] = pair.Key.GetToken().Position
		v := reflect.New(to.Type().Elem()).Elem()
		r.value(pair.Value, v, field)
		to.SetMapIndex(reflect.ValueOf(name), v)
	}
}

func (r *yamlReader) list(n ast.Node, to reflect.Value, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fail(position(n), path, "want a list, got %s", describe(n))
		return
	}
	to.Set(reflect.MakeSlice(to.Type(), len(seq.Values), len(seq.Values)))
	for i, v := range seq.Values {
		r.value(v, to.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

// scalar returns the text of a value that is neither fields nor a list.
func (r *yamlReader) scalar(n ast.Node, path string) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	r.fail(position(n), path, "want a text, got %s", describe(n))
	return "", false
}

// plain sets a text, a number or a truth value. Numbers are good as texts: a uid may look like one.
func (r *yamlReader) plain(n ast.Node, to reflect.Value, path string) {
	text, ok := r.scalar(n, path)
	if !ok {
		return
	}
	var err error
	switch to.Kind() {
	case reflect.String:
		to.SetString(text)
	case reflect.Bool:
		b, isBool := n.(*ast.BoolNode)
		if !isBool {
			r.fail(position(n), path, "%q: want true or false", text)
			return
		}
		to.SetBool(b.Value)
	case reflect.Int, reflect.Int64:
		var v int64
		if v, err = strconv.ParseInt(text, 10, 64); err == nil {
			to.SetInt(v)
		}
	case reflect.Float64:
		var v float64
		if v, err = strconv.ParseFloat(text, 64); err == nil {
			to.SetFloat(v)
		}
	default:
		panic("subscription: no rule for a field of type " + to.Type().String())
	}
	if err != nil {
		r.fail(position(n), path, "%q: want a number", text)
	}
}
