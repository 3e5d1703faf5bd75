package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"net/http"
	"slices"
)

// Limits say how much of a response is read.
type Limits struct {
	// Head bounds the bytes before the body, 1xx responses included.
	Head int
	// Body bounds the body; what is longer is cut off.
	Body int
}

// Response is what came back. After an error it holds what was known until then.
type Response struct {
	// Begun means that a byte came.
	Begun bool
	// Status is 0 until the head was read.
	Status int
	// Proto is HTTP/1.1 or what else the endpoint claims.
	Proto string
	// Header is the header as net/http read it; nil if the response was understood here. [Response.Fields] has both.
	Header http.Header
	// Lines are those of the header, whole and well-formed, an empty one at the end or not: if the response was understood here,
	// in the buffer that it was read through.
	Lines []byte
	// Body is at most [Limits.Body] long; nil if there is none.
	Body []byte
	// Truncated means that there was more.
	Truncated bool
	// Reusable means that the response was read to its last byte, that nothing came after it, and that the endpoint will
	// take another request. It does not mean that it read the whole of this one.
	Reusable bool
}

// Read reads the response to a request, which was neither HEAD nor CONNECT, through buf, whose contents do not matter
// before, and those after are what [Response.Fields] reads. The error is that of the connection if nothing came.
//
// What nearly all endpoints answer is understood here: HTTP/1.1, a final status, well-formed lines that fit into buf, and a
// body whose length is given, or none. Chunks are left to net/http. So is, from its first byte, all that is not understood:
// there is one opinion about it, and an old one; but the connection is not used again.
func (r *Response) Read(conn io.Reader, buf []byte, limits Limits) error {
	var h head
	n, done, err := h.readFrom(conn, buf)
	if n == 0 {
		return err
	}
	if err != nil {
		conn = failing{err}
	}
	r.Begun = true
	if done == finished && !h.chunked && h.length >= 0 {
		r.Lines = buf[h.fields:h.at]
		return r.readBody(conn, &h, buf[h.at:n], limits.Body)
	}
	err = r.readOther(buf[:n], conn, limits)
	r.Reusable = r.Reusable && done == finished && !h.closes
	return err
}

// failing is what is left of a connection after an error.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// readBody reads the body after a head, of which start came along with it.
func (r *Response) readBody(conn io.Reader, h *head, start []byte, limit int) error {
	r.Status, r.Proto = h.status, "HTTP/1.1"
	size := int(min(h.length, int64(limit)))
	if size > 0 {
		body := make([]byte, size)
		n := copy(body, start)
		read, err := io.ReadFull(conn, body[n:])
		r.Body = body[:n+read]
		if err != nil {
			return noEOF(err)
		}
	}
	r.Truncated = h.length > int64(size)
	r.Reusable = !h.closes && !r.Truncated && len(start) <= size
	return nil
}

// noEOF is for what ended too early.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readOther leaves the response to net/http. Its start was read already.
func (r *Response) readOther(start []byte, conn io.Reader, limits Limits) error {
	first := bytes.NewReader(start)
	bounded := &io.LimitedReader{R: io.MultiReader(first, conn), N: int64(limits.Head)}
	buffered := bufio.NewReader(bounded)
	got, err := readFinal(buffered) //nolint:bodyclose // that would read the rest, however long; the connection is the caller's
	if err != nil && bounded.N <= 0 {
		return fmt.Errorf("a response head of more than %d bytes", limits.Head)
	}
	if err != nil {
		return err
	}
	r.Status, r.Proto, r.Header = got.StatusCode, got.Proto, got.Header
	if got.StatusCode == http.StatusSwitchingProtocols {
		return nil // what follows is no HTTP
	}
	bounded.N = math.MaxInt64 // from here on limits.Body holds
	if r.Body, r.Truncated, err = ReadBody(got, limits.Body); err != nil {
		return err
	}
	r.Reusable = !r.Truncated && !got.Close && got.StatusCode > 199 && got.ProtoAtLeast(1, 1) &&
		buffered.Buffered() == 0 && first.Len() == 0
	return nil
}

// readFinal reads up to the head that counts: 1xx responses come before it (RFC 9110, section 15.2), and 101 is one that
// does. All their bytes together are bounded.
func readFinal(from *bufio.Reader) (*http.Response, error) {
	for {
		got, err := http.ReadResponse(from, nil)
		if err != nil || got.StatusCode < 100 || got.StatusCode > 199 || got.StatusCode == http.StatusSwitchingProtocols {
			return got, err
		}
	}
}

// ReadBody reads a body up to the limit, and reports whether there was more. Only a body that was read to its end leaves
// the connection ready for another exchange.
func ReadBody(got *http.Response, limit int) (body []byte, truncated bool, err error) {
	if got.ContentLength == 0 || got.Body == http.NoBody {
		return nil, false, nil
	}
	size := int64(512) // most answers are shorter: "ok", or a small JSON document
	if got.ContentLength > 0 {
		size = min(got.ContentLength, int64(limit)) + 1 // with room for one byte more the end shows without growing
	}
	body = make([]byte, 0, size)
	for len(body) <= limit {
		if len(body) == cap(body) {
			body = slices.Grow(body, min(len(body), limit+1-len(body)))
		}
		n, err := got.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) && len(body) <= limit {
			return body, false, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return body, false, err
		}
	}
	return body[:limit], true, nil
}

// Fields yields the names and values of the header, as long as the buffer of [Response.Read] is left alone: as they were
// written and in their order, but those that net/http read by canonical names, and in the order of these.
func (r *Response) Fields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for rest := r.Lines; len(rest) > 2; { // after the last comes an empty line
			var line []byte
			line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
			name, value, _ := bytes.Cut(line, []byte(":"))
			if !yield(name, bytes.Trim(value, " \t")) {
				return
			}
		}
		if r.Header != nil {
			fieldsOf(r.Header, yield)
		}
	}
}

func fieldsOf(header http.Header, yield func(name, value []byte) bool) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			if !yield([]byte(name), []byte(value)) {
				return
			}
		}
	}
}
