package catalogue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Limits of JSON that is looked into.
const (
	// MaxPayload is the greatest payload, in bytes, that is checked: the limit of events.
	MaxPayload = 1 << 20
	// MaxProblems is how many problems of a payload are told.
	MaxProblems = 10
	// maxDepth is how deeply values may be nested. Everything that walks them does so recursively.
	maxDepth = 200
	// maxNumber bounds the bytes of a number. Numbers are compared exactly, however long they are.
	maxNumber = 400
)

// Problem is what is wrong at one place of a payload.
type Problem struct {
	// Path is the JSON path of the place, "$" for the payload itself: "$.conversation.tags[0]".
	Path string
	// Want says what is expected there.
	Want string
}

// String returns "path: want …".
func (p Problem) String() string { return p.Path + ": want " + p.Want }

// PayloadError says why a payload does not fit the schema of its event type. It holds names of fields but no values.
type PayloadError struct {
	// EventType and SchemaVersion name the schema.
	EventType, SchemaVersion string
	// Problems are at most [MaxProblems].
	Problems []Problem
}

// Error implements error.
func (e *PayloadError) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.String()
	}
	return fmt.Sprintf("payload does not fit %s, schema %s: %s", e.EventType, e.SchemaVersion, strings.Join(texts, "; "))
}

// decodeJSON decodes one JSON value with numbers as json.Number, no deeper than maxDepth. Its errors hold no values.
func decodeJSON(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, explainJSON(err, len(raw))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("has more after the JSON value, at byte %d", d.InputOffset())
	}
	if err := checkTree(v, maxDepth); err != nil {
		return nil, err
	}
	return v, nil
}

func explainJSON(err error, size int) error {
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("is no JSON: error at byte %d of %d", bad.Offset, size)
	}
	return fmt.Errorf("is no JSON: it ends after %d bytes, within a value", size)
}

// checkTree refuses what is nested too deeply and numbers that would take long to compare.
func checkTree(v any, depth int) error {
	if depth == 0 {
		return fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, below := range v {
			if err := checkTree(below, depth-1); err != nil {
				return err
			}
		}
	case []any:
		for _, below := range v {
			if err := checkTree(below, depth-1); err != nil {
				return err
			}
		}
	case json.Number:
		return checkNumber(string(v))
	}
	return nil
}

// checkNumber refuses numbers beyond a double's range: 1e1000000 is short, and a million digits when it is compared.
func checkNumber(s string) error {
	if len(s) > maxNumber {
		return fmt.Errorf("has a number of %d bytes: want at most %d", len(s), maxNumber)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return errors.New("has a number outside ±1.8e308")
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if exponent, err := strconv.Atoi(s[i+1:]); err != nil || exponent < -maxNumber {
			return fmt.Errorf("has a number with an exponent below -%d", maxNumber)
		}
	}
	return nil
}

// kindOf names the type of a decoded value.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a truth value"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
