package subscription_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/subscription"
)

func TestRetryPolicyErrorsNameTheField(t *testing.T) {
	const s, d = subscription.Duration(time.Second), subscription.Duration(24 * time.Hour)
	type policy = subscription.RetryPolicy
	fixed := func(change func(*policy)) policy {
		p := policy{Kind: subscription.RetryFixed, Interval: s, MaxTries: 3}
		change(&p)
		return p
	}
	list := func(change func(*policy)) policy {
		p := policy{Kind: subscription.RetryList, List: []subscription.Duration{s, d}}
		change(&p)
		return p
	}
	exponential := func(change func(*policy)) policy {
		p := policy{Kind: subscription.RetryExponential, Interval: s, MaxAge: d}
		change(&p)
		return p
	}
	same := func(*policy) {}
	for _, tc := range []struct {
		policy policy
		want   string // start of the error; empty for a valid policy
	}{
		{fixed(same), ""},
		{list(same), ""},
		{exponential(same), ""},
		{fixed(func(p *policy) { p.MaxTries, p.MaxAge = 0, 30*d }), ""},
		{fixed(func(p *policy) { p.MaxTries = 100 }), ""},
		{exponential(func(p *policy) { p.Factor, p.MaxInterval = 1.5, 7*d }), ""},
		{list(func(p *policy) { p.MaxInterval, p.Jitter = d, subscription.JitterFull }), ""},
		{policy{}, `kind: "", want fixed, list or exponential`},
		{fixed(func(p *policy) { p.Kind = "linear" }), `kind: "linear", want`},
		{fixed(func(p *policy) { p.Interval = 0 }), "interval: 0s, want 1s to 168h0m0s"},
		{fixed(func(p *policy) { p.Interval = 7*d + 1 }), "interval:"},
		{fixed(func(p *policy) { p.Interval = -s }), "interval:"},
		{fixed(func(p *policy) { p.Factor = 2 }), "factor: a fixed policy has none"},
		{fixed(func(p *policy) { p.List = []subscription.Duration{s} }), "list: a fixed policy has none"},
		{fixed(func(p *policy) { p.MaxTries = 101 }), "maxTries: 101, want 1 to 100"},
		{fixed(func(p *policy) { p.MaxTries = -1 }), "maxTries: -1, want"},
		{fixed(func(p *policy) { p.MaxTries = 0 }), "maxTries: 0 without maxAge, want one of them for kind fixed"},
		{fixed(func(p *policy) { p.MaxAge = 30*d + 1 }), "maxAge:"},
		{fixed(func(p *policy) { p.MaxAge = -1 }), "maxAge:"},
		{fixed(func(p *policy) { p.Jitter = "some" }), `jitter: "some", want none, full or proportional`},
		{fixed(func(p *policy) { p.Interval, p.MaxInterval = d, s }), "maxInterval: 1s, want 24h0m0s to 168h0m0s"},
		{fixed(func(p *policy) { p.MaxInterval = 8 * d }), "maxInterval:"},
		{list(func(p *policy) { p.List = nil }), "list: 0 entries, want 1 to 50"},
		{list(func(p *policy) { p.List = make([]subscription.Duration, 51) }), "list: 51 entries"},
		{list(func(p *policy) { p.List[1] = 0 }), "list[1]: 0s, want"},
		{list(func(p *policy) { p.Interval = s }), "interval: a list policy has none"},
		{list(func(p *policy) { p.Factor = 2 }), "factor: a list policy has none"},
		{list(func(p *policy) { p.MaxInterval = s }), "maxInterval:"},
		{exponential(func(p *policy) { p.Factor = 0.5 }), "factor: 0.5, want 1 to 10"},
		{exponential(func(p *policy) { p.Factor = 11 }), "factor: 11, want"},
		{exponential(func(p *policy) { p.Factor = math.NaN() }), "factor: NaN, want"},
		{exponential(func(p *policy) { p.Interval = 1 }), "interval: 1ns, want"},
		{exponential(func(p *policy) { p.List = []subscription.Duration{s} }), "list: an exponential policy has none"},
		{exponential(func(p *policy) { p.MaxAge = 0 }), "maxTries: 0 without maxAge"},
	} {
		err := tc.policy.Validate()
		if tc.want == "" {
			require.NoError(t, err, "%+v", tc.policy)
			continue
		}
		require.ErrorContains(t, err, tc.want, "%+v", tc.policy)
	}
}
