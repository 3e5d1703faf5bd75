package registry

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of one [View]; see the package doc.
type metrics struct {
	undecodable prometheus.Counter
	replays     prometheus.Counter
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
	for _, c := range []prometheus.Collector{m.undecodable, m.replays, version, size, age} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
