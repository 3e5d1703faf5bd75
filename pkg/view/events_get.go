package view

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
)

// getScript looks for an id in the days of KEYS, newest first.
const getScript = `
for _, key in ipairs(KEYS) do
  local at = redis.call('HGET', key, ARGV[1])
  if at then return at end
end
return false`

// Event returns the entry of a message id, or false if there is none: it never was, or is older than the retention.
func (r *Redis) Event(ctx context.Context, tenant, message ident.ID) (EventEntry, bool, error) {
	keys := r.eventKeys(tenant)
	at, err := redis.NewScript(getScript).Run(ctx, r.client, r.liveIDs(keys, message, time.Now()), string(message[:])).Text()
	if errors.Is(err, redis.Nil) {
		return EventEntry{}, false, r.done(nil)
	}
	if err := r.done(err); err != nil {
		return EventEntry{}, false, fmt.Errorf("looking for an event: %w", err)
	}
	var ms [8]byte
	if len(at) != len(ms)-2 {
		return EventEntry{}, false, errMember
	}
	copy(ms[2:], at)
	begins := int64(binary.BigEndian.Uint64(ms[:])) //nolint:gosec // six bytes
	from := string(lexTime(begins))
	found, err := r.client.ZRangeByLex(ctx, keys.hour(begins/hourMillis), &redis.ZRangeBy{Min: "[" + from, Max: "[" + from + lexAfter}).Result()
	if err := r.done(err); err != nil {
		return EventEntry{}, false, fmt.Errorf("looking for an event: %w", err)
	}
	for _, chunk := range found {
		entries, err := parseChunk(r.conf.Prefix, tenant, begins/hourMillis, chunk)
		if err != nil {
			return EventEntry{}, false, err
		}
		if i := slices.IndexFunc(entries, func(e EventEntry) bool { return e.Message == message }); i >= 0 {
			return entries[i], true, nil
		}
	}
	return EventEntry{}, false, nil // Redis gave up the list to make room, or the id is another tenant's
}

// EventByEventID is [Redis.Event] for the event id that an event was published with over HTTP. Events that came from
// other sources are found by their message id alone.
func (r *Redis) EventByEventID(ctx context.Context, tenant ident.ID, eventID string) (EventEntry, bool, error) {
	return r.Event(ctx, tenant, published(tenant, eventID))
}
