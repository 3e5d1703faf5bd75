package main

import (
	"context"
	"fmt"
	"os"
	"os/user"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// fileRules returns what a subscriptions file has to comply with under a configuration.
func fileRules(conf *config.Config, profiles profile.Set) (subscription.FileRules, error) {
	rules, err := app.Rules(conf, profiles)
	return subscription.FileRules{Rules: rules, LookupEnv: os.LookupEnv}, err
}

// newSecret returns a function that makes a signing secret in the form of a profile.
func newSecret(profiles profile.Set) func(name string) (string, error) {
	return func(name string) (string, error) {
		p, ok := profiles.Get(name)
		if !ok {
			return "", fmt.Errorf("profile %q: want one of %v", name, profiles.Names())
		}
		return p.Scheme().NewSecret()
	}
}

// openRegistry reaches Kafka and replays the registry, secrets as they are stored: encrypted. The returned function closes
// what was opened.
func openRegistry(ctx context.Context, conf *config.Config) (*registry.View, func(), error) {
	return app.OpenView(ctx, conf, nil)
}

// openSecrets is openRegistry with the secrets decrypted; without a keyset it refuses.
func openSecrets(ctx context.Context, conf *config.Config) (*registry.View, func(), error) {
	keyset, err := app.NeedKeyset(conf)
	if err != nil {
		return nil, nil, err
	}
	return app.OpenView(ctx, conf, keyset)
}

// commandActor is who a command that writes the registry itself is run by, for the audit log.
func commandActor(command string) audit.Actor {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return audit.Actor{Kind: audit.ActorCommand, Name: "postrider " + command + " by " + name}
}
