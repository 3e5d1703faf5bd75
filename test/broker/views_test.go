package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/test/internal/node"
	"github.com/postrider/postrider/test/redistest"
)

// viewRows are rows of 50 subscriptions.
func viewRows(n int) []view.Row {
	rows := make([]view.Row, n)
	for i := range rows {
		rows[i] = view.Row{
			Offset: int64(i), Subscription: ident.Derive("sub", strconv.Itoa(i%50)), Message: ident.Derive("msg", strconv.Itoa(i/2)),
			EventType: fmt.Sprintf("type.%d", i%3), At: time.Now().Add(time.Duration(i-n) * time.Second).Truncate(time.Millisecond).UTC(),
			Duration: time.Second, Status: 200, Result: outcome.ResultSuccess, Verdict: outcome.Delivered, Reason: outcome.ReasonDelivered,
		}
	}
	return rows
}

// record does with rows what the recorder does.
func record(t *testing.T, r *view.Redis, rows []view.Row) {
	t.Helper()
	eventually(t, func() error {
		if err := r.AddRows(t.Context(), 7, rows); err != nil {
			return err
		}
		changed, err := r.Changed(t.Context(), &view.Seen{}, rows)
		if err != nil {
			return err
		}
		return r.AddStatus(t.Context(), changed)
	})
}

// viewsOf is what a Redis has to promise of the views, one node or many.
func viewsOf(t *testing.T, r *view.Redis) {
	t.Helper()
	ctx, rows := t.Context(), viewRows(1000)
	for _, batch := range [][]view.Row{rows[:600], rows[:600], rows[300:], rows[990:]} { // they come again
		record(t, r, batch)
	}
	sub := rows[1].Subscription
	page, err := r.Attempts(ctx, view.AttemptQuery{Subscription: sub, OldestFirst: true, Limit: 100})
	require.NoError(t, err)
	require.Len(t, page.Attempts, 20)
	require.Equal(t, rows[1].At, page.Attempts[0].Time)
	list, err := r.LastAttempts(ctx, sub, rows[1].EventType, 50)
	require.NoError(t, err)
	require.Len(t, list, 7)
	statuses, err := r.Statuses(ctx, sub)
	require.NoError(t, err)
	require.Len(t, statuses, 3)
	health, err := r.Health(ctx, view.HealthQuery{Subscription: sub, From: rows[0].At, To: time.Now(), Step: time.Minute})
	require.NoError(t, err)
	require.EqualValues(t, 20, health.Total.Successes())
	require.InEpsilon(t, time.Second, health.Total.Durations.Mean(), 0.003)
	positions, err := r.MessageAttempts(ctx, rows[400].Message, time.Time{})
	require.NoError(t, err)
	require.Len(t, positions, 2)

	loads, err := r.Loads(ctx)
	require.NoError(t, err)
	require.Len(t, loads, 50)
	for _, l := range loads {
		require.Equal(t, view.Load{Subscription: l.Subscription, Attempts: 20}, l)
	}

	many := viewRows(4000)
	for i := range many { // more than one script takes
		many[i].Offset, many[i].Subscription, many[i].EventType = int64(2000+i), sub, strconv.Itoa(i)
	}
	record(t, r, many)
	statuses, err = r.Statuses(ctx, sub)
	require.NoError(t, err)
	require.Len(t, statuses, 4003)
	require.NoError(t, r.Advance(ctx, "outcomes", 7, 0, 1000, time.Now()))
	require.NoError(t, r.ForgetOutcomes(ctx))
	statuses, err = r.Statuses(ctx, sub)
	require.NoError(t, err)
	require.Empty(t, statuses)
}

func TestRedisViews(t *testing.T) {
	t.Parallel()
	viewsOf(t, openRedis(t, redistest.Shared(t)))
}

func TestRedisClusterViews(t *testing.T) {
	t.Parallel()
	viewsOf(t, openRedis(t, startCluster(t)...))
}

// child runs redis-server with arguments on a port of this machine.
func child(t *testing.T, port int, args ...string) *node.Child {
	t.Helper()
	program, err := node.Program(t.Context(), "redis-server", "redis-server")
	require.NoError(t, err)
	dir := t.TempDir()
	c := &node.Child{
		Command: append([]string{program}, args...), Dir: dir, LogFile: filepath.Join(dir, "redis.log"),
	}
	require.NoError(t, c.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, c.Remove()) })
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + strconv.Itoa(port)})
	defer client.Close()
	eventually(t, func() error {
		if err := client.Ping(t.Context()).Err(); err != nil && !redis.HasErrorPrefix(err, "NOAUTH") {
			return err
		}
		return nil
	})
	return c
}

// TestRedisIsKilledAndSentinelNamesAnother: the views go on at the replica that has become the master.
func TestRedisIsKilledAndSentinelNamesAnother(t *testing.T) {
	t.Parallel()
	ports, err := node.FreePorts(t.Context(), 3)
	require.NoError(t, err)
	server := func(port int, more ...string) *node.Child {
		return child(t, port, append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", ""}, more...)...)
	}
	master := server(ports[0])
	server(ports[1], "--replicaof", "127.0.0.1 "+strconv.Itoa(ports[0]))
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `bind 127.0.0.1
port %d
requirepass of-sentinels
sentinel monitor main 127.0.0.1 %d 1
sentinel down-after-milliseconds main 2000
sentinel failover-timeout main 10000
`, ports[2], ports[0]), 0o600))
	child(t, ports[2], conf, "--sentinel")
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("of-sentinels\n"), 0o600))
	r, err := view.Open(view.Config{
		Addresses: []string{"127.0.0.1:" + strconv.Itoa(ports[2])}, Prefix: uuid.NewString() + ".",
		Sentinel: view.Sentinel{Master: "main", PasswordFile: password},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	viewsOf(t, r)

	replica := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + strconv.Itoa(ports[1])})
	defer replica.Close()
	rows := viewRows(100)
	require.NoError(t, r.AddRows(t.Context(), 7, rows[:50]))
	eventually(t, func() error { // what was not replicated is lost with a master
		if n := replica.DBSize(t.Context()).Val(); n < 50 {
			return fmt.Errorf("%d keys", n)
		}
		return nil
	})
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: "127.0.0.1:" + strconv.Itoa(ports[2]), Password: "of-sentinels"})
	defer sentinel.Close()
	eventually(t, func() error {
		found, err := sentinel.Replicas(t.Context(), "main").Result()
		if err == nil && len(found) == 0 {
			err = errors.New("the Sentinel does not know the replica yet")
		}
		return err
	})
	require.NoError(t, master.Kill(t.Context()))
	eventually(t, func() error { return r.AddRows(t.Context(), 7, rows) })
	page, err := r.Attempts(t.Context(), view.AttemptQuery{Subscription: rows[1].Subscription, Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Attempts, 2)
}
