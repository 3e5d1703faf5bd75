package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/postrider/postrider/test/internal/rig"
)

// receipt is a request that was received. It is sent as it lies here, see [sink.receipts].
type receipt struct {
	At       int64  // Unix nanoseconds, when the last byte of the body was read
	Event    uint32 // the number in its data
	Endpoint uint32 // the number at the end of its path
	Status   uint32 // answered
	_        uint32
}

// sinkServer stands for all endpoints. It answers HTTP/2 (sink_h2.go) and HTTP/1.1 over TLS with as little work as it can,
// because what is measured is the sender. The path of a request says what becomes of it, and which endpoint it is:
//
//	/ok/<endpoint>
//	/status/<code>/<endpoint>
//	/delay/<duration>/<endpoint>
//	/switch/<endpoint>            what the last call of /switch said, one of the above without the endpoint
//
// Each host is an address of its own with one port, so that a client sees distinct hosts.
type sinkServer struct {
	behaviour atomic.Pointer[string] // of /switch/
	hosts     []*sinkHost
	conns     atomic.Int64 // accepted
	streams   atomic.Int64 // answered over HTTP/2
	bytes     atomic.Int64 // of bodies
	accepted  atomic.Int64 // answered 2xx

	mu       sync.Mutex
	receipts []receipt
}

// sinkHost is one address.
type sinkHost struct {
	listener net.Listener
	mu       sync.Mutex
	open     map[net.Conn]bool
	closed   bool
}

// hostAddress is the address of host n: 250 in each network of 256 from 127.1.0.0 on.
func hostAddress(n int) net.IP { return net.IPv4(127, 1, byte(n/250), byte(1+n%250)) }

func newSink(o childOptions, calls *http.ServeMux) error {
	ca, err := rig.OpenAuthority(o.dir)
	if err != nil {
		return err
	}
	s := &sinkServer{}
	ok := "/ok/"
	s.behaviour.Store(&ok)
	for n := range o.hosts {
		leaf, err := ca.Leaf(hostAddress(n))
		if err != nil {
			return err
		}
		if err := s.listen(net.JoinHostPort(hostAddress(n).String(), strconv.Itoa(o.port)), leaf, o.http1); err != nil {
			return fmt.Errorf("listening for deliveries: %w", err)
		}
	}
	calls.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, sinkState{Accepted: s.accepted.Load(), Connections: s.conns.Load(), Streams: s.streams.Load(), Bytes: s.bytes.Load()})
	})
	calls.HandleFunc("GET /receipts", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		all := s.receipts
		s.mu.Unlock()
		_ = binary.Write(w, binary.LittleEndian, all)
	})
	calls.HandleFunc("POST /switch", func(_ http.ResponseWriter, r *http.Request) {
		to := "/" + r.FormValue("to") + "/"
		s.behaviour.Store(&to)
	})
	calls.HandleFunc("POST /refuse", func(_ http.ResponseWriter, r *http.Request) {
		for _, h := range s.hosts[number(r, "from"):number(r, "to")] {
			h.refuse()
		}
	})
	return nil
}

// listen adds a host. One that speaks HTTP/1.1 alone does not name its protocol, as many do not.
func (s *sinkServer) listen(address string, leaf tls.Certificate, http1 bool) error {
	config := &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12}
	if !http1 {
		config.NextProtos = []string{http2.NextProtoTLS, "http/1.1"}
	}
	l, err := tls.Listen("tcp", address, config)
	if err != nil {
		return err
	}
	h := &sinkHost{listener: l, open: map[net.Conn]bool{}}
	s.hosts = append(s.hosts, h)
	go s.accept(h)
	return nil
}

func (s *sinkServer) accept(h *sinkHost) {
	for {
		conn, err := h.listener.Accept()
		if err != nil {
			return
		}
		s.conns.Add(1)
		if !h.add(conn) {
			_ = conn.Close()
			continue
		}
		go func() {
			defer h.remove(conn)
			s.shakeHands(conn)
		}()
	}
}

// shakeHands serves what the client chooses.
func (s *sinkServer) shakeHands(conn net.Conn) {
	secure := conn.(*tls.Conn)
	if err := secure.HandshakeContext(context.Background()); err != nil {
		return
	}
	if secure.ConnectionState().NegotiatedProtocol == http2.NextProtoTLS {
		s.serveH2(conn)
	} else {
		s.serve(conn)
	}
}

func (h *sinkHost) add(conn net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[conn] = true
	return !h.closed
}

func (h *sinkHost) remove(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, conn)
	_ = conn.Close()
}

// refuse lets nobody listen at the address any more, and ends the connections to it.
func (h *sinkHost) refuse() {
	_ = h.listener.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for conn := range h.open {
		go func() { _ = conn.Close() }() // a TLS connection says goodbye first, which may wait for its writer
	}
}

// serve answers the requests of one connection that speaks HTTP/1.1.
func (s *sinkServer) serve(conn net.Conn) {
	in := &requestReader{r: bufio.NewReaderSize(conn, 4<<10)}
	var out []byte
	for {
		if err := in.next(); err != nil {
			return
		}
		at := time.Now()
		status, after, endpoint := s.judge(in.path)
		s.note(receipt{At: at.UnixNano(), Event: eventNumber(in.body), Endpoint: endpoint, Status: uint32(status)}, len(in.body))
		if after > 0 {
			<-time.After(after)
		}
		out = append(out[:0], "HTTP/1.1 "...)
		out = strconv.AppendInt(out, int64(status), 10)
		out = append(out, " .\r\nContent-Length: 0\r\n\r\n"...)
		if status == http.StatusNoContent {
			out = append(out[:0], "HTTP/1.1 204 No Content\r\n\r\n"...)
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
		if status < 300 {
			s.accepted.Add(1)
		}
	}
}

func (s *sinkServer) note(r receipt, size int) {
	s.bytes.Add(int64(size))
	s.mu.Lock()
	s.receipts = append(s.receipts, r)
	s.mu.Unlock()
}

// judge reads a path.
func (s *sinkServer) judge(path []byte) (status int, after time.Duration, endpoint uint32) {
	status = http.StatusNoContent
	cut := bytes.LastIndexByte(path, '/') + 1
	n, _ := strconv.ParseUint(string(path[cut:]), 10, 32)
	behaviour := string(path[:cut])
	if behaviour == "/switch/" {
		behaviour = *s.behaviour.Load()
	}
	if text, ok := strings.CutPrefix(behaviour, "/status/"); ok {
		status, _ = strconv.Atoi(strings.TrimSuffix(text, "/"))
	}
	if text, ok := strings.CutPrefix(behaviour, "/delay/"); ok {
		after, _ = time.ParseDuration(strings.TrimSuffix(text, "/"))
	}
	return status, after, uint32(n)
}
