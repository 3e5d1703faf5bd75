package api

import (
	"bytes"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"
)

// jsonObject is a JSON object that is passed on byte for byte: the order of its names and the form of its numbers stay. Null
// and absent are nil.
type jsonObject []byte

// UnmarshalJSON implements [json.Unmarshaler].
func (o *jsonObject) UnmarshalJSON(raw []byte) error {
	if bytes.Equal(raw, []byte("null")) {
		*o = nil
		return nil
	}
	*o = bytes.Clone(raw)
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (o jsonObject) MarshalJSON() ([]byte, error) { return json.RawMessage(o).MarshalJSON() }

// Schema implements [huma.SchemaProvider].
func (jsonObject) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// raw is o for those who take raw JSON.
func (o jsonObject) raw() json.RawMessage { return json.RawMessage(o) }
