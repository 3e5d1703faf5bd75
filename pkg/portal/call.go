package portal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/postrider/postrider/pkg/api"
)

// caller makes requests to the API in this process, in the name of whoever makes a request to the portal.
type caller struct {
	api   http.Handler
	from  *http.Request
	token string
	// views is what the API said last of views that are not complete.
	views *string
}

// Refusal is what the API answered in place of what was asked for.
type Refusal struct {
	Status int
	Code   string
	Detail string
	// Problems are those of the input, of a 422.
	Problems []api.Problem
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Detail) }

// maxAnswer bounds what is read of an answer of the API, in bytes: 250 event types with 256 KiB of schemas each are the most.
const maxAnswer = 64 << 20

// reply is an answer of the API.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (r *reply) Header() http.Header { return r.header }

// WriteHeader implements [http.ResponseWriter].
func (r *reply) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements [http.ResponseWriter].
func (r *reply) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.body.Len()+len(p) > maxAnswer {
		return 0, fmt.Errorf("answer of the API: want at most %d bytes", maxAnswer)
	}
	return r.body.Write(p)
}

// do makes a request to a path below /api/v1 and decodes the answer into out, unless that is nil. It returns the ETag. What
// the API refuses is a [*Refusal]. Headers are names and values in turn.
func (c caller) do(method, path string, body, out any, headers ...string) (etag string, err error) {
	r, err := c.request(method, path, body, headers...)
	if err != nil {
		return "", err
	}
	answer := &reply{header: http.Header{}}
	c.api.ServeHTTP(answer, r)
	if answer.status >= http.StatusMultipleChoices {
		return "", refusal(answer)
	}
	if state := answer.header.Get(viewsHeader); state != "" && state != "complete" {
		*c.views = state
	}
	if out != nil {
		if err := json.Unmarshal(answer.body.Bytes(), out); err != nil {
			return "", fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
		}
	}
	return answer.header.Get("ETag"), nil
}

// request makes a request in the name of whoever makes one to the portal.
func (c caller) request(method, path string, body any, headers ...string) (*http.Request, error) {
	var raw bytes.Buffer
	if body != nil {
		encoder := json.NewEncoder(&raw)
		encoder.SetEscapeHTML(false) // a payload is sent as it was typed
		if err := encoder.Encode(body); err != nil {
			return nil, fmt.Errorf("encoding a request: %w", err)
		}
	}
	r, err := http.NewRequestWithContext(c.from.Context(), method, "/api/v1"+path, &raw)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	r.RemoteAddr = c.from.RemoteAddr // limits, logs and audit see the browser's
	r.Header["X-Forwarded-For"] = c.from.Header.Values("X-Forwarded-For")
	r.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r, nil
}

func (c caller) get(path string, out any) error {
	_, err := c.do(http.MethodGet, path, nil, out)
	return err
}

// refusal reads an error of the API.
func refusal(a *reply) *Refusal {
	out := &Refusal{Status: a.status, Code: "error", Detail: http.StatusText(a.status)}
	var refused struct {
		Code   string          `json:"code"`
		Detail json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(a.body.Bytes(), &refused) != nil {
		return out
	}
	if refused.Code != "" {
		out.Code = refused.Code
	}
	if json.Unmarshal(refused.Detail, &out.Detail) != nil {
		_ = json.Unmarshal(refused.Detail, &out.Problems) // what is neither has no more to say
	}
	return out
}

// path is a path of segments that may hold anything.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

// query is a path with the parameters that are not empty, names and values in turn.
func query(path string, parameters ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(parameters); i += 2 {
		if parameters[i+1] != "" {
			q.Set(parameters[i], parameters[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
