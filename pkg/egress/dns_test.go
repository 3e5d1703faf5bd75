package egress_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is a DNS server in memory: names to addresses, and the questions it was asked.
type zone struct {
	addrs map[string][]netip.Addr // by name with the final dot

	mu    sync.Mutex
	asked []string
}

// resolver returns a resolver that asks z over pipes, in the framing of DNS over TCP.
func (z *zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go z.serve(server)
		return client, nil
	}}
}

func (z *zone) questions() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return append([]string(nil), z.asked...)
}

// serve answers until the other side closes the pipe.
func (z *zone) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer, err := z.answer(query)
		if err != nil {
			return
		}
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(answer)))
		if _, err := conn.Write(append(framed, answer...)); err != nil {
			return
		}
	}
}

func (z *zone) answer(query []byte) ([]byte, error) {
	var msg dnsmessage.Message
	if err := msg.Unpack(query); err != nil {
		return nil, err
	}
	question := msg.Questions[0]
	name := question.Name.String()
	z.mu.Lock()
	z.asked = append(z.asked, name)
	z.mu.Unlock()
	msg.Response, msg.Additionals = true, nil
	addrs, known := z.addrs[name]
	if !known {
		msg.RCode = dnsmessage.RCodeNameError
	}
	for _, addr := range addrs {
		head := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 1}
		switch {
		case question.Type == dnsmessage.TypeA && addr.Is4():
			msg.Answers = append(msg.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}})
		case question.Type == dnsmessage.TypeAAAA && addr.Is6():
			msg.Answers = append(msg.Answers,
				dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return msg.Pack()
}

// hitListener counts the connections that reach a loopback port.
type hitListener struct {
	net.Listener
	mu   sync.Mutex
	hits int
	done chan struct{}
}

func listen(t *testing.T) *hitListener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return count(t, l)
}

// count accepts on l until the test ends.
func count(t *testing.T, l net.Listener) *hitListener {
	t.Helper()
	h := &hitListener{Listener: l, done: make(chan struct{})}
	go h.accept()
	t.Cleanup(func() { l.Close(); <-h.done })
	return h
}

func (h *hitListener) accept() {
	defer close(h.done)
	for {
		conn, err := h.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		h.hits++
		h.mu.Unlock()
		conn.Close()
	}
}

func (h *hitListener) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hits
}

func (h *hitListener) port() uint16 { return uint16(h.Addr().(*net.TCPAddr).Port) }
