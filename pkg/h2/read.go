package h2

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/net/http2"
)

const (
	// maxStray is how many frames may come that bring no answer further.
	maxStray = 10_000
	// maxSettings is how many frames of settings a connection takes.
	maxSettings = 100
	// maxFrames is how many may come for one request: 64 KiB in pieces of some bytes.
	maxFrames = 10_000
)

// readAll reads until the connection ends.
func (c *Conn) readAll() {
	for {
		f, err := c.framer.ReadFrame()
		c.mu.Lock()
		now := c.opts.Now()
		c.read = time.Now()
		var bad http2.StreamError
		switch {
		case err == nil:
			err = c.take(f, now)
		case errors.As(err, &bad):
			err = c.spoiled(bad)
		}
		if err != nil {
			c.broken(err)
		}
		ended := c.ended != nil
		c.mu.Unlock()
		if ended {
			return
		}
	}
}

// broken ends the connection.
func (c *Conn) broken(err error) {
	switch {
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF // for whoever waits
	case errors.Is(err, http2.ErrFrameTooLarge):
		err = http2.ConnectionError(http2.ErrCodeFrameSize)
	}
	c.fail(err)
}

// take takes a frame.
func (c *Conn) take(f http2.Frame, now time.Time) error {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return c.takeHead(f, now)
	case *http2.DataFrame:
		return c.takeData(f)
	case *http2.RSTStreamFrame:
		return c.takeReset(f)
	case *http2.SettingsFrame:
		return c.takeSettings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.framer.WritePing(true, f.Data)
			return errors.Join(c.astray(), c.reply(pingSize))
		}
		c.pinged = time.Time{}
	case *http2.GoAwayFrame:
		return c.takeLeave(f)
	case *http2.WindowUpdateFrame:
		return errors.Join(c.astray(), c.opened(f))
	case *http2.PushPromiseFrame: // that it was told not to make
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return c.astray()
}

