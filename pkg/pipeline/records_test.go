package pipeline

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/test/records"
)

// What releases wrote is read as they meant it: nothing of it is lost when it is written again.
func TestRecordsOfReleases(t *testing.T) {
	restored := restored{states: map[ident.ID]stateRecord{}, disabled: map[ident.ID]int64{}, checkpoint: -1}
	records.Of(t, func(t *testing.T, r *records.Record) {
		value := []byte(r.Value)
		switch {
		case r.Topic == "outcomes":
			var row view.Row
			require.NoError(t, newRowReader().read(value, &row), "%+v", r)
			require.Equal(t, r.Key, row.Subscription.UUID())
		case r.Topic == "routed":
			var v RoutedRecord
			require.NoError(t, form.Read(value, &v, &v.Version, RoutedVersion))
			writtenAgain(t, r, v)
		case strings.HasPrefix(r.Key, checkpointPrefix):
			var v checkpointRecord
			require.NoError(t, form.Read(value, &v, &v.Version, stateVersion))
			writtenAgain(t, r, v)
		case strings.HasSuffix(r.Key, disabledSuffix):
			var v disabledRecord
			require.NoError(t, form.Read(value, &v, &v.Version, stateVersion))
			writtenAgain(t, r, v)
		default:
			var v stateRecord
			require.NoError(t, form.Read(value, &v, &v.Version, stateVersion))
			writtenAgain(t, r, v)
		}
		if r.Topic == "endpoint-states" {
			require.NoError(t, restored.read(&kafka.Record{Key: []byte(r.Key), Value: value}))
		}
	}, "outcomes", "routed", "endpoint-states")
	require.NotEmpty(t, restored.states)
	require.GreaterOrEqual(t, restored.checkpoint, int64(0))
	require.Zero(t, restored.undecoded)
}

func writtenAgain(t *testing.T, r *records.Record, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	require.JSONEq(t, r.Value, string(text), "%+v", r)
}
