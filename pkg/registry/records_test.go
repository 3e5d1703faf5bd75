package registry

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/test/records"
)

// What releases wrote is read as they meant it: nothing of it is lost when it is written again.
func TestRecordsOfReleases(t *testing.T) {
	records.Of(t, func(t *testing.T, r *records.Record) {
		b := Empty().builder()
		write, err := b.apply(r.Offset, []byte(r.Key), []byte(r.Value))
		require.NoError(t, err, "%+v", r)
		if r.Value == "" {
			return
		}
		k, known, err := parseKey([]byte(r.Key))
		require.NoError(t, err)
		require.True(t, known)
		require.JSONEq(t, r.Value, string(encoded(t, b.snapshot(r.Offset+1), k, write)))
	}, "registry")
}

// encoded is the object of a key as it is written.
func encoded(t *testing.T, s *Snapshot, k Key, write string) (value []byte) {
	t.Helper()
	var err error
	switch k.Kind {
	case KindTenant:
		v, ok := s.Tenant(k.ID)
		require.True(t, ok)
		value, err = encodeTenant(v, write)
	case KindSubscription:
		v, ok := s.Subscription(k.ID)
		require.True(t, ok)
		value, err = encodeSubscription(v, write)
	case KindEventType:
		for v := range s.EventTypes() {
			value, err = encodeEventType(v, write)
		}
	case KindKey:
		for v := range s.Keys() {
			value, err = encodeKey(v, write)
		}
	case KindPause:
		v, ok := s.Pause(k.ID)
		require.True(t, ok)
		value, err = encodePause(v, write)
	case kindWrite:
		value, err = json.Marshal(header{schema, write})
	}
	require.NoError(t, err)
	return value
}
