package view

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Times and bounds of idempotency keys.
const (
	// IdempotencyLifetime is how long the answer to a request is kept, as Svix has it.
	IdempotencyLifetime = 12 * time.Hour
	// ClaimLifetime is how long a request that has not ended keeps others with its key out: longer than a request takes.
	ClaimLifetime = time.Minute
	// MaxIdempotencyKey is the longest key, in bytes.
	MaxIdempotencyKey = 256
	// MaxStoredResponse is the largest answer that is kept: an event of 1 MiB, what stands around it, and its encryption.
	MaxStoredResponse = 1<<20 + 64<<10
)

// ClaimState says what is known of a request with an idempotency key.
type ClaimState string

// States of a [Claim].
const (
	// ClaimNew: the first request with this key. Do it, then [Redis.Finish] or [Redis.Abandon].
	ClaimNew ClaimState = "new"
	// ClaimRunning: the same request is being worked on, or its process died within the last minute.
	ClaimRunning ClaimState = "running"
	// ClaimDone: it was done; Response is the answer it got.
	ClaimDone ClaimState = "done"
	// ClaimOther: the key was used for another request.
	ClaimOther ClaimState = "other"
)

// Claim is the use of an idempotency key by one request.
type Claim struct {
	State ClaimState
	// Response is what [Redis.Finish] stored, if the state is done.
	Response []byte
	key      string
	print    string // of the request
	token    string
}

// Errors of idempotency keys.
var (
	// ErrIdempotencyKey: the key is empty or longer than [MaxIdempotencyKey].
	ErrIdempotencyKey = errors.New("idempotency key: want 1 to 256 bytes")
	// ErrResponseTooLarge: the answer is larger than [MaxStoredResponse]; the claim was given up.
	ErrResponseTooLarge = errors.New("response is too large to be kept for its idempotency key")
	// ErrClaimLost: the claim took longer than [ClaimLifetime] and another request has the key now.
	ErrClaimLost = errors.New("idempotency key was taken over by another request")
)

// A claim is a hash with the fingerprint f, the token t of who works on it, and the response r when it is done.
const (
	beginScript = `
local f = redis.call('HGET', KEYS[1], 'f')
if not f then
  redis.call('HSET', KEYS[1], 'f', ARGV[1], 't', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {'new'}
end
if f ~= ARGV[1] then return {'other'} end
local r = redis.call('HGET', KEYS[1], 'r')
if r then return {'done', r} end
return {'running'}`

	// A claim that has expired and that nobody took over is stored all the same.
	finishScript = `
local t = redis.call('HGET', KEYS[1], 't')
if t and t ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'f', ARGV[1], 't', ARGV[2], 'r', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`

	abandonScript = `
if redis.call('HGET', KEYS[1], 't') == ARGV[1] and redis.call('HEXISTS', KEYS[1], 'r') == 0 then
  redis.call('DEL', KEYS[1])
end
return 1`
)

// Begin claims an idempotency key for a request. Scope is whatever keeps the keys of different callers and operations
// apart; fingerprint tells requests apart, for example a hash of the body. Neither they nor the key are stored in clear.
// Of any number of requests at once, one gets [ClaimNew]. Without Redis there is an error, and no protection.
func (r *Redis) Begin(ctx context.Context, scope, key string, fingerprint []byte) (Claim, error) {
	if key == "" || len(key) > MaxIdempotencyKey {
		return Claim{}, ErrIdempotencyKey
	}
	name := sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(scope), scope, key))
	request := sha256.Sum256(fingerprint)
	c := Claim{key: r.conf.Prefix + "idempotency." + hex.EncodeToString(name[:]), print: string(request[:16]), token: rand.Text()}
	reply, err := redis.NewScript(beginScript).Run(ctx, r.client, []string{c.key},
		c.print, c.token, ClaimLifetime.Milliseconds()).StringSlice()
	if err := r.done(err); err != nil {
		return Claim{}, fmt.Errorf("claiming an idempotency key: %w", err)
	}
	c.State = ClaimState(reply[0])
	if c.State == ClaimDone {
		c.Response = []byte(reply[1])
	}
	return c, nil
}

// Finish keeps the answer to a request that [Redis.Begin] said is new, for 12 hours. The bytes are stored as they are:
// the caller encrypts what must not be read.
func (r *Redis) Finish(ctx context.Context, c Claim, response []byte) error {
	if len(response) > MaxStoredResponse {
		return errors.Join(ErrResponseTooLarge, r.Abandon(ctx, c))
	}
	kept, err := redis.NewScript(finishScript).Run(ctx, r.client, []string{c.key},
		c.print, c.token, response, IdempotencyLifetime.Milliseconds()).Int()
	if err := r.done(err); err != nil {
		return fmt.Errorf("keeping the answer for an idempotency key: %w", err)
	}
	if kept == 0 {
		return ErrClaimLost
	}
	return nil
}

// Abandon gives up a claim whose request came to nothing, so that it can be made again.
func (r *Redis) Abandon(ctx context.Context, c Claim) error {
	_, err := redis.NewScript(abandonScript).Run(ctx, r.client, []string{c.key}, c.token).Result()
	if err := r.done(err); err != nil {
		return fmt.Errorf("giving up an idempotency key: %w", err)
	}
	return nil
}
