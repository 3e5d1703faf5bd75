// Package forwardproxy is a forward proxy for tests: it takes CONNECT, and leads to one server whatever address it was
// asked for, so that endpoints may have public addresses in tests.
package forwardproxy

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// Proxy is a running proxy. Its fields may be set until the first request.
type Proxy struct {
	*httptest.Server
	// To is where every tunnel leads, host:port.
	To string
	// Answer gives the status of the nth request, from 1; 200 and a tunnel if nil. 0 closes the connection without one.
	Answer func(n int) int

	mu      sync.Mutex
	asked   []Asked
	tunnels sync.WaitGroup
	open    []net.Conn
}

// Asked is a request to the proxy.
type Asked struct {
	Method, Target, Host, Authorization string
}

// Words are in the body and the head of every refusal: nobody should repeat them.
const Words = "words-of-the-proxy"

// Start runs a proxy to a server until the test ends, over TLS if secure.
func Start(t testing.TB, to string, secure bool) *Proxy {
	t.Helper()
	p := &Proxy{To: to}
	p.Server = httptest.NewUnstartedServer(p)
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.stop)
	return p
}

func (p *Proxy) stop() {
	p.mu.Lock()
	for _, c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.tunnels.Wait()
	p.Close()
}

// Asked returns the requests so far.
func (p *Proxy) Asked() []Asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, Asked{r.Method, r.RequestURI, r.Host, r.Header.Get("Proxy-Authorization")})
	n := len(p.asked)
	p.mu.Unlock()
	status := http.StatusOK
	if p.Answer != nil {
		status = p.Answer(n)
	}
	switch {
	case status == 0:
		panic(http.ErrAbortHandler)
	case status != http.StatusOK || r.Method != http.MethodConnect:
		w.Header().Set("Proxy-Status", Words)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, Words)
	default:
		p.tunnel(w)
	}
}

// tunnel joins the connection and one to the server.
func (p *Proxy) tunnel(w http.ResponseWriter) {
	server, err := net.Dial("tcp", p.To) //nolint:noctx // a test's, on this machine
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = server.Close()
		return
	}
	p.mu.Lock()
	p.open = append(p.open, client, server)
	p.mu.Unlock()
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\nContent-Length: 3\r\n\r\n")
	p.tunnels.Go(func() { pipe(server, buffered, client) })
	p.tunnels.Go(func() { pipe(client, server, server) })
}

// pipe copies until one side ends, and then closes both.
func pipe(to net.Conn, from io.Reader, source net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = source.Close()
}
