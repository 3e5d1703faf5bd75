package egress

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// Timings are how long the steps of opening a connection took; 0 for one that was not made, or failed. Steps that were made
// twice count together.
type Timings struct {
	// DNS is of the lookups of names.
	DNS time.Duration
	// Connect is from the first packet of TCP until there is a connection to the endpoint: what a forward proxy takes for its
	// part is in it.
	Connect time.Duration
	// TLS is of the handshake with the endpoint.
	TLS time.Duration
}

// Stopwatch takes the [Timings] of one connection that is being opened. It is told by several goroutines, of which some may
// be late, so it is never used again.
type Stopwatch struct {
	mu sync.Mutex
	// When the steps began that are under way.
	dns, connect, tls time.Time
	took              Timings
}

// Trace returns the hooks that have the watch told by net, which knows names and addresses, and by a transport of net/http,
// which knows the rest. An attempt that is given a connection of another's takes nothing.
func (s *Stopwatch) Trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { s.begin(&s.dns) },
		DNSDone: func(done httptrace.DNSDoneInfo) {
			if done.Err == nil {
				s.end(&s.dns, &s.took.DNS)
			}
		},
		ConnectStart:      func(string, string) { s.begin(&s.connect) },
		TLSHandshakeStart: s.shakeHands,
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil {
				s.shookHands()
			}
		},
		GotConn: func(got httptrace.GotConnInfo) {
			if s.connected(); got.Reused {
				s.forget()
			}
		},
	}
}

// Took returns what the steps took that are done.
func (s *Stopwatch) Took() Timings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.took
}

// begin starts a step, unless it is under way: several addresses are connected to side by side.
func (s *Stopwatch) begin(step *time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if step.IsZero() {
		*step = time.Now()
	}
}

func (s *Stopwatch) end(step *time.Time, took *time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !step.IsZero() {
		*took += time.Since(*step)
		*step = time.Time{}
	}
}

func (s *Stopwatch) connected()  { s.end(&s.connect, &s.took.Connect) }
func (s *Stopwatch) shookHands() { s.end(&s.tls, &s.took.TLS) }

// shakeHands is when there is a connection.
func (s *Stopwatch) shakeHands() {
	s.connected()
	s.begin(&s.tls)
}

func (s *Stopwatch) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = Timings{}
}
