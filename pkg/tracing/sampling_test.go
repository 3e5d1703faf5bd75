package tracing

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

const (
	sampledParent   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	unsampledParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
)

func TestWhatIsTraced(t *testing.T) {
	acme := &subscription.Tenant{ID: ident.Derive("test", "acme"), UID: "acme"}
	always := []TenantRatio{{Tenant: "acme", Ratio: 1}}
	never := []TenantRatio{{Tenant: "other", Ratio: 1}, {Tenant: acme.ID.Base62(subscription.TenantPrefix), Ratio: 0}}
	for name, c := range map[string]struct {
		sampling Sampling
		parent   string
		want     bool
	}{
		"nobody decided, all":                 {Sampling{Ratio: 1, FollowParent: true}, "", true},
		"nobody decided, nothing":             {Sampling{Ratio: 0, FollowParent: true}, "", false},
		"a producer that samples":             {Sampling{Ratio: 0, FollowParent: true}, sampledParent, true},
		"a producer that does not":            {Sampling{Ratio: 1, FollowParent: true}, unsampledParent, false},
		"no context, but something like it":   {Sampling{Ratio: 1, FollowParent: true}, "00-00000000000000000000000000000000-00f067aa0ba902b7-00", true},
		"producers are not followed, all":     {Sampling{Ratio: 1}, unsampledParent, true},
		"producers are not followed, nothing": {Sampling{Ratio: 0}, sampledParent, false},
		"the tenant's own, always":            {Sampling{Ratio: 0, FollowParent: true, Tenants: always}, unsampledParent, true},
		"the tenant's own, never":             {Sampling{Ratio: 1, FollowParent: true, Tenants: never}, sampledParent, false},
		"the tenant's own, by UUID":           {Sampling{Tenants: []TenantRatio{{Tenant: acme.ID.UUID(), Ratio: 1}}}, "", true},
		"another tenant's":                    {Sampling{Tenants: never[:1]}, "", false},
	} {
		s := c.sampling.sampling()
		require.Equal(t, c.want, s.takes(acme, contextOf(c.parent)), name)
	}
}

// The parts of a trace are kept together only if everybody takes the same ids.
func TestARatioTakesTheIDsThatTheSDKTakes(t *testing.T) {
	taken := 0
	for _, ratio := range []float64{0, 1e-9, 0.01, 0.5, 0.999, 1} {
		s, theirs := Sampling{Ratio: ratio}.sampling(), sdk.TraceIDRatioBased(ratio)
		for range 2000 {
			var id trace.TraceID
			for i := range id {
				id[i] = byte(rand.Uint32())
			}
			parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{1}})
			want := theirs.ShouldSample(sdk.SamplingParameters{TraceID: id}).Decision == sdk.RecordAndSample
			require.Equal(t, want, s.takes(&subscription.Tenant{}, parent), "%g of %s", ratio, id)
			if want {
				taken++
			}
		}
	}
	require.Positive(t, taken)
}

func TestTenantRatio(t *testing.T) {
	for text, want := range map[string]TenantRatio{
		"acme=0.25": {"acme", 0.25}, "acme=0": {"acme", 0}, "a=b=1": {"a=b", 1},
	} {
		var got TenantRatio
		require.NoError(t, got.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
	for _, bad := range []string{"", "acme", "=1", "acme=", "acme=x", "acme=-0.1", "acme=1.1", "acme=NaN"} {
		require.Error(t, new(TenantRatio).UnmarshalText([]byte(bad)), "%q", bad)
	}
}
