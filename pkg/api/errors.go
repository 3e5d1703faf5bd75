package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// Error is the body of every refusal but that of input: what programs look at, and what people read.
type Error struct {
	status int
	Code   string `json:"code" doc:"What is wrong, for programs." example:"not_found"`
	Detail string `json:"detail" doc:"What is wrong and what is allowed, for people."`
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// GetStatus implements [huma.StatusError].
func (e *Error) GetStatus() int { return e.status }

// ValidationError is the body of 422: everything that is wrong with the input.
type ValidationError struct {
	Detail []Problem `json:"detail"`
}

// Problem is one thing that is wrong with the input. It never repeats a value that may be secret.
type Problem struct {
	Loc  []string `json:"loc" doc:"Where: body, query, path or header, then the names that lead to it."`
	Msg  string   `json:"msg" doc:"What is wrong and what is allowed."`
	Type string   `json:"type" example:"value_error"`
}

// Error implements error.
func (e *ValidationError) Error() string {
	parts := make([]string, 0, len(e.Detail))
	for _, p := range e.Detail {
		parts = append(parts, strings.Join(p.Loc, ".")+": "+p.Msg)
	}
	return strings.Join(parts, "; ")
}

// GetStatus implements [huma.StatusError].
func (*ValidationError) GetStatus() int { return http.StatusUnprocessableEntity }

func refuse(status int, code, format string, args ...any) error {
	return &Error{status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

func notFound(what string) error {
	return refuse(http.StatusNotFound, "not_found", "%s not found", what)
}

// invalid is 422 for one field of the body.
func invalid(field, format string, args ...any) error {
	return &ValidationError{Detail: []Problem{problem("body", field, fmt.Sprintf(format, args...))}}
}

func problem(where, field, detail string) Problem {
	loc := []string{where}
	if field != "" {
		loc = append(loc, strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' })...)
	}
	return Problem{Loc: loc, Msg: detail, Type: "value_error"}
}

// fieldErrors turns the problems of a value that was validated elsewhere into 422; rename gives a field its name in this
// API where it has another one.
func fieldErrors(err error, rename map[string]string) error {
	if err == nil {
		return nil
	}
	var out ValidationError
	for _, e := range unjoin(err) {
		field, detail := "", e.Error()
		if f, ok := errors.AsType[*subscription.FieldError](e); ok {
			field, detail = f.Field, f.Detail
		}
		for from, to := range rename {
			if rest, ok := strings.CutPrefix(field, from); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				field = to + rest
				break
			}
		}
		out.Detail = append(out.Detail, problem("body", field, detail))
	}
	return &out
}

func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, unjoin(e)...)
		}
		return all
	}
	return []error{err}
}

// codeChanged is that of a change that somebody else's overtook.
const codeChanged = "conflict_changed"

// writeError says over HTTP why the registry did not take a change. conditional is whether the caller named a version.
func writeError(err error, conditional bool) error {
	if conflict, ok := errors.AsType[*registry.ConflictError](err); ok {
		if conditional {
			return refuse(http.StatusPreconditionFailed, "precondition_failed",
				"it was changed meanwhile: read it again, and repeat with the ETag it has now")
		}
		if conflict.Expected == 0 {
			return refuse(http.StatusConflict, "conflict", "it exists already")
		}
		return refuse(http.StatusConflict, codeChanged, "it was changed by somebody else at the same time: try again")
	}
	if uid, ok := errors.AsType[*registry.UIDError](err); ok {
		return refuse(http.StatusConflict, "conflict", "uid: %q is taken", uid.UID)
	}
	if size, ok := errors.AsType[*registry.SizeError](err); ok {
		return &ValidationError{Detail: []Problem{problem("body", "", size.Error())}}
	}
	switch {
	case errors.Is(err, registry.ErrNoTenant):
		return notFound("app")
	case errors.Is(err, registry.ErrNoSubscription):
		return notFound("endpoint")
	case errors.Is(err, registry.ErrUnknown):
		return refuse(http.StatusServiceUnavailable, "unknown", "it is not known whether the change was made: read it again")
	case errors.Is(err, registry.ErrBusy):
		return refuse(http.StatusServiceUnavailable, "busy", "too many changes are waiting: try again in a moment")
	}
	return err
}

//nolint:gochecknoglobals // huma has one hook per process
var humaErrors sync.Once

// useOurErrors makes huma's own refusals look like ours.
func useOurErrors() {
	humaErrors.Do(func() {
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			if status != http.StatusUnprocessableEntity {
				return humaError(status, msg)
			}
			out := &ValidationError{}
			for _, e := range errs {
				if d, ok := errors.AsType[*huma.ErrorDetail](e); ok {
					where, field, _ := strings.Cut(d.Location, ".")
					out.Detail = append(out.Detail, problem(where, field, d.Message)) // not its value, which may be secret
				}
			}
			if len(out.Detail) == 0 {
				out.Detail = []Problem{problem("body", "", msg)}
			}
			return out
		}
	})
}

func humaError(status int, msg string) huma.StatusError {
	code := map[int]string{
		http.StatusBadRequest: "bad_request", http.StatusRequestEntityTooLarge: "payload_too_large",
		http.StatusRequestTimeout: "request_timeout", http.StatusUnsupportedMediaType: "unsupported_media_type",
		http.StatusNotAcceptable: "not_acceptable",
	}[status]
	if code == "" {
		code, msg = "server_error", "something went wrong on this side" // the log has the details
	}
	return &Error{status: status, Code: code, Detail: msg}
}

// iteratorError is 422 for an iterator that was not made by the list it is given to.
func iteratorError(err, malformed error) error {
	if errors.Is(err, malformed) {
		return &ValidationError{Detail: []Problem{problem("query", "iterator", "want the iterator of an earlier answer of this list")}}
	}
	return err
}
