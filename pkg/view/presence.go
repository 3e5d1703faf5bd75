package view

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// ReportEvery is the time between two reports of a role, at most.
	ReportEvery = time.Second
	// Lifetime is how long a role counts as live after its last report: four reports may be lost.
	Lifetime = 5 * time.Second
	// lookEvery is the time between two looks of [Redis.WaitApplied]; a change takes about as long to reach a role.
	lookEvery = 50 * time.Millisecond
)

// Member is one role of one process.
type Member struct {
	// Role is router, deliverer, ….
	Role string
	// Instance tells the processes of a role apart, for people.
	Instance string
	// Version is the registry version that it has applied.
	Version int64
}

// String names the member.
func (m Member) String() string { return m.Role + " " + m.Instance }

// field is the member's name in the keys below.
func (m Member) field() string { return m.Role + "/" + m.Instance }

// Both keys have one hash tag, so that a Redis Cluster keeps them on one node:
//
//	{postrider.presence}:until     sorted set, member by the time its report ends, ms
//	{postrider.presence}:versions  hash, member to version; the field "" is since when there are reports, ms
//
// Redis' own clock counts, so that those of the processes need not agree. The scripts touch nothing but their keys.
const (
	reportScript = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function ms(n) return string.format('%.0f', n) end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ms(now))) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
redis.call('HSETNX', KEYS[2], '', ms(now))
redis.call('ZADD', KEYS[1], ms(now + ARGV[3]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1`

	// It returns for how long there are reports, in ms, then each live member and its version.
	liveScript = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local since = redis.call('HGET', KEYS[2], '')
local found = { since and string.format('%.0f', now - since) or '0' }
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')) do
  found[#found + 1] = member
  found[#found + 1] = redis.call('HGET', KEYS[2], member)
end
return found`

	leaveScript = `
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1`
)

func (r *Redis) run(ctx context.Context, script string, args ...any) (*redis.Cmd, error) {
	tag := "{" + r.conf.Prefix + "presence}"
	cmd := redis.NewScript(script).Run(ctx, r.client, []string{tag + ":until", tag + ":versions"}, args...)
	return cmd, r.done(cmd.Err())
}

// Report says that an instance of a role is live for the next five seconds ([Lifetime]) and has applied a version of the
// registry. A role is a plain word; an instance may be any text. The error is one line that names the addresses.
func (r *Redis) Report(ctx context.Context, role, instance string, version int64) error {
	m := Member{Role: role, Instance: instance}
	_, err := r.run(ctx, reportScript, m.field(), version, Lifetime.Milliseconds())
	return err
}

// Leave says that an instance of a role has ended, so that nobody waits for it until its report does.
func (r *Redis) Leave(ctx context.Context, role, instance string) error {
	m := Member{Role: role, Instance: instance}
	_, err := r.run(ctx, leaveScript, m.field())
	return err
}

// Live returns who has reported within the last five seconds, sorted by role and instance.
func (r *Redis) Live(ctx context.Context) ([]Member, error) {
	members, _, err := r.live(ctx)
	return members, err
}

// live returns also for how long there have been reports: a Redis that has just started knows nobody yet.
func (r *Redis) live(ctx context.Context) (members []Member, known time.Duration, err error) {
	reply, err := r.run(ctx, liveScript)
	if err != nil {
		return nil, 0, err
	}
	found, err := reply.StringSlice()
	if err != nil {
		return nil, 0, fmt.Errorf("reading presence: %w", err)
	}
	ms, err := strconv.ParseInt(found[0], 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("reading presence: %w", err)
	}
	for pair := range slices.Chunk(found[1:], 2) {
		role, instance, _ := strings.Cut(pair[0], "/")
		version, err := strconv.ParseInt(pair[1], 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("reading presence of %s: %w", pair[0], err)
		}
		members = append(members, Member{Role: role, Instance: instance, Version: version})
	}
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Instance, b.Instance))
	})
	return members, time.Duration(ms) * time.Millisecond, nil
}

// WaitApplied returns once every live role has applied a version of the registry, or a later one, and says who they
// are. As long as Redis has had reports for less than five seconds, it waits for those that may not have reported yet;
// so it does where nobody reports, and then returns nobody.
//
// When ctx ends first, the error says who has not. A role that starts meanwhile replays the registry first, so it has
// the version too.
func (r *Redis) WaitApplied(ctx context.Context, version int64) ([]Member, error) {
	start := time.Now()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var behind []string
	for {
		members, known, err := r.live(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, notApplied(version, behind, context.Cause(ctx))
		case err != nil:
			return nil, err
		}
		behind = behind[:0]
		for _, m := range members {
			if m.Version < version {
				behind = append(behind, fmt.Sprintf("%s is at %d", m, m.Version))
			}
		}
		if len(behind) == 0 && max(known, time.Since(start)) >= Lifetime {
			return members, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return members, notApplied(version, behind, context.Cause(ctx))
		}
	}
}

// notApplied says who is behind a version.
func notApplied(version int64, behind []string, cause error) error {
	if len(behind) == 0 {
		behind = []string{"Redis has just started, or nobody reports"}
	}
	return fmt.Errorf("waiting until all roles have registry version %d: %w: %s", version, cause, strings.Join(behind, ", "))
}
