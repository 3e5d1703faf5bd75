package pipeline

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
)

// bodies are what deliveries of one event have in common. An event goes to many subscriptions, from several partitions: those
// that come here at about the same time share its data, and where its body names none of them it is rendered once, and digested
// once for their outcomes.
type bodies struct {
	// places has the latest events, each by its message's id.
	places [1 << 13]atomic.Pointer[common]
	// read are those that have a place, or had one; rendered are those that have a body.
	read, rendered latest
}

// newBodies keeps data and bodies for deliveries that may come or be tried yet in about a tenth of what deliveries may take, in
// bytes: what several share counts for each of them, see [item.size].
func newBodies(deliveries int64) *bodies {
	return &bodies{read: latest{max: deliveries / 32}, rendered: latest{max: deliveries / 16}}
}

// maxShared is the longest data, in bytes, that deliveries share.
const maxShared = 16 << 10

// common is what the deliveries of one event have in common: all of it that bodies are made of.
type common struct {
	message                              ident.ID
	id, source, kind, contentType, trace string // an id that its producer used twice stands for two events
	at                                   time.Time
	data                                 []byte

	// shared: there is more than one of them.
	shared atomic.Bool
	// rendered are its bodies, the last one first.
	rendered atomic.Pointer[rendered]
}

func (c *common) is(d *delivery.Delivery) bool {
	return c.message == d.Message && c.id == d.EventID && c.source == d.EventSource && c.kind == d.EventType &&
		c.contentType == d.ContentType && c.trace == d.TraceParent && c.at.Equal(d.EventTime) && bytes.Equal(c.data, d.Data)
}

// rendered is a body, of an event to a tenant in an envelope.
type rendered struct {
	envelope *envelope.Envelope
	tenant   *subscription.Tenant
	body     []byte
	digest   string
	next     *rendered
}

// size is about what the data takes, and the body as well, in bytes.
func (c *common) size() int64 { return int64(len(c.data)) + bodyRoom }

// latest are the events of a kind that came last, oldest first.
type latest struct {
	mu   sync.Mutex
	ring [1 << 14]*common
	// oldest and next are the first and the one behind the last.
	oldest, next int
	// size is what they take, in bytes, and max the most that they may.
	size, max int64
}

// add adds an event and calls forget for those that give way.
func (l *latest) add(c *common, forget func(*common)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size += c.size()
	for old := l.ring[l.oldest]; old != nil && (l.size > l.max || l.ring[l.next] != nil); old = l.ring[l.oldest] {
		l.ring[l.oldest] = nil
		l.oldest = (l.oldest + 1) % len(l.ring)
		l.size -= old.size()
		forget(old)
	}
	l.ring[l.next] = c
	l.next = (l.next + 1) % len(l.ring)
}

func (b *bodies) place(message ident.ID) *atomic.Pointer[common] {
	return &b.places[(int(message[0])<<8|int(message[1]))%len(b.places)]
}

// keep gives a delivery memory of its own for its data, or what another of its event has, and returns what they have in common;
// nil if nobody is to share it.
func (b *bodies) keep(d *delivery.Delivery) *common {
	place := b.place(d.Message)
	if c := place.Load(); c != nil && c.is(d) {
		c.shared.Store(true)
		d.Data = c.data
		return c
	}
	d.Data = bytes.Clone(d.Data)
	if len(d.Data) > maxShared {
		return nil
	}
	c := &common{
		message: d.Message, id: d.EventID, source: d.EventSource, kind: d.EventType, contentType: d.ContentType, trace: d.TraceParent,
		at: d.EventTime, data: d.Data,
	}
	place.Store(c)
	b.read.add(c, func(old *common) { b.place(old.message).CompareAndSwap(old, nil) })
	return c
}

// render returns the body of a try of a candidate's message, and its digest. Nobody may change the body.
func (b *bodies) render(s *profile.Sender, c *candidate, m *profile.Message) (body []byte, digest string, err error) {
	in := envelope.Input{Delivery: m.Delivery, Tenant: c.tenant}
	e := s.Envelope()
	if e.Scope() == envelope.PerAttempt {
		in.Attempt, in.At = delivery.AttemptID(c.d.ID, c.d.Trigger, c.d.Attempts+1), c.started
	}
	shared := e.Scope() == envelope.PerEvent && m.Delivery == c.d && c.common != nil && c.common.shared.Load()
	var last *rendered
	if shared {
		last = c.common.rendered.Load()
		for known := last; known != nil; known = known.next {
			if known.envelope == e && known.tenant == c.tenant {
				return known.body, known.digest, nil
			}
		}
	}
	body, err = s.AppendBody(make([]byte, 0, len(m.Delivery.Data)+bodyRoom), &in)
	if err != nil {
		return nil, "", err
	}
	digest = bodyHash(body)
	if shared {
		made := &rendered{envelope: e, tenant: c.tenant, body: body, digest: digest, next: last}
		if c.common.rendered.CompareAndSwap(last, made) { // of two that are made at the same time one stays
			b.rendered.add(c.common, func(old *common) { old.rendered.Store(nil) })
		}
	}
	return body, digest, nil
}

// bodyRoom is what an envelope adds to the data, in bytes; an estimate, to allocate once.
const bodyRoom = 512
