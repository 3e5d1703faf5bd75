package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/itchyny/gojq"
)

// Kind says why a program made no request of an event. It is a closed set, fit for a metric's label.
type Kind string

// Kinds of [Error].
const (
	// KindInput: the event cannot be transformed, for example because its data is no JSON.
	KindInput Kind = "bad_input"
	// KindRuntime: the program ended with an error: of its own, or of a function that its input is not for.
	KindRuntime Kind = "runtime"
	// KindWork: the program did more than [MaxWork]. It is the same on every machine and for every try.
	KindWork Kind = "too_much_work"
	// KindTimeout: the program took longer than [MaxTime]. It may succeed on another machine, or at another time.
	KindTimeout Kind = "timeout"
	// KindTooLarge: a value became too large, too deep or too long.
	KindTooLarge Kind = "too_large"
	// KindOutput: what the program made is not one request.
	KindOutput Kind = "bad_output"
)

// Error is why a program made no request of an event.
type Error struct {
	Kind Kind
	// Field is the field of the output that is wrong, for example "headers.X-Shop"; empty for the whole.
	Field string
	// Detail says what is wrong and what is allowed. It holds nothing of the event, and at most 300 bytes.
	Detail string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Field == "" {
		return "transformation: " + e.Detail
	}
	return "transformation: " + e.Field + ": " + e.Detail
}

// SyntaxError is what is wrong with a program's source.
type SyntaxError struct {
	// Line and Column say where, from 1, the column in bytes; 0 if the place is not known.
	Line, Column int
	// Detail says what is wrong and what is allowed.
	Detail string
}

// Error implements error.
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return "transformation: " + e.Detail
	}
	return fmt.Sprintf("transformation: %d:%d: %s", e.Line, e.Column, e.Detail)
}

func invalid(format string, args ...any) *SyntaxError {
	return &SyntaxError{Detail: bound(fmt.Sprintf(format, args...))}
}

// parseError turns an error of the parser, which has the offset of the byte after what it tripped over, into one with a
// line.
func parseError(source string, err error) *SyntaxError {
	e := invalid("%s", err)
	if parse, ok := errors.AsType[*gojq.ParseError](err); ok {
		at := max(0, min(len(source), parse.Offset)-len(parse.Token))
		e.Line = 1 + strings.Count(source[:at], "\n")
		e.Column = at - strings.LastIndexByte(source[:at], '\n')
	}
	return e
}

func tooLarge(format string, args ...any) *Error {
	return &Error{Kind: KindTooLarge, Detail: bound(fmt.Sprintf(format, args...))}
}

func errTooDeep() *Error {
	return tooLarge("a value is nested deeper than %d: want at most that", MaxDepth)
}

// maxDetail bounds the details of errors, in bytes.
const maxDetail = 300

func bound(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxDetail {
		s = strings.ToValidUTF8(s[:maxDetail-len("…")], "") + "…"
	}
	return s
}

// operandError is the error of an operator or function of this package. Programs see its text when they catch it.
type operandError string

// Error implements error.
func (e operandError) Error() string { return string(e) }

func operand(format string, args ...any) error { return operandError(fmt.Sprintf(format, args...)) }

// runtimeError makes the error of a run of what the interpreter returned. Its errors quote values of the event, so only
// what stands before the first value is kept, and of error("…") only texts that stand in the source.
func (p *Program) runtimeError(err error) *Error {
	var own operandError
	var value gojq.ValueError
	var detail string
	switch {
	case errors.As(err, &own):
		detail = own.Error()
	case errors.As(err, &value):
		detail = "the program ended with an error"
		if s, ok := value.Value().(string); ok && p.literals[s] {
			detail += ": " + s
		}
	default:
		detail = beforeValues(err.Error())
	}
	return &Error{Kind: KindRuntime, Detail: bound(detail)}
}

// beforeValues returns what an error of the interpreter says before it quotes a value, as JSON or within parentheses.
func beforeValues(text string) string {
	if i := strings.IndexAny(text, "([{\"0123456789"); i >= 0 {
		text = text[:i]
	}
	if text = strings.TrimRight(text, " :-*"); text == "" {
		return "a function cannot be applied to its input"
	}
	return text
}

// typeName is what texts call the type of v.
func typeName(v any) string {
	switch v.(type) {
	case nil, bool, int, float64, json.Number, string, []any, map[string]any:
		return gojq.TypeOf(v)
	}
	return "number"
}
