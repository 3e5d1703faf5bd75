package tracing

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// Sampling says which events are traced. A tenant's own ratio, if it has one, holds whatever the producer decided: 0 is
// never. For other tenants, with FollowParent, the decision of a producer that sent a trace context holds. Else Ratio does.
//
// Of events with a trace context a ratio takes those with certain trace ids, as the samplers of OpenTelemetry's SDKs do, so
// that the parts of a trace are kept or left out together.
type Sampling struct {
	// Ratio is from 0 to 1.
	Ratio        float64
	FollowParent bool
	Tenants      []TenantRatio
}

// TenantRatio is the ratio of one tenant.
type TenantRatio struct {
	// Tenant is its uid or its id, app_… or a UUID.
	Tenant string
	Ratio  float64
}

// UnmarshalText reads tenant=ratio, such as acme=0.1.
func (r *TenantRatio) UnmarshalText(text []byte) error {
	i := strings.LastIndexByte(string(text), '=')
	if i <= 0 {
		return fmt.Errorf("%q: want tenant=ratio", text)
	}
	ratio, err := strconv.ParseFloat(string(text[i+1:]), 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) { // NaN is neither
		return fmt.Errorf("%q: want a ratio from 0 to 1", text)
	}
	r.Tenant, r.Ratio = string(text[:i]), ratio
	return nil
}

// String writes what UnmarshalText reads.
func (r TenantRatio) String() string {
	return r.Tenant + "=" + strconv.FormatFloat(r.Ratio, 'g', -1, 64)
}

// sampling is [Sampling] as it is looked up.
type sampling struct {
	ratio  float64
	follow bool
	byUID  map[string]float64
	byID   map[ident.ID]float64
}

func (s Sampling) sampling() sampling {
	out := sampling{ratio: s.Ratio, follow: s.FollowParent, byUID: map[string]float64{}, byID: map[ident.ID]float64{}}
	for _, t := range s.Tenants {
		out.byUID[t.Tenant] = t.Ratio
		id, err := ident.ParseUUID(t.Tenant)
		if err != nil {
			id, err = ident.ParseBase62(subscription.TenantPrefix, t.Tenant)
		}
		if err == nil {
			out.byID[id] = t.Ratio
		}
	}
	return out
}

// of returns the tenant's own ratio.
func (s *sampling) of(t *subscription.Tenant) (ratio float64, ok bool) {
	if ratio, ok = s.byID[t.ID]; !ok {
		ratio, ok = s.byUID[t.UID]
	}
	return ratio, ok
}

// takes decides about an event of a tenant, by the context it came with, which may be none.
func (s *sampling) takes(t *subscription.Tenant, parent trace.SpanContext) bool {
	ratio, own := s.of(t)
	switch {
	case own:
	case s.follow && parent.IsValid():
		return parent.IsSampled()
	default:
		ratio = s.ratio
	}
	if !parent.IsValid() {
		return rand.Float64() < ratio //nolint:gosec // a sample is no secret
	}
	const bits = 63 // of the 64 last ones of a trace id, as in OpenTelemetry's TraceIDRatioBased
	id := parent.TraceID()
	return binary.BigEndian.Uint64(id[8:])>>1 < uint64(ratio*(1<<bits))
}
