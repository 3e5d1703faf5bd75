package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What an HTTP/2 connection allows its client. The windows are in bytes.
const (
	h2Streams      = 250     // at a time; that of net/http's server
	h2StreamWindow = 1 << 20 // of a body; net/http's, too, so that few bodies have to wait for credit
	h2ConnWindow   = 1 << 30 // half of what RFC 9113, section 6.9.1 allows
)

const (
	h2TableSize = 4 << 10  // of header compression, in bytes; RFC 9113, section 6.5.2
	h2Read      = 16 << 10 // bytes; what one TLS record holds, and one Read returns
	h2Written   = 32 << 10 // bytes of answers that are not held back any longer: two records
)

// noContent is a status of 204 in HPACK: the ninth entry of its static table (RFC 7541, appendix A).
var noContent = []byte{0x80 | 9}

// h2Conn is a connection that speaks HTTP/2. What came together is answered together, with one Write.
type h2Conn struct {
	sink   *sinkServer
	conn   net.Conn
	in     *bufio.Reader
	frames *http2.Framer // reads from in, without mu, and writes to out

	mu       sync.Mutex // also of writing: an answer with a delay comes from elsewhere
	streams  map[uint32]h2Stream
	consumed uint32 // bytes that the connection's window has not got back
	// The header block that is read: its fields may come in several frames.
	fields *hpack.Decoder
	path   string
	ends   bool // no body follows
	// What is written.
	out      bytes.Buffer
	head     *hpack.Encoder
	block    bytes.Buffer
	resized  bool // the peer has changed the table of head, which the next block has to say
	answered int64
	accepted int64 // answered 2xx
}

// h2Stream is a request that was not answered yet.
type h2Stream struct {
	path     string
	body     []byte // but for its last frame
	consumed uint32 // bytes that its window has not got back
	delay    *time.Timer
}

// serveH2 answers the requests of one connection that speaks HTTP/2.
func (s *sinkServer) serveH2(conn net.Conn) {
	c := newH2Conn(s, conn)
	defer c.close()
	if c.greet() != nil {
		return
	}
	for {
		f, err := c.frames.ReadFrame()
		if err != nil || c.take(f) != nil {
			return
		}
	}
}

func newH2Conn(s *sinkServer, conn net.Conn) *h2Conn {
	c := &h2Conn{sink: s, conn: conn, in: bufio.NewReaderSize(conn, h2Read), streams: map[uint32]h2Stream{}}
	c.frames = http2.NewFramer(&c.out, c.in)
	c.frames.SetReuseFrames()
	c.fields = hpack.NewDecoder(h2TableSize, c.field)
	c.head = hpack.NewEncoder(&c.block)
	return c
}

// field takes the path. What follows it is not decoded any more, unless later blocks need it.
func (c *h2Conn) field(f hpack.HeaderField) {
	if f.Name == ":path" {
		c.path = f.Value
		c.fields.SetEmitEnabled(false)
	}
}

// greet reads the client's preface, and says what it is allowed.
func (c *h2Conn) greet() error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.in, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return errors.New("not HTTP/2")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(
		c.frames.WriteSettings(
			http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: h2Streams},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: h2StreamWindow},
		),
		c.frames.WriteWindowUpdate(0, h2ConnWindow),
		c.flush(),
	)
}

// take does what a frame asks for, and writes the answers once nothing else has come with it.
func (c *h2Conn) take(f http2.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.handle(f); err != nil {
		return err
	}
	if c.in.Buffered() > 0 && c.out.Len() < h2Written {
		return nil
	}
	return c.flush()
}

// handle appends answers to out. Frames that it does not know ask for nothing: no answer has a body that would need a
// window, and who says GOAWAY closes the connection.
func (c *h2Conn) handle(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.HeadersFrame:
		c.path, c.ends = "", f.StreamEnded()
		c.fields.SetEmitEnabled(true)
		return c.headers(f.StreamID, f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.ContinuationFrame:
		return c.headers(f.StreamID, f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.DataFrame:
		return c.data(f)
	case *http2.RSTStreamFrame:
		c.drop(f.StreamID)
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.frames.WritePing(true, f.Data)
		}
	}
	return nil
}

