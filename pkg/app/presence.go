package app

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/view"
)

// Times of the reports to Redis.
const (
	// reportTimeout bounds a report; the next one is due after a second anyway.
	reportTimeout = 2 * time.Second
	// firstReportRetry and maxReportRetry bound the pause after a report that failed. The longest one is below the
	// lifetime of a report, so that a role is known again before anybody relies on who is.
	firstReportRetry = 250 * time.Millisecond
	maxReportRetry   = 2 * time.Second
)

// OpenViews returns the Redis of a configuration. Nothing is connected to yet; see [view.Open].
func OpenViews(conf *config.Config, metrics prometheus.Registerer) (*view.Redis, error) {
	c := conf.Redis
	return view.Open(view.Config{
		Sentinel:  view.Sentinel(c.Sentinel),
		Addresses: c.Addresses, Prefix: conf.Kafka.Prefix, Username: c.Username, Password: c.Password,
		PasswordFile: c.PasswordFile, TLS: c.TLS.Enabled, CAFile: c.TLS.CAFile, DB: c.DB,
		EventRetention: conf.Recorder.EventRetention, CallTimeout: c.CallTimeout, Metrics: metrics,
	})
}

// Presence is where roles report the registry version they have applied; [view.Redis] is one.
type Presence interface {
	// Report says that an instance of a role is live and has applied a version. It may take as long as ctx.
	Report(ctx context.Context, role, instance string, version int64) error
	// Leave says that an instance of a role has ended.
	Leave(ctx context.Context, role, instance string) error
}

// teller is a [Presence] that keeps also how roles do.
type teller interface {
	Tell(ctx context.Context, role, instance string, s view.State) error
}

var (
	_ Presence = (*view.Redis)(nil)
	_ teller   = (*view.Redis)(nil)
)

// registryView is the part of the registry that is reported.
type registryView interface {
	Snapshot() *registry.Snapshot
	Changed() <-chan struct{}
}

// reporter reports the roles of a process until its context ends. Nothing waits for it.
type reporter struct {
	to       Presence
	view     registryView
	roles    []string
	instance string
	log      *slog.Logger
	// state says how a role does; nil tells nobody.
	state func(role string) view.State

	away bool // Redis did not answer the last report
}

// run reports each second and on every change of the registry. What Redis' absence means is told once when it is
// noticed and once when it is over.
func (r *reporter) run(ctx context.Context) {
	retry := firstReportRetry
	for ctx.Err() == nil {
		changed := r.view.Changed() // before the snapshot, to miss none
		err := r.report(ctx)
		r.tell(ctx, err)
		if err == nil {
			retry = firstReportRetry
			wait(ctx, view.ReportEvery, changed)
		} else {
			wait(ctx, retry, nil)
			retry = min(2*retry, maxReportRetry)
		}
	}
	if !r.away {
		r.leave(ctx)
	}
}

func (r *reporter) report(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	version := r.view.Snapshot().Version()
	for _, role := range r.roles {
		if err := r.to.Report(ctx, role, r.instance, version); err != nil {
			return err
		}
		if t, ok := r.to.(teller); ok && r.state != nil {
			if err := t.Tell(ctx, role, r.instance, r.state(role)); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave is for whoever waits for these roles: they are gone, not silent.
func (r *reporter) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout) // ctx has ended, which is the reason to leave
	defer cancel()
	for _, role := range r.roles {
		if err := r.to.Leave(ctx, role, r.instance); err != nil {
			return // the report ends by itself
		}
	}
}

func (r *reporter) tell(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil: // the report was broken off
		return
	case err != nil && !r.away:
		r.log.Warn("Redis is away; deliveries go on without it", "error", err)
	case err == nil && r.away:
		r.log.Info("Redis is back")
	}
	r.away = err != nil
}

// wait waits for d, a change or the end of ctx.
func wait(ctx context.Context, d time.Duration, changed <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
	}
}

// instanceName tells this process from others of its host, and from itself after a restart.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	return host + "-" + rand.Text()[:6]
}

// report starts to report the roles that follow the registry. The returned function ends that.
func (a *App) report(ctx context.Context) (stop func()) {
	if a.opts.Presence == nil || len(a.followers) == 0 {
		return func() {}
	}
	r := &reporter{
		to: a.opts.Presence, view: a.view, roles: a.followers, instance: instanceName(), log: a.opts.Log, state: a.stateSince(time.Now()),
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a role that drains is live
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}
