package pipeline

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/postrider/postrider/pkg/outcome"
)

// Metrics are the figures of the stages. Every label set is closed: results, verdicts, reasons, [Selection]s. Figures by tenant are
// not among them: see tenantCounts.
type Metrics struct {
	events     *prometheus.CounterVec // result
	expansions prometheus.Counter
	filtered   map[Selection]prometheus.Counter

	attempts    *counters[outcome.Result]
	attemptTime prometheus.Histogram
	verdicts    *counters[because]

	transformations *prometheus.CounterVec // result

	repeats     prometheus.Counter
	aborted     prometheus.Counter
	inFlight    prometheus.Gauge
	queued      prometheus.Gauge
	bytes       prometheus.Gauge
	unconfirmed prometheus.Counter
	breakers    prometheus.Gauge
	restore     prometheus.Histogram

	moves   *prometheus.CounterVec // to
	late    prometheus.Histogram
	waiting prometheus.Gauge

	recorded       *prometheus.CounterVec // result
	recordRetries  prometheus.Counter
	recordedRows   prometheus.Counter
	unreadableRows prometheus.Counter
	published      *prometheus.CounterVec // result
	publishTime    prometheus.Histogram
	unchecked      prometheus.Counter
	unindexed      prometheus.Counter
	disabled       *prometheus.CounterVec // result
	disableRetries prometheus.Counter
	notices        *prometheus.CounterVec // medium, result
	noticesAway    prometheus.Counter
	tasks          prometheus.Gauge
	taskDeliveries *prometheus.CounterVec // task
}

// NewMetrics makes the metrics and registers them; a nil Registerer registers nothing.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	r := registerer{reg}
	filtered := r.counterVec("postrider_router_filtered_total", "Deliveries not made because of channels or a filter.", "reason")
	byReason := map[Selection]prometheus.Counter{}
	for _, s := range filteredSelections() {
		byReason[s] = filtered.WithLabelValues(string(s))
	}
	return &Metrics{
		filtered:        byReason,
		events:          r.counterVec("postrider_router_events_total", "Source records read.", "result"),
		expansions:      r.counter("postrider_router_expansions_total", "Deliveries made of events."),
		attempts:        byResult(r.counterVec("postrider_deliverer_attempts_total", "Attempts made.", "result")),
		attemptTime:     r.histogram("postrider_deliverer_attempt_seconds", "Duration of an attempt.", prometheus.ExponentialBuckets(0.001, 2, 16)),
		verdicts:        byVerdict(r.counterVec("postrider_deliverer_verdicts_total", "Verdicts.", "verdict", "reason")),
		transformations: r.counterVec("postrider_deliverer_transformations_total", "Transformations of events, those that failed included.", "result"),

		repeats:     r.counter("postrider_deliverer_repeats_total", "Records dropped: a crash had repeated them."),
		aborted:     r.counter("postrider_deliverer_aborted_total", "Attempts cut off by a revoke or the end; they are repeated."),
		inFlight:    r.gauge("postrider_deliverer_in_flight", "Deliveries being attempted or settled."),
		queued:      r.gauge("postrider_deliverer_queued", "Deliveries waiting in lanes."),
		bytes:       r.gauge("postrider_deliverer_bytes", "Bytes of deliveries held in memory."),
		unconfirmed: r.counter("postrider_deliverer_unconfirmed_total", "Times that sending stopped because the registry was unconfirmed."),
		breakers:    r.gauge("postrider_deliverer_breakers_open", "Breakers that are open."),
		restore:     r.histogram("postrider_deliverer_restore_seconds", "Time to take up a partition's endpoint states.", prometheus.ExponentialBuckets(0.005, 2, 12)),
		moves:       r.counterVec("postrider_retrier_moves_total", "Records moved.", "to"),
		late:        r.histogram("postrider_retrier_late_seconds", "How late a record went back to deliveries.", prometheus.ExponentialBuckets(0.001, 2, 16)),
		waiting:     r.gauge("postrider_retrier_waiting", "Records in memory: fetched and not due."),

		recorded:       r.counterVec("postrider_recorder_events_total", "Source records read for the index of events.", "result"),
		recordRetries:  r.counter("postrider_recorder_retries_total", "Tries to record that failed: Redis was away."),
		recordedRows:   r.counter("postrider_recorder_outcomes_total", "Rows of outcomes that are in the views."),
		unreadableRows: r.counter("postrider_recorder_unreadable_total", "Records of outcomes and statuses that could not be read."),
		published:      r.counterVec("postrider_publisher_events_total", "Events that were to be published.", "result"),
		publishTime:    r.histogram("postrider_publisher_seconds", "Time until a published event was acknowledged.", prometheus.ExponentialBuckets(0.001, 2, 15)),
		unchecked:      r.counter("postrider_publisher_unchecked_total", "Events published without a look whether they were before."),
		unindexed:      r.counter("postrider_publisher_unindexed_total", "Published events that are left to the recorder to be found again."),
		disabled:       r.counterVec("postrider_disabler_events_total", "Operational records read.", "result"),
		disableRetries: r.counter("postrider_disabler_retries_total", "Tries to disable a subscription that failed."),
		notices:        r.counterVec("postrider_notices_total", "Notices of failures to tenants, by what became of them.", "medium", "result"),
		noticesAway:    r.counter("postrider_notices_away_total", "Looks at a tenant that came to nothing: Redis was away."),
		tasks:          r.gauge("postrider_tasks_running", "Background tasks at work in this process."),
		taskDeliveries: r.counterVec("postrider_tasks_deliveries_total", "Deliveries written by background tasks.", "task"),
	}
}

type registerer struct{ reg prometheus.Registerer }

func register[C prometheus.Collector](r registerer, c C) C {
	if r.reg != nil {
		r.reg.MustRegister(c)
	}
	return c
}

func (r registerer) counter(name, help string) prometheus.Counter {
	return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}

func (r registerer) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

func (r registerer) gauge(name, help string) prometheus.Gauge {
	return register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
}

func (r registerer) histogram(name, help string, buckets []float64) prometheus.Histogram {
	return register(r, prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}))
}

// OpenBreakers is how many breakers of this process are open.
func (m *Metrics) OpenBreakers() int {
	var now dto.Metric
	if m.breakers.Write(&now) != nil { // a gauge does not fail
		return 0
	}
	return int(now.GetGauge().GetValue())
}
