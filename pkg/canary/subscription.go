package canary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
)

// What the canary is called, in the registry and in events.
const (
	UID       = "postrider-canary"
	EventType = "postrider.canary"
)

// Tenant and Subscription are always the same: who counts outcomes can leave them out, and the deliverer knows them.
var (
	Tenant       = ident.Derive("postrider/canary", "tenant")       //nolint:gochecknoglobals // a constant
	Subscription = ident.Derive("postrider/canary", "subscription") //nolint:gochecknoglobals // a constant
)

// timeout of an attempt and interval of retries: an event that is late by minutes tells no more than one that is lost.
const (
	timeout       = 10 * time.Second
	retryInterval = 10 * time.Second
)

// ensure creates the tenant and the subscription, or makes the subscription again what it has to be. It reports whether it
// changed something, or another process has.
func (c *Canary) ensure(ctx context.Context) (changed bool, err error) {
	var changes []registry.Change
	snap := c.opts.Registry.Snapshot()
	if _, ok := snap.Tenant(Tenant); !ok {
		changes = append(changes, registry.PutTenant(&subscription.Tenant{
			ID: Tenant, UID: UID, Name: "Postrider's canary", Profile: "standard",
			Metadata: map[string]string{"postrider": "made by postrider api; see canary in its configuration"},
		}))
	}
	old, _ := snap.Subscription(Subscription)
	want, err := c.subscription(old)
	if err != nil {
		return false, err
	}
	if old == nil || !same(old, want) {
		changes = append(changes, registry.PutSubscription(want))
	}
	if len(changes) == 0 {
		return false, nil
	}
	_, err = c.opts.Registry.Apply(ctx, audit.Actor{Kind: audit.ActorSystem, Name: "canary"}, changes...)
	if conflict := (*registry.ConflictError)(nil); err != nil && !errors.As(err, &conflict) {
		return false, fmt.Errorf("writing its subscription: %w", err)
	}
	return true, nil
}

// subscription returns the one that is wanted, with what has to stay of the old one, if there is one.
func (c *Canary) subscription(old *subscription.Subscription) (*subscription.Subscription, error) {
	s := &subscription.Subscription{
		ID: Subscription, Tenant: Tenant, UID: UID, Name: "Postrider's canary", URL: c.opts.URL, EventTypes: []string{EventType},
		Profile: "standard", Timeout: subscription.Duration(timeout), Generation: 1,
		Retry: &subscription.RetryPolicy{
			Kind: subscription.RetryFixed, Interval: subscription.Duration(retryInterval), Jitter: subscription.JitterNone,
			MaxAge: subscription.Duration(c.opts.LostAfter),
		},
	}
	if old != nil {
		s.Version, s.Generation, s.Created, s.Updated = old.Version, old.Generation, old.Created, old.Updated
		if old.IsSealed() {
			return nil, errors.New("its secret is encrypted with a key that this process does not have")
		}
		s.Secrets = old.Secrets
	}
	if len(s.Secrets) > 0 && scheme.ValidateSecret(s.Secrets[0]) == nil {
		return s, nil
	}
	secret, err := scheme.NewSecret()
	s.Secrets = []string{secret}
	return s, err
}

// scheme is that of the profile standard.
var scheme = sign.Standard{Prefix: "webhook-"} //nolint:gochecknoglobals // a constant

func same(a, b *subscription.Subscription) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}
