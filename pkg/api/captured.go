package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

// captured is an answer that is not given yet.
type captured struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (c *captured) Header() http.Header { return c.header }

// WriteHeader implements [http.ResponseWriter].
func (c *captured) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

// Write implements [http.ResponseWriter].
func (c *captured) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	return c.body.Write(p)
}

// lasting reports whether the answer to the same request would be the same: not if something went wrong on this side, and
// not if the caller is to come again.
func (c *captured) lasting() bool {
	return c.status < http.StatusInternalServerError && c.header.Get("Retry-After") == ""
}

// send gives the answer.
func (c *captured) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), c.header)
	c.WriteHeader(http.StatusOK)
	w.WriteHeader(c.status)
	_, _ = w.Write(c.body.Bytes()) // nobody is there to read it
}

// keptHeaders are those that a repeat gets, too.
//
//nolint:gochecknoglobals // a constant
var keptHeaders = []string{"Content-Type", "Etag", "Postrider-Applied"}

// capturedHead is the first line of an encoded answer; the rest is the body as it is.
type capturedHead struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header,omitempty"`
}

// encode writes the answer as text.
func (c *captured) encode() string {
	c.WriteHeader(http.StatusOK)
	head := capturedHead{Status: c.status, Header: map[string]string{}}
	for _, name := range keptHeaders {
		if v := c.header.Get(name); v != "" {
			head.Header[name] = v
		}
	}
	line, _ := json.Marshal(head) // numbers and strings always encode
	return string(line) + "\n" + c.body.String()
}

// decodeCaptured reads what [captured.encode] wrote.
func decodeCaptured(text string) (*captured, bool) {
	line, body, ok := strings.Cut(text, "\n")
	var head capturedHead
	if err := json.Unmarshal([]byte(line), &head); !ok || err != nil || head.Status < 200 || head.Status >= 500 {
		return nil, false
	}
	c := &captured{header: http.Header{}, status: head.Status}
	for name, v := range head.Header {
		c.header.Set(name, v)
	}
	c.body.WriteString(body)
	return c, true
}
