package pipeline

import (
	"errors"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/token"
)

// senders keeps what is prepared for each subscription version: decoding secrets and keys costs more than signing.
type senders struct {
	tokens *token.Store
	// keepQueries is [OutcomeOptions.KeepQueries].
	keepQueries bool

	mu sync.RWMutex
	m  map[ident.ID]*preparedSender
}

type preparedSender struct {
	version int64
	profile *profile.Profile
	sender  *profile.Sender
	// authorizer is nil without OAuth, tls without client certificate, CA and a lowest TLS version of the profile's.
	authorizer attempt.Authorizer
	tls        *egress.TLS
	err        error
	// url is the subscription's as outcomes show it, urlCut whether that lacks something.
	url    string
	urlCut bool
}

// maxSenders bounds the cache; at the bound it starts anew.
const maxSenders = 100_000

// prepared returns what the attempt of a candidate is made with: the same for all that is done with it.
func (d *Deliverer) prepared(c *candidate) *preparedSender {
	if c.with != nil {
		return c.with
	}
	now := time.Now()
	if c.with = c.prepared.Load(); c.with == nil || !c.with.validAt(now) {
		c.with = d.senders.get(c.sub, c.profile, now)
		c.prepared.Store(c.with)
	}
	return c.with
}

// validAt reports whether attempts at the given time may be sent with it.
func (e *preparedSender) validAt(at time.Time) bool { return e.err != nil || e.sender.ValidAt(at) }

// get returns what attempts of sub at the given time are sent with. It is made anew for a new version of the
// subscription, and when a secret that was rotated out expires.
func (s *senders) get(sub *subscription.Subscription, p *profile.Profile, at time.Time) *preparedSender {
	s.mu.RLock()
	e, ok := s.m[sub.ID]
	s.mu.RUnlock()
	if ok && e.version == sub.Version && e.profile == p && e.validAt(at) {
		return e
	}
	e = s.prepare(sub, p, at)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil || len(s.m) >= maxSenders {
		s.m = map[ident.ID]*preparedSender{}
	}
	s.m[sub.ID] = e
	return e
}

func (s *senders) prepare(sub *subscription.Subscription, p *profile.Profile, at time.Time) *preparedSender {
	e := &preparedSender{version: sub.Version, profile: p}
	e.url, e.urlCut = shownURL(sub.URL, s.keepQueries)
	if e.sender, e.err = p.Sender(sub, at); e.err != nil {
		return e
	}
	if e.tls, e.err = egress.NewTLS(sub.ClientIdentity, sub.CA, uint16(p.MinTLS)); e.err != nil {
		return e
	}
	if sub.OAuth != nil && !p.ReservedHeader("Authorization") {
		if s.tokens == nil {
			e.err = errors.New("oauth: no token endpoint can be asked here")
			return e
		}
		e.authorizer = s.tokens.Source(sub)
	}
	return e
}
