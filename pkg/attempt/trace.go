package attempt

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/egress"
)

// phase is how far an attempt has come.
type phase int32

// Phases, in order.
const (
	phaseStart   phase = iota // no connection was looked for
	phaseConnect              // waiting for a connection: DNS and TCP
	phaseTLS                  // in the handshake
	phaseSent                 // has a connection: sending, then waiting for the first byte
	phaseAnswer               // the first byte of a response came
)

// String completes "timed out while …".
func (p phase) String() string {
	switch p {
	case phaseStart:
		return "preparing the request"
	case phaseConnect:
		return "connecting"
	case phaseTLS:
		return "in the TLS handshake"
	case phaseSent:
		return "waiting for the response"
	default:
		return "reading the response"
	}
}

// tracer follows one attempt. The transport calls its hooks from goroutines of its own and may do so after the attempt
// is over, so tracers are never reused.
type tracer struct {
	now     func() time.Time
	reached atomic.Int32
	first   atomic.Pointer[time.Time] // when the first byte of a response came
	watch   egress.Stopwatch
	hooks   httptrace.ClientTrace
}

// attach returns ctx with the tracer's hooks.
func (t *tracer) attach(ctx context.Context) context.Context {
	t.hooks = httptrace.ClientTrace{
		GetConn:           func(string) { t.reach(phaseConnect) },
		TLSHandshakeStart: func() { t.reach(phaseTLS) },
		GotConn:           func(httptrace.GotConnInfo) { t.reach(phaseSent) },
		GotFirstResponseByte: func() {
			now := t.now()
			t.first.Store(&now)
			t.reach(phaseAnswer)
		},
	}
	return httptrace.WithClientTrace(httptrace.WithClientTrace(ctx, t.watch.Trace()), &t.hooks)
}

// reach notes p if nothing further was reached: a dial that goes on in the background must not set an attempt back
// that got another connection.
func (t *tracer) reach(p phase) {
	for {
		now := t.reached.Load()
		if now >= int32(p) || t.reached.CompareAndSwap(now, int32(p)) {
			return
		}
	}
}

func (t *tracer) at() phase { return phase(t.reached.Load()) }

// tell puts the times that were noted so far into res.
func (t *tracer) tell(res *Response) {
	res.Timings = t.watch.Took()
	if first := t.first.Load(); first != nil {
		res.FirstByte = first.Sub(res.Started)
	}
}
