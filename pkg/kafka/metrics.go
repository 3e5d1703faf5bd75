package kafka

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the figures of consumer groups. Labels are group and topic names, which the configuration bounds.
type Metrics struct {
	assigned         *prometheus.GaugeVec
	commits          *prometheus.CounterVec
	commitErrors     *prometheus.CounterVec
	metadataOverflow *prometheus.CounterVec
	lost             *prometheus.CounterVec
	halted           *prometheus.CounterVec
	outOfRange       *prometheus.CounterVec
	lags             *lags
}

// NewMetrics makes the metrics and registers them; a nil Registerer registers nothing.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		if reg != nil {
			reg.MustRegister(c)
		}
		return c
	}
	m := &Metrics{
		lags: newLags(),
		assigned: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "postrider_group_partitions", Help: "Partitions this member owns.",
		}, []string{"group"}),
		commits:      counter("postrider_group_commits_total", "Offset commits sent.", "group"),
		commitErrors: counter("postrider_group_commit_errors_total", "Offset commits refused or unanswered.", "group"),
		metadataOverflow: counter("postrider_group_metadata_overflows_total",
			"Commits whose metadata could not hold every finished offset.", "topic"),
		lost:   counter("postrider_group_lost_total", "Times the brokers threw this member out.", "group"),
		halted: counter("postrider_partitions_halted_total", "Partitions halted: committed offset out of range, or a record of a newer release.", "topic"),
		outOfRange: counter("postrider_partitions_out_of_range_total",
			"Partitions started at the start of the log: committed offset out of range.", "topic"),
	}
	if reg != nil {
		reg.MustRegister(m.assigned, m.lags)
	}
	return m
}

// begin shows the counters of a group from 0 on: what counts an increase does not see a first value.
func (m *Metrics) begin(group string) {
	for _, c := range []*prometheus.CounterVec{m.commits, m.commitErrors, m.lost} {
		c.WithLabelValues(group)
	}
}
