package main

import (
	"context"
	"fmt"
	"os"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// fileRules returns what a subscriptions file has to comply with under a configuration.
func fileRules(conf *config.Config, profiles profile.Set) (subscription.FileRules, error) {
	guard, err := egress.NewGuard(app.EgressConfig(conf))
	if err != nil {
		return subscription.FileRules{}, fmt.Errorf("egress: %w", err)
	}
	return subscription.FileRules{
		Rules: subscription.Rules{
			CheckURL: guard.CheckURL,
			CheckSecret: func(name, secret string) error {
				if p, ok := profiles.Get(name); ok {
					return p.Scheme().ValidateSecret(secret)
				}
				return nil // the profile itself is what is wrong
			},
			ReservedHeader: func(name, header string) bool {
				p, ok := profiles.Get(name)
				return ok && p.ReservedHeader(header)
			},
			Profiles: profiles.Names(),
		},
		LookupEnv: os.LookupEnv,
	}, nil
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

// openRegistry reaches Kafka and replays the registry. The returned function closes what was opened.
func openRegistry(ctx context.Context, conf *config.Config) (*registry.View, func(), error) {
	topic := conf.Kafka.Prefix + topics.Registry
	if err := kafka.Reach(ctx, conf.Kafka, topic); err != nil {
		return nil, nil, err
	}
	log, err := kafka.OpenLog(conf.Kafka, topic)
	if err != nil {
		return nil, nil, err
	}
	view, err := registry.Open(ctx, log, registry.Options{})
	if err != nil {
		log.Close()
		return nil, nil, err
	}
	return view, log.Close, nil
}

// withWriter runs fn with the one writer of the registry. The writer of a running API is fenced by it, and opens anew
// when it next writes.
func withWriter(
	ctx context.Context, conf *config.Config, view *registry.View, fn func(context.Context, *registry.Writer) error,
) (err error) {
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- view.Run(running) }()
	defer func() {
		stop()
		if ended := <-done; err == nil {
			err = ended
		}
	}()
	writer, err := registry.OpenWriter(ctx, view, func(ctx context.Context) (registry.Appender, error) {
		return kafka.OpenLogWriter(ctx, conf.Kafka, conf.Kafka.Prefix+topics.Registry, conf.Kafka.Prefix+registry.WriterID)
	})
	if err != nil {
		return err
	}
	defer writer.Close()
	return fn(ctx, writer)
}
