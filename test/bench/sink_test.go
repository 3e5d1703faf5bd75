package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// endpoint is a sink with one host, and a client of it.
type endpoint struct {
	*sinkServer
	client *http.Client
	base   string
}

// startEndpoint starts one. The protocols are its client's.
func startEndpoint(t *testing.T, http1 bool, set ...func(*http.Protocols, bool)) *endpoint {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	s := &sinkServer{}
	require.NoError(t, s.listen("127.0.0.1:0", certified.TLS.Certificates[0], http1))
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: new(http.Protocols)}
	for _, set := range set {
		set(tr.Protocols, true)
	}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		s.hosts[0].refuse()
	})
	return &endpoint{sinkServer: s, client: &http.Client{Transport: tr}, base: "https://" + s.hosts[0].listener.Addr().String()}
}

// post returns the status and the length of the body that the answer says it has.
func (e *endpoint) post(t *testing.T, path, body string) (status int, length int64, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.base+path, strings.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	return resp.StatusCode, resp.ContentLength, resp.Body.Close()
}

// answered waits until so many requests were, over HTTP/2: they are counted after they were written.
func (e *endpoint) answered(t *testing.T, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return e.streams.Load() == n }, time.Minute, time.Millisecond)
}

func TestTheSinkSpeaksWhatItsClientChooses(t *testing.T) {
	t.Parallel()
	one, two := (*http.Protocols).SetHTTP1, (*http.Protocols).SetHTTP2
	for _, c := range []struct {
		http1   bool
		client  []func(*http.Protocols, bool)
		streams int64
	}{
		{false, []func(*http.Protocols, bool){one, two}, 1},
		{false, []func(*http.Protocols, bool){one}, 0},
		{true, []func(*http.Protocols, bool){one, two}, 0},
	} {
		e := startEndpoint(t, c.http1, c.client...)
		status, _, err := e.post(t, "/ok/1", "{}")
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, status)
		require.Eventually(t, func() bool { return e.accepted.Load() == 1 }, time.Minute, time.Millisecond)
		require.Equal(t, c.streams, e.streams.Load())
	}
}

// Every request is noted once, with its event and endpoint.
func TestTheSinkAnswersManyStreams(t *testing.T) {
	t.Parallel()
	const workers, each = 200, 10
	e := startEndpoint(t, false, (*http.Protocols).SetHTTP2)
	var sent int64
	var wg sync.WaitGroup
	for w := range workers {
		for i := range each {
			sent += int64(len(data(w*each + i)))
		}
		wg.Go(func() {
			for i := range each {
				n := w*each + i
				status, _, err := e.post(t, fmt.Sprintf("/ok/%d", n), string(data(n)))
				if err != nil || status != http.StatusNoContent {
					t.Errorf("%d: %d, %v", n, status, err)
				}
			}
		})
	}
	wg.Wait()
	e.answered(t, workers*each)
	require.EqualValues(t, workers*each, e.accepted.Load())
	require.Equal(t, sent, e.bytes.Load())
	require.Len(t, e.receipts, workers*each)
	seen := map[uint32]bool{}
	for _, r := range e.receipts {
		require.Equal(t, r.Endpoint, r.Event)
		require.EqualValues(t, http.StatusNoContent, r.Status)
		seen[r.Event] = true
	}
	require.Len(t, seen, workers*each)
}

func TestTheSinkAnswersWithAStatus(t *testing.T) {
	t.Parallel()
	e := startEndpoint(t, false, (*http.Protocols).SetHTTP2)
	for _, want := range []int{500, 429, 500, 429, 200} {
		status, length, err := e.post(t, fmt.Sprintf("/status/%d/1", want), "{}")
		require.NoError(t, err)
		require.Equal(t, want, status)
		require.Zero(t, length)
	}
	e.answered(t, 5)
	require.EqualValues(t, 1, e.accepted.Load())
}

// Of such a body the window holds half.
func TestTheSinkTakesLongBodies(t *testing.T) {
	t.Parallel()
	e := startEndpoint(t, false, (*http.Protocols).SetHTTP2)
	status, _, err := e.post(t, "/ok/1", strings.Repeat("a", maxBody))
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, status)
	require.EqualValues(t, maxBody, e.bytes.Load())
	_, _, err = e.post(t, "/ok/1", strings.Repeat("a", maxBody+1))
	require.Error(t, err)
}

