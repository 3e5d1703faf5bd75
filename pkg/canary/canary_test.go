package canary

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// request is an attempt with the data, made at a time.
func (r *rig) request(eventType string, data []byte, at time.Time) *http.Request {
	r.t.Helper()
	text, err := json.Marshal(map[string]any{"type": eventType, "timestamp": at, "data": json.RawMessage(data)})
	require.NoError(r.t, err)
	req := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, Path, bytes.NewReader(text))
	sub, _ := r.snap.Subscription(Subscription)
	signer, err := scheme.Signer(sub.Secrets)
	require.NoError(r.t, err)
	for _, h := range signer.Append(nil, "msg_1", at, text) {
		req.Header.Set(h.Name, h.Value)
	}
	return req
}

func (r *rig) serve(req *http.Request) int {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w.Code
}

func (r *rig) count(result string) int {
	r.t.Helper()
	var m dto.Metric
	require.NoError(r.t, r.metrics.events.WithLabelValues(result).Write(&m))
	return int(m.GetCounter().GetValue())
}

func TestOnlyTheCanaryIsReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := []byte(`{"event":"api-9-1","sent_us":1}`)
		for name, c := range map[string]struct {
			change func(r *rig, req *http.Request) *http.Request
			want   int
		}{
			"ours":     {func(_ *rig, req *http.Request) *http.Request { return req }, http.StatusNoContent},
			"unsigned": {func(_ *rig, req *http.Request) *http.Request { req.Header.Del("webhook-signature"); return req }, http.StatusUnauthorized},
			"forged": {func(_ *rig, req *http.Request) *http.Request {
				req.Header.Set("webhook-signature", "v1,AAAA")
				return req
			}, http.StatusUnauthorized},
			"changed":    {func(_ *rig, req *http.Request) *http.Request { req.Body = http.NoBody; return req }, http.StatusUnauthorized},
			"of another": {func(r *rig, _ *http.Request) *http.Request { return r.request("contact.updated", data, time.Now()) }, http.StatusUnauthorized},
			"old": {func(r *rig, _ *http.Request) *http.Request {
				return r.request(EventType, data, time.Now().Add(-time.Hour))
			}, http.StatusUnauthorized},
			"read": {func(_ *rig, req *http.Request) *http.Request { req.Method = http.MethodGet; return req }, http.StatusMethodNotAllowed},
			"too long": {func(r *rig, _ *http.Request) *http.Request {
				return r.request(EventType, []byte(`"`+strings.Repeat("a", maxBody)+`"`), time.Now())
			}, http.StatusBadRequest},
			"not its own": {func(r *rig, req *http.Request) *http.Request { r.hold(); return req }, http.StatusUnauthorized},
		} {
			r := newRig(t)
			time.Sleep(time.Hour)
			require.Equal(t, c.want, r.serve(c.change(r, r.request(EventType, data, time.Now()))), name)
			require.Equal(t, c.want == http.StatusNoContent, r.count(resultReceived) == 1, name)
			require.Equal(t, c.want == http.StatusUnauthorized, r.count(resultRefused) == 1, name)
			require.InDelta(t, 3600, r.age(), 0.1, "an event of 1970 makes nothing younger")
		}
	})
}

// beats lets intervals pass.
func beats(n int) {
	time.Sleep(time.Duration(n)*10*time.Second + time.Second)
	synctest.Wait()
}

func TestWhatIsSentIsReceivedOrLost(t *testing.T) {
	delivered := []outcome.Outcome{{Verdict: outcome.Retry}, {Verdict: outcome.Delivered}}
	for name, c := range map[string]struct {
		arrives bool
		rows    []outcome.Outcome
		unsure  bool
		after   int // intervals
		lost    int
		asked   bool
	}{
		"received":                  {arrives: true, after: 20},
		"not yet":                   {after: 6},
		"lost":                      {after: 8, lost: 1, asked: true},
		"tried, and lost":           {rows: delivered[:1], after: 8, lost: 1, asked: true},
		"received by another":       {rows: delivered, after: 20, asked: true},
		"nobody knows, and waits":   {unsure: true, after: 20, asked: true},
		"nobody knows for too long": {unsure: true, after: 40, lost: 1, asked: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.rows, r.unsure = c.rows, c.unsure
				go r.Run(t.Context())
				beats(1)
				require.Len(t, r.sent, 1)
				require.Equal(t, 1, r.count(resultSent))
				require.Zero(t, r.writes, "what is as it should be is not written")
				p := r.sent[0]
				require.Equal(t, []string{EventType, "api-1-1"}, []string{p.EventType, p.EventID})
				r.mu.Lock()
				r.down = errors.New("no brokers") // the only event
				r.mu.Unlock()
				if c.arrives {
					time.Sleep(2 * time.Second)
					require.Equal(t, http.StatusNoContent, r.serve(r.request(p.EventType, p.Payload, time.Now())))
					require.InDelta(t, 3, r.age(), 0.1)
				}
				beats(c.after)
				require.Equal(t, c.lost, r.count(resultLost))
				require.Equal(t, c.asked, len(r.asked) > 0)
				if c.asked {
					message := delivery.MessageID(Tenant, delivery.PublishedSource, "api-1-1")
					require.Equal(t, delivery.ID(message, Subscription), r.asked[0])
				}
				require.Equal(t, c.after, r.count(resultFailed), "what cannot be sent is counted, and is not lost")
			})
		})
	}
}

func TestTheSubscriptionIsMadeAndKept(t *testing.T) {
	conflict := &registry.ConflictError{}
	for name, c := range map[string]struct {
		change         func(*subscription.Subscription)
		none           bool
		refuse         error
		writes, failed int
	}{
		"there is none":             {none: true, writes: 1},
		"another process was first": {none: true, refuse: conflict, writes: 1},
		"Kafka does not take it":    {none: true, refuse: errors.New("no brokers"), writes: 1, failed: 1},
		"it is as it should be":     {change: func(s *subscription.Subscription) { s.Generation = 7 }},
		"its address has changed":   {change: func(s *subscription.Subscription) { s.URL = "http://other/canary" }, writes: 1},
		"it was disabled":           {change: func(s *subscription.Subscription) { s.Disabled = true }, writes: 1},
		"it has no secret":          {change: func(s *subscription.Subscription) { s.Secrets = nil }, writes: 1},
		"its secret cannot be read": {change: func(s *subscription.Subscription) { s.Secrets = []string{"sealed:x"} }, failed: 1},
	} {
		t.Run(name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*subscription.Subscription) {}
			}
			r := newRig(t, change)
			if c.none {
				r.hold()
			}
			r.refuse = c.refuse
			r.beat(t.Context())
			require.Equal(t, c.writes, r.writes)
			require.Equal(t, c.failed, r.count(resultFailed))
			require.Equal(t, c.writes+c.failed == 0, len(r.sent) == 1, "routers have to know of it first")
		})
	}
}
