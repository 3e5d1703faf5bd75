package delivery_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/test/records"
)

// What releases wrote is read as they meant it: nothing of it is lost when it is written again.
func TestRecordsOfReleases(t *testing.T) {
	records.Of(t, func(t *testing.T, r *records.Record) {
		d, err := delivery.Decode([]byte(r.Key), []byte(r.Value), r.All)
		require.NoError(t, err, "%+v", r)
		var want []header
		for _, h := range r.Headers {
			if !slices.Contains([]string{delivery.HeaderResult, delivery.HeaderStatus, delivery.HeaderDetail, delivery.HeaderTask}, h.Name) {
				want = append(want, header{h.Name, h.Value})
			}
		}
		require.Equal(t, want, headersOf(d), "%+v", r)
		require.Equal(t, r.Key, d.Subscription.UUID())
	}, "deliveries", "retry.1s", "retry.5s", "retry.30s", "retry.2m", "retry.10m", "retry.1h", "retry.6h", "retry.24h", "deadletters")
}