func TestADelayHoldsUpNobody(t *testing.T) {
	t.Parallel()
	e := startEndpoint(t, false, (*http.Protocols).SetHTTP2)
	const delay = time.Second
	begin := time.Now()
	late := make(chan error, 1)
	go func() {
		_, _, err := e.post(t, "/delay/1s/1", "{}")
		late <- err
	}()
	require.Eventually(t, func() bool { return e.bytes.Load() > 0 }, time.Minute, time.Millisecond)
	for range 10 {
		_, _, err := e.post(t, "/ok/2", "{}")
		require.NoError(t, err)
	}
	if took := time.Since(begin); took < delay { // else this machine was too busy to tell
		require.Empty(t, late)
	}
	require.NoError(t, <-late)
	require.GreaterOrEqual(t, time.Since(begin), delay)
	require.EqualValues(t, 1, e.conns.Load())
	e.answered(t, 11)
}

// Who does not wait any more is not counted as answered.
func TestWhoHasGivenUpIsNotAnswered(t *testing.T) {
	t.Parallel()
	text := written(t, func(fr *http2.Framer, head func(string) []byte) {
		for _, id := range []uint32{1, 3} {
			require.NoError(t, fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head("/delay/1m/1"), EndHeaders: true, EndStream: true}))
		}
		require.NoError(t, fr.WriteRSTStream(1, http2.ErrCodeCancel))
	})
	synctest.Test(t, func(t *testing.T) {
		s := &sinkServer{}
		client, server := net.Pipe()
		defer client.Close()
		go s.serveH2(server)
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_, err := client.Write(text)
		require.NoError(t, err)
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		require.Len(t, s.receipts, 2)
		require.Zero(t, s.streams.Load())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.EqualValues(t, 1, s.streams.Load())
	})
}

// script is a connection that plays what a client has written at once.
type script struct {
	net.Conn
	in     bytes.Buffer
	out    bytes.Buffer
	writes int
}

func (s *script) Read(p []byte) (int, error) { return s.in.Read(p) }

func (s *script) Write(p []byte) (int, error) {
	s.writes++
	return s.out.Write(p)
}

// written is what a client sends after its preface; head encodes the fields of a request.
func written(t *testing.T, write func(fr *http2.Framer, head func(path string) []byte)) []byte {
	t.Helper()
	var out, block bytes.Buffer
	out.WriteString(http2.ClientPreface)
	encoder := hpack.NewEncoder(&block)
	write(http2.NewFramer(&out, nil), func(path string) []byte {
		block.Reset()
		for _, f := range []hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":path", Value: path}, {Name: "webhook-id", Value: path}} {
			require.NoError(t, encoder.WriteField(f))
		}
		return bytes.Clone(block.Bytes())
	})
	return out.Bytes()
}

// play lets a sink read that, and returns how it counted and what it answered.
func play(t *testing.T, write func(fr *http2.Framer, head func(path string) []byte)) (*sinkServer, *script, []string) {
	t.Helper()
	s, conn := &sinkServer{}, &script{}
	conn.in.Write(written(t, write))
	s.serveH2(conn)
	fr := http2.NewFramer(nil, bufio.NewReader(&conn.out))
	fr.ReadMetaHeaders = hpack.NewDecoder(h2TableSize, nil)
	var frames []string
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			return s, conn, frames
		}
		text := fmt.Sprintf("%s of %d", f.Header().Type, f.Header().StreamID)
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			require.True(t, f.StreamEnded())
			text += ", " + f.PseudoValue("status")
		case *http2.WindowUpdateFrame:
			text += fmt.Sprintf(", %d", f.Increment)
		case *http2.SettingsFrame:
			text += fmt.Sprintf(", ack %t", f.IsAck())
		case *http2.PingFrame:
			text += fmt.Sprintf(", ack %t, %s", f.IsAck(), f.Data)
		}
		frames = append(frames, text)
	}
}

