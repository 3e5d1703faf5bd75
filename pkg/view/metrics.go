package view

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of one [Redis]; see the package doc.
type metrics struct {
	up      prometheus.Gauge
	errors  prometheus.Counter
	indexed prometheus.Counter
	rows    prometheus.Counter
}

// newMetrics makes the metrics and registers them; a nil Registerer keeps them to themselves.
func newMetrics(r prometheus.Registerer) (metrics, error) {
	m := metrics{
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "postrider_redis_up",
			Help: "Whether Redis answered the last call.",
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "postrider_redis_errors_total",
			Help: "Calls that Redis did not answer, or refused.",
		}),
		indexed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "postrider_index_events_total",
			Help: "Events added to the index.",
		}),
		rows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "postrider_view_rows_total",
			Help: "Rows of outcomes added to the views, those that were there among them.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.up, m.errors, m.indexed, m.rows} {
		if err := r.Register(c); err != nil {
			return m, err
		}
	}
	return m, nil
}
