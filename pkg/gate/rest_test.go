package gate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/gate"
)

func TestRest(t *testing.T) {
	var r gate.Rest
	now := time.Unix(1_800_000_000, 0)
	require.Zero(t, r.Due(now, 10))
	end := now.Add(time.Minute)
	r.Begin(end)
	require.Equal(t, end, r.Due(now, 10))
	require.Equal(t, end.Add(100*time.Millisecond), r.Due(now, 10))
	r.Begin(now.Add(time.Second))
	require.Equal(t, end.Add(200*time.Millisecond), r.Due(now, 10), "it is not shortened")
	later := end.Add(time.Minute)
	r.Begin(later)
	require.Equal(t, later, r.Due(now, 10), "the spread begins anew")
	require.Zero(t, r.Due(later, 10), "it is over")
}
