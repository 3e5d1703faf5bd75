package view_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

// patience is the timeout of calls in tests: the embedded Redis runs its scripts slowly, the more on a busy machine.
const patience = time.Minute

func open(t *testing.T, conf view.Config) *view.Redis {
	t.Helper()
	conf.CallTimeout = patience
	r, err := view.Open(conf)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// clock moves the clock of an embedded Redis.
type clock struct {
	*miniredis.Miniredis
	now time.Time
}

func start(t *testing.T) (*clock, *view.Redis) {
	t.Helper()
	c := &clock{miniredis.RunT(t), time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC)}
	c.SetTime(c.now)
	return c, open(t, view.Config{Addresses: []string{c.Addr()}, Prefix: "postrider."})
}

func (c *clock) pass(d time.Duration) {
	c.now = c.now.Add(d)
	c.SetTime(c.now)
	c.FastForward(d)
}

func live(t *testing.T, r *view.Redis) []view.Member {
	t.Helper()
	members, err := r.Live(t.Context())
	require.NoError(t, err)
	return members
}

// looked returns a context that ends, with the cause, once Redis was looked at some times.
func (c *clock) looked(t *testing.T, cause error) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := c.CommandCount() + 12
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for c.CommandCount() < enough && ctx.Err() == nil {
			<-ticker.C
		}
		cancel(cause)
	}()
	t.Cleanup(func() { cancel(nil); <-stopped })
	return ctx
}

func TestPresence(t *testing.T) {
	c, r := start(t)
	ctx := t.Context()
	require.Empty(t, live(t, r))
	require.NoError(t, r.Report(ctx, "router", "a/1 ü", 7))
	require.NoError(t, r.Report(ctx, "deliverer", "a", 1<<53-1))
	want := []view.Member{{Role: "deliverer", Instance: "a", Version: 1<<53 - 1}, {Role: "router", Instance: "a/1 ü", Version: 7}}
	require.Equal(t, want, live(t, r))

	c.pass(view.Lifetime - time.Millisecond)
	require.Equal(t, want, live(t, r))
	require.NoError(t, r.Report(ctx, "router", "a/1 ü", 3)) // a registry made anew starts again
	c.pass(time.Millisecond)
	require.Equal(t, []view.Member{{Role: "router", Instance: "a/1 ü", Version: 3}}, live(t, r), "the deliverer is silent for 5 s")

	require.NoError(t, r.Report(ctx, "router", "b", 3))
	fields, err := c.HKeys("{postrider.presence}:versions")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"", "router/a/1 ü", "router/b"}, fields, "who is gone is forgotten")

	require.NoError(t, r.Leave(ctx, "router", "b"))
	require.NoError(t, r.Leave(ctx, "router", "nobody"))
	require.Len(t, live(t, r), 1)
	other := open(t, view.Config{Addresses: []string{c.Addr()}, Prefix: "other."})
	require.Empty(t, live(t, other), "installations do not see each other")

	c.pass(view.Lifetime)
	require.Empty(t, c.Keys(), "nobody is live, nothing is left")
}

func TestWaitApplied(t *testing.T) {
	c, r := start(t)
	report := func(version int64) {
		t.Helper()
		require.NoError(t, r.Report(t.Context(), "router", "a", 9))
		require.NoError(t, r.Report(t.Context(), "deliverer", "b", version))
	}
	report(7)
	c.pass(view.Lifetime - time.Millisecond)
	report(7)

	over := errors.New("not within a moment")
	_, err := r.WaitApplied(c.looked(t, over), 7)
	require.ErrorIs(t, err, over, "somebody may not have reported yet")
	require.ErrorContains(t, err, "Redis has just started, or nobody reports")

	c.pass(time.Millisecond)
	members, err := r.WaitApplied(t.Context(), 7)
	require.NoError(t, err)
	require.Len(t, members, 2)

	_, err = r.WaitApplied(c.looked(t, over), 8)
	require.ErrorIs(t, err, over)
	require.EqualError(t, err, "waiting until all roles have registry version 8: not within a moment: deliverer b is at 7")

	done := make(chan error, 1)
	go func() {
		_, err := r.WaitApplied(t.Context(), 8)
		done <- err
	}()
	report(8)
	require.NoError(t, <-done)
}

