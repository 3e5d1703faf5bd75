// Package app assembles the roles of a process out of the configuration: which stage reads what, with which clients and
// bounds. The wiring of each role stands in its own file; this one holds what they share.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/notify"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/tracing"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/topics"
)

// Options are what a process may have beside its configuration. The zero value works.
type Options struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Attempter makes the attempts; nil makes them over HTTP.
	Attempter pipeline.Attempter
	// Tracer makes the spans, see [OpenTracer]; nil traces nothing.
	Tracer *tracing.Tracer
	// Rand replaces the random numbers in [0, 1) of retry policies with jitter; it is called from many goroutines.
	Rand func() float64
	// Saturated replaces what a deliverer asks the runtime: whether there are too few processors. Virtual time needs that, in which
	// the machine's load is not to be seen.
	Saturated func() bool
	// Presence is told the registry version that roles have applied, see [OpenViews]; nil is told nothing. Nothing waits
	// for it.
	Presence Presence
	// Views are the Redis of the process, see [OpenViews]. The recorder and publishing need them.
	Views *view.Redis
}

// App is what the roles of one process share: the configuration, one view of the registry, metrics.
type App struct {
	conf   *config.Config
	opts   Options
	topics pipeline.Topics

	registryLog  *kafka.Log
	view         *registry.View  // nil until a role needs it
	store        *registry.Store // likewise
	notify       *notify.Sender  // likewise
	apiAddr      string
	kafkaMetrics *kafka.Metrics
	metrics      *pipeline.Metrics
	roles        []*Role
	followers    []string // the roles whose work depends on the view
}

// Role is one role of a process: a stage with its consumer group.
type Role struct {
	Name string
	// run works until ctx ends, then drains.
	run   func(ctx context.Context) error
	group *kafka.Group // nil for the API, which has none
	// stop keeps what it holds already where it is, or goes on; nil if it finishes that while it is paused.
	stop func(bool)
}

// New reaches Kafka and checks that the topics exist. Its error is one line that says what is wrong.
func New(ctx context.Context, conf *config.Config, opts Options) (*App, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	a := &App{
		conf: conf, opts: opts, topics: pipeline.Topics{Prefix: conf.Kafka.Prefix},
		kafkaMetrics: kafka.NewMetrics(opts.Metrics), metrics: pipeline.NewMetrics(opts.Metrics),
	}
	if err := kafka.Reach(ctx, conf.Kafka, a.ownTopics()...); err != nil {
		return nil, err
	}
	return a, nil
}

// View returns the registry as the roles of this process see it. The first call replays it. Secrets are open if a keyset
// is configured.
func (a *App) View(ctx context.Context) (*registry.View, error) { return a.openView(ctx, "") }

// openView makes the view of the process, of one kind of objects or of all.
func (a *App) openView(ctx context.Context, only registry.Kind) (*registry.View, error) {
	if a.view != nil {
		return a.view, nil
	}
	keyset, err := Keyset(a.conf)
	if err != nil {
		return nil, err
	}
	log, err := kafka.OpenLog(a.conf.Kafka, a.topics.Name(topics.Registry))
	if err != nil {
		return nil, err
	}
	view, err := registry.Open(ctx, log, registry.Options{Only: only, Cipher: cipher(keyset), Log: a.opts.Log, Metrics: a.opts.Metrics})
	if err != nil {
		log.Close()
		return nil, fmt.Errorf("replaying the registry: %w", err)
	}
	a.registryLog, a.view = log, view
	return view, nil
}

func (a *App) ownTopics() []string {
	names := []string{
		topics.Rejected, topics.Routed, topics.Registry, topics.Deliveries, topics.DeadLetters, topics.Outcomes,
		topics.EndpointStates,
	}
	for i, name := range names {
		names[i] = a.topics.Name(name)
	}
	return append(names, a.topics.RetryTopics()...)
}

