package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
)

func program(code string) *subscription.Transformation {
	return &subscription.Transformation{Code: code, Enabled: true}
}

// recorded is an endpoint that keeps what it was sent.
type recorded struct {
	mu       sync.Mutex
	requests []*attempt.Request
	status   int
}

func (r *recorded) Do(_ context.Context, req *attempt.Request) (attempt.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, req)
	resp := response(r.status)
	resp.Started = time.Now().UTC()
	return resp, nil
}

// lastRow is the newest outcome.
func (s *stage) lastRow() outcome.Outcome {
	s.t.Helper()
	rows := s.b.outcomes(s.t)
	require.NotEmpty(s.t, rows)
	return rows[len(rows)-1]
}

func fieldsOf(headers []sign.Header) map[string][]string {
	out := map[string][]string{}
	for _, h := range headers {
		name := h.Name
		if name == "webhook-id" || name == "webhook-timestamp" || name == "webhook-signature" {
			name = map[string]string{"webhook-id": "Webhook-Id", "webhook-timestamp": "Webhook-Timestamp", "webhook-signature": "Webhook-Signature"}[name]
		}
		out[name] = append(out[name], h.Value)
	}
	return out
}

// Three tries of a delivery that is transformed and encrypted: the same bytes, each with a signature that the receiver's
// library accepts, and in them what the program made.
func TestTransformedEncryptedSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := encrypt.GenerateKey("jwe")
		require.NoError(t, err)
		cipher, err := encrypt.New("jwe", key)
		require.NoError(t, err)
		sub := subscriptionNamed("one")
		sub.Transformation = program(`.payload = {n: .eventType} | .method = "PUT" | .headers["X-N"] = .id`)
		sub.Encryption = &subscription.Encryption{Scheme: "jwe", Key: key}
		endpoint := &recorded{status: 500}
		s := newStage(t, DelivererOptions{}, endpoint, sub)
		hook, err := standardwebhooks.NewWebhook(whsec)
		require.NoError(t, err)
		for try := range 3 {
			d := deliveryOf(sub, 1)
			d.Attempts, d.Pass = try, try
			s.sendDelivery(d)
			synctest.Wait()
			require.Len(t, endpoint.requests, try+1)
			req := endpoint.requests[try]
			require.Equal(t, "PUT", req.Method)
			require.Equal(t, endpoint.requests[0].Body, req.Body)
			fields := fieldsOf(req.Header)
			require.Equal(t, []string{"application/jose"}, fields["Content-Type"], "the envelope is the data alone")
			require.Equal(t, fields["Webhook-Id"], fields["X-N"], "the id that the program sees is the endpoint's")
			require.NoError(t, hook.Verify(req.Body, fields))
			plain, err := cipher.Decrypt(req.Body)
			require.NoError(t, err)
			require.Equal(t, `{"n":"contact.updated"}`, string(plain))
			time.Sleep(time.Hour)
		}
		require.Equal(t, bodyHash(endpoint.requests[2].Body), s.lastRow().BodySHA256)
		require.Equal(t, []byte(`{}`), s.b.acknowledged("deadletters")[0].Value, "what is redriven is the event's own data")
		require.InDelta(t, 3, figure(t, s.d.opts.Metrics.transformations.WithLabelValues(transformMade)), 0)
	})
}

// A failing program ends its deliveries one by one; the endpoint is well as before.
func TestFailingProgram(t *testing.T) {
	for name, c := range map[string]struct{ code, detail, kind string }{
		"runtime":        {`.payload.secret | error`, "transformation: the program ended with an error", "runtime"},
		"output":         {`empty`, "transformation: no output: want exactly one; to send nothing, want {cancel: true}", "bad_output"},
		"work":           {`last(range(1e9)) as $n | .`, "transformation: more than 1000000 units of work: want less to do, or smaller events", "too_much_work"},
		"header":         {`.headers["webhook-id"] = "x"`, "transformation: headers.webhook-id: is not a subscription's to set, as nothing that starts with webhook-", "bad_output"},
		"does not parse": {`.payload |`, `transformation: 1:11: unexpected EOF`, "bad_program"},
		"url":            {`.url = "https://" + .payload.secret + ".internal/"`, "transformation: url: is not allowed for endpoints here", "bad_output"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, good := subscriptionNamed("one"), subscriptionNamed("two")
				bad.Transformation = program(c.code)
				bad.Failure = &subscription.FailurePolicy{Kind: subscription.FailureConsecutive, Failures: 2}
				endpoint := &recorded{status: 200}
				check := func(string) error { return errors.New("CANARY") }
				s := newStage(t, DelivererOptions{Breaker: gate.Config{Failures: 1}, CheckURL: check}, endpoint, bad, good)
				const n = 5
				for i := range n {
					d := deliveryOf(bad, i)
					d.Data = []byte(`{"secret":"CANARY"}`)
					s.sendDelivery(d)
				}
				synctest.Wait()
				s.sendDelivery(deliveryOf(good, 0))
				synctest.Wait()
				require.Zero(t, s.inFlight())
				s.requireNoFailure()
				rows := s.b.outcomes(t)
				require.Len(t, rows, n+1)
				for _, row := range rows[:n] {
					require.Equal(t, outcome.Dead, row.Verdict)
					require.Equal(t, outcome.ReasonNotRetryable, row.Reason)
					require.Equal(t, outcome.ResultTransformation, row.Result)
					require.Contains(t, row.Detail, c.detail)
					require.NotContains(t, row.Detail, "CANARY")
					require.Equal(t, 1, row.Attempt)
				}
				require.Len(t, endpoint.requests, 1, "the other subscription's")
				require.Equal(t, outcome.Delivered, rows[n].Verdict)
				dead := s.b.acknowledged("deadletters")
				require.Len(t, dead, n)
				header := map[string]string{}
				for _, h := range dead[0].Headers {
					header[h.Key] = string(h.Value)
				}
				require.Equal(t, "transformation", header["pr-result"])
				require.JSONEq(t, `{"secret":"CANARY"}`, string(dead[0].Value))
				o := s.d.owned[0]
				require.False(t, o.endpoints[bad.ID].breaker.State().Open())
				require.Zero(t, o.endpoints[bad.ID].live.ConsecutiveFailures)
				require.Zero(t, o.endpoints[bad.ID].state.ConsecutiveFailures)
				require.False(t, o.endpoints[bad.ID].disabledAt(bad.Generation))
				require.InDelta(t, n, figure(t, s.d.opts.Metrics.transformations.WithLabelValues(c.kind)), 0)
			})
		})
	}
}

