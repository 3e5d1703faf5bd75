package view

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
)

// ReservationLifetime is how long an id is reserved for an event that is being published: longer than Kafka may take to
// acknowledge it, short enough for whoever must try again after a crash.
const ReservationLifetime = 45 * time.Second

// EventState says whether an event may be published.
type EventState string

// States of an id.
const (
	// EventReserved: nobody else publishes it as long as the reservation lasts.
	EventReserved EventState = "reserved"
	// EventBusy: somebody else is publishing it at this moment, or has ended within the reservation's lifetime without
	// saying how.
	EventBusy EventState = "busy"
	// EventKnown: it is in the index.
	EventKnown EventState = "known"
)

// Reservation is the right to publish an event.
type Reservation struct {
	State   EventState
	tenant  ident.ID
	message ident.ID
	token   string
}

const (
	reserveScript = `
for k = 2, #KEYS do
  if redis.call('HEXISTS', KEYS[k], ARGV[1]) == 1 then return 'known' end
end
if redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) then return 'reserved' end
return 'busy'`

	releaseScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`
)

// ReserveEvent reserves a message id for an event that is about to be published, unless the event is in the index or
// reserved. Adding the event to the index makes it permanent; the reservation itself ends after 45 s.
func (r *Redis) ReserveEvent(ctx context.Context, tenant, message ident.ID) (Reservation, error) {
	keys := r.eventKeys(tenant)
	res := Reservation{tenant: tenant, message: message, token: rand.Text()}
	state, err := redis.NewScript(reserveScript).Run(ctx, r.client,
		append([]string{keys.reservation(message)}, r.liveIDs(keys, message, time.Now())...),
		string(message[:]), res.token, ReservationLifetime.Milliseconds()).Text()
	if err := r.done(err); err != nil {
		return Reservation{}, fmt.Errorf("reserving an event id: %w", err)
	}
	res.State = EventState(state)
	return res, nil
}

// ReleaseEvent gives a reservation back: the event was not published. It does nothing to another's reservation.
func (r *Redis) ReleaseEvent(ctx context.Context, res Reservation) error {
	_, err := redis.NewScript(releaseScript).Run(ctx, r.client,
		[]string{r.eventKeys(res.tenant).reservation(res.message)}, res.token).Result()
	if err := r.done(err); err != nil {
		return fmt.Errorf("releasing an event id: %w", err)
	}
	return nil
}
