package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Error is a refusal of the API.
type Error struct {
	Status int
	// Code is for programs: "not_found" for example; empty for what is wrong with the input.
	Code string
	// Detail is one line for people, with the names of fields.
	Detail string
	// Request is the id under which the API's log has the request.
	Request string
}

// Error implements error.
func (e *Error) Error() string {
	text := e.Detail
	if e.Status >= http.StatusInternalServerError && e.Request != "" && !strings.Contains(text, e.Request) {
		text += " (request " + e.Request + ")"
	}
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	return text
}

// parseError reads a refusal: {code, detail}, or of 422 {detail: [{loc, msg}]}. Whatever else answered in place of the API
// is told by its status.
func parseError(response *http.Response, raw []byte) *Error {
	e := &Error{Status: response.StatusCode, Request: response.Header.Get("X-Request-Id")}
	var body struct {
		Code   string          `json:"code"`
		Detail json.RawMessage `json:"detail"`
	}
	var problems []struct {
		Loc []string `json:"loc"`
		Msg string   `json:"msg"`
	}
	switch {
	case json.Unmarshal(raw, &body) != nil:
	case json.Unmarshal(body.Detail, &e.Detail) == nil:
		e.Code = body.Code
	case json.Unmarshal(body.Detail, &problems) == nil:
		parts := make([]string, 0, len(problems))
		for _, p := range problems {
			parts = append(parts, field(p.Loc)+p.Msg)
		}
		e.Detail = strings.Join(parts, "; ")
	}
	e.Detail = strings.Join(strings.Fields(e.Detail), " ") // one line
	if e.Detail == "" {
		e.Detail = fmt.Sprintf("the API answered %d %s: is it the management API that listens there?",
			e.Status, http.StatusText(e.Status))
	}
	return e
}

// field is how people call what loc points to: of the body, without saying so.
func field(loc []string) string {
	if len(loc) > 0 && loc[0] == "body" {
		loc = loc[1:]
	}
	if len(loc) == 0 {
		return ""
	}
	return strings.Join(loc, ".") + ": "
}
