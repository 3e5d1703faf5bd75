package operational_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/test/records"
)

// What releases wrote is read as they meant it: nothing of it is lost when it is written again.
func TestRecordsOfReleases(t *testing.T) {
	records.Of(t, func(t *testing.T, r *records.Record) {
		e, err := operational.Read([]byte(r.Value))
		require.NoError(t, err, "%+v", r)
		require.NotNil(t, e.Data, "%+v", r)
		text, err := e.Value()
		require.NoError(t, err)
		require.JSONEq(t, r.Value, string(text))
	}, "operational")
}
