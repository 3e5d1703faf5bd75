package demo

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
)

// Event is a sample event as it goes to the source topic.
type Event struct {
	ID, Type, Tenant, Source string
	// Value is the record's value.
	Value []byte
	// Data is the digest of the bytes that subscribers are to get.
	Data [sha256.Size]byte
}

// Stream gives the sample events over and over, each time with an id and a time of its own. It is not safe for
// concurrent use.
type Stream struct {
	lines   [][]byte
	decoder *event.Decoder
	run     string
	n       int
}

// NewStream reads events, one a line. The ids it gives depend on the run, which is another text every time.
func NewStream(text []byte, run string) (*Stream, error) {
	decoder, err := event.NewDecoder(Source())
	if err != nil {
		return nil, err
	}
	s := &Stream{lines: bytes.Split(bytes.TrimSpace(text), []byte("\n")), decoder: decoder, run: run}
	for i, line := range s.lines {
		if _, err := s.read(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return s, nil
}

// Next returns the next event, as if it happened now.
func (s *Stream) Next(now time.Time) (Event, error) {
	line := s.lines[s.n%len(s.lines)]
	s.n++
	id := ident.Derive("postrider/demo", s.run, strconv.Itoa(s.n)).UUID()
	for _, change := range []struct{ path, text string }{
		{"event_id", id}, {"event_timestamp", now.UTC().Format("2006-01-02T15:04:05.000Z")},
	} {
		var err error
		if line, err = replace(line, change.path, change.text); err != nil {
			return Event{}, err
		}
	}
	return s.read(line)
}

func (s *Stream) read(line []byte) (Event, error) {
	e, err := s.decoder.Decode(event.Record{Value: line})
	if err != nil {
		return Event{}, err
	}
	return Event{ID: e.ID, Type: e.Type, Tenant: e.Tenant, Source: e.Source, Value: line, Data: sha256.Sum256(e.Data)}, nil
}

var errNoText = errors.New("is no text")

// replace returns value with another text at a path, and every other byte as it is.
func replace(value []byte, path, text string) ([]byte, error) {
	old := gjson.GetBytes(value, path)
	if old.Type != gjson.String {
		return nil, fmt.Errorf("%s: %w", path, errNoText)
	}
	return slices.Concat(value[:old.Index], strconv.AppendQuote(nil, text), value[old.Index+len(old.Raw):]), nil
}
