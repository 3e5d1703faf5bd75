package api

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/view"
)

// fakeCluster has one process of each role.
type fakeCluster struct {
	asked    int
	members  []view.Member
	states   []*view.State
	lags     map[string]kafka.GroupLag
	redis    error
	kafkaErr error
}

func newFakeCluster() *fakeCluster {
	c := &fakeCluster{lags: map[string]kafka.GroupLag{}}
	for i, role := range pause.Roles() {
		c.members = append(c.members, view.Member{Role: role, Instance: "host-" + role, Version: 7})
		c.states = append(c.states, &view.State{Since: time.Now().UTC(), Joined: true, Partitions: 4, Unfinished: 10 * i, OldestMS: 5000, Breakers: i})
		c.lags[role] = kafka.GroupLag{Members: 1, State: "Stable", Topics: []kafka.TopicLag{{Topic: "a", Records: 3}, {Topic: "b", Records: 4}}}
	}
	return c
}

func (c *fakeCluster) Members(context.Context) ([]view.Member, []*view.State, error) {
	c.asked++
	return c.members, c.states, c.redis
}

func (c *fakeCluster) Lags(context.Context) (map[string]kafka.GroupLag, error) {
	if c.kafkaErr != nil {
		return nil, c.kafkaErr
	}
	return c.lags, nil
}

func codes(t *testing.T, status map[string]any) (out []string) {
	t.Helper()
	for _, p := range status["problems"].([]any) {
		out = append(out, p.(map[string]any)["code"].(string))
	}
	return out
}

func TestStatus(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := newFakeCluster()
	h := newHarness(t, func(o *Options) { o.Cluster, o.Now = c, func() time.Time { return now } })
	get := func() map[string]any {
		t.Helper()
		got := h.call(h.reader, http.MethodGet, "/status", nil)
		require.Equal(t, http.StatusOK, got.status, got.body)
		return got.json(t)
	}
	first := get()
	assert.Equal(t, "ok", first["state"])
	assert.Empty(t, first["problems"])
	assert.InDelta(t, 6, first["openBreakers"], 0)
	deliverer := first["roles"].([]any)[1].(map[string]any)
	assert.Equal(t, "deliverer", deliverer["role"])
	assert.InDelta(t, 7, deliverer["lag"], 0)
	assert.InDelta(t, 10, deliverer["unfinished"], 0)
	assert.Len(t, deliverer["topics"], 2)
	assert.Equal(t, "host-deliverer", deliverer["instances"].([]any)[0].(map[string]any)["instance"])
	assert.Equal(t, false, first["rejected"].(map[string]any)["known"], "nobody reads them here")

	get()
	assert.Equal(t, 1, c.asked, "an answer is good for some seconds")
	c.states[1].OldestMS, c.states[0].Halted = 200_000, 1
	now = now.Add(statusAge)
	late := get()
	assert.Equal(t, 2, c.asked)
	assert.Equal(t, "attention", late["state"])
	assert.Equal(t, []string{"role_halted", "deliveries_late"}, codes(t, late))

	// What is stopped on purpose is late on purpose, and seen at once.
	c.states[0].Halted = 0
	require.Equal(t, http.StatusOK, h.call(h.operator, http.MethodPut, "/pause/egress", map[string]any{"reason": "x"}).status)
	now = now.Add(statusAge)
	stopped := get()
	assert.Equal(t, "paused", stopped["state"])
	assert.Equal(t, true, stopped["egressStopped"])
	assert.Equal(t, "x", stopped["pauses"].(map[string]any)["list"].([]any)[0].(map[string]any)["reason"])
}

func TestStatusOfWhatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cluster *fakeCluster
		want    []string
	}{
		"Redis is away":    {&fakeCluster{lags: newFakeCluster().lags, redis: errors.New("away")}, []string{"redis_unknown"}},
		"Kafka is away":    {&fakeCluster{members: newFakeCluster().members, states: make([]*view.State, 4), kafkaErr: errors.New("away")}, []string{"kafka_unknown"}},
		"nobody is live":   {&fakeCluster{lags: newFakeCluster().lags}, []string{"role_missing", "role_missing", "role_missing", "role_missing"}},
		"nobody says more": {&fakeCluster{lags: newFakeCluster().lags, members: newFakeCluster().members, states: make([]*view.State, 4)}, nil},
	} {
		h := newHarness(t, func(o *Options) { o.Cluster = c.cluster })
		got := h.call(h.operator, http.MethodGet, "/status", nil)
		require.Equal(t, http.StatusOK, got.status, "%s: %s", name, got.body)
		assert.Equal(t, c.want, codes(t, got.json(t)), name)
	}
	h := newHarness(t)
	assert.Equal(t, []string{"kafka_unknown", "redis_unknown"}, codes(t, h.call(h.operator, http.MethodGet, "/status", nil).json(t)))
	assert.Equal(t, http.StatusForbidden, h.call(h.key("tenant", h.tenant("acme").ID), http.MethodGet, "/status", nil).status)
}
