package view_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/view"
)

func TestNoticeState(t *testing.T) {
	c, r := start(t)
	ctx, one, other := t.Context(), ident.New(), ident.New()
	require.NoError(t, r.KeepNoticeState(ctx, one, []byte("\x00state")))
	got, err := r.NoticeState(ctx, one)
	require.NoError(t, err)
	require.Equal(t, []byte("\x00state"), got)
	got, err = r.NoticeState(ctx, other)
	require.NoError(t, err)
	require.Nil(t, got)

	for _, want := range []bool{true, false, false} {
		ok, err := r.ClaimNoticeTest(ctx, one, time.Minute)
		require.NoError(t, err)
		require.Equal(t, want, ok)
	}
	ok, err := r.ClaimNoticeTest(ctx, other, time.Minute)
	require.NoError(t, err)
	require.True(t, ok, "another tenant's is its own")
	c.pass(time.Minute)
	ok, err = r.ClaimNoticeTest(ctx, one, time.Minute)
	require.NoError(t, err)
	require.True(t, ok)

	c.pass(view.NoticeLifetime)
	require.Empty(t, c.Keys())
	c.Close()
	_, err = r.NoticeState(ctx, one)
	require.Error(t, err)
	require.Error(t, r.KeepNoticeState(ctx, one, nil))
	_, err = r.ClaimNoticeTest(ctx, one, time.Minute)
	require.Error(t, err)
}
