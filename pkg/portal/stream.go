package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// streamed is an answer of the API that goes on: Server-Sent Events, which are handed on one by one.
type streamed struct {
	// to is whom the portal answers. Its deadlines are those of the answer.
	to   http.ResponseWriter
	rest []byte
	// refused is the answer if it is none of success.
	refused reply
	each    func(e streamEvent) error
}

// streamEvent is an event of a stream; without a name it is a sign of life.
type streamEvent struct{ id, name, data string }

// Header implements [http.ResponseWriter].
func (s *streamed) Header() http.Header {
	if s.refused.header == nil {
		s.refused.header = http.Header{}
	}
	return s.refused.header
}

// WriteHeader implements [http.ResponseWriter].
func (s *streamed) WriteHeader(status int) { s.refused.WriteHeader(status) }

// Write implements [http.ResponseWriter].
func (s *streamed) Write(p []byte) (int, error) {
	if s.refused.status >= http.StatusMultipleChoices {
		return s.refused.Write(p)
	}
	s.rest = append(s.rest, p...)
	for {
		text, rest, whole := bytes.Cut(s.rest, []byte("\n\n"))
		if !whole {
			return len(p), nil
		}
		var e streamEvent
		for line := range strings.Lines(string(text)) {
			switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			}
		}
		s.rest = rest
		if err := s.each(e); err != nil {
			return 0, err
		}
	}
}

// Unwrap is for [http.ResponseController].
func (s *streamed) Unwrap() http.ResponseWriter { return s.to }

// stream makes a request whose answer goes on, until it ends. What the API refuses is a [*Refusal].
func (c caller) stream(w http.ResponseWriter, path string, each func(streamEvent) error, headers ...string) error {
	r, err := c.request(http.MethodGet, path, nil, headers...)
	if err != nil {
		return err
	}
	answer := &streamed{to: w, each: each}
	c.api.ServeHTTP(answer, r)
	if answer.refused.status >= http.StatusMultipleChoices {
		return refusal(&answer.refused)
	}
	return nil
}

// followAttempts sends the rows of new attempts as they come: the fragments of HTML that the list is made of, as Server-Sent
// Events. It ends with the session.
func (v *visit) followAttempts() error {
	ctx, cancel := context.WithDeadline(v.r.Context(), v.session.Until)
	defer cancel()
	v.calls.from = v.r.WithContext(ctx)
	q := v.r.URL.Query()
	path := query(v.endpointPath("tail"), "status", q.Get("status"), "status_code_class", q.Get("class"), "event_types", q.Get("type"),
		"channel", q.Get("channel"), "iterator", q.Get("iterator"))
	begun := false
	err := v.calls.stream(v.w, path, func(e streamEvent) error {
		if !begun {
			begun = true
			v.w.Header().Set("Content-Type", "text/event-stream")
			v.w.Header().Set("X-Accel-Buffering", "no")
			v.w.WriteHeader(http.StatusOK)
		}
		return v.sendRow(e)
	}, "Last-Event-ID", v.r.Header.Get("Last-Event-ID"))
	if begun {
		return nil // who reads it connects again, and is told then
	}
	return err
}

// sendRow sends an event of the API on, an attempt as a row of the list.
func (v *visit) sendRow(e streamEvent) error {
	var b bytes.Buffer
	if e.id != "" {
		b.WriteString("id: " + e.id + "\n")
	}
	switch e.name {
	case "":
		b.WriteString(":")
	case "attempt":
		var row attemptRow
		if err := json.Unmarshal([]byte(e.data), &row.MessageAttemptOut); err != nil {
			return fmt.Errorf("reading an attempt: %w", err)
		}
		if row.Msg != nil {
			row.EventType = row.Msg.EventType
		}
		var html bytes.Buffer
		page := &page{App: v.app, Data: row, portal: v.p, visit: v}
		if err := v.p.pages["parts"].ExecuteTemplate(&html, "attempt-row", page); err != nil {
			return fmt.Errorf("rendering an attempt: %w", err)
		}
		fmt.Fprintf(&b, "event: attempt\ndata: %s", strings.NewReplacer("\r", " ", "\n", " ").Replace(html.String()))
	default:
		fmt.Fprintf(&b, "event: %s\ndata: {}", e.name)
	}
	b.WriteString("\n\n")
	_, err := v.w.Write(b.Bytes())
	return err
}
