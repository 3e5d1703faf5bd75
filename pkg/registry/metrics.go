package registry

import (
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/pkg/pause"
)

// metrics are the counters of one [View]; see the package doc.
type metrics struct {
	undecodable prometheus.Counter
	replays     prometheus.Counter
	unopened    prometheus.Counter
}

// newMetrics makes the metrics of v and registers them; a nil Registerer keeps them to themselves.
func newMetrics(r prometheus.Registerer, v *View) (*metrics, error) {
	m := &metrics{
		undecodable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "postrider_registry_undecodable_total",
			Help: "Registry records passed over because they could not be decoded.",
		}),
		replays: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "postrider_registry_replays_total",
			Help: "Replays of the registry from the start of its log, the first included.",
		}),
		unopened: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "postrider_registry_unopened_total",
			Help: "Subscriptions and tenants read of which a secret could not be decrypted.",
		}),
	}
	if r == nil {
		return m, nil
	}
	version := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postrider_registry_version",
		Help: "Version of the current registry snapshot.",
	}, func() float64 { return float64(v.Snapshot().Version()) })
	size := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postrider_registry_subscriptions",
		Help: "Subscriptions in the current registry snapshot, disabled ones included.",
	}, func() float64 {
		_, n := v.Snapshot().Count()
		return float64(n)
	})
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postrider_registry_confirmed_age_seconds",
		Help: "Time since the instant up to which the registry snapshot is known to be complete.",
	}, func() float64 { return v.opts.Now().Sub(v.ConfirmedAt()).Seconds() })
	for _, c := range append(v.pauseGauges(), m.undecodable, m.replays, m.unopened, version, size, age) {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// pauseGauges are one for each role that can be paused, and one for each other scope.
func (v *View) pauseGauges() (all []prometheus.Collector) {
	for _, scope := range pause.Scopes() {
		roles := []string{""}
		if scope == pause.Role {
			roles = pause.Roles()
		}
		for _, role := range roles {
			all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "postrider_registry_pauses", Help: "What operators have paused. A role has its name in paused_role.",
				ConstLabels: prometheus.Labels{"scope": string(scope), "paused_role": role},
			}, func() float64 { return float64(v.Snapshot().countPauses(scope, role)) }))
		}
	}
	return all
}

// storeMetrics are the metrics of one [Store]; see the package doc.
type storeMetrics struct {
	transactions, changes, conflicts, fencings prometheus.Counter
	seconds                                    prometheus.Histogram
}

// newStoreMetrics makes the metrics of a store and registers them. A second store of a process shares those of the first.
func newStoreMetrics(r prometheus.Registerer, log *slog.Logger) *storeMetrics {
	count := func(name, help string) prometheus.Counter {
		return registered(r, log, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	return &storeMetrics{
		transactions: count("postrider_registry_transactions_total", "Transactions committed to the registry."),
		changes:      count("postrider_registry_changes_total", "Records of the registry in them."),
		conflicts:    count("postrider_registry_conflicts_total", "Changes refused because somebody else had changed the object."),
		fencings:     count("postrider_registry_fencings_total", "Writers of the registry lost to that of another process."),
		seconds: registered(r, log, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "postrider_registry_write_seconds", Help: "Time from planning a transaction of the registry to its end.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14), // 2 ms to 16 s
		})),
	}
}

func registered[C prometheus.Collector](r prometheus.Registerer, log *slog.Logger, c C) C {
	if r == nil {
		return c
	}
	err := r.Register(c)
	if other, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := other.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		log.Error("registering metrics of the registry", slog.Any("error", err))
	}
	return c
}
