package filter

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

const (
	// maxDepth and maxObjects bound what is taken from a schema; beyond them everything is dyn.
	maxDepth   = 20
	maxObjects = 500
)

// numberType is what a JSON number is: an integer or a double, which only the event will tell. It compares with both, and
// has to be converted for anything else.
var numberType = cel.OpaqueType("number") //nolint:gochecknoglobals // immutable

// schemaTypes converts a JSON Schema to types, and provides their fields to the checker.
type schemaTypes struct {
	types.Provider
	root    any
	objects map[string]map[string]*types.Type
	// missing are the fields that were asked for in vain.
	missing []missingField
}

type missingField struct {
	object, name string
	names        []string
}

// newSchemaTypes returns the type of data under a schema. A schema that is no schema leaves it dyn: who wrote it was told.
func newSchemaTypes(schema json.RawMessage) (*schemaTypes, *cel.Type) {
	s := &schemaTypes{Provider: types.NewEmptyRegistry(), objects: map[string]map[string]*types.Type{}}
	if json.Unmarshal(schema, &s.root) != nil {
		return s, cel.DynType
	}
	return s, s.convert(s.root, varData, 0)
}

// objectPrefix keeps expressions from naming the types of objects: no identifier has a blank.
const objectPrefix = "object "

func (s *schemaTypes) convert(node any, path string, depth int) *types.Type {
	schema, ok := s.resolve(node)
	if !ok || depth > maxDepth {
		return types.DynType
	}
	for _, union := range []string{"anyOf", "oneOf", "allOf", "not", "if", "$ref", "$dynamicRef"} {
		if _, there := schema[union]; there {
			return types.DynType
		}
	}
	kind, _ := schema["type"].(string)
	switch kind {
	case "string":
		return types.StringType
	case "integer":
		return types.IntType
	case "number":
		return numberType
	case "boolean":
		return types.BoolType
	case "array":
		if _, tuple := schema["prefixItems"]; tuple {
			return types.NewListType(types.DynType)
		}
		return types.NewListType(s.convert(schema["items"], path+"[]", depth+1))
	case "object":
		return s.object(schema, path, depth)
	default: // none, null, or several
		return types.DynType
	}
}

func (s *schemaTypes) object(schema map[string]any, path string, depth int) *types.Type {
	properties, _ := schema["properties"].(map[string]any)
	_, patterns := schema["patternProperties"]
	switch more := schema["additionalProperties"].(type) {
	case bool:
		if more {
			return types.NewMapType(types.StringType, types.DynType)
		}
	case map[string]any:
		if len(properties) == 0 && !patterns {
			return types.NewMapType(types.StringType, s.convert(more, path+"[]", depth+1))
		}
		return types.NewMapType(types.StringType, types.DynType)
	}
	if len(properties) == 0 || patterns || len(s.objects) >= maxObjects {
		return types.NewMapType(types.StringType, types.DynType)
	}
	name := objectPrefix + path
	fields := make(map[string]*types.Type, len(properties))
	s.objects[name] = fields // before its fields: it counts
	for _, field := range slices.Sorted(maps.Keys(properties)) {
		fields[field] = s.convert(properties[field], path+"."+field, depth+1)
	}
	return types.NewObjectType(name)
}

// resolve follows a reference within the schema, once: a reference to a reference, or out of the schema, leaves the type
// open. Schemas that refer to themselves end at maxDepth or maxObjects.
func (s *schemaTypes) resolve(node any) (map[string]any, bool) {
	schema, ok := node.(map[string]any)
	if !ok {
		return nil, false
	}
	ref, _ := schema["$ref"].(string)
	pointer, local := strings.CutPrefix(ref, "#/")
	if !local || len(schema) > 1 && schema["type"] != nil {
		return schema, true
	}
	at := s.root
	for token := range strings.SplitSeq(pointer, "/") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
	}
	schema, ok = at.(map[string]any)
	return schema, ok
}

// FindStructType implements [types.Provider].
func (s *schemaTypes) FindStructType(name string) (*types.Type, bool) {
	if _, ok := s.objects[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return s.Provider.FindStructType(name)
}

// FindStructFieldNames implements [types.Provider].
func (s *schemaTypes) FindStructFieldNames(name string) ([]string, bool) {
	if fields, ok := s.objects[name]; ok {
		return slices.Sorted(maps.Keys(fields)), true
	}
	return s.Provider.FindStructFieldNames(name)
}

// FindStructFieldType implements [types.Provider].
func (s *schemaTypes) FindStructFieldType(object, name string) (*types.FieldType, bool) {
	fields, ok := s.objects[object]
	if !ok {
		return s.Provider.FindStructFieldType(object, name)
	}
	t, ok := fields[name]
	if !ok {
		s.missing = append(s.missing, missingField{object, name, slices.Sorted(maps.Keys(fields))})
		return nil, false
	}
	return &types.FieldType{Type: t}, true
}

// environment returns what expressions over data of type t are checked in. It is not for running them.
func (s *schemaTypes) environment(t *cel.Type) (*cel.Env, error) {
	opts := append(options(t), cel.CustomTypeProvider(s))
	return cel.NewEnv(append(opts, s.overloads()...)...)
}

// mixed are the checker's objections to asking whether numbers of two kinds are equal. They are when evaluated, but CEL's
// types say otherwise, and == is declared for all pairs of one type in a way that leaves no place for others.
var mixed = sync.OnceValue(func() map[string]bool { //nolint:gochecknoglobals // a table
	out := map[string]bool{}
	for _, a := range numbers {
		for _, b := range numbers {
			for _, op := range []string{"_==_", "_!=_"} {
				out[fmt.Sprintf("found no matching overload for '%s' applied to '(%s, %s)'", op, a, b)] = true
			}
			out[fmt.Sprintf("found no matching overload for '@in' applied to '(%s, list(%s))'", a, b)] = true
		}
	}
	return out
})

var numbers = []*cel.Type{cel.IntType, cel.UintType, cel.DoubleType, numberType} //nolint:gochecknoglobals // a table

// overloads declares what values of JSON can do and values of CEL's static types cannot: numbers are ordered among each
// other, and objects have members by name.
func (s *schemaTypes) overloads() []cel.EnvOption {
	var opts []cel.EnvOption
	declare := func(function string, result *cel.Type, args ...*cel.Type) {
		id := []string{function}
		for _, a := range args {
			id = append(id, a.String())
		}
		opts = append(opts, cel.Function(function, cel.Overload(strings.Join(id, " "), args, result)))
	}
	for _, a := range numbers {
		for _, b := range numbers {
			if a == numberType || b == numberType {
				for _, order := range []string{"_<_", "_<=_", "_>_", "_>=_"} {
					declare(order, cel.BoolType, a, b)
				}
			}
		}
	}
	for _, to := range []*cel.Type{cel.IntType, cel.UintType, cel.DoubleType, cel.StringType} {
		declare(to.TypeName(), to, numberType)
	}
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		object := cel.ObjectType(name)
		declare("_[_]", cel.DynType, object, cel.StringType)
		declare("@in", cel.BoolType, cel.StringType, object)
		declare("size", cel.IntType, object)
	}
	return opts
}
