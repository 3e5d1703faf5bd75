package pipeline

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
)

// bodies are those of the latest events. An event goes to many subscriptions at about the same time; where its body names none
// of them it is rendered once, and digested once for their outcomes. A body has one place, by its message's id.
type bodies [256]atomic.Pointer[rendered]

// maxShared is the longest data, in bytes, whose body is kept: it bounds what all of them hold to some 10 MB.
const maxShared = 16 << 10

// rendered is a body and all that it depends on.
type rendered struct {
	envelope *envelope.Envelope
	tenant   *subscription.Tenant
	message  ident.ID
	// Of the event: an id that its producer used twice stands for two of them.
	id, source, kind, contentType, trace string
	at                                   time.Time
	data                                 []byte

	body   []byte
	digest string
}

func (r *rendered) is(e *envelope.Envelope, t *subscription.Tenant, d *delivery.Delivery) bool {
	return r.message == d.Message && r.envelope == e && r.tenant == t && r.id == d.EventID && r.source == d.EventSource &&
		r.kind == d.EventType && r.contentType == d.ContentType && r.trace == d.TraceParent && r.at.Equal(d.EventTime) &&
		bytes.Equal(r.data, d.Data)
}

// render returns the body of a try of a candidate's message, and its digest. Nobody may change the body.
func (b *bodies) render(s *profile.Sender, c *candidate, m *profile.Message) (body []byte, digest string, err error) {
	in := envelope.Input{Delivery: m.Delivery, Tenant: c.tenant}
	e := s.Envelope()
	if e.Scope() == envelope.PerAttempt {
		in.Attempt, in.At = delivery.AttemptID(c.d.ID, c.d.Trigger, c.d.Attempts+1), c.started
	}
	shared := e.Scope() == envelope.PerEvent && m.Delivery == c.d && len(c.d.Data) <= maxShared
	place := &b[c.d.Message[0]]
	if shared {
		if known := place.Load(); known != nil && known.is(e, c.tenant, c.d) {
			return known.body, known.digest, nil
		}
	}
	body, err = s.AppendBody(make([]byte, 0, len(m.Delivery.Data)+bodyRoom), &in)
	if err != nil {
		return nil, "", err
	}
	digest = bodyHash(body)
	if shared {
		place.Store(&rendered{
			envelope: e, tenant: c.tenant, message: c.d.Message, id: c.d.EventID, source: c.d.EventSource, kind: c.d.EventType,
			contentType: c.d.ContentType, trace: c.d.TraceParent, at: c.d.EventTime, data: c.d.Data, body: body, digest: digest,
		})
	}
	return body, digest, nil
}

// bodyRoom is what an envelope adds to the data, in bytes; an estimate, to allocate once.
const bodyRoom = 512
