package canary

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Results of events, as labels.
const (
	resultSent     = "sent"     // is in Kafka
	resultFailed   = "failed"   // could not be sent
	resultReceived = "received" // came here, whoever sent it
	resultRefused  = "refused"  // came here and was not ours
	resultLost     = "lost"     // was sent here and was not received in time
)

// metrics of the canary; see the package doc.
type metrics struct {
	events   *prometheus.CounterVec
	latency  prometheus.Histogram
	interval prometheus.Gauge
}

func newMetrics(r prometheus.Registerer, age func() float64) *metrics {
	f := promauto.With(r)
	m := &metrics{
		events: f.NewCounterVec(prometheus.CounterOpts{
			Name: "postrider_canary_events_total", Help: "Events of the canary: sent, failed to be sent, received, refused, lost.",
		}, []string{"result"}),
		latency: f.NewHistogram(prometheus.HistogramOpts{
			Name: "postrider_canary_latency_seconds", Help: "Time from sending an event of the canary to its arrival at the receiver.",
			Buckets: prometheus.ExponentialBuckets(0.004, 2, 16), // 4 ms to 2 min
		}),
		interval: f.NewGauge(prometheus.GaugeOpts{
			Name: "postrider_canary_interval_seconds", Help: "Time between two events of this process.",
		}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postrider_canary_age_seconds",
		Help: "Time since the newest event that arrived here was sent, or since the start. The least of all processes tells.",
	}, age)
	for _, result := range []string{resultSent, resultFailed, resultReceived, resultRefused, resultLost} {
		m.events.WithLabelValues(result)
	}
	return m
}
