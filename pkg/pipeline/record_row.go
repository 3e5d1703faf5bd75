package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// rowReader reads what the views need of the JSON of outcomes, and skips the rest of it: a fifth of what reading all costs,
// of which the recorder of a busy installation would do little else. It is for one goroutine.
type rowReader struct {
	// Texts that come again and again are made once.
	types    map[string]string
	results  map[string]outcome.Result
	verdicts map[string]outcome.Verdict
	reasons  map[string]outcome.Reason
}

// maxInterned bounds the event types that a reader remembers.
const maxInterned = 10_000

func newRowReader() *rowReader {
	r := &rowReader{
		types: map[string]string{}, results: map[string]outcome.Result{},
		verdicts: map[string]outcome.Verdict{}, reasons: map[string]outcome.Reason{},
	}
	for _, v := range outcome.Results() {
		r.results[string(v)] = v
	}
	for _, v := range []outcome.Verdict{outcome.Delivered, outcome.Retry, outcome.Dead, outcome.Cancelled, outcome.Parked} {
		r.verdicts[string(v)] = v
	}
	for _, v := range outcome.Reasons() {
		r.reasons[string(v)] = v
	}
	return r
}

var errRow = errors.New("no outcome: want a JSON object")

// read reads one row. The members that identify it must be there.
func (r *rowReader) read(text []byte, row *view.Row) error {
	rest, ok := bytes.CutPrefix(unspaced(text), []byte("{"))
	for ok {
		var name, value []byte
		if name, value, rest, ok = member(rest); !ok {
			break
		}
		if err := r.set(row, name, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(rest) > 0 && rest[0] == '}' {
			break
		}
	}
	switch {
	case len(rest) == 0 || rest[0] != '}':
		return errRow
	case row.Subscription.IsZero() || row.Message.IsZero() || row.EventType == "" || row.At.IsZero() || row.Result == "":
		return errors.New("no outcome: want subscription, message, event_type, at and result")
	}
	return nil
}

// set sets what a member says.
func (r *rowReader) set(row *view.Row, name, value []byte) (err error) {
	switch string(name) {
	case "version":
		version, err := strconv.Atoi(string(value))
		return errors.Join(err, form.Check(version, outcome.Version))
	case "status":
		row.Status, err = strconv.Atoi(string(value))
		return err
	case "duration_ms":
		ms, err := strconv.ParseFloat(string(value), 64)
		row.Duration = time.Duration(ms * float64(time.Millisecond))
		return err
	case "message", "event_type", "tenant", "subscription", "verdict", "reason", "result", "at":
	default:
		return nil
	}
	if value, err = unquoted(value); err != nil {
		return err
	}
	switch string(name) {
	case "message":
		row.Message, err = ident.ParseBase62(delivery.MessagePrefix, string(value))
	case "event_type":
		row.EventType = r.eventType(value)
	case "tenant":
		err = row.Tenant.UnmarshalText(value)
	case "subscription":
		err = row.Subscription.UnmarshalText(value)
	case "verdict":
		row.Verdict = known(r.verdicts, value)
	case "reason":
		row.Reason = known(r.reasons, value)
	case "result":
		row.Result = known(r.results, value)
	case "at":
		err = row.At.UnmarshalText(value)
	}
	return err
}

// known returns a value without making its text anew. One of a later version is made.
func known[T ~string](all map[string]T, text []byte) T {
	if v, ok := all[string(text)]; ok {
		return v
	}
	return T(text)
}

func (r *rowReader) eventType(text []byte) string {
	if name, ok := r.types[string(text)]; ok {
		return name
	}
	name := string(text)
	if len(r.types) < maxInterned {
		r.types[name] = name
	}
	return name
}

// unquoted is the text of a JSON string. None of those that are read has anything to escape, but it may be.
func unquoted(value []byte) ([]byte, error) {
	if len(value) < 2 || value[0] != '"' {
		return nil, errors.New("want a string")
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], nil
	}
	var s string
	err := json.Unmarshal(value, &s)
	return []byte(s), err
}

// member cuts the first member off what follows the brace of an object or a member of it; rest begins with what comes after.
func member(b []byte) (name, value, rest []byte, ok bool) {
	if b = unspaced(b); len(b) > 0 && b[0] == ',' {
		b = unspaced(b[1:])
	}
	if len(b) > 0 && b[0] == '}' {
		return nil, nil, b, false
	}
	n := textEnd(b)
	if n == 0 {
		return nil, nil, nil, false
	}
	name, b = b[1:n-1], unspaced(b[n:])
	if len(b) == 0 || b[0] != ':' {
		return nil, nil, nil, false
	}
	b = unspaced(b[1:])
	n = valueEnd(b)
	if n == 0 {
		return nil, nil, nil, false
	}
	return name, b[:n], unspaced(b[n:]), true
}

// unspaced is b without the white space in front of it: there hardly ever is any.
func unspaced(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\t' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// textEnd is where the JSON string ends that b begins with; 0 if it does not.
func textEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return 0
		}
		i += n + 1
		escapes := 0
		for b[i-2-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
	}
}

// valueEnd is where the JSON value ends that b begins with; 0 if it does not end.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := textEnd(b[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return 0
}
