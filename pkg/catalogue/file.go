package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/subscription"
)

// File is the content of a catalogue file:
//
//	group: contacts                # of the event types that name none
//	definitions:                   # shared: {$ref: "#/definitions/Contact"}
//	  Contact: {type: object, properties: {id: {type: string}}, required: [id]}
//	eventTypes:
//	  - name: contact.created
//	    description: A contact was added.
//	    group: people
//	    archived: false          # and deprecated
//	    featureFlags: [beta]
//	    schema: {$ref: "#/definitions/Contact"}   # or schemas, by version: {"1": …, "2": …}
//	    examples:                  # of the current schema
//	      - {id: "42"}
type File struct {
	// Group is the group of event types that name none.
	Group string
	// EventTypes are in the order of the file, validated, with schemas that stand alone.
	EventTypes []EventType
}

// ParseFile reads and validates a catalogue file. name is what errors call it. The error joins a
// [*subscription.FileError] for everything that is wrong, in the order of the file.
func ParseFile(name string, raw []byte) (*File, error) {
	p := fileParser{file: name, spent: &budget{left: maxBundled}, places: map[string]string{}}
	doc, err := parseCatalogue(raw)
	if err != nil {
		p.syntax(err)
		return nil, p.err()
	}
	p.doc = doc
	f := p.root()
	if err := p.err(); err != nil {
		return nil, err
	}
	return f, nil
}

// parseCatalogue reads YAML always: JSON is YAML, too, and only its reader knows lines.
func parseCatalogue(raw []byte) (*document, error) {
	if n := len(raw); n > MaxDocument {
		return nil, fmt.Errorf("%d bytes: want at most %d", n, MaxDocument)
	}
	return parseYAML(raw)
}

type fileParser struct {
	file   string
	doc    *document
	spent  *budget
	places map[string]string // paths of event types by name
	errs   []*subscription.FileError
}

func (p *fileParser) syntax(err error) {
	e := &subscription.FileError{File: p.file, Line: 1, Column: 1, Detail: err.Error()}
	if at, ok := errors.AsType[*placeError](err); ok {
		e.Line, e.Column, e.Field, e.Detail = at.line, at.column, at.path, at.detail
	}
	p.errs = append(p.errs, e)
}

// fail reports a problem at the field or, if it is not in the file, at what would hold it.
func (p *fileParser) fail(field, format string, args ...any) {
	path := field
	for path != "" {
		if _, known := p.doc.at[path]; known {
			break
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	at := p.doc.at[path]
	p.errs = append(p.errs, &subscription.FileError{
		File: p.file, Line: at.line, Column: at.column, Field: field, Detail: fmt.Sprintf(format, args...),
	})
}

// err returns the errors in the order of the file, joined, at most maxErrors.
func (p *fileParser) err() error {
	slices.SortStableFunc(p.errs, func(a, b *subscription.FileError) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	errs := make([]error, 0, maxErrors)
	for _, e := range p.errs[:min(len(p.errs), maxErrors)] {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

func (p *fileParser) root() *File {
	root := node{value: p.doc.root}
	if !p.known(root, "", "group", "definitions", "eventTypes") {
		return nil
	}
	f := &File{Group: p.text(root, "", "group")}
	if f.Group != "" && badWord(f.Group) != "" {
		p.fail("group", "%s", badWord(f.Group))
	}
	list := root.child("eventTypes")
	items, ok := list.value.([]any)
	if !ok || len(items) == 0 {
		p.fail("eventTypes", "missing: want a list of event types")
	}
	if len(items) > MaxEventTypes {
		p.fail("eventTypes", "%d: want at most %d in one file", len(items), MaxEventTypes)
		return nil
	}
	for i := range items {
		if len(p.errs) >= maxErrors {
			break
		}
		et := p.eventType(list.item(i), fmt.Sprintf("eventTypes[%d]", i))
		if et.GroupName == "" {
			et.GroupName = f.Group
		}
		f.EventTypes = append(f.EventTypes, et)
	}
	return f
}

// known reports whether n has fields, and complains of those that are not among names.
func (p *fileParser) known(n node, path string, names ...string) bool {
	fields, ok := n.value.(map[string]any)
	if !ok {
		p.fail(path, "is %s: want fields (name: value)", kindOf(n.value))
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(names, name) {
			p.fail(joinPath(path, name), "there is no such field: want %s", strings.Join(names, ", "))
		}
	}
	return true
}

func (p *fileParser) eventType(n node, path string) (et EventType) {
	if !p.known(n, path, "name", "description", "group", "deprecated", "archived", "featureFlags",
		"schema", "schemas", "examples") {
		return et
	}
	et = EventType{
		Name:         p.text(n, path, "name"),
		Description:  p.text(n, path, "description"),
		GroupName:    p.text(n, path, "group"),
		Deprecated:   p.truth(n, path, "deprecated"),
		Archived:     p.truth(n, path, "archived"),
		FeatureFlags: p.texts(n, path, "featureFlags"),
	}
	if other, twice := p.places[et.Name]; twice {
		p.fail(path+".name", "%q: is that of %s already", et.Name, other)
	}
	p.places[et.Name] = path
	before := len(p.errs)
	et.Schemas = p.schemas(n, path)
	if len(p.errs) > before {
		return et
	}
	schema, err := validate(&et)
	for _, field := range fieldErrors(err) {
		p.fail(p.placeOf(n, path, field.Field), "%s", field.Detail)
	}
	p.checkExamples(n, path, schema)
	return et
}

// placeOf returns the path in the file of a field of an event type.
func (p *fileParser) placeOf(n node, path, field string) string {
	switch {
	case field == "groupName":
		field = "group"
	case strings.HasPrefix(field, "schemas") && n.child("schema").value != nil:
		field = "schema"
	}
	return joinPath(path, field)
}

// schemas reads schema or schemas, and puts the examples into the current one.
func (p *fileParser) schemas(n node, path string) map[string]json.RawMessage {
	one, several := n.child("schema"), n.child("schemas")
	sources := map[string]node{}
	switch fields, ok := several.value.(map[string]any); {
	case one.value != nil && several.value != nil:
		p.fail(path+".schema", "is there, and so is schemas: want one of them")
	case one.value != nil:
		sources["1"] = one
	case ok:
		for version := range fields {
			sources[version] = several.child(version)
		}
	case several.value != nil:
		p.fail(path+".schemas", "is %s: want schemas by version", kindOf(several.value))
	}
	bundled := map[string]map[string]any{}
	current := ""
	for version, source := range sources {
		schema, err := p.doc.bundle(source, p.spent)
		if err != nil {
			p.fail(p.placeOf(n, path, "schemas."+version), "%s", err)
			return nil
		}
		if bundled[version] = schema; versionNumber(version) > versionNumber(current) {
			current = version
		}
	}
	p.examples(n, path, bundled[current])
	encoded, err := encodeSchemas(bundled)
	if err != nil {
		p.fail(path+".schema", "%s", err)
	}
	return encoded
}
