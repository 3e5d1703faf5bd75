package portal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/api"
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
