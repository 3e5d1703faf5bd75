package wire

import (
	"bytes"
	"io"
	"net/http"
)

// head is the head of a response as far as it matters.
type head struct {
	status  int
	length  int64 // of the body; -1 if it was not given
	chunked bool
	closes  bool // the connection ends with this response

	fields int // where they begin, in bytes
	at     int // what was read of it, in bytes
}

// progress is how far the reading of a head has come.
type progress int

const (
	unfinished progress = iota
	finished
	// notUnderstood may be allowed: other versions, 1xx, folded lines, lines without CR.
	notUnderstood
)

// readFrom reads from conn into buf, n bytes, until the head is finished or will not be: the rest of what is not understood
// may never come, and must not be waited for.
func (h *head) readFrom(conn io.Reader, buf []byte) (n int, done progress, err error) {
	for n < len(buf) && done == unfinished && err == nil {
		var m int
		m, err = conn.Read(buf[n:])
		if m == 0 && err == nil {
			err = io.ErrNoProgress
		}
		n += m
		done = h.read(buf[:n])
	}
	return n, done, err
}

// read reads on in b, which begins with the head, as far as its lines are whole.
func (h *head) read(b []byte) progress {
	for {
		i := bytes.IndexByte(b[h.at:], '\n')
		if i < 0 {
			return unfinished
		}
		line := b[h.at : h.at+i]
		first := h.at == 0
		h.at += i + 1
		line, ok := bytes.CutSuffix(line, []byte("\r"))
		switch {
		case !ok || !text(line):
			return notUnderstood
		case first:
			ok = h.statusLine(line)
			h.fields = h.at
		case len(line) == 0:
			return h.end()
		default:
			ok = h.field(line)
		}
		if !ok {
			return notUnderstood
		}
	}
}

// end is after the last line (RFC 9112, section 6.3).
func (h *head) end() progress {
	switch {
	case h.chunked && h.length >= 0: // by two lengths: request smuggling, or a broken server
		return notUnderstood
	case h.status == http.StatusNoContent, h.status == http.StatusNotModified:
		h.closes = h.closes || h.chunked || h.length > 0 // should the body come that is not allowed
		h.length, h.chunked = 0, false
	}
	return finished
}

// statusLine reads the first line.
func (h *head) statusLine(line []byte) bool {
	const version, whole = "HTTP/1.1 ", "HTTP/1.1 200"
	h.length = -1
	if len(line) < len(whole) || string(line[:len(version)]) != version || len(line) > len(whole) && line[len(whole)] != ' ' {
		return false
	}
	n, ok := number(line[len(version):len(whole)])
	h.status = int(n)
	return ok && n >= 200
}

// field takes a header field, or reports that it is not to be understood here.
func (h *head) field(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || !token(line[:colon]) {
		return false
	}
	name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
	switch {
	case is(name, "Content-Length"):
		n, ok := number(value)
		if !ok || h.length >= 0 {
			return false
		}
		h.length = n
	case is(name, "Transfer-Encoding"):
		if h.chunked || !is(value, "chunked") {
			return false
		}
		h.chunked = true
	case is(name, "Connection"):
		if !is(value, "keep-alive") {
			h.closes = true
			return is(value, "close")
		}
	}
	return true
}

// is compares without case. The length, which nearly always differs, is looked at first.
func is(b []byte, word string) bool { return len(b) == len(word) && bytes.EqualFold(b, []byte(word)) }

// number reads a Content-Length: digits alone, few enough for an int64.
func number(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, len(b) > 0 && len(b) <= 18
}

// token reports whether b is a token (RFC 9110, section 5.6.2) of letters, digits, hyphens and underscores.
func token(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(b) > 0
}

// text reports whether b holds no control character but tabs.
func text(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
