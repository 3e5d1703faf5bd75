package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/itchyny/gojq"
)

// decode reads JSON as programs see it: integers that fit are int, all other numbers keep their text.
func decode(data []byte) (any, *Error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, &Error{Kind: KindInput, Detail: "is no JSON"}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{Kind: KindInput, Detail: "is more than one JSON value"}
	}
	return convert(v, 0)
}

func convert(v any, depth int) (any, *Error) {
	if depth > MaxDepth {
		return nil, errTooDeep()
	}
	var err *Error
	switch v := v.(type) {
	case json.Number:
		return convertNumber(v)
	case []any:
		for i, x := range v {
			if v[i], err = convert(x, depth+1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k, x := range v {
			if v[k], err = convert(x, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func convertNumber(n json.Number) (any, *Error) {
	if len(n) > maxShort {
		return nil, tooLarge("a number of %d characters: want at most %d", len(n), maxShort)
	}
	if i, err := strconv.Atoi(string(n)); err == nil && n != "-0" {
		return i, nil
	}
	return n, nil
}

// encode writes compact JSON; members of objects are in the order of their names.
func encode(v any) []byte {
	data, _ := gojq.Marshal(v) // the error is always nil
	return data
}
