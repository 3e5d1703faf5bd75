package transform

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/subscription"
)

// Input is an event as it would be sent without transformation.
type Input struct {
	// Method is the request's method; empty is POST.
	Method string
	// URL is that of the subscription.
	URL string
	// EventType is the event's type.
	EventType string
	// Payload is the event's data: JSON.
	Payload []byte
	// Headers are what programs see as headers; nil is none. Leave credentials out.
	Headers map[string]string
	// ID is the event's id as the endpoint gets it. It must be the same for every try.
	ID string
	// Timestamp is when the event happened; programs see RFC 3339 in UTC. It must be the same for every try.
	Timestamp time.Time
	// Variables are what programs have as $variables; nil is none.
	Variables map[string]string
}

// Output is the request that a program makes of an event.
type Output struct {
	// Method is POST or PUT, or that of the input.
	Method string
	// URL is that of the input, or an https URL of the program: who connects to it must let its guard look at it first.
	URL string
	// Headers are added to the request. Names and values are well-formed, and none is of the request's frame. Whether the
	// profile allows them is the caller's to check.
	Headers map[string]string
	// Payload is compact JSON, or the input's bytes if the program has no payload in its output; nil if Cancel.
	Payload []byte
	// Cancel tells that nothing is sent and that the event counts as delivered.
	Cancel bool
}

// Names of the fields.
const (
	fieldMethod    = "method"
	fieldURL       = "url"
	fieldEventType = "eventType"
	fieldPayload   = "payload"
	fieldHeaders   = "headers"
	fieldID        = "id"
	fieldTimestamp = "timestamp"
	fieldCancel    = "cancel"
)

func (in *Input) value() (map[string]any, *Error) {
	payload, err := decode(in.Payload)
	if err != nil {
		err.Field = fieldPayload
		return nil, err
	}
	if in.Method == "" {
		in.Method = http.MethodPost
	}
	return map[string]any{
		fieldMethod: in.Method, fieldURL: in.URL, fieldEventType: in.EventType, fieldPayload: payload,
		fieldHeaders: object(in.Headers), fieldID: in.ID, fieldTimestamp: in.Timestamp.UTC().Format(time.RFC3339Nano),
	}, nil
}

// variables are those of the input as the interpreter takes them.
func (in *Input) variables() any { return object(in.Variables) }

func object(texts map[string]string) map[string]any {
	out := make(map[string]any, len(texts))
	for name, v := range texts {
		out[name] = v
	}
	return out
}

func badOutput(field, format string, args ...any) *Error {
	return &Error{Kind: KindOutput, Field: field, Detail: bound(fmt.Sprintf(format, args...))}
}

// output reads what a program made of in.
func (in *Input) output(v any) (Output, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return Output{}, badOutput("", "the output is %s: want an object with %s", typeName(v), allowedFields)
	}
	out := Output{Method: in.Method, URL: in.URL, Payload: in.Payload, Headers: maps.Clone(in.Headers)}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if err := in.field(&out, name, object[name]); err != nil {
			return Output{}, err
		}
	}
	if out.Cancel {
		out.Payload = nil
	}
	return out, nil
}

const allowedFields = "method, url, headers, payload and cancel"

func (in *Input) field(out *Output, name string, v any) *Error {
	switch name {
	case fieldMethod:
		if s, ok := v.(string); !ok || s != in.Method && s != http.MethodPost && s != http.MethodPut {
			return badOutput(name, "want POST or PUT")
		}
		out.Method, _ = v.(string)
	case fieldURL:
		return in.url(out, v)
	case fieldHeaders:
		return headers(out, v)
	case fieldPayload:
		if out.Payload = encode(v); len(out.Payload) > MaxPayload {
			err := tooLarge("%d bytes of JSON: want at most %d", len(out.Payload), MaxPayload)
			err.Field = name
			return err
		}
	case fieldCancel:
		cancel, ok := v.(bool)
		if !ok {
			return badOutput(name, "%s: want true or false", typeName(v))
		}
		out.Cancel = cancel
	case fieldEventType, fieldID, fieldTimestamp:
		is := map[string]string{fieldEventType: in.EventType, fieldID: in.ID}
		if name == fieldTimestamp {
			is[name] = in.Timestamp.UTC().Format(time.RFC3339Nano)
		}
		if s, ok := v.(string); !ok || s != is[name] {
			return badOutput(name, "cannot be changed: leave it as it is, or out")
		}
	default:
		return badOutput(printable(name), "is no field of the output: want %s", allowedFields)
	}
	return nil
}

// maxURL is the longest URL, in bytes, as for the endpoints of subscriptions.
const maxURL = 2048

func (in *Input) url(out *Output, v any) *Error {
	s, ok := v.(string)
	if !ok {
		return badOutput(fieldURL, "%s: want an https URL", typeName(v))
	}
	if s == in.URL {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case len(s) > maxURL:
		return badOutput(fieldURL, "%d bytes: want at most %d", len(s), maxURL)
	case err != nil, u.Scheme != "https", u.Hostname() == "":
		return badOutput(fieldURL, "want https://host/path")
	case u.User != nil, u.Fragment != "", strings.Contains(s, "#"):
		return badOutput(fieldURL, "want no user, password or fragment")
	}
	out.URL = s
	return nil
}

// headers reads the headers: at most as many, and of the form, as a subscription may have.
func headers(out *Output, v any) *Error {
	object, ok := v.(map[string]any)
	if !ok {
		return badOutput(fieldHeaders, "%s: want an object of strings", typeName(v))
	}
	if len(object) > subscription.MaxHeaders {
		return badOutput(fieldHeaders, "%d: want at most %d", len(object), subscription.MaxHeaders)
	}
	out.Headers = make(map[string]string, len(object))
	seen := make(map[string]string, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		field := fieldHeaders + "." + printable(name)
		value, ok := object[name].(string)
		if !ok {
			return badOutput(field, "%s: want a string", typeName(object[name]))
		}
		if err := subscription.CheckField(name, value); err != nil {
			return badOutput(field, "%s", err)
		}
		if subscription.FramingHeader(name) {
			return badOutput(field, "is not a transformation's to set")
		}
		if other, twice := seen[strings.ToLower(name)]; twice {
			return badOutput(field, "is the same header as %s", other)
		}
		seen[strings.ToLower(name)] = name
		out.Headers[name] = value
	}
	return nil
}

// RefuseHeader returns the error of a header that is well-formed and yet not allowed.
func RefuseHeader(name, detail string) *Error {
	return badOutput(fieldHeaders+"."+printable(name), "%s", detail)
}

// printable returns a name as errors show it; one that is long or not plain ASCII may be data.
func printable(name string) string {
	if len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return r < '!' || r > '~' }) {
		return "(a name of " + strconv.Itoa(len(name)) + " bytes)"
	}
	return name
}
