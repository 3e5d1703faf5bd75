package pipeline

import (
	"sync"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
)

// senders keeps the prepared profile of each subscription version: decoding secrets costs more than signing.
type senders struct {
	mu sync.RWMutex
	m  map[ident.ID]preparedSender
}

type preparedSender struct {
	version int64
	profile *profile.Profile
	sender  *profile.Sender
	err     error
}

// maxSenders bounds the cache; at the bound it starts anew.
const maxSenders = 100_000

func (s *senders) get(sub *subscription.Subscription, p *profile.Profile) (*profile.Sender, error) {
	s.mu.RLock()
	e, ok := s.m[sub.ID]
	s.mu.RUnlock()
	if ok && e.version == sub.Version && e.profile == p {
		return e.sender, e.err
	}
	e = preparedSender{version: sub.Version, profile: p}
	e.sender, e.err = p.Sender(sub)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil || len(s.m) >= maxSenders {
		s.m = map[ident.ID]preparedSender{}
	}
	s.m[sub.ID] = e
	return e.sender, e.err
}
