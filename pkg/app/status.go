package app

import (
	"context"
	"runtime/debug"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/view"
)

// stateSince returns what says how the roles of this process do, which started at a time.
func (a *App) stateSince(start time.Time) func(role string) view.State {
	build := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		build = info.Main.Version
	}
	return func(role string) view.State {
		s := view.State{Since: start.UTC().Truncate(time.Second), Build: build}
		i := slices.IndexFunc(a.roles, func(r *Role) bool { return r.Name == role })
		if i < 0 || a.roles[i].group == nil {
			return s
		}
		r := a.roles[i]
		g := r.group.State(time.Now())
		s.Joined, s.Partitions, s.Halted = r.group.Joined(), g.Partitions, g.Halted
		s.Unfinished, s.OldestMS = g.Unfinished, g.Oldest.Milliseconds()
		snap := a.view.Snapshot()
		s.Paused = snap.RolePaused(role) != nil || r.stop != nil && snap.EgressStopped() != nil
		if role == delivererRole {
			s.Breakers = a.metrics.OpenBreakers()
		}
		return s
	}
}

// cluster is what the API asks for the status; it implements api.Cluster.
type cluster struct {
	conf   kafka.Config
	prefix string
	views  *view.Redis
}

// Members implements api.Cluster.
func (c cluster) Members(ctx context.Context) ([]view.Member, []*view.State, error) {
	members, err := c.views.Live(ctx)
	if err != nil {
		return nil, nil, err
	}
	states, err := c.views.States(ctx, members)
	return members, states, err
}

// Lags implements api.Cluster.
func (c cluster) Lags(ctx context.Context) (map[string]kafka.GroupLag, error) {
	var groups []string
	for _, role := range pause.Roles() {
		groups = append(groups, c.prefix+role)
	}
	found, err := kafka.GroupLags(ctx, c.conf, groups...)
	if err != nil {
		return nil, err
	}
	out := map[string]kafka.GroupLag{}
	for _, role := range pause.Roles() {
		out[role] = found[c.prefix+role]
	}
	return out, nil
}
