package attempt

import (
	"sync"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/wire"
)

// target is what a URL becomes: where the connection leads, and what the request says of it.
type target struct {
	to     egress.Target
	origin *wire.Origin
}

// maxTargets bounds the URLs that are remembered, with about a kilobyte each. At the bound the memory starts anew.
const maxTargets = 16_384

// targets remembers URLs: to parse one costs as much as to write the rest of a request.
type targets struct {
	mu sync.RWMutex
	m  map[string]*target
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
	if s.m == nil || len(s.m) >= maxTargets {
		s.m = map[string]*target{}
	}
	s.m[url] = t
	return t, nil
}