// astray counts a frame that brings no answer further.
func (c *Conn) astray() error {
	if c.stray++; c.stray > maxStray {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// of returns the request that a frame is for; nil if it has ended. A request that gets too many is ended.
func (c *Conn) of(id uint32) (*stream, error) {
	s := c.streams[id]
	if s == nil {
		if id >= c.next || id%2 == 0 {
			return nil, http2.ConnectionError(http2.ErrCodeProtocol)
		}
		return nil, c.astray()
	}
	if s.frames++; s.frames > maxFrames {
		c.reset(s, http2.ErrCodeEnhanceYourCalm, streamError(s, http2.ErrCodeEnhanceYourCalm))
		return nil, nil //nolint:nilnil // it has ended
	}
	return s, nil
}

func streamError(s *stream, code http2.ErrCode) error {
	return http2.StreamError{StreamID: s.id, Code: code}
}

// spoiled is a frame that breaks the rules for one request alone.
func (c *Conn) spoiled(bad http2.StreamError) error {
	if s := c.streams[bad.StreamID]; s != nil {
		c.reset(s, bad.Code, bad)
	}
	return c.astray()
}

// malformed ends a request whose answer is not one.
func (c *Conn) malformed(s *stream, why error) {
	c.reset(s, http2.ErrCodeProtocol, why)
}

// takeHead takes a head: of the answer, of a 1xx before it, or what comes after its body.
func (c *Conn) takeHead(f *http2.MetaHeadersFrame, now time.Time) error {
	s, err := c.of(f.StreamID)
	if s == nil {
		return err
	}
	if s.res.At.IsZero() {
		s.res.At = now
	}
	for _, field := range f.Fields {
		s.head += int(field.Size())
	}
	if f.Truncated || s.head > c.opts.Head {
		c.reset(s, http2.ErrCodeCancel, fmt.Errorf("a response head of more than %d bytes", c.opts.Head))
		return nil
	}
	if s.res.Status != 0 { // trailers
		c.trailed(s, f.StreamEnded())
		return nil
	}
	status := statusOf(f.PseudoValue("status"))
	switch {
	case status < 100 || status == 101 || status < 200 && f.StreamEnded():
		c.malformed(s, streamError(s, http2.ErrCodeProtocol))
	case status >= 200:
		c.takeFields(s, f, status)
	}
	return nil
}

// statusOf reads three digits; 0 is something else.
func statusOf(text string) (status int) {
	if len(text) != len("200") {
		return 0
	}
	for _, digit := range []byte(text) {
		if digit < '0' || digit > '9' {
			return 0
		}
		status = 10*status + int(digit-'0')
	}
	return status
}

func (c *Conn) takeFields(s *stream, f *http2.MetaHeadersFrame, status int) {
	s.res.Status = status
	for _, field := range f.RegularFields() {
		s.res.Lines = append(s.res.Lines, field.Name...)
		s.res.Lines = append(s.res.Lines, ": "...)
		s.res.Lines = append(s.res.Lines, field.Value...)
		s.res.Lines = append(s.res.Lines, "\r\n"...)
		if field.Name == "content-length" && status != 204 && status != 304 {
			n, err := strconv.ParseUint(field.Value, 10, 63)
			if err != nil || s.length >= 0 && s.length != int64(n) {
				c.malformed(s, streamError(s, http2.ErrCodeProtocol))
				return
			}
			s.length = int64(n)
		}
	}
	if f.StreamEnded() {
		c.finish(s)
	} else if s.length > 0 {
		s.res.Body = make([]byte, 0, min(s.length, int64(c.opts.Body)))
	}
}

// trailed is after trailers, which nothing may follow.
func (c *Conn) trailed(s *stream, ended bool) {
	if ended {
		c.finish(s)
		return
	}
	c.malformed(s, streamError(s, http2.ErrCodeProtocol))
}

// takeData takes a piece of a body.
func (c *Conn) takeData(f *http2.DataFrame) error {
	if err := c.consume(int64(f.Length)); err != nil {
		return err
	}
	s, err := c.of(f.StreamID)
	if s == nil {
		return err
	}
	data := f.Data()
	s.got += int64(len(data))
	if padding := int(f.Length) - len(data); padding > 0 && !f.StreamEnded() { // it counts, and is not part of what is read at most
		_ = c.framer.WriteWindowUpdate(s.id, uint32(padding)) //nolint:gosec // at most 256
		if err := c.reply(creditSize); err != nil {
			return err
		}
	}
	switch {
	case s.res.Status == 0, s.length >= 0 && s.got > s.length:
		c.malformed(s, streamError(s, http2.ErrCodeProtocol))
		return nil
	case s.got > int64(c.opts.Body):
		s.res.Body = append(s.res.Body, data[:c.opts.Body-len(s.res.Body)]...)
		s.res.Truncated = true
		c.answered(s)
		return nil
	}
	s.res.Body = append(s.res.Body, data...)
	if f.StreamEnded() {
		c.finish(s)
	}
	return nil
}

// consume takes what came off the connection's window, and gives it back when that is worth a frame. A stream's is large enough for all
// that is read of it.
func (c *Conn) consume(n int64) error {
	if c.credit -= n; c.credit < 0 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if used := connWindow - c.credit; used >= connWindow/2 {
		c.credit = connWindow
		_ = c.framer.WriteWindowUpdate(0, uint32(used))
		return c.reply(creditSize)
	}
	return nil
}

// finish ends a request whose answer is complete.
func (c *Conn) finish(s *stream) {
	if s.length > s.got {
		c.end(s, io.ErrUnexpectedEOF)
		return
	}
	c.answered(s)
}

// answered ends a request of whose answer enough is known. The endpoint need not send more of it, nor wait for more.
func (c *Conn) answered(s *stream) {
	c.stray = 0
	if len(s.rest) > 0 || s.res.Truncated {
		c.reset(s, http2.ErrCodeCancel, nil)
		return
	}
	c.end(s, nil)
}

// takeReset takes the end of a request.
func (c *Conn) takeReset(f *http2.RSTStreamFrame) error {
	s, err := c.of(f.StreamID)
	if s == nil {
		return err
	}
	switch {
	case f.ErrCode == http2.ErrCodeRefusedStream && s.res.At.IsZero():
		c.end(s, ErrUnprocessed)
	case f.ErrCode == http2.ErrCodeHTTP11Required && s.res.At.IsZero():
		c.end(s, ErrHTTP1)
	default:
		c.end(s, streamError(s, f.ErrCode))
	}
	return nil
}

// takeSettings takes what the peer allows.
func (c *Conn) takeSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return c.astray()
	}
	if c.told++; c.told > maxSettings {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	initial := c.initial
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID { //nolint:exhaustive // others change nothing for who sends frames of 16 KiB and takes no pushes
		case http2.SettingMaxConcurrentStreams:
			c.most = int(min(s.Val, maxWindow))
		case http2.SettingInitialWindowSize:
			initial = int64(s.Val)
		case http2.SettingHeaderTableSize:
			c.resized = c.resized || s.Val < tableSize // which is to be said, although nothing is put there (RFC 9113, section 4.3.1)
		}
		return nil
	})
	if err == nil && initial != c.initial {
		err = c.resize(initial)
	}
	if err != nil {
		return err
	}
	c.setReady()
	_ = c.framer.WriteSettingsAck()
	return c.reply(ackSize)
}

// takeLeave takes the announcement of the end (RFC 9113, section 6.8). What the endpoint has not seen may be sent again.
func (c *Conn) takeLeave(f *http2.GoAwayFrame) error {
	for id, s := range c.streams {
		if id > f.LastStreamID && s.res.At.IsZero() {
			c.end(s, ErrUnprocessed)
		}
	}
	c.leaving = true
	switch {
	case f.ErrCode != http2.ErrCodeNo:
		return GoAwayError(f.ErrCode)
	case len(c.streams) == 0:
		c.fail(errNobody)
	}
	return c.astray()
}
