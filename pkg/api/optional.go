package api

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Opt is a member of a request that may be absent, null or there: PATCH tells the three apart.
type Opt[T any] struct {
	// Set is whether it was there, null included.
	Set   bool
	Null  bool
	Value T
}

// UnmarshalJSON implements [json.Unmarshaler]. It is called if the member is there.
func (o *Opt[T]) UnmarshalJSON(raw []byte) error {
	o.Set = true
	if bytes.Equal(raw, []byte("null")) {
		o.Null = true
		return nil
	}
	return json.Unmarshal(raw, &o.Value)
}

// Schema implements [huma.SchemaProvider]: that of T, or null.
func (o Opt[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeOf(o.Value), true, "")
	if s.Ref == "" {
		s.Nullable = true
	}
	return &s
}

// apply sets to if the member was there; null sets the zero value.
func (o Opt[T]) apply(to *T) {
	if o.Set {
		*to = o.Value
	}
}

// pointer is nil unless the member was there with a value.
func (o Opt[T]) pointer() *T {
	if !o.Set || o.Null {
		return nil
	}
	return &o.Value
}

// text is the value of a pointer, the zero value for nil.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// optional is the pointer for an output that leaves out the zero value.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// orNull is an object that is always there, or null: nullable says that of all types but objects.
type orNull[T any] struct{ value *T }

// MarshalJSON implements [json.Marshaler].
func (o orNull[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.value) }

// Schema implements [huma.SchemaProvider].
func (orNull[T]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{r.Schema(reflect.TypeFor[T](), true, ""), {Type: "null"}}}
}
