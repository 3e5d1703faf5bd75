package flow

import (
	"context"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// program cancels event 1, fails on event 2 and makes a PUT of the others, each to an address of its own.
const program = `
if .payload.n == 1 then .cancel = true
elif .payload.n == 2 then error("two is not wanted")
else .url += "/\(.payload.n)" | .method = "PUT" | .headers["X-Shop"] = $variables.shop | .payload = {number: .payload.n}
end`

// From the source topic to a receiver that verifies and decrypts, over three tries through the retry topics: the same bytes
// each time. What the program cancels or fails on ends, and the lane goes on.
func TestTransformedAndEncryptedToTheEnd(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		key, err := encrypt.GenerateKey("jwe")
		require.NoError(t, err)
		cipher, err := encrypt.New("jwe", key)
		require.NoError(t, err)
		sub := w.Subscribe("one", func(s *subscription.Subscription) {
			s.Transformation = &subscription.Transformation{Code: program, Enabled: true, Variables: map[string]string{"shop": "nord"}}
			s.Encryption = &subscription.Encryption{Scheme: "jwe", Key: key}
			s.Retry = retryList(5*time.Second, time.Minute)
			s.Failure = &subscription.FailurePolicy{Kind: subscription.FailureConsecutive, Failures: 100}
		})
		e := newEndpoints(func(_ context.Context, url string, n int) (attempt.Response, error) {
			if url == sub.URL+"/0" && n < 3 {
				return reply(503), nil
			}
			return reply(200), nil
		})
		start(w, e, "router", "deliverer", "retrier")
		w.Send(4, "ev")
		until(t, 10*time.Minute, func() bool {
			return len(w.Outcomes()) == 6 && w.Lag("deliverer", topics.Deliveries) == 0
		})
		require.Equal(t, map[string]int{
			"retry/failed": 2, "delivered/delivered": 2, "delivered/not_sent": 1, "dead/not_retryable": 1,
		}, verdicts(w.Outcomes()))
		hook, err := standardwebhooks.NewWebhook(world.Secret)
		require.NoError(t, err)
		require.Len(t, e.times(sub.URL+"/0"), 3)
		require.Len(t, e.times(sub.URL+"/3"), 1)
		require.Equal(t, 4, e.total())
		bodies := map[string]string{}
		for _, h := range e.hits {
			require.Equal(t, "PUT", h.method)
			require.Equal(t, "nord", h.header.Get("X-Shop"))
			require.NoError(t, hook.VerifyIgnoringTimestamp([]byte(h.body), h.header))
			if bodies[h.id] == "" {
				bodies[h.id] = h.body
			}
			require.Equal(t, bodies[h.id], h.body, "every try sends the same bytes")
			plain, err := cipher.Decrypt([]byte(gjson.Get(h.body, "data").String()))
			require.NoError(t, err)
			require.Equal(t, `{"number":`+h.url[len(sub.URL)+1:]+`}`, string(plain))
		}

		dead := 0
		w.Read(topics.DeadLetters, func(r *kgo.Record) {
			dead++
			require.JSONEq(t, `{"n":2}`, string(r.Value), "the event's own data, to be redriven")
		})
		require.Equal(t, 1, dead)
		for _, row := range w.Outcomes() {
			if row.Verdict == outcome.Dead {
				require.Equal(t, outcome.ResultTransformation, row.Result)
				require.Equal(t, "transformation: the program ended with an error: two is not wanted", row.Detail)
			}
			require.Equal(t, sub.URL, row.URL)
		}
	})
}