// Whatever is legal in HTTP/2 comes through, and what came together is answered with one Write, after that of the greeting.
func TestTheSinkReadsFrames(t *testing.T) {
	t.Parallel()
	s, conn, frames := play(t, func(fr *http2.Framer, head func(string) []byte) {
		open := func(id uint32, path string, ends bool) {
			require.NoError(t, fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head(path), EndHeaders: true, EndStream: ends}))
		}
		require.NoError(t, fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}))
		open(1, "/ok/1", false)
		open(3, "/ok/3", true)
		open(5, "/delay/1h/5", true)
		open(7, "/delay/1h/7", true)
		open(9, "/ok/9", false)
		require.NoError(t, fr.WriteData(1, false, []byte(`{"data":`)))
		require.NoError(t, fr.WritePing(false, [8]byte([]byte("12345678"))))
		require.NoError(t, fr.WriteRSTStream(5, http2.ErrCodeCancel))
		require.NoError(t, fr.WriteRSTStream(9, http2.ErrCodeCancel))
		require.NoError(t, fr.WriteData(9, true, []byte("too late")))
		require.NoError(t, fr.WriteDataPadded(1, true, []byte(`{"n":42}}`), make([]byte, 10)))
		block := head("/status/503/11")
		require.NoError(t, fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 11, BlockFragment: block[:4]}))
		require.NoError(t, fr.WriteContinuation(11, true, block[4:]))
		require.NoError(t, fr.WriteData(11, false, nil))
		open(11, "/ok/0", true) // fields after the body
		require.NoError(t, fr.WriteGoAway(0, http2.ErrCodeNo, nil))
	})
	require.Equal(t, []string{
		"SETTINGS of 0, ack false", "WINDOW_UPDATE of 0, 1073741824",
		"SETTINGS of 0, ack true", "HEADERS of 3, 204", "PING of 0, ack true, 12345678", "HEADERS of 1, 204", "HEADERS of 11, 503",
	}, frames)
	require.Equal(t, 2, conn.writes)
	require.EqualValues(t, 3, s.streams.Load())
	require.EqualValues(t, 2, s.accepted.Load())
	require.EqualValues(t, len(`{"data":{"n":42}}`), s.bytes.Load())
	events := map[uint32]uint32{}
	for _, r := range s.receipts {
		events[r.Endpoint] = r.Event
	}
	require.Equal(t, map[uint32]uint32{1: 42, 3: 0, 5: 0, 7: 0, 11: 0}, events)
}

// A window is given back when half of it was used.
func TestTheSinkGivesCredit(t *testing.T) {
	t.Parallel()
	const frame = 1 << 14
	_, _, frames := play(t, func(fr *http2.Framer, head func(string) []byte) {
		require.NoError(t, fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head("/ok/1"), EndHeaders: true}))
		for n := 0; n < h2StreamWindow; n += frame {
			require.NoError(t, fr.WriteData(1, false, make([]byte, frame)))
		}
		require.NoError(t, fr.WriteData(1, true, nil))
	})
	require.Equal(t, []string{"WINDOW_UPDATE of 1, 524288", "WINDOW_UPDATE of 1, 524288", "HEADERS of 1, 204"}, frames[2:])
	c := newH2Conn(&sinkServer{}, &script{})
	used := uint32(h2ConnWindow/2 - 1)
	require.NoError(t, c.credit(0, &used, frame, h2ConnWindow))
	require.Zero(t, used)
	f, err := http2.NewFramer(nil, &c.out).ReadFrame()
	require.NoError(t, err)
	require.EqualValues(t, h2ConnWindow/2-1+frame, f.(*http2.WindowUpdateFrame).Increment)
}

// The first block after the change has to begin with it (RFC 7541, section 4.2).
func TestTheSinkTellsTheSizeOfItsTable(t *testing.T) {
	t.Parallel()
	var wire bytes.Buffer
	fr := http2.NewFramer(&wire, &wire)
	require.NoError(t, fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}))
	f, err := fr.ReadFrame()
	require.NoError(t, err)
	c := newH2Conn(&sinkServer{}, &script{})
	require.NoError(t, c.handle(f))
	const sizeOfZero = 0x20
	for _, want := range [][]byte{append([]byte{sizeOfZero}, noContent...), noContent} {
		block, err := c.encode(http.StatusNoContent)
		require.NoError(t, err)
		require.Equal(t, want, block)
	}
}
