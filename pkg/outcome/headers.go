package outcome

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// Headers are fields of a response's header, each name once: lines of a name in lower case, a colon and a space, the value,
// and a newline. In JSON they are an object, name to value. One text for all of them, as every attempt makes one.
type Headers string

// Bounds of an outcome's [Headers]. Most endpoints send a tenth of them.
const (
	MaxHeaders     = 64      // fields
	MaxHeaderBytes = 4 << 10 // names and values, with three bytes for each field
)

// RedactedValue stands for the value of a field that is likely to be a secret.
const RedactedValue = "[redacted]"

// All yields names and values, in the order in which they came.
func (h Headers) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for rest := string(h); rest != ""; {
			var line string
			line, rest, _ = strings.Cut(rest, "\n")
			name, value, _ := strings.Cut(line, ": ")
			if !yield(name, value) {
				return
			}
		}
	}
}

// MarshalJSON writes an object.
func (h Headers) MarshalJSON() ([]byte, error) { return h.appendJSON(nil), nil }

func (h Headers) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	start := len(dst)
	for name, value := range h.All() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, name), ':')
		dst = appendText(dst, value)
	}
	return append(dst, '}')
}

// UnmarshalJSON reads an object of texts, in its order. Control characters become spaces, so that a line is a field.
func (h *Headers) UnmarshalJSON(text []byte) error {
	if lines, ok := linesOf(text); ok {
		*h = Headers(lines)
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if opening, err := dec.Token(); err != nil || opening == nil {
		return err
	} else if opening != json.Delim('{') {
		return errors.New("response headers: want an object")
	}
	var b strings.Builder
	for dec.More() {
		var field [2]string
		name, err := dec.Token()
		if err != nil {
			return err
		}
		field[0], _ = name.(string)
		if err := dec.Decode(&field[1]); err != nil {
			return err
		}
		for i, text := range field {
			b.WriteString(strings.Map(printable, text))
			b.WriteString([2]string{": ", "\n"}[i])
		}
	}
	*h = Headers(b.String())
	return nil
}

// linesOf reads an object as [Headers.MarshalJSON] writes nearly all, without an escape or a space; whoever reads millions of
// outcomes feels it.
func linesOf(text []byte) (lines []byte, ok bool) {
	for _, c := range text {
		if c == '\\' || c >= 0x7f {
			return nil, false
		}
	}
	rest, ok := bytes.CutPrefix(text, []byte(`{"`))
	lines = make([]byte, 0, len(text))
	for ok {
		var name, value []byte
		name, rest, _ = bytes.Cut(rest, []byte(`"`))
		if rest, ok = bytes.CutPrefix(rest, []byte(`:"`)); !ok {
			break
		}
		value, rest, _ = bytes.Cut(rest, []byte(`"`))
		lines = append(append(append(append(lines, name...), ": "...), value...), '\n')
		if string(rest) == "}" {
			return lines, true
		}
		rest, ok = bytes.CutPrefix(rest, []byte(`,"`))
	}
	return nil, false
}

func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f {
		return ' '
	}
	return r
}

// Kept says what [AppendHeader] did with a field.
type Kept int

// What becomes of a field.
const (
	KeptWhole    Kept = iota
	KeptRedacted      // its value is not there, or not all of it
	KeptOut           // it concerns the connection alone (RFC 9110, section 7.6.1), or is no field
	KeptNot           // there is no room for it
)

// AppendHeader appends a field of a response to the text of [Headers]; one more value of a name goes to the others, after a
// comma (RFC 9110, section 5.2). Of fields whose names speak of cookies, tokens, keys and the like, the value is
// [RedactedValue]. Those that hold a URL lose its query and what follows. dst holds what was appended here before, and
// nothing else.
func AppendHeader(dst, name, value []byte) ([]byte, Kept) {
	before := len(dst)
	dst, ok := appendName(dst, name)
	lower := dst[before:]
	what := sortOf(lower)
	if !ok || what == ofConnection {
		return dst[:before], KeptOut
	}
	value, kept := redacted(value, what)
	fields := 0
	for at := 0; at < before; fields++ {
		end := at + bytes.IndexByte(dst[at:], '\n')
		if rest, same := bytes.CutPrefix(dst[at:end], lower); same && bytes.HasPrefix(rest, []byte(": ")) {
			more := appendValue([]byte(", "), value)
			if before+len(more) > MaxHeaderBytes {
				return dst[:before], KeptNot
			}
			return slices.Insert(dst[:before], end, more...), kept
		}
		at = end + 1
	}
	dst = append(dst, ": "...)
	if fields < MaxHeaders && len(dst)+len(value) < MaxHeaderBytes {
		dst = append(appendValue(dst, value), '\n')
		if len(dst) <= MaxHeaderBytes { // what is no text grows
			return dst, kept
		}
	}
	return dst[:before], KeptNot
}

// appendName appends a name in lower case, or reports that it is no token (RFC 9110, section 5.6.2).
func appendName(dst, name []byte) (out []byte, ok bool) {
	for _, c := range name {
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c <= ' ' || c >= 0x7f || c == ':' || c == '"' || c == ',':
			return dst, false
		}
		dst = append(dst, c)
	}
	return dst, len(name) > 0
}

// appendValue appends a value as text of one line.
func appendValue(dst, value []byte) []byte {
	if !utf8.Valid(value) {
		value = bytes.ToValidUTF8(value, []byte("\ufffd"))
	}
	start := len(dst)
	dst = append(dst, value...)
	for i, c := range dst[start:] {
		if c < ' ' && c != '\t' || c == 0x7f {
			dst[start+i] = ' '
		}
	}
	return dst
}

// sort is what a field is about.
type sort int

const (
	plain sort = iota
	ofConnection
	secret
	ofURL
)

// sortOf tells by a name in lower case.
func sortOf(name []byte) sort {
	switch string(name) {
	case "content-type", "content-length", "content-encoding", "date", "server", "cache-control", "vary", "etag", "via", "age",
		"expires", "pragma", "last-modified", "accept-ranges", "alt-svc", "x-powered-by", "x-request-id", "cf-ray",
		"strict-transport-security", "content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy",
		"retry-after", "www-authenticate":
		return plain // most of what there is
	case "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
		"proxy-authenticate", "proxy-authentication-info":
		return ofConnection
	case "location", "content-location", "link", "refresh":
		return ofURL
	}
	for _, word := range secretWords {
		if bytes.Contains(name, word) {
			return secret
		}
	}
	return plain
}

// secretWords are parts of the names of fields whose values are not written down.
var secretWords = [...][]byte{ //nolint:gochecknoglobals // a constant
	[]byte("cookie"), []byte("token"), []byte("secret"), []byte("passw"), []byte("auth"), []byte("credential"),
	[]byte("session"), []byte("signature"), []byte("csrf"), []byte("xsrf"), []byte("api-key"), []byte("apikey"),
	[]byte("access-key"), []byte("private-key"),
}

// redacted returns what is written of a value.
func redacted(value []byte, what sort) ([]byte, Kept) {
	switch {
	case what == secret, what == ofURL && bytes.IndexByte(value, '@') >= 0: // userinfo, perhaps
		return []byte(RedactedValue), KeptRedacted
	case what == ofURL:
		if i := bytes.IndexAny(value, "?#"); i >= 0 {
			return value[:i], KeptRedacted
		}
	}
	return value, KeptWhole
}
