package h2

import (
	"strconv"
	"strings"

	"golang.org/x/net/http2"
)

// Indexed fields and names of the static table (RFC 7541, appendix A). Their number is that of the whole field with the high bit set, and
// that of the name below a literal value's pattern, which is 0 for one that is not added to the table and 0x10 for one that nobody
// is ever to add.
const (
	methodPOST    = 0x80 | 3
	schemeHTTPS   = 0x80 | 7
	nameAuthority = 1
	nameMethod    = 2
	namePath      = 4
	neverIndexed  = 0x10
	emptyTable    = 0x20 // the table has no place (RFC 7541, section 6.3)
)

// writeHead puts the head of a request into the queue. Nothing is compressed: a signature cannot be, what is sent of an endpoint's URL is short,
// and to look for what the endpoint has seen before costs more than to send it again. Nor does anything that is secret come into anybody's
// table.
func (c *Conn) writeHead(s *stream, r *Request) {
	b := c.block[:0]
	if c.resized {
		b, c.resized = append(b, emptyTable), false
	}
	if r.Method == "POST" {
		b = append(b, methodPOST)
	} else {
		b = appendText(append(b, nameMethod), r.Method)
	}
	b = append(b, schemeHTTPS)
	b = appendText(append(b, nameAuthority), r.Authority)
	b = appendText(append(b, namePath), r.Path)
	for _, f := range r.Fields {
		b = appendField(b, f.Name, f.Value)
	}
	if len(r.Body) > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" { // as net/http
		var digits [20]byte
		b = appendField(b, "content-length", string(strconv.AppendInt(digits[:0], int64(len(r.Body)), 10)))
	}
	c.block = b
	piece := min(len(b), maxFrame)
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{ // to memory, as everything that is written
		StreamID: s.id, BlockFragment: b[:piece], EndHeaders: piece == len(b), EndStream: len(r.Body) == 0,
	})
	for b = b[piece:]; len(b) > 0; b = b[piece:] {
		piece = min(len(b), maxFrame)
		_ = c.framer.WriteContinuation(s.id, piece == len(b), b[:piece])
	}
	if cap(c.block) > maxKept {
		c.block = nil
	}
}

// appendField appends a field with its name in lower case, and without the spaces around its value (RFC 9113, section 8.2.1).
func appendField(b []byte, name, value string) []byte {
	b = appendLength(append(b, neverIndexed), len(name))
	at := len(b)
	b = append(b, name...)
	for i, ch := range b[at:] {
		if 'A' <= ch && ch <= 'Z' {
			b[at+i] = ch + 'a' - 'A'
		}
	}
	return appendText(b, strings.Trim(value, " \t"))
}

// appendText appends a string as it is, without Huffman's code (RFC 7541, section 5.2).
func appendText(b []byte, text string) []byte { return append(appendLength(b, len(text)), text...) }

// appendLength appends an integer with a prefix of seven bits (RFC 7541, section 5.1).
func appendLength(b []byte, n int) []byte {
	const most = 1<<7 - 1
	if n < most {
		return append(b, byte(n)) //nolint:gosec // less than 127
	}
	b = append(b, most)
	for n -= most; n >= 1<<7; n >>= 7 {
		b = append(b, byte(n)|1<<7)
	}
	return append(b, byte(n))
}
