// Package token gets the OAuth 2.0 access tokens (RFC 6749) that authorize attempts: by client credentials or a refresh
// token, the client proven by secret (basic or post) or by a signed assertion (RFC 7523). A [Store] keeps one token per
// version of a subscription.
//
// The token endpoint is as hostile as any: it is asked through the transport of the attempts, address guard included,
// redirects are not followed, 64 KiB of an answer are read, and the time belongs to the attempt that asks. No error and
// no text of this package holds a token, a secret, or what the token endpoint said in its own words.
package token

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

const (
	// maxTokens bounds the store: at about 2 KiB a token, 20 MB. At the bound an arbitrary other one goes.
	maxTokens = 10_000
	// maxTime bounds one request to a token endpoint. It gets at most half of the attempt's time.
	maxTime = 10 * time.Second
	// maxLife is how long a token is used whose answer names no expiry (it is only recommended, RFC 6749, section 5.1),
	// or a later one.
	maxLife = time.Hour
	// aheadMost is how long before its expiry a token is asked for anew; a tenth of its life if that is less.
	aheadMost = time.Minute
	// holdFailure is how long a failure stands for those that ask next: a token endpoint that is down would be asked by
	// every attempt of the lane.
	holdFailure = time.Second
	// replaceEvery is the least time between two tokens that are asked for because the endpoint answered 401. An endpoint
	// that refuses every token would have the token endpoint asked with every attempt.
	replaceEvery = 30 * time.Second
)

// Store holds the tokens. It is safe for concurrent use, starts no goroutine and holds nothing that needs closing.
type Store struct {
	transport http.RoundTripper

	mu sync.Mutex
	m  map[ident.ID]*Source
}

// New returns a store that asks token endpoints through rt, which is an egress.Transport outside tests.
func New(rt http.RoundTripper) *Store { return &Store{transport: rt, m: map[ident.ID]*Source{}} }

// Source returns the source of sub's tokens: the same one for the same version. That of an older version than the last is not kept:
// in the newer one's place, it would have that one's refresh token used again. sub.OAuth must not be nil.
func (s *Store) Source(sub *subscription.Subscription) *Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.m[sub.ID]
	if have != nil && have.version == sub.Version {
		return have
	}
	src := &Source{transport: s.transport, version: sub.Version, oauth: sub.OAuth, turn: make(chan struct{}, 1)}
	src.refreshToken = sub.OAuth.RefreshToken
	if have != nil && have.version > sub.Version {
		return src
	}
	if have == nil && len(s.m) >= maxTokens {
		for id := range s.m {
			delete(s.m, id)
			break
		}
	}
	s.m[sub.ID] = src
	return src
}

// Source is the token of one version of a subscription. It is safe for concurrent use.
type Source struct {
	transport http.RoundTripper
	version   int64
	oauth     *subscription.OAuth
	// turn is held by the one that asks the token endpoint; the others wait for it, or use the token that still is good.
	turn chan struct{}

	mu       sync.Mutex
	now      grant
	failed   error
	failedAt time.Time
	replaced time.Time // when a token was last asked for because of a 401
	// refreshToken is the last one that the token endpoint gave. Only the newest may work (RFC 6749, section 6), but it is
	// kept in memory only: the next process starts with that of the subscription.
	refreshToken string
}

// grant is a token with its times.
type grant struct {
	header  string // the value of Authorization; empty for none
	refresh time.Time
	expires time.Time
}

// Authorize returns the value of the Authorization header for an attempt. refused is the value that the endpoint has just
// answered with 401, empty on the first request of an attempt: then the token is replaced, at most once in a while, and
// the same value comes back if it is not. It blocks until ctx ends at the latest. The error says in words what went
// wrong, fit to be shown; it is ctx's own if ctx ended.
func (s *Source) Authorize(ctx context.Context, refused string) (string, error) {
	have, err, fresh := s.look(refused)
	if err != nil || fresh {
		return have, err
	}
	if have != "" { // good for a while yet: whoever comes first renews it, nobody waits
		select {
		case s.turn <- struct{}{}:
		default:
			return have, nil
		}
	} else {
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	defer func() { <-s.turn }()
	if have, err, fresh = s.look(""); err != nil || fresh {
		return have, err // who had the turn before asked for all
	}
	return s.renew(ctx, have)
}

// look returns the header value if there is one that can be used, and whether it needs no renewal. A value that was
// refused is dropped.
func (s *Source) look(refused string) (header string, err error, fresh bool) { //nolint:revive // the error is half of the value
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if refused != "" && refused == s.now.header {
		if now.Sub(s.replaced) < replaceEvery {
			return refused, nil, true
		}
		s.replaced, s.now = now, grant{}
	}
	usable := s.now.header != "" && now.Before(s.now.expires)
	held := s.failed != nil && now.Sub(s.failedAt) < holdFailure
	switch {
	case usable:
		return s.now.header, nil, held || now.Before(s.now.refresh)
	case held:
		return "", s.failed, false
	}
	return "", nil, false
}

// renew asks the token endpoint. have is a value that can still be used if that fails.
func (s *Source) renew(ctx context.Context, have string) (string, error) {
	limit := maxTime
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	asking, cancel := context.WithTimeoutCause(ctx, limit, errSlow)
	defer cancel()
	s.mu.Lock()
	refreshToken := s.refreshToken
	s.mu.Unlock()
	got, refreshed, err := s.fetch(asking, refreshToken)
	if ended := ctx.Err(); ended != nil && err != nil {
		return have, context.Cause(ctx) // nobody knows, so nobody else is told
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed, s.failedAt = err, time.Now()
		if have != "" {
			return have, nil
		}
		return "", err
	}
	s.failed, s.now = nil, got
	if refreshed != "" {
		s.refreshToken = refreshed
	}
	return got.header, nil
}
