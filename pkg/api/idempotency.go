package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/view"
)

// Idempotency keeps the answers to requests with an idempotency key; [view.Redis] is one. All methods may be called
// concurrently.
type Idempotency interface {
	// Begin claims a key. One of any number of requests at once gets [view.ClaimNew], and calls Finish with the answer to be
	// kept, or Abandon. An error says that nobody knows.
	Begin(ctx context.Context, scope, key string, fingerprint []byte) (view.Claim, error)
	Finish(ctx context.Context, c view.Claim, response []byte) error
	Abandon(ctx context.Context, c view.Claim) error
}

const (
	idempotencyHeader = "Idempotency-Key"
	// claimTimeout bounds a call of Redis, which answers within milliseconds or is away; claimPause is how long it is left
	// alone then.
	claimTimeout = time.Second
	claimPause   = time.Second
)

// repeats is what idempotency keys need.
type repeats struct {
	// away is when Redis failed last, Unix nanoseconds; 0 while it answers.
	away atomic.Int64
}

// claim is the idempotency key of a request.
type claim struct {
	scope, key  string
	fingerprint []byte
	view.Claim
}

type claimKey struct{}

// claimed returns the claim of a request, nil if it has no key. There is one while Redis is away, too.
func claimed(ctx context.Context) *claim {
	c, _ := ctx.Value(claimKey{}).(*claim)
	return c
}

// once sees to it that a POST with an idempotency key is carried out once by the same caller, within 12 hours: whoever
// repeats it gets the answer that it got. Answers that say something went wrong on this side, or to come again, are not kept.
// While Redis is away requests go on, and their answers say so.
func (a *API) once(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, who := r.Header.Get(idempotencyHeader), identified(r.Context())
		if key == "" || r.Method != http.MethodPost || who == nil || a.opts.Idempotency == nil {
			next.ServeHTTP(w, r)
			return
		}
		if !validKey(key) {
			answerError(w, &Error{http.StatusBadRequest, "bad_request", "idempotency-key: want 1 to 256 visible ASCII characters"})
			return
		}
		c := &claim{scope: who.principal.ID.UUID() + "|" + r.Method + "|" + r.URL.Path, key: key}
		whole, err := c.read(r, a.largestBody())
		if err != nil {
			answerError(w, &Error{http.StatusBadRequest, "bad_request", "the body ended before its time"})
			return
		}
		if !whole {
			next.ServeHTTP(w, r) // to be told that it is too large
			return
		}
		a.claim(w, r.WithContext(context.WithValue(r.Context(), claimKey{}, c)), c, next)
	})
}

func validKey(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return len(key) <= view.MaxIdempotencyKey
}

// largestBody is the limit of the operation that takes most.
func (a *API) largestBody() int64 {
	largest := defaultMaxBody
	for _, r := range a.routes {
		largest = max(largest, r.maxBody)
	}
	return largest
}

// read reads the body, of which the fingerprint is, and puts it back. It reports whether it came to the end of it.
func (c *claim) read(r *http.Request, limit int64) (whole bool, err error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return false, err
	}
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(raw), rest), rest}
	h := sha256.New()
	// The query is part of what is asked for.
	_, _ = h.Write([]byte(r.URL.RawQuery + "\n")) // it never fails
	_, _ = h.Write(raw)
	c.fingerprint = h.Sum(nil)
	return int64(len(raw)) <= limit, nil
}

// claim carries the request out if nobody has, and answers as it was answered if somebody has.
func (a *API) claim(w http.ResponseWriter, r *http.Request, c *claim, next http.Handler) {
	ok := a.askClaims(r.Context(), func(ctx context.Context) (err error) {
		c.Claim, err = a.opts.Idempotency.Begin(ctx, c.scope, c.key, c.fingerprint)
		return err
	})
	if !ok {
		w.Header().Set(checkHeader, unchecked)
		next.ServeHTTP(w, r)
		return
	}
	switch c.State {
	case view.ClaimNew:
		a.first(w, r, c, next) //nolint:contextcheck // it answers into a writer of its own, with the request's context
	case view.ClaimDone:
		a.replay(w, r, c)
	case view.ClaimRunning:
		w.Header().Set("Retry-After", comeAgainSeconds)
		answerError(w, &Error{http.StatusConflict, "idempotency_in_progress", "a request with this idempotency-key is being carried out: try again"})
	case view.ClaimOther:
		answerError(w, &Error{http.StatusConflict, "idempotency_key_reused", "idempotency-key: was used for another request: want a new one"})
	}
}

// first carries a request out and keeps the answer before it is given: a repeat that comes right after finds it.
func (a *API) first(w http.ResponseWriter, r *http.Request, c *claim, next http.Handler) {
	kept := false
	defer func() {
		if kept {
			return
		}
		a.askClaims(context.WithoutCancel(r.Context()), func(ctx context.Context) error { // also when the caller is gone
			return a.opts.Idempotency.Abandon(ctx, c.Claim)
		})
	}()
	given := &captured{header: http.Header{}}
	next.ServeHTTP(given, r)
	if given.lasting() {
		kept = a.keep(r, c, given)
	}
	given.send(w)
}

// keep stores an answer and reports whether it was.
func (a *API) keep(r *http.Request, c *claim, given *captured) bool {
	sealed, err := a.opts.Cipher.Seal(given.encode(), c.associated())
	if err != nil {
		a.opts.Log.ErrorContext(r.Context(), "sealing an answer to be kept", "request", requestID(r.Context()), "error", err)
		return false
	}
	return a.askClaims(context.WithoutCancel(r.Context()), func(ctx context.Context) error { // it was carried out, whoever is there
		err := a.opts.Idempotency.Finish(ctx, c.Claim, []byte(sealed))
		if errors.Is(err, view.ErrResponseTooLarge) || errors.Is(err, view.ErrClaimLost) {
			a.opts.Log.WarnContext(ctx, "keeping an answer for its idempotency key", "request", requestID(ctx), "error", err)
			return nil // Redis is there; and the claim is given up, or another's
		}
		return err
	})
}

// associated is what answers are sealed with: nobody else's, and for no other request.
func (c *claim) associated() string { return "idempotency|" + c.scope }

// replay answers as the first request was answered.
func (a *API) replay(w http.ResponseWriter, r *http.Request, c *claim) {
	text, err := a.opts.Cipher.Open(string(c.Response), c.associated())
	given, ok := decodeCaptured(text)
	if err != nil || !ok {
		a.opts.Log.ErrorContext(r.Context(), "opening an answer that was kept", "request", requestID(r.Context()), "error", err)
		answerError(w, &Error{http.StatusConflict, "idempotency_key_reused", "idempotency-key: the answer that was kept for it cannot be read any more: want a new key"})
		return
	}
	given.header.Set(replayedHeader, "true")
	given.send(w)
}

// askClaims calls Redis, unless it was away a moment ago, and reports whether it answered.
func (a *API) askClaims(ctx context.Context, call func(context.Context) error) bool {
	away := a.repeats.away.Load()
	if away != 0 && a.opts.Now().Sub(time.Unix(0, away)) < claimPause {
		return false
	}
	within, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	err := call(within)
	switch {
	case err == nil:
		a.repeats.away.Store(0)
	case ctx.Err() != nil: // the caller's end, not Redis'
	case a.repeats.away.Swap(a.opts.Now().UnixNano()) == 0:
		a.opts.Log.WarnContext(ctx, "Redis is away; requests are carried out without looking for earlier ones", "error", err)
	}
	return err == nil
}
