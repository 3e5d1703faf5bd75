package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// checkFile returns an error for every key of a parsed file that is no setting.
func checkFile(path string, text []byte, parsed map[string]any) error {
	var errs []error
	for _, u := range unknown(parsed, reflect.TypeFor[Config](), "") {
		where := path
		if line := lineOf(text, u.path); line > 0 {
			where = fmt.Sprintf("%s:%d", path, line)
		}
		errs = append(errs, fmt.Errorf("%s: %s: no such key%s", where, u.path, u.hint))
	}
	return errors.Join(errs...)
}

// unknownKey is a key that is no setting, and what was probably meant.
type unknownKey struct{ path, hint string }

// unknown walks a section and returns the keys that the struct type does not have.
func unknown(section map[string]any, t reflect.Type, prefix string) []unknownKey {
	fields := fieldsOf(t)
	names := slices.Sorted(maps.Keys(fields))
	var found []unknownKey
	for _, name := range slices.Sorted(maps.Keys(section)) {
		path := prefix + name
		field, ok := fields[name]
		if !ok {
			found = append(found, unknownKey{path, meant(name, names)})
			continue
		}
		switch value := section[name].(type) {
		case map[string]any:
			if field.Kind() == reflect.Struct {
				found = append(found, unknown(value, field, path+".")...)
			}
		case []any:
			for i, item := range value {
				if inner, ok := item.(map[string]any); ok && field.Kind() == reflect.Slice {
					found = append(found, unknown(inner, field.Elem(), fmt.Sprintf("%s[%d].", path, i))...)
				}
			}
		}
	}
	return found
}

// fieldsOf returns the settings and sections of t by name, those of embedded structs included.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type)
	if t.Kind() != reflect.Struct {
		return fields
	}
	for f := range t.Fields() {
		if f.Anonymous {
			maps.Copy(fields, fieldsOf(f.Type))
		} else if name := f.Tag.Get("koanf"); name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}

// meant returns ": did you mean …?" if one of the candidates is close to got.
func meant(got string, candidates []string) string {
	if c := closest(got, candidates); c != "" {
		return ": did you mean " + c + "?"
	}
	return ""
}

func paths(keys []key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, k.path)
	}
	return all
}

// plainPath matches the paths that the YAML library can look up; others make it panic.
var plainPath = regexp.MustCompile(`^\w+(\[\d+\])?(\.\w+(\[\d+\])?)*$`)

// lineOf returns the line of the key at path in a YAML text, 0 if it cannot be told.
func lineOf(text []byte, path string) int {
	if !plainPath.MatchString(path) {
		return 0
	}
	p, err := yaml.PathString("$." + path)
	if err != nil {
		return 0
	}
	node, err := p.ReadNode(bytes.NewReader(text))
	if err != nil || node == nil {
		return 0
	}
	line := node.GetToken().Position.Line
	// The node is the value, which may stand below its key.
	name := path[strings.LastIndexByte(path, '.')+1:] + ":"
	lines := bytes.Split(text, []byte("\n"))
	for i := min(line, len(lines)); i > 0; i-- {
		if bytes.Contains(lines[i-1], []byte(name)) {
			return i
		}
	}
	return line
}
