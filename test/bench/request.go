package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// requestReader reads HTTP/1.1 requests with a Content-Length.
type requestReader struct {
	r          *bufio.Reader
	path, body []byte // valid until the next
}

// maxBody is above the event limit and the envelope, in bytes.
const maxBody = 2 << 20

func (q *requestReader) next() error {
	line, err := q.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	_, rest, _ := bytes.Cut(line, []byte(" "))
	path, _, _ := bytes.Cut(rest, []byte(" "))
	q.path = append(q.path[:0], path...)
	length, err := contentLength(q.r)
	if err != nil {
		return err
	}
	if length > maxBody {
		return fmt.Errorf("a body of %d bytes", length)
	}
	if cap(q.body) < length {
		q.body = make([]byte, length)
	}
	q.body = q.body[:length]
	_, err = io.ReadFull(q.r, q.body)
	return err
}

// contentLength reads header lines to their end.
func contentLength(r *bufio.Reader) (length int, err error) {
	const name = "content-length:"
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return length, nil
		}
		if len(line) > len(name) && line[0]|0x20 == 'c' && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return 0, err
			}
		}
	}
}

// eventNumber finds the number that [load] puts into the data of an event.
func eventNumber(body []byte) (n uint32) {
	_, rest, _ := bytes.Cut(body, []byte(numberMember))
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint32(c-'0')
	}
	return n
}