func TestCluster(t *testing.T) {
	c := miniredis.RunT(t)
	_, port, err := net.SplitHostPort(c.Addr())
	require.NoError(t, err)
	r := open(t, view.Config{Addresses: []string{c.Addr(), "localhost:" + port}, Prefix: "postrider."})
	require.NoError(t, r.Report(t.Context(), "router", "a", 1))
	require.Len(t, live(t, r), 1)
}

func TestRedisAway(t *testing.T) {
	c := miniredis.RunT(t)
	metrics := prometheus.NewRegistry()
	addr := c.Addr()
	conf := view.Config{Addresses: []string{addr}, Metrics: metrics}
	var said said
	view.LogTo(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer view.LogTo(slog.New(slog.DiscardHandler))
	r := open(t, conf)
	require.NoError(t, r.Report(t.Context(), "router", "a", 1))
	require.Equal(t, 1, metric(t, metrics, "postrider_redis_up"))

	c.Close()
	err := r.Report(t.Context(), "router", "a", 1)
	require.ErrorContains(t, err, "redis.addresses: ["+addr+"] cannot be reached: ")
	require.NotContains(t, err.Error(), "\n")
	require.Zero(t, metric(t, metrics, "postrider_redis_up"))
	_, err = r.WaitApplied(t.Context(), 1)
	require.ErrorContains(t, err, "cannot be reached")
	require.Equal(t, 2, metric(t, metrics, "postrider_redis_errors_total"))

	require.Contains(t, said.String(), "level=DEBUG msg=\"redis client\"", "the library speaks to us alone")

	require.NoError(t, c.Restart())
	require.Eventually(t, func() bool { return r.Report(t.Context(), "router", "a", 1) == nil }, time.Minute, 50*time.Millisecond,
		"it comes back by itself: the library dials once a second while nobody answers")
	require.Equal(t, 1, metric(t, metrics, "postrider_redis_up"))

	c.RequireAuth("secret")
	wrong := open(t, view.Config{Addresses: []string{c.Addr()}, Password: "other"})
	_, err = wrong.Live(t.Context())
	require.ErrorContains(t, err, "refused a call: ")
	require.NotContains(t, err.Error(), "other")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	require.NoError(t, open(t, view.Config{Addresses: []string{c.Addr()}, PasswordFile: file}).Report(t.Context(), "router", "a", 1))

	_, err = view.Open(conf)
	require.ErrorContains(t, err, "registering metrics of Redis")
	_, err = view.Open(view.Config{PasswordFile: "none"})
	require.ErrorContains(t, err, "redis.password_file: ")
	_, err = view.Open(view.Config{TLS: true, CAFile: "none"})
	require.ErrorContains(t, err, "redis.tls.ca_file: ")
	_, err = view.Open(view.Config{TLS: true, CAFile: file})
	require.ErrorContains(t, err, "holds no PEM certificate")
}

// said is a buffer that the library's goroutines may write to.
type said struct {
	mu   sync.Mutex
	text []byte
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	return len(p), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}

// TestHungRedis: one that takes connections and never answers is as good as away, and told so soon.
func TestHungRedis(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	r := open(t, view.Config{Addresses: []string{l.Addr().String()}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	require.ErrorContains(t, r.Report(ctx, "router", "a", 1), "cannot be reached")
	require.Less(t, time.Since(start), patience, "the context ends a call, not its timeout")
}

// metric is the value of a metric without labels.
func metric(t *testing.T, g prometheus.Gatherer, name string) int {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return int(m.GetGauge().GetValue() + m.GetCounter().GetValue())
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// A role says how it does beside its report, and both end alike.
func TestHowRolesDo(t *testing.T) {
	c, r := start(t)
	ctx := t.Context()
	require.NoError(t, r.Report(ctx, "deliverer", "a", 7))
	require.NoError(t, r.Report(ctx, "router", "b", 7))
	state := view.State{Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Joined: true, Partitions: 3, Unfinished: 5, OldestMS: 1500, Breakers: 2}
	require.NoError(t, r.Tell(ctx, "deliverer", "a", state))
	states, err := r.States(ctx, live(t, r))
	require.NoError(t, err)
	require.Equal(t, []*view.State{&state, nil}, states, "one of an older version says nothing")
	none, err := r.States(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, none)
	c.pass(view.Lifetime)
	require.Empty(t, c.Keys())
}
