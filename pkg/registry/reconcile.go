package registry

import (
	"fmt"
	"slices"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// WriterID is the transactional id of the registry's writers, after the configured prefix. All have the same: that is
// how they fence each other.
const WriterID = "registry-writer"

// Verb says what applying a file does to one tenant or subscription.
type Verb string

// Verbs.
const (
	Created   Verb = "created"
	Updated   Verb = "updated"
	Unchanged Verb = "unchanged"
	Deleted   Verb = "deleted"
)

// Step is what applying a file does to one tenant or subscription.
type Step struct {
	Verb Verb
	// Change makes it so; it is the zero Change if Verb is Unchanged.
	Change Change
	// Tenant is the tenant or, for a subscription, its tenant.
	Tenant *subscription.Tenant
	// Subscription is nil for a step of a tenant.
	Subscription *subscription.Subscription
	// NewSecret is the signing secret made in this step, to be shown once; empty if none was.
	NewSecret string
}

// FileOptions say how a file is applied.
type FileOptions struct {
	// Prune deletes the subscriptions that the file's tenants have and the file does not. Tenants stay.
	Prune bool
	// NewSecret makes a signing secret for a profile.
	NewSecret func(profile string) (string, error)
	// CheckSecret says whether a secret is good under a profile: one that is not is replaced when the profile changes.
	CheckSecret func(profile, secret string) error
}

// Reconcile returns the steps that make the registry as of s what the file says. Tenants and subscriptions are found by
// id or, without one in the file, by uid; new ones get ids derived from their uids. Existing secrets are kept where the
// file gives none.
func Reconcile(s *Snapshot, f *subscription.File, opts FileOptions) ([]Step, error) {
	r := &reconciler{s: s, opts: opts}
	for _, t := range f.Tenants {
		tenant := r.tenant(t.Tenant)
		kept := make(map[ident.ID]bool, len(t.Subscriptions))
		for _, sub := range t.Subscriptions {
			id, err := r.subscription(tenant, sub)
			if err != nil {
				return nil, err
			}
			kept[id] = true
		}
		if opts.Prune {
			r.prune(tenant, kept)
		}
	}
	return r.steps, nil
}

type reconciler struct {
	s     *Snapshot
	opts  FileOptions
	steps []Step
}

func (r *reconciler) tenant(in *subscription.Tenant) *subscription.Tenant {
	t := *in
	if t.ID.IsZero() {
		t.ID = subscription.DerivedTenantID(t.UID)
		if old, ok := r.s.tenantUIDs.Get(t.UID); ok {
			t.ID = old.ID
		}
	}
	step := Step{Verb: Created, Tenant: &t}
	if old, ok := r.s.Tenant(t.ID); ok {
		// What a file cannot say stays.
		t.Version, t.Created, t.Updated, t.Portal = old.Version, old.Created, old.Updated, old.Portal
		t.Notices = old.Notices
		step.Verb = changed(encodeTenant, old, &t)
	}
	if step.Verb != Unchanged {
		step.Change = PutTenant(&t)
	}
	r.steps = append(r.steps, step)
	return &t
}

func (r *reconciler) subscription(t *subscription.Tenant, in *subscription.Subscription) (ident.ID, error) {
	s := *in
	s.Tenant = t.ID
	if s.ID.IsZero() {
		s.ID = subscription.DerivedID(t.ID, s.UID)
		if old, ok := r.s.uids.Get(uidKey{t.ID, s.UID}); ok {
			s.ID = old.ID
		}
	}
	step := Step{Verb: Created, Tenant: t, Subscription: &s}
	old, exists := r.s.Subscription(s.ID)
	if exists {
		keepUnsaid(old, &s)
	}
	var err error
	if step.NewSecret, err = r.secrets(t, old, &s); err != nil {
		return s.ID, err
	}
	if exists {
		step.Verb = changed(encodeSubscription, old, &s)
	}
	if step.Verb != Unchanged {
		step.Change = PutSubscription(&s)
	}
	r.steps = append(r.steps, step)
	return s.ID, nil
}

// secrets gives s the secrets of old, or a new one, if it has none. It returns the new one.
func (r *reconciler) secrets(t *subscription.Tenant, old, s *subscription.Subscription) (made string, err error) {
	profile := subscription.ProfileOf(s, t)
	if len(s.Secrets) == 0 && old != nil && r.good(profile, old.Secrets) {
		s.Secrets = old.Secrets
	}
	if len(s.Secrets) > 0 || r.opts.NewSecret == nil {
		return "", nil
	}
	if made, err = r.opts.NewSecret(profile); err != nil {
		return "", fmt.Errorf("making a secret for subscription %s: %w", s.ID, err)
	}
	s.Secrets = []string{made}
	return made, nil
}

func (r *reconciler) good(profile string, secrets []string) bool {
	return r.opts.CheckSecret == nil || !slices.ContainsFunc(secrets, func(secret string) bool {
		return r.opts.CheckSecret(profile, secret) != nil
	})
}

func (r *reconciler) prune(t *subscription.Tenant, kept map[ident.ID]bool) {
	for s := range r.s.SubscriptionsOf(t.ID, ident.ID{}) {
		if !kept[s.ID] {
			r.steps = append(r.steps, Step{
				Verb: Deleted, Tenant: t, Subscription: s, Change: Delete(Key{KindSubscription, s.ID}, s.Version),
			})
		}
	}
}

// keepUnsaid takes over what a file cannot say.
func keepUnsaid(old, s *subscription.Subscription) {
	s.Version, s.Generation = old.Version, old.Generation
	s.Created, s.Updated = old.Created, old.Updated
	s.Locked = old.Locked && s.Disabled
	if s.Disabled {
		s.DisabledReason = old.DisabledReason
	}
	s.Retired, s.OAuth, s.ClientIdentity, s.CA = old.Retired, old.OAuth, old.ClientIdentity, old.CA
	if s.Transformation.Same(old.Transformation) {
		s.Transformation = old.Transformation // with its time
	}
}

// changed compares what would be written with what is there.
func changed[T any](encode func(T, string) ([]byte, error), old, now T) Verb {
	if same(encode, old, now) {
		return Unchanged
	}
	return Updated
}
