package app

import (
	"context"
	"slices"

	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/registry"
)

// pausable reports whether operators can pause r.
func (r *Role) pausable() bool { return r.group != nil && slices.Contains(pause.Roles(), r.Name) }

// needPauses makes a view of what is paused for processes that need nothing else of the registry.
func (a *App) needPauses(ctx context.Context) error {
	if !slices.ContainsFunc(a.roles, (*Role).pausable) {
		return nil
	}
	_, err := a.openView(ctx, registry.KindPause)
	return err
}

// obey holds the roles that operators pause, and lets them go on, until the returned function is called. What is paused when
// the process starts is held before it reads anything.
func (a *App) obey(ctx context.Context) (stop func()) {
	if a.view == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a role that drains sends
	done := make(chan struct{})
	held := map[*Role]bool{}
	changed := a.view.Changed() // before the snapshot, to miss none
	a.hold(a.view.Snapshot(), held)
	go func() {
		defer close(done)
		for {
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			changed = a.view.Changed()
			a.hold(a.view.Snapshot(), held)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// hold makes each role what the registry says. Those that egress stands for are held as if they were paused, so that what waits
// waits in Kafka; and what they have read already waits as well.
func (a *App) hold(snap *registry.Snapshot, held map[*Role]bool) {
	for _, r := range a.roles {
		if !r.pausable() {
			continue
		}
		stopped := r.stop != nil && snap.EgressStopped() != nil
		if r.stop != nil {
			r.stop(stopped || r.Name == retrierRole && snap.RolePaused(r.Name) != nil)
		}
		paused := stopped || snap.RolePaused(r.Name) != nil
		if paused != held[r] {
			a.opts.Log.Warn("role held or let go by an operator", "role", r.Name, "paused", paused, "egress_stopped", stopped)
		}
		held[r] = paused
		r.group.SetPaused(paused)
	}
}