// headers reads a part of the fields that a stream begins with, or ends with after its body.
func (c *h2Conn) headers(id uint32, part []byte, all bool) error {
	if _, err := c.fields.Write(part); err != nil || !all {
		return err
	}
	if err := c.fields.Close(); err != nil {
		return err
	}
	s, ok := c.streams[id]
	if !ok {
		s.path = c.path
	}
	if c.ends {
		return c.end(id, s, s.body)
	}
	c.streams[id] = s
	return nil
}

// data reads a part of a body, nearly always all of it.
func (c *h2Conn) data(f *http2.DataFrame) error {
	if err := c.credit(0, &c.consumed, f.Length, h2ConnWindow); err != nil {
		return err
	}
	s, ok := c.streams[f.StreamID]
	if !ok {
		return nil // dropped
	}
	body := f.Data()
	if f.StreamEnded() && s.body == nil {
		return c.end(f.StreamID, s, body)
	}
	s.body = append(s.body, body...)
	if len(s.body) > maxBody {
		return fmt.Errorf("a body of more than %d bytes", maxBody)
	}
	if f.StreamEnded() {
		return c.end(f.StreamID, s, s.body)
	}
	err := c.credit(f.StreamID, &s.consumed, f.Length, h2StreamWindow)
	c.streams[f.StreamID] = s
	return err
}

// credit gives back what was consumed of a window, once it is half of it. The stream 0 is the connection.
func (c *h2Conn) credit(id uint32, consumed *uint32, n, window uint32) error {
	if *consumed += n; *consumed < window/2 {
		return nil
	}
	n, *consumed = *consumed, 0
	return c.frames.WriteWindowUpdate(id, n)
}

// end does with a request that was read what [sinkServer.serve] does. Others do not wait for one with a delay.
func (c *h2Conn) end(id uint32, s h2Stream, body []byte) error {
	at := time.Now()
	status, after, endpoint := c.sink.judge([]byte(s.path))
	c.sink.note(receipt{At: at.UnixNano(), Event: eventNumber(body), Endpoint: endpoint, Status: uint32(status)}, len(body))
	if after > 0 {
		c.streams[id] = h2Stream{delay: time.AfterFunc(after, func() { c.answerLate(id, status) })}
		return nil
	}
	delete(c.streams, id)
	return c.answer(id, status)
}

func (c *h2Conn) answerLate(id uint32, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.streams[id]; !ok {
		return // dropped
	}
	delete(c.streams, id)
	if c.answer(id, status) == nil {
		_ = c.flush() // if the connection has ended, its reader is told
	}
}

// drop forgets a request that its client does not wait for any more.
func (c *h2Conn) drop(id uint32) {
	if s := c.streams[id]; s.delay != nil {
		s.delay.Stop()
	}
	delete(c.streams, id)
}

// settings acknowledges them. Only the table of header compression concerns who sends no bodies.
func (c *h2Conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if size, ok := f.Value(http2.SettingHeaderTableSize); ok {
		c.head.SetMaxDynamicTableSize(size)
		c.resized = true
	}
	return c.frames.WriteSettingsAck()
}

func (c *h2Conn) answer(id uint32, status int) error {
	block, err := c.encode(status)
	if err != nil {
		return err
	}
	c.answered++
	if status < 300 {
		c.accepted++
	}
	return c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true})
}

// encode returns the header block of an answer, valid until the next.
func (c *h2Conn) encode(status int) ([]byte, error) {
	if status == http.StatusNoContent && !c.resized {
		return noContent, nil
	}
	c.resized = false
	c.block.Reset()
	err := c.head.WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)})
	if status != http.StatusNoContent {
		err = errors.Join(err, c.head.WriteField(hpack.HeaderField{Name: "content-length", Value: "0"}))
	}
	return c.block.Bytes(), err
}

// flush writes what is in out.
func (c *h2Conn) flush() error {
	if c.out.Len() == 0 {
		return nil
	}
	_, err := c.conn.Write(c.out.Bytes())
	c.out.Reset()
	if err == nil {
		c.sink.streams.Add(c.answered)
		c.sink.accepted.Add(c.accepted)
	}
	c.answered, c.accepted = 0, 0
	return err
}

// close drops what was not answered. No answer with a delay is written afterwards.
func (c *h2Conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.streams {
		c.drop(id)
	}
}
