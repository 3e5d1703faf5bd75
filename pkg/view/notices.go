package view

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
)

// NoticeLifetime is how long it is kept what a tenant was told, after the last notice or try: a problem that goes on for longer is
// told again.
const NoticeLifetime = 30 * 24 * time.Hour

func (r *Redis) noticeKey(tenant ident.ID) string { return r.conf.Prefix + "notices." + tenant.UUID() }

// NoticeState returns what [Redis.KeepNoticeState] kept of a tenant, nil for nothing.
func (r *Redis) NoticeState(ctx context.Context, tenant ident.ID) ([]byte, error) {
	raw, err := r.client.Get(ctx, r.noticeKey(tenant)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, r.done(nil)
	}
	if err := r.done(err); err != nil {
		return nil, fmt.Errorf("reading what a tenant was told: %w", err)
	}
	return raw, nil
}

// KeepNoticeState keeps what a tenant was told for [NoticeLifetime]. After a loss it is told once more.
func (r *Redis) KeepNoticeState(ctx context.Context, tenant ident.ID, state []byte) error {
	if err := r.done(r.client.Set(ctx, r.noticeKey(tenant), state, NoticeLifetime).Err()); err != nil {
		return fmt.Errorf("keeping what a tenant was told: %w", err)
	}
	return nil
}

// ClaimNoticeTest reports whether a test notice of a tenant may be sent now: one in each pause may, whichever process asks.
func (r *Redis) ClaimNoticeTest(ctx context.Context, tenant ident.ID, pause time.Duration) (bool, error) {
	err := r.client.SetArgs(ctx, r.noticeKey(tenant)+".test", "1", redis.SetArgs{Mode: "NX", TTL: pause}).Err()
	if errors.Is(err, redis.Nil) {
		return false, r.done(nil)
	}
	if err := r.done(err); err != nil {
		return false, fmt.Errorf("claiming a test notice: %w", err)
	}
	return true, nil
}
