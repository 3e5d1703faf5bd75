package attempt

import (
	"crypto/sha256"
	"sync"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/wire"
)

// target is what a URL becomes: where the connection leads, and what the request says of it.
type target struct {
	to     egress.Target
	origin *wire.Origin
	way    *way // of attempts without a TLS of their own
}

// maxTargets bounds the URLs that are remembered, with about a kilobyte each, and the ways to them. At the bound the memory starts anew.
const maxTargets = 16_384

// targets remembers URLs: to parse one costs as much as to write the rest of a request.
type targets struct {
	mu   sync.RWMutex
	m    map[string]*target
	ways map[route]*way
}

// route tells ways apart: by the endpoints' address, and by what a subscription brought to the handshake.
type route struct {
	to  egress.Target
	own [sha256.Size]byte
}

func (s *targets) get(url string) (*target, error) {
	s.mu.RLock()
	t, ok := s.m[url]
	s.mu.RUnlock()
	if ok {
		return t, nil
	}
	origin, err := wire.NewOrigin(url)
	if err != nil {
		return nil, err
	}
	t = &target{origin: origin}
	if t.to, err = egress.TargetOf(origin.URL); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil || len(s.m) >= maxTargets || len(s.ways) >= maxTargets {
		s.m, s.ways = map[string]*target{}, map[route]*way{}
	}
	t.way = s.wayOf(route{to: t.to})
	s.m[url] = t
	return t, nil
}

// way returns the way to a target with a TLS.
func (s *targets) way(t *target, own *egress.TLS) *way {
	if own == nil {
		return t.way
	}
	r := route{to: t.to, own: own.Key()}
	s.mu.RLock()
	w := s.ways[r]
	s.mu.RUnlock()
	if w == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.ways) >= maxTargets {
			s.ways = map[route]*way{}
		}
		w = s.wayOf(r)
	}
	return w
}

func (s *targets) wayOf(r route) *way {
	w := s.ways[r]
	if w == nil {
		w = newWay(r.to.Secure)
		s.ways[r] = w
	}
	return w
}
