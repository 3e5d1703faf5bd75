package outcome_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/test/records"
)

// What releases wrote is read as they meant it: nothing of it is lost when it is written again.
func TestRecordsOfReleases(t *testing.T) {
	records.Of(t, func(t *testing.T, r *records.Record) {
		o, err := outcome.Read([]byte(r.Value))
		require.NoError(t, err, "%+v", r)
		text, err := json.Marshal(o)
		require.NoError(t, err)
		require.JSONEq(t, r.Value, string(text))
		require.Equal(t, r.Key, o.Subscription.UUID())
	}, "outcomes")
}

// A status as it stands in the topic; of its releases no run has kept one yet.
func TestStatusGolden(t *testing.T) {
	const text = `{"version":1,"tenant":"8c5ad2cf-4f1e-4a33-9f8e-0d7a1f6f6d11","subscription":"0b8f3a52-66f0-4d0f-8a3e-3b1d2f4c5e6a",` +
		`"event_type":"order.created","at":"2026-02-01T08:30:00.123Z","verdict":"retry","reason":"failed","result":"server_error","status":503,` +
		`"outcome":{"topic":"postrider.outcomes","partition":3,"offset":4}}`
	s, err := outcome.ReadStatus([]byte(text))
	require.NoError(t, err)
	require.Equal(t, "0b8f3a52-66f0-4d0f-8a3e-3b1d2f4c5e6a/order.created", s.Key())
	again, err := json.Marshal(s)
	require.NoError(t, err)
	require.Equal(t, text, string(again))
}
