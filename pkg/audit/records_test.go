package audit_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/test/records"
)

// What releases wrote is read as they meant it: nothing of it is lost when it is written again.
func TestRecordsOfReleases(t *testing.T) {
	records.Of(t, func(t *testing.T, r *records.Record) {
		e, err := audit.Read([]byte(r.Value))
		require.NoError(t, err, "%+v", r)
		text, err := json.Marshal(e)
		require.NoError(t, err)
		require.JSONEq(t, r.Value, string(text))
	}, "audit")
	_, err := audit.Read([]byte(`{"version":2,"actor":"otherwise"}`))
	require.ErrorIs(t, err, form.ErrNewer)
}
