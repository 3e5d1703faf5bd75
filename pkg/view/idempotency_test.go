package view_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/view"
)

func TestIdempotencyKeys(t *testing.T) {
	c, r := start(t)
	ctx := t.Context()
	begin := func(scope, key, request string, want view.ClaimState) view.Claim {
		t.Helper()
		claim, err := r.Begin(ctx, scope, key, []byte(request))
		require.NoError(t, err)
		require.Equal(t, want, claim.State)
		return claim
	}
	first := begin("acme/msg", "k", "body", view.ClaimNew)
	begin("acme/msg", "k", "body", view.ClaimRunning)
	begin("acme/msg", "k", "other", view.ClaimOther)
	begin("acme/endpoint", "k", "body", view.ClaimNew)
	begin("acme/ms", "gk", "body", view.ClaimNew) // not the same text split elsewhere
	require.NoError(t, r.Finish(ctx, first, []byte("\x00answer")))
	require.Equal(t, []byte("\x00answer"), begin("acme/msg", "k", "body", view.ClaimDone).Response)
	begin("acme/msg", "k", "other", view.ClaimOther)
	require.NoError(t, r.Abandon(ctx, first))
	begin("acme/msg", "k", "body", view.ClaimDone) // what is done stays done
	for _, key := range c.Keys() {
		require.NotContains(t, key, "acme")
	}
	c.pass(view.IdempotencyLifetime)
	require.Empty(t, c.Keys())

	failed := begin("s", "k", "body", view.ClaimNew)
	require.NoError(t, r.Abandon(ctx, failed))
	dead := begin("s", "k", "body", view.ClaimNew)
	c.pass(view.ClaimLifetime)
	next := begin("s", "k", "other", view.ClaimNew)
	require.ErrorIs(t, r.Finish(ctx, dead, []byte("late")), view.ErrClaimLost)
	require.NoError(t, r.Abandon(ctx, dead))
	begin("s", "k", "other", view.ClaimRunning)
	c.pass(view.ClaimLifetime)
	require.NoError(t, r.Finish(ctx, next, []byte("late, and nobody minds")))
	require.Equal(t, "late, and nobody minds", string(begin("s", "k", "other", view.ClaimDone).Response))

	large := begin("s", "large", "", view.ClaimNew)
	require.ErrorIs(t, r.Finish(ctx, large, make([]byte, view.MaxStoredResponse+1)), view.ErrResponseTooLarge)
	begin("s", "large", "", view.ClaimNew)
	for _, key := range []string{"", strings.Repeat("k", view.MaxIdempotencyKey+1)} {
		_, err := r.Begin(ctx, "s", key, nil)
		require.ErrorIs(t, err, view.ErrIdempotencyKey)
	}
}

func TestOneOfManyClaims(t *testing.T) {
	_, r := start(t)
	var won atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			claim, err := r.Begin(t.Context(), "s", "k", nil)
			if err == nil && claim.State == view.ClaimNew {
				won.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, won.Load())
}
