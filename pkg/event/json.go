package event

import (
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"
)

// view returns b as a string without copying. Nothing derived from it outlives the call but what [raw] returns; texts
// are cloned.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // b is not changed while the string lives
}

// raw returns the bytes of a value that was found in a [view]: a part of the slice that was viewed.
func raw(r gjson.Result) []byte {
	return unsafe.Slice(unsafe.StringData(r.Raw), len(r.Raw)) //nolint:gosec // the viewed slice's own memory
}

// scalar returns the text of a JSON string, or the digits of a number as they stand; "" for anything else.
func scalar(r gjson.Result) string {
	switch r.Type {
	case gjson.String:
		return strings.Clone(r.Str)
	case gjson.Number:
		return strings.Clone(r.Raw)
	default:
		return ""
	}
}

// isJSON reports whether a media type is JSON: application/json, text/json, or any with the suffix +json.
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json")
}
