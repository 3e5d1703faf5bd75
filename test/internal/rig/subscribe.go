package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Secret signs for all subscriptions.
const Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// Tenant is one with its subscriptions.
type Tenant struct {
	UID           string
	Subscriptions []Subscription
}

// Subscription is what a file says of one.
type Subscription struct {
	ID       string // UUID
	URL      string
	Types    []string
	Retry    Retry         // zero: the profile's
	Timeout  time.Duration // 0: the profile's
	Disabled bool
}

// Retry is a policy that tries again after the same time or, if there are Delays, after each of these in turn, up to MaxTries.
type Retry struct {
	Every    time.Duration
	Delays   []time.Duration
	MaxTries int
}

func (r Retry) String() string {
	if len(r.Delays) == 0 {
		return fmt.Sprintf("{kind: fixed, interval: %s, maxTries: %d}", r.Every, r.MaxTries)
	}
	return fmt.Sprintf("{kind: list, list: [%s], maxTries: %d}", strings.Join(strings.Fields(strings.Trim(fmt.Sprint(r.Delays), "[]")), ", "), r.MaxTries)
}

// Tenants makes n tenants with m subscriptions each, whose ids are made; set, if it is not nil, says the rest.
func Tenants(n, m int, set func(*Subscription)) []Tenant {
	var out []Tenant
	for i := range n {
		t := Tenant{UID: fmt.Sprintf("tenant-%d", i), Subscriptions: make([]Subscription, m)}
		for j := range t.Subscriptions {
			t.Subscriptions[j].ID = uuid.NewString()
			if set != nil {
				set(&t.Subscriptions[j])
			}
		}
		out = append(out, t)
	}
	return out
}

// Apply writes subscriptions with the product's own command, which gets the arguments as well.
func (in *Installation) Apply(ctx context.Context, all []Tenant, args ...string) error {
	var b strings.Builder
	b.WriteString("tenants:\n")
	for _, t := range all {
		fmt.Fprintf(&b, "- uid: %s\n  profile: standard\n  subscriptions:\n", t.UID)
		for _, s := range t.Subscriptions {
			fmt.Fprintf(&b, "  - {id: %s, url: %q, secret: %s, disabled: %t", s.ID, s.URL, Secret, s.Disabled)
			if len(s.Types) > 0 {
				fmt.Fprintf(&b, ", eventTypes: [%s]", strings.Join(s.Types, ", "))
			}
			if s.Retry.MaxTries > 0 {
				fmt.Fprintf(&b, ", retry: %s", s.Retry)
			}
			if s.Timeout > 0 {
				fmt.Fprintf(&b, ", timeout: %s", s.Timeout)
			}
			b.WriteString("}\n")
		}
	}
	file := filepath.Join(in.Dir, "subscriptions.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("writing subscriptions: %w", err)
	}
	_, err := in.Run(ctx, append([]string{"apply", "-f", file}, args...)...)
	return err
}
