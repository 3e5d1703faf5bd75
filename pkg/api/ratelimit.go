package api

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/postrider/postrider/pkg/ident"
)

// anonymousID is what requests without a valid key share per address: guessing keys is slow.
const maxLimiters = 100_000

// limits hold a token bucket for every key and portal token, and for every address that shows neither.
type limits struct {
	perSecond rate.Limit
	burst     int

	mu sync.Mutex
	m  map[limitKey]*rate.Limiter
}

type limitKey struct {
	id      ident.ID
	address string
}

func newLimits(perSecond float64, burst int) *limits {
	if perSecond <= 0 {
		perSecond, burst = float64(rate.Inf), 1
	}
	return &limits{perSecond: rate.Limit(perSecond), burst: max(burst, 1), m: map[limitKey]*rate.Limiter{}}
}

// take returns how long to wait, 0 if the request may go on.
func (l *limits) take(k limitKey, now time.Time) time.Duration {
	l.mu.Lock()
	limiter := l.m[k]
	if limiter == nil {
		if len(l.m) >= maxLimiters {
			clear(l.m) // whoever waits gets a fresh start, which does less harm than unbounded memory
		}
		limiter = rate.NewLimiter(l.perSecond, l.burst)
		l.m[k] = limiter
	}
	l.mu.Unlock()
	r := limiter.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func (a *API) limitRate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k := limitKey{address: a.address(r)}
		if who := identified(r.Context()); who != nil {
			k = limitKey{id: who.principal.ID}
			noteCaller(r.Context(), who.actor.ID)
		}
		if wait := a.limits.take(k, a.opts.Now()); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			answerError(w, &Error{status: http.StatusTooManyRequests, Code: "too_many_requests", Detail: "more requests than this key has a second: see Retry-After"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