// What a program cancels is delivered, whatever the endpoint's breaker says, and tells nothing of the endpoint.
func TestCancelledByTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		sub.Transformation = program(`.cancel = (.payload == {})`)
		endpoint := &recorded{status: 500}
		s := newStage(t, DelivererOptions{Breaker: gate.Config{Failures: 2, OpenFor: time.Hour}}, endpoint, sub)
		send := func(n int, data string) outcome.Outcome {
			d := deliveryOf(sub, n)
			d.Data = []byte(data)
			s.sendDelivery(d)
			synctest.Wait()
			return s.lastRow()
		}
		require.Equal(t, outcome.Retry, send(0, `{"a":1}`).Verdict)
		row := send(1, `{}`)
		require.Equal(t, outcome.Delivered, row.Verdict)
		require.Equal(t, outcome.ReasonNotSent, row.Reason)
		require.Equal(t, outcome.ResultNone, row.Result)
		require.Zero(t, row.Attempt)
		require.Equal(t, outcome.Retry, send(2, `{"a":1}`).Verdict)
		state := s.d.owned[0].endpoints[sub.ID]
		require.True(t, state.breaker.State().Open(), "two failures in a row, whatever was not sent between them")
		require.Equal(t, 2, state.state.ConsecutiveFailures)
		before := state.breaker.State()
		require.Equal(t, outcome.ReasonNotSent, send(3, `{}`).Reason)
		require.Equal(t, outcome.ReasonBreakerOpen, send(4, `{"a":1}`).Reason)
		time.Sleep(time.Hour)
		require.Equal(t, outcome.ReasonNotSent, send(5, `{}`).Reason)
		require.Equal(t, before, state.breaker.State(), "the probe is for a delivery that is sent")
		require.Len(t, endpoint.requests, 2)
		s.crash()
		require.Len(t, s.b.outcomes(t), 6, "what is done is not done again")
	})
}

// Nothing of what the subscription says of itself goes to another host.
func TestSentElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		sub.Headers = map[string]string{"X-Key": "own"}
		sub.Authorization = &subscription.Authorization{Token: "own"}
		sub.Transformation = program(`.url = "https://other.example.com/\(.payload.n)"`)
		endpoint := &recorded{status: 200}
		s := newStage(t, DelivererOptions{CheckURL: func(url string) error {
			if url == "https://other.example.com/1" {
				return nil
			}
			return fmt.Errorf("url: %s", url)
		}}, endpoint, sub)
		d := deliveryOf(sub, 1)
		d.Data = []byte(`{"n":1}`)
		s.sendDelivery(d)
		synctest.Wait()
		require.Len(t, endpoint.requests, 1)
		req := endpoint.requests[0]
		require.Equal(t, "https://other.example.com/1", req.URL)
		require.Equal(t, "POST", req.Method)
		require.NotContains(t, fmt.Sprint(req.Header), "own")
		require.Nil(t, req.Authorizer)
		require.Nil(t, req.TLS)
		require.Equal(t, "https://one.example.com/in", s.lastRow().URL, "an outcome holds nothing of the payload")
	})
}

// At most so many programs run at a time, and whoever waits for a place when the process ends is given up.
func TestProgramsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		sub.Transformation = program(`.`)
		endpoint := &recorded{status: 200}
		s := newStage(t, DelivererOptions{Programs: 1, Drain: time.Second}, endpoint, sub)
		s.d.programs <- struct{}{} // somebody else's
		s.sendDelivery(deliveryOf(sub, 1), deliveryOf(sub, 2))
		synctest.Wait()
		require.Empty(t, endpoint.requests)
		<-s.d.programs
		synctest.Wait()
		require.Len(t, endpoint.requests, 2)
		s.d.programs <- struct{}{}
		s.sendDelivery(deliveryOf(sub, 3))
		synctest.Wait()
		s.revoke(s.p)
		s.requireNoFailure()
		require.Len(t, endpoint.requests, 2)
		require.InDelta(t, 1, figure(t, s.d.opts.Metrics.aborted), 0)
	})
}
