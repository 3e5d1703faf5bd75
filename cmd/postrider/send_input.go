package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/postrider/postrider/pkg/event"
)

// maxReadAhead bounds what is read for one value of an input: enough for a value a little too large to be told so.
const maxReadAhead = 4 * event.MaxBytes

// eventInput reads JSON values from a file or a stream: one a line, one after the other, or the elements of an array.
type eventInput struct {
	lines *lineReader
	dec   *json.Decoder
	array bool
	begun bool
}

func newEventInput(r io.Reader) *eventInput {
	lines := &lineReader{r: r, line: 1}
	return &eventInput{lines: lines, dec: json.NewDecoder(lines)}
}

// next returns the next value, byte for byte, and the line it starts in. The error is io.EOF after the last one.
func (in *eventInput) next() (value []byte, line int, err error) {
	if !in.begun {
		if err := in.begin(); err != nil {
			return nil, 0, err
		}
	}
	if in.array && !in.dec.More() {
		return nil, 0, in.end()
	}
	in.lines.limit = in.dec.InputOffset() + maxReadAhead
	var raw json.RawMessage
	if err := in.dec.Decode(&raw); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, 0, io.EOF
		}
		return nil, 0, fmt.Errorf("line %d: %w", in.lines.at(in.errorOffset(err)), err)
	}
	return raw, in.lines.at(in.dec.InputOffset() - int64(len(raw))), nil
}

// begin looks whether the input is an array.
func (in *eventInput) begin() error {
	in.begun = true
	in.lines.limit = maxReadAhead
	first, skipped, err := firstByte(in.lines)
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if err != nil {
		return err
	}
	in.array = first == '['
	// What was looked at is read again; the line reader has counted it already.
	in.dec = json.NewDecoder(io.MultiReader(bytes.NewReader(skipped), in.lines))
	if in.array {
		_, err = in.dec.Token()
	}
	return err
}

// end reads the bracket that closes the array. Nothing may follow it.
func (in *eventInput) end() error {
	if _, err := in.dec.Token(); err != nil {
		return fmt.Errorf("line %d: the array does not end", in.lines.at(in.dec.InputOffset()))
	}
	if _, err := in.dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: something follows the array", in.lines.at(in.dec.InputOffset()))
	}
	return io.EOF
}

func (in *eventInput) errorOffset(err error) int64 {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return max(in.dec.InputOffset(), syntax.Offset-1)
	}
	return in.dec.InputOffset()
}

// firstByte reads up to the first byte that is no white space, and returns it and all that was read.
func firstByte(r io.Reader) (first byte, read []byte, err error) {
	var b [1]byte
	for {
		n, err := r.Read(b[:])
		if n > 0 {
			read = append(read, b[0])
			if !slices.Contains([]byte(" \t\r\n"), b[0]) {
				return b[0], read, nil
			}
		}
		if err != nil {
			return 0, read, err
		}
	}
}

// lineReader passes a reader on and remembers where the lines begin that were not asked for yet.
type lineReader struct {
	r        io.Reader
	offset   int64   // bytes read
	limit    int64   // bytes that may be read
	newlines []int64 // offsets of newlines after the last line asked for
	line     int     // the line before the first of newlines
}

// Read implements io.Reader.
func (l *lineReader) Read(p []byte) (int, error) {
	if l.offset >= l.limit {
		return 0, fmt.Errorf("a value is larger than %d bytes", maxReadAhead)
	}
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.newlines = append(l.newlines, l.offset+int64(i))
		}
	}
	l.offset += int64(n)
	return n, err
}

// at returns the line of an offset. Offsets must not go back.
func (l *lineReader) at(offset int64) int {
	n := 0
	for n < len(l.newlines) && l.newlines[n] < offset {
		n++
	}
	l.line += n
	l.newlines = l.newlines[n:]
	return l.line
}
