package conformance

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// request is one request as it came over the wire.
type request struct {
	at    time.Time
	raw   []byte
	lines []string // the request line and the header fields
	body  []byte
	http  *http.Request // the same, parsed
}

// receiver is the endpoint, and the network to it. What it is sent it keeps, byte by byte.
type receiver struct {
	mu       sync.Mutex
	requests []*request
	answers  []answer
	busy     int // requests that were not answered yet
}

// transport carries attempts to the receiver over HTTP/1.1 on connections in memory. TLS is left out: its bytes are random.
func (r *receiver) transport() *http.Transport {
	dial := func(context.Context, string, string) (net.Conn, error) {
		if next, ok := r.peek(); ok && next.refuse {
			r.next()
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}
		here, there := net.Pipe()
		go r.serve(there)
		return here, nil
	}
	return &http.Transport{DialTLSContext: dial, DisableCompression: true, IdleConnTimeout: time.Second}
}

// expect says what the next requests are answered.
func (r *receiver) expect(answers []answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = answers
}

func (r *receiver) peek() (answer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) == 0 {
		return answer{}, false
	}
	return r.answers[0], true
}

// next returns the next answer; the last one goes on. Without any it is 200.
func (r *receiver) next() answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) == 0 {
		return answer{status: http.StatusOK}
	}
	a := r.answers[0]
	if len(r.answers) > 1 {
		r.answers = r.answers[1:]
	}
	return a
}

// received returns all requests so far.
func (r *receiver) received() []*request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*request(nil), r.requests...)
}

// unanswered reports whether a request waits for its answer.
func (r *receiver) unanswered() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.busy > 0
}

// serve answers one request after the other until the other side closes the connection.
func (r *receiver) serve(conn net.Conn) {
	defer conn.Close()
	var raw bytes.Buffer
	from := bufio.NewReader(io.TeeReader(conn, &raw))
	for {
		raw.Reset()
		req, err := http.ReadRequest(from)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.keep(bytes.Clone(raw.Bytes()), req, body)
		if !r.reply(conn) {
			return
		}
	}
}

// reply answers a request and reports whether the connection goes on.
func (r *receiver) reply(conn net.Conn) bool {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy--
	}()
	a := r.next()
	if a.hang {
		_, _ = io.Copy(io.Discard, conn)
	}
	if a.hang || a.reset {
		return false
	}
	_, err := io.WriteString(conn, a.String())
	return err == nil
}

func (r *receiver) keep(raw []byte, req *http.Request, body []byte) {
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	kept := &request{at: time.Now(), raw: raw, body: body, http: req}
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		kept.lines = append(kept.lines, string(line))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, kept)
	r.busy++
}

// String writes the answer as it goes over the wire.
func (a answer) String() string {
	text := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: 0\r\n", a.status, http.StatusText(a.status))
	for i := 0; i+1 < len(a.header); i += 2 {
		text += a.header[i] + ": " + a.header[i+1] + "\r\n"
	}
	return text + "\r\n"
}
