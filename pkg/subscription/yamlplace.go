package subscription

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// FileError is what is wrong at one place of a file.
type FileError struct {
	File         string
	Line, Column int // from 1; 0 if unknown
	// Field is the path of the field, for example "tenants[0].subscriptions[2].url"; empty for the whole file.
	Field string
	// Detail says what is wrong and what is allowed.
	Detail string
}

// Error implements error.
func (e *FileError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Detail)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", e.File, e.Line, e.Column, e.Field, e.Detail)
}

// position returns where n begins: the library's token of fields is the colon of the first.
func position(n ast.Node) *token.Position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return n.Values[0].Key.GetToken().Position
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken().Position
	}
	return n.GetToken().Position
}

// singleValue is what [describe] calls what is neither fields nor a list.
const singleValue = "a single value"

// describe says what n is, without its content, which may be a secret.
func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "fields"
	case *ast.SequenceNode:
		return "a list"
	}
	return singleValue
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
