package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/postrider/postrider/test/verify/history"
)

// tenant is one with its subscriptions.
type tenant struct {
	uid           string
	subscriptions []subscription
}

// subscription is what a file says of one.
type subscription struct {
	id       string
	types    []string
	retry    string // YAML
	maxTries int    // what retry says
	timeout  time.Duration
	disabled bool
}

// patient retries every second or so for as long as a check lasts.
var patient = subscription{retry: "{kind: fixed, interval: 1s, maxTries: 100}", maxTries: 100}

// tenants makes n tenants with m subscriptions each, all like the given one.
func tenants(n, m int, like subscription) []tenant {
	var out []tenant
	for i := range n {
		t := tenant{uid: fmt.Sprintf("tenant-%d", i)}
		for range m {
			s := like
			s.id = uuid.NewString()
			t.subscriptions = append(t.subscriptions, s)
		}
		out = append(out, t)
	}
	return out
}

// apply writes subscriptions with the product's own command and adds them to the history.
func (in *installation) apply(ctx context.Context, all []tenant) error {
	if err := in.applyFile(ctx, all); err != nil {
		return err
	}
	for _, t := range all {
		for _, s := range t.subscriptions {
			in.history.Subscriptions = append(in.history.Subscriptions, history.Subscription{
				ID: s.id, Tenant: t.uid, Types: s.types, Lives: []history.Life{{From: time.Now()}}, MaxTries: s.maxTries,
			})
		}
	}
	return nil
}

func (in *installation) applyFile(ctx context.Context, all []tenant) error {
	var b strings.Builder
	b.WriteString("tenants:\n")
	for _, t := range all {
		fmt.Fprintf(&b, "- uid: %s\n  profile: standard\n  subscriptions:\n", t.uid)
		for _, s := range t.subscriptions {
			fmt.Fprintf(&b, "  - {id: %s, url: %q, secret: %s, disabled: %t", s.id, in.endpoints.url+s.id, secret, s.disabled)
			if len(s.types) > 0 {
				fmt.Fprintf(&b, ", eventTypes: [%s]", strings.Join(s.types, ", "))
			}
			if s.retry != "" {
				fmt.Fprintf(&b, ", retry: %s", s.retry)
			}
			if s.timeout > 0 {
				fmt.Fprintf(&b, ", timeout: %s", s.timeout)
			}
			b.WriteString("}\n")
		}
	}
	file := filepath.Join(in.dir, "subscriptions.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("writing subscriptions: %w", err)
	}
	_, err := in.run(ctx, "apply", "-f", file)
	return err
}
