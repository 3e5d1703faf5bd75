package portal

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/outcome"
)

func TestPoliciesInWords(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]api.RetryPolicy{
		"A failed delivery is tried again after 1 minute each time: 4 tries in all.":                                                     {Kind: "fixed", Interval: "1m0s", MaxTries: 4},
		"A failed delivery is tried again after 5 seconds, then 1 hour 30 minutes: 3 tries in all.":                                      {Kind: "list", List: []string{"5s", "1h30m0s"}},
		"A failed delivery is tried again after 1 second, and each further wait is 2 times as long, at most 1 hour, for at most 2 days.": {Kind: "exponential", Interval: "1s", MaxInterval: "1h0m0s", MaxAge: "48h0m0s"},
		"A failed delivery is tried again after 1 minute each time, but there is one try only.":                                          {Kind: "fixed", Interval: "1m0s", MaxTries: 1},
	} {
		require.Equal(t, want, retryWords(p))
	}
	for want, p := range map[string]api.FailurePolicy{
		"However often attempts fail, it stays enabled.":                                                                           {Kind: "never"},
		"After 25 failed attempts in a row within 3 hours it is disabled, and you can enable it again.":                            {Kind: "consecutive", Failures: 25, Within: "3h0m0s"},
		"When 50 % of the attempts within 1 hour fail (of at least 10), failed deliveries are not tried again until one succeeds.": {Kind: "rate", Percent: 50, Attempts: 10, Within: "1h0m0s", Effect: "suspend_retries"},
		"When every attempt has failed for 5 days, it is disabled, and only an operator can enable it again.":                      {Kind: "lasting", For: "120h0m0s", Effect: "lock"},
	} {
		require.Equal(t, want, failureWords(p))
	}
}

// What is on its way as always is not worth a word; what stays away longer is.
func TestViewsInWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC)
	for state, want := range map[string]string{
		"": "", "complete": "", "complete; expired=3": "", "behind; records=9; to=2026-02-01T07:59:30.000Z": "",
		"behind; records=9; to=2026-02-01T07:58:00.000Z":            "The latest attempts are not all here",
		"behind; records=9; to=2026-02-01T07:58:00.000Z; expired=1": "The latest attempts are not all here",
		"behind; records=9": "The latest attempts are not all here", "incomplete": "Older attempts are missing", "unknown": "It is not known",
	} {
		got := viewsWords(state, now)
		require.Equal(t, want == "", got == "", state)
		require.Contains(t, got, want, state)
	}
}

// Every result has an explanation, and every failure advice.
func TestAdvice(t *testing.T) {
	t.Parallel()
	for _, r := range outcome.Results() {
		a := adviceFor(&api.AttemptDetail{AttemptResult: api.AttemptResult{Result: r, Reason: outcome.ReasonExhausted}})
		if r != outcome.ResultNone {
			require.NotContains(t, a.What, "came to", r)
		}
		require.Equal(t, r == outcome.ResultSuccess || r == outcome.ResultNone, a.Do == "", r)
		require.Contains(t, a.Next, "not tried again", r)
	}
	for _, r := range []outcome.Reason{outcome.ReasonNotSent, outcome.ReasonDisabled, outcome.ReasonDeleted, outcome.ReasonRetriesSuspended, outcome.ReasonUndecodable} {
		a := adviceFor(&api.AttemptDetail{AttemptResult: api.AttemptResult{Result: outcome.ResultNone, Reason: r}})
		require.NotContains(t, a.What, "came to", r)
	}
	refused := 401
	a := adviceFor(&api.AttemptDetail{AttemptResult: api.AttemptResult{Result: outcome.ResultClientError, StatusCode: &refused, Reason: outcome.ReasonNotRetryable}})
	require.Contains(t, a.What, "did not let this request in")
}

func TestWaterfall(t *testing.T) {
	t.Parallel()
	fall := fallOf(api.TimingsOut{DNSMs: 10, ConnectMs: 10, TLSMs: 20, FirstByteMs: 90, DurationMs: 100})
	require.Equal(t, "Looking up the name 10 ms, Connecting 10 ms, TLS handshake 20 ms, Sending, and waiting for the response 50 ms, Reading the response 10 ms, in all 100 ms", fall.Text)
	require.Equal(t, fallStep{Name: "TLS handshake", Took: "20 ms", X: "20.00", Width: "20.00", Y: 17}, fall.Steps[2])
	require.Empty(t, fallOf(api.TimingsOut{QueueMs: 5}).Steps)
	require.Equal(t, "Waiting 2.0 s, in all 2.0 s", fallOf(api.TimingsOut{DurationMs: 2000}).Text, "a kept connection, and no response")
}
