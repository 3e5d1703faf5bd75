package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/topics"
)

// Keyset returns the keyset that the secrets of subscriptions are encrypted with; nil if none is configured.
func Keyset(conf *config.Config) (*seal.Keyset, error) {
	text, field := conf.Encryption.Keyset, "encryption.keyset"
	if conf.Encryption.KeysetFile != "" {
		field = "encryption.keyset_file"
		raw, err := os.ReadFile(conf.Encryption.KeysetFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		text = string(raw)
	}
	if strings.TrimSpace(text) == "" && conf.Encryption.KeysetFile == "" {
		return nil, nil
	}
	keyset, err := seal.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return keyset, nil
}

// errNoKeyset is the refusal to start without a keyset.
var errNoKeyset = errors.New("encryption.keyset_file: missing (and encryption.keyset): want the keyset that secrets are encrypted with, " +
	"'postrider keys generate' makes one")

// NeedKeyset is [Keyset] for roles and commands that read or write secrets: its error says that one has to be configured.
func NeedKeyset(conf *config.Config) (*seal.Keyset, error) {
	keyset, err := Keyset(conf)
	if err == nil && keyset == nil {
		err = errNoKeyset
	}
	return keyset, err
}

// cipher returns a keyset as the registry wants it: nothing if there is none.
func cipher(k *seal.Keyset) registry.Cipher {
	if k == nil {
		return nil
	}
	return k
}

// OpenView reaches Kafka and replays the registry, for a look at it. Secrets are opened if keyset is not nil. The returned
// function closes what was opened.
func OpenView(ctx context.Context, conf *config.Config, keyset *seal.Keyset) (*registry.View, func(), error) {
	topic := conf.Kafka.Prefix + topics.Registry
	if err := kafka.Reach(ctx, conf.Kafka, topic); err != nil {
		return nil, nil, err
	}
	log, err := kafka.OpenLog(conf.Kafka, topic)
	if err != nil {
		return nil, nil, err
	}
	view, err := registry.Open(ctx, log, registry.Options{Cipher: cipher(keyset)})
	if err != nil {
		log.Close()
		return nil, nil, err
	}
	return view, log.Close, nil
}

// StoreUse is what [WithStore] opens a store for. The zero value writes secrets encrypted, and the journal of this package.
type StoreUse struct {
	// AsStored leaves secrets as they are in the log; no keyset is needed.
	AsStored bool
	// Journal replaces that of this package.
	Journal registry.Journal
}

// WithStore runs fn with a store of its own, for commands. That of a running API is fenced by it and opens anew when it
// next writes; neither loses anything.
func WithStore(ctx context.Context, conf *config.Config, use StoreUse, fn func(context.Context, *registry.Store) error) (err error) {
	var keyset *seal.Keyset
	if !use.AsStored {
		if keyset, err = NeedKeyset(conf); err != nil {
			return err
		}
	}
	if err := kafka.Reach(ctx, conf.Kafka, storeTopics(conf.Kafka.Prefix)...); err != nil {
		return err
	}
	view, closeView, err := OpenView(ctx, conf, keyset)
	if err != nil {
		return err
	}
	defer closeView()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- view.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-done)
	}()
	if use.Journal == nil {
		use.Journal = Journal(conf.Kafka.Prefix, view.Snapshot)
	}
	store := registry.OpenStore(view, openAppender(conf), registry.StoreOptions{Journal: use.Journal})
	defer store.Close()
	return fn(ctx, store)
}

// Store returns the registry for writing, over the view that the roles of this process share; see [App.View]. The first
// call makes it. [App.Run] must be running while it is used, and closes it.
func (a *App) Store(ctx context.Context) (*registry.Store, error) {
	if a.store != nil {
		return a.store, nil
	}
	view, err := a.SecretView(ctx)
	if err != nil {
		return nil, err
	}
	if err := kafka.Reach(ctx, a.conf.Kafka, storeTopics(a.conf.Kafka.Prefix)...); err != nil {
		return nil, err
	}
	a.store = registry.OpenStore(view, openAppender(a.conf), registry.StoreOptions{
		Journal: Journal(a.conf.Kafka.Prefix, view.Snapshot), Log: a.opts.Log, Metrics: a.opts.Metrics,
	})
	return a.store, nil
}

// SecretView is [App.View] for roles that need secrets: without a keyset they do not start.
func (a *App) SecretView(ctx context.Context) (*registry.View, error) {
	if _, err := NeedKeyset(a.conf); err != nil {
		return nil, err
	}
	return a.View(ctx)
}

// storeTopics are those that one transaction of a store may write to.
func storeTopics(prefix string) []string {
	return []string{prefix + topics.Registry, prefix + topics.Audit, prefix + topics.Operational}
}

// openAppender returns what opens the one producer of the registry's log.
func openAppender(conf *config.Config) func(context.Context) (registry.Appender, error) {
	return func(ctx context.Context) (registry.Appender, error) {
		return kafka.OpenLogWriter(ctx, conf.Kafka, conf.Kafka.Prefix+topics.Registry, conf.Kafka.Prefix+registry.WriterID)
	}
}
