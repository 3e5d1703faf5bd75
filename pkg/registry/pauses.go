package registry

import (
	"iter"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/subscription"
)

// EgressStopped returns the pause of everything that leaves, or nil.
func (s *Snapshot) EgressStopped() *pause.Pause { return s.egress }

// RolePaused returns the pause of a role, or nil. Of deliverers and retriers, egress is not part of the answer.
func (s *Snapshot) RolePaused(role string) *pause.Pause {
	if s.pauses.Len() == 0 {
		return nil
	}
	p, _ := s.pauses.Get(pause.RoleID(role))
	return p
}

// Paused returns what puts off the deliveries of a subscription: the pause of its tenant, or its own, or nil.
func (s *Snapshot) Paused(sub *subscription.Subscription) *pause.Pause {
	if s.pauses.Len() == 0 {
		return nil
	}
	if p, ok := s.pauses.Get(sub.Tenant); ok {
		return p
	}
	p, _ := s.pauses.Get(sub.ID)
	return p
}

// Pause returns the pause with that id.
func (s *Snapshot) Pause(id ident.ID) (*pause.Pause, bool) { return s.pauses.Get(id) }

// Pauses yields all pauses, ordered by id.
func (s *Snapshot) Pauses() iter.Seq[*pause.Pause] { return values(s.pauses.All()) }

// PausesFrom yields the pauses whose id is not below from, ordered by id.
func (s *Snapshot) PausesFrom(from ident.ID) iter.Seq[*pause.Pause] {
	return values(s.pauses.From(from))
}

// PausesBefore yields the pauses whose id is below before in descending order, all of them if before is the zero ID.
func (s *Snapshot) PausesBefore(before ident.ID) iter.Seq[*pause.Pause] {
	if before.IsZero() {
		return values(s.pauses.Backward())
	}
	return values(s.pauses.Before(before))
}

// pausesOf returns the pauses of a tenant and of its subscriptions.
func (s *Snapshot) pausesOf(tenant ident.ID) (found []*pause.Pause) {
	for p := range s.Pauses() {
		if p.Tenant == tenant {
			found = append(found, p)
		}
	}
	return found
}

// countPauses counts those of a scope, and of a role if it is pause.Role; there are few.
func (s *Snapshot) countPauses(scope pause.Scope, role string) (n int) {
	for p := range s.Pauses() {
		if p.Scope == scope && p.Role == role {
			n++
		}
	}
	return n
}

func (b *builder) putPause(p *pause.Pause) {
	b.s.pauses = b.s.pauses.Set(b.edit, p.ID, p)
	if p.Scope == pause.Egress {
		b.s.egress = p
	}
}

func (b *builder) removePause(id ident.ID) {
	b.s.pauses = b.s.pauses.Delete(b.edit, id)
	if b.s.egress != nil && b.s.egress.ID == id {
		b.s.egress = nil
	}
}
