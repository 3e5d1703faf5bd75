// Package flow runs the roles of the app on an embedded broker in virtual time: hours of retries pass in moments, and
// what happens when is exact.
package flow

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

// start runs roles as one process would, with e in place of the network.
func start(w *world.World, e *endpoints, roles ...string) *world.Process {
	w.T.Helper()
	return w.Start(app.Options{Attempter: e}, roles...)
}

// hit is one attempt that reached an endpoint.
type hit struct {
	method string
	url    string
	id     string
	header http.Header
	body   string
	at     time.Time
}

// endpoints stands in for the network: it answers attempts by URL.
type endpoints struct {
	mu     sync.Mutex
	hits   []hit
	answer func(ctx context.Context, url string, n int) (attempt.Response, error) // n counts the hits of the URL from 1
}

func newEndpoints(answer func(ctx context.Context, url string, n int) (attempt.Response, error)) *endpoints {
	return &endpoints{answer: answer}
}

// always answers every attempt with one status.
func always(status int) func(context.Context, string, int) (attempt.Response, error) {
	return func(context.Context, string, int) (attempt.Response, error) { return reply(status), nil }
}

func reply(status int) attempt.Response {
	result := outcome.ResultSuccess
	switch {
	case status == 410:
		result = outcome.ResultGone
	case status == 429:
		result = outcome.ResultThrottled
	case status >= 500:
		result = outcome.ResultServerError
	case status >= 400:
		result = outcome.ResultClientError
	case status >= 300:
		result = outcome.ResultRedirect
	}
	return attempt.Response{Result: result, Status: status}
}

// Do implements pipeline.Attempter.
func (e *endpoints) Do(ctx context.Context, r *attempt.Request) (attempt.Response, error) {
	e.mu.Lock()
	h := hit{method: r.Method, url: r.URL, header: http.Header{}, body: string(r.Body), at: time.Now()}
	for _, header := range r.Header {
		h.header.Add(header.Name, header.Value)
	}
	h.id = h.header.Get("webhook-id")
	e.hits = append(e.hits, h)
	n := 0
	for _, other := range e.hits {
		if other.url == h.url {
			n++
		}
	}
	e.mu.Unlock()
	resp, err := e.answer(ctx, r.URL, n)
	resp.Started = h.at
	resp.Duration = time.Since(h.at)
	return resp, err
}

// times returns when a URL was hit.
func (e *endpoints) times(url string) []time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []time.Time
	for _, h := range e.hits {
		if url == "" || h.url == url {
			out = append(out, h.at)
		}
	}
	return out
}

// total returns how often anything was received.
func (e *endpoints) total() int { return len(e.times("")) }

// count returns how often each message was received, by URL and id.
func (e *endpoints) count() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]int{}
	for _, h := range e.hits {
		out[h.url+" "+h.id]++
	}
	return out
}

func retryList(waits ...time.Duration) *subscription.RetryPolicy {
	p := &subscription.RetryPolicy{Kind: subscription.RetryList, Jitter: subscription.JitterNone}
	for _, w := range waits {
		p.List = append(p.List, subscription.Duration(w))
	}
	return p
}

// until waits, in virtual time, for what becomes true within the limit. Idle minutes cost as much as busy ones.
func until(t *testing.T, limit time.Duration, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(time.Second) {
		require.Less(t, time.Since(began), limit, "did not happen")
	}
}

func verdicts(rows []outcome.Outcome) map[string]int {
	out := map[string]int{}
	for _, r := range rows {
		out[fmt.Sprintf("%s/%s", r.Verdict, r.Reason)]++
	}
	return out
}