// Run runs the roles that were made until ctx ends or one of them cannot go on. When ctx ends every role drains: it
// starts nothing more, lets what is in flight end within its drain time, commits and leaves its group. The view of the
// registry outlives them, so that nothing is sent on an old one.
func (a *App) Run(ctx context.Context) error {
	if err := a.needPauses(ctx); err != nil {
		return err
	}
	stopFollowing := a.follow(ctx)
	stopReporting := a.report(ctx)
	stopObeying := a.obey(ctx)
	work, working := errgroup.WithContext(ctx)
	for _, r := range a.roles {
		work.Go(func() error {
			a.opts.Log.Info("role started", "role", r.Name)
			if err := r.run(working); err != nil {
				return fmt.Errorf("%s: %w", r.Name, err)
			}
			a.opts.Log.Info("role ended", "role", r.Name)
			return nil
		})
	}
	err := work.Wait()
	if a.store != nil {
		a.store.Close() // it needs the view to the end
	}
	stopObeying()
	stopReporting()
	return errors.Join(err, stopFollowing())
}

// follow keeps the registry's view up to date until the returned function is called.
func (a *App) follow(ctx context.Context) (stop func() error) {
	if a.view == nil {
		return func() error { return nil }
	}
	viewing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	viewed := make(chan error, 1)
	go func() { viewed <- a.view.Run(viewing) }()
	return func() error {
		cancel()
		defer a.registryLog.Close()
		if err := <-viewed; err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("following the registry: %w", err)
		}
		return nil
	}
}

// maxPollAge is how long a poll loop may stand still before the process counts as dead: several times the second in
// which it moves even when there is nothing to read.
const maxPollAge = 30 * time.Second

// Live returns an error if a role's poll loop stands still.
func (a *App) Live() error {
	for _, r := range a.roles {
		if r.group == nil {
			continue
		}
		if at := r.group.Polled(); !at.IsZero() && time.Since(at) > maxPollAge {
			return fmt.Errorf("%s: poll loop has not moved since %s", r.Name, at.Format(time.RFC3339))
		}
	}
	return nil
}

// Ready returns nil once every role has joined its group and has no partition halted; the registry was replayed before.
// It stays so through rebalances.
func (a *App) Ready() error {
	for _, r := range a.roles {
		if r.group == nil {
			continue
		}
		if !r.group.Joined() {
			return fmt.Errorf("%s: not in its consumer group", r.Name)
		}
		for partition, reason := range r.group.Halted() {
			return fmt.Errorf("%s: partition %s is halted: %s", r.Name, partition, reason)
		}
	}
	return nil
}

// flushTimeout bounds the wait for the last acknowledgements when a role ends.
const flushTimeout = 5 * time.Second

// flushed closes what has something to be acknowledged, when ctx has ended.
func flushed(ctx context.Context, closer func(context.Context) error) error {
	flush, done := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer done()
	return closer(flush)
}

// role makes a role of a handler: its group runs until ctx ends or the handler fails. One that writes nothing has no
// producer.
func (a *App) role(name string, group *kafka.Group, out *kafka.Producer, failed <-chan error, start, stop func()) *Role {
	run := func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go func() {
			select {
			case err := <-failed:
				cancel(err)
			case <-ctx.Done():
			}
		}()
		start()
		err := group.Run(ctx)
		stop()
		if out == nil {
			return err
		}
		if closeErr := flushed(ctx, out.Close); closeErr != nil {
			a.opts.Log.Warn("ending role", "role", name, "error", closeErr)
		}
		return err
	}
	r := &Role{Name: name, run: run, group: group}
	a.roles = append(a.roles, r)
	return r
}

// failures returns a function that keeps the first error, and the channel that has it.
func failures() (func(error), <-chan error) {
	ch := make(chan error, 1)
	return func(err error) {
		select {
		case ch <- err:
		default: // the first one ends the role
		}
	}, ch
}

func (a *App) groupOptions(role string, topics ...string) kafka.GroupOptions {
	return kafka.GroupOptions{
		Name: a.conf.Kafka.Prefix + role, Topics: topics, Log: a.opts.Log.With("role", role), Metrics: a.kafkaMetrics,
	}
}
