package monitoring

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Panel is one picture of a dashboard: PromQL by legend.
type Panel struct {
	Title string
	Unit  string // of Grafana: short, s, bytes, reqps, percentunit
	Stat  bool   // one number instead of lines
	Query []Query
}

// Query is one expression and what its lines are called.
type Query struct{ Expr, Legend string }

// Dashboard is a page for Grafana.
type Dashboard struct {
	Name, Title string
	Rows        []Row
}

// Row is a heading and the panels below it, three side by side.
type Row struct {
	Title  string
	Panels []Panel
}

// rate is the sum of a counter's rate by labels.
func rate(metric, by string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s{$scope}[$__rate_interval]))", by, metric)
}

// quantile is a quantile of a histogram.
func quantile(q, metric string) Query {
	return Query{fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s_bucket{$scope}[$__rate_interval])))", q, metric), "p" + strings.TrimPrefix(q, "0.")}
}

func quantiles(metric string) []Query {
	return []Query{quantile("0.50", metric), quantile("0.95", metric), quantile("0.99", metric)}
}

func lines(expr, legend string) []Query { return []Query{{expr, legend}} }

// Dashboards returns all dashboards.
func Dashboards() []Dashboard {
	return []Dashboard{overview(), roles(), tenants(), kafkaBoard(), retries()}
}

func overview() Dashboard {
	return Dashboard{Name: "overview", Title: "Postrider / Overview", Rows: []Row{
		{"Now", []Panel{
			{Title: "Delivered a second", Unit: "reqps", Stat: true, Query: lines(`sum(rate(postrider_deliverer_verdicts_total{$scope, verdict="delivered"}[$__rate_interval]))`, "")},
			{Title: "Oldest delivery in flight", Unit: "s", Stat: true, Query: lines(`max(postrider_group_oldest_unfinished_seconds{$scope, group=~".*deliverer"})`, "")},
			{Title: "Endpoints left alone", Unit: "short", Stat: true, Query: lines(`sum(postrider_deliverer_breakers_open{$scope})`, "")},
		}},
		{"Flow", []Panel{
			{Title: "Events read", Unit: "reqps", Query: lines(rate("postrider_router_events_total", "result"), "{{result}}")},
			{Title: "Deliveries made and settled", Unit: "reqps", Query: []Query{
				{`sum(rate(postrider_router_expansions_total{$scope}[$__rate_interval]))`, "made"}, {rate("postrider_deliverer_verdicts_total", "verdict"), "{{verdict}}"},
			}},
			{Title: "Attempts by result", Unit: "reqps", Query: lines(rate("postrider_deliverer_attempts_total", "result"), "{{result}}")},
		}},
		{"Waiting", []Panel{
			{Title: "Behind", Unit: "short", Query: lines(`sum by (group) (postrider_group_lag_records{$scope, group!~".*retrier"})`, "{{group}}")},
			{Title: "Time of an attempt", Unit: "s", Query: quantiles("postrider_deliverer_attempt_seconds")},
			{Title: "Subscriptions", Unit: "short", Query: lines(`max(postrider_registry_subscriptions{$scope})`, "subscriptions")},
		}},
		canaryRow(),
	}}
}

func roles() Dashboard {
	return Dashboard{Name: "roles", Title: "Postrider / Roles", Rows: []Row{
		{"Deliverers", []Panel{
			{Title: "In flight", Unit: "short", Query: lines(`sum by (instance) (postrider_deliverer_in_flight{$scope})`, "{{instance}}")},
			{Title: "Queued", Unit: "short", Query: lines(`sum by (instance) (postrider_deliverer_queued{$scope})`, "{{instance}}")},
			{Title: "Deliveries in memory", Unit: "bytes", Query: lines(`sum by (instance) (postrider_deliverer_bytes{$scope})`, "{{instance}}")},
			{Title: "Taking up a partition", Unit: "s", Query: quantiles("postrider_deliverer_restore_seconds")},
			{Title: "Repeated and cut off", Unit: "reqps", Query: []Query{
				{`sum(rate(postrider_deliverer_repeats_total{$scope}[$__rate_interval]))`, "repeats dropped"},
				{`sum(rate(postrider_deliverer_aborted_total{$scope}[$__rate_interval]))`, "attempts cut off"},
			}},
			{Title: "Transformations", Unit: "reqps", Query: lines(rate("postrider_deliverer_transformations_total", "result"), "{{result}}")},
		}},
		{"Routers and recorders", []Panel{
			{Title: "Deliveries made", Unit: "reqps", Query: lines(`sum by (instance) (rate(postrider_router_expansions_total{$scope}[$__rate_interval]))`, "{{instance}}")},
			{Title: "Not made, by reason", Unit: "reqps", Query: lines(rate("postrider_router_filtered_total", "reason"), "{{reason}}")},
			{Title: "Recorded", Unit: "reqps", Query: lines(rate("postrider_recorder_events_total", "result"), "{{result}}")},
		}},
		{"API", []Panel{
			{Title: "Requests", Unit: "reqps", Query: lines(rate("postrider_api_requests_total", "class"), "{{class}}")},
			{Title: "Time of a request", Unit: "s", Query: quantiles("postrider_api_request_seconds")},
			{Title: "Published", Unit: "reqps", Query: lines(rate("postrider_publisher_events_total", "result"), "{{result}}")},
			{Title: "Slowest operations, p99", Unit: "s", Query: lines(`topk(10, histogram_quantile(0.99, sum by (le, operation) (rate(postrider_api_request_seconds_bucket{$scope}[$__rate_interval]))))`, "{{operation}}")},
			{Title: "Writing the registry", Unit: "s", Query: quantiles("postrider_registry_write_seconds")},
			{Title: "Publishing", Unit: "s", Query: quantiles("postrider_publisher_seconds")},
		}},
		{"Processes", []Panel{
			{Title: "CPU", Unit: "short", Query: lines(`rate(process_cpu_seconds_total{$scope}[$__rate_interval]) and on (instance) postrider_group_partitions`, "{{instance}}")},
			{Title: "Memory", Unit: "bytes", Query: lines(`process_resident_memory_bytes{$scope} and on (instance) postrider_group_partitions`, "{{instance}}")},
			{Title: "Age of what is known of the registry", Unit: "s", Query: lines(`max by (instance) (postrider_registry_confirmed_age_seconds{$scope})`, "{{instance}}")},
		}},
	}}
}

func kafkaBoard() Dashboard {
	return Dashboard{Name: "kafka", Title: "Postrider / Kafka and Redis", Rows: []Row{
		{"Groups", []Panel{
			{Title: "Partitions owned", Unit: "short", Query: lines(`sum by (group, instance) (postrider_group_partitions{$scope})`, "{{group}} {{instance}}")},
			{Title: "Furthest behind", Unit: "short", Query: lines(`topk(10, max by (topic, partition) (postrider_group_lag_records{$scope, group!~".*retrier"}))`, "{{topic}}/{{partition}}")},
			{Title: "Commits, and those that failed", Unit: "reqps", Query: []Query{
				{rate("postrider_group_commits_total", "group"), "{{group}}"}, {rate("postrider_group_commit_errors_total", "group"), "{{group}} failed"},
			}},
			{Title: "Members thrown out", Unit: "short", Query: lines(`sum by (group) (increase(postrider_group_lost_total{$scope}[$__rate_interval]))`, "{{group}}")},
			{Title: "Partitions halted", Unit: "short", Query: lines(`sum by (topic) (postrider_partitions_halted_total{$scope})`, "{{topic}}")},
			{Title: "Commits that could not say all", Unit: "short", Query: lines(`sum by (topic) (increase(postrider_group_metadata_overflows_total{$scope}[$__rate_interval]))`, "{{topic}}")},
		}},
		{"Client", []Panel{
			{Title: "Written", Unit: "Bps", Query: lines(rate("postrider_kafka_produce_bytes_total", "client"), "{{client}}")},
			{Title: "Read", Unit: "Bps", Query: lines(rate("postrider_kafka_fetch_bytes_total", "client"), "{{client}}")},
			{Title: "Connections that failed", Unit: "reqps", Query: lines(rate("postrider_kafka_connect_errors_total", "client"), "{{client}}")},
		}},
		{"Registry and Redis", []Panel{
			{Title: "Version", Unit: "short", Query: lines(`max by (instance) (postrider_registry_version{$scope})`, "{{instance}}")},
			{Title: "Changes and conflicts", Unit: "reqps", Query: []Query{
				{`sum(rate(postrider_registry_changes_total{$scope}[$__rate_interval]))`, "changes"}, {`sum(rate(postrider_registry_conflicts_total{$scope}[$__rate_interval]))`, "conflicts"},
			}},
			{Title: "Redis errors", Unit: "reqps", Query: lines(`sum by (instance) (rate(postrider_redis_errors_total{$scope}[$__rate_interval]))`, "{{instance}}")},
		}},
	}}
}

func retries() Dashboard {
	return Dashboard{Name: "retries", Title: "Postrider / Retries and dead letters", Rows: []Row{
		{"Retries", []Panel{
			{Title: "Moved, by where to", Unit: "reqps", Query: lines(rate("postrider_retrier_moves_total", "to"), "{{to}}")},
			{Title: "Late", Unit: "s", Query: quantiles("postrider_retrier_late_seconds")},
			{Title: "Waiting in memory", Unit: "short", Query: lines(`sum by (instance) (postrider_retrier_waiting{$scope})`, "{{instance}}")},
			{Title: "In the tiers", Unit: "short", Query: lines(`sum by (topic) (postrider_group_lag_records{$scope, group=~".*retrier"})`, "{{topic}}")},
			{Title: "Sent to be tried again, by reason", Unit: "reqps", Query: lines(`sum by (reason) (rate(postrider_deliverer_verdicts_total{$scope, verdict="retry"}[$__rate_interval]))`, "{{reason}}")},
			{Title: "Parked, by reason", Unit: "reqps", Query: lines(`sum by (reason) (rate(postrider_deliverer_verdicts_total{$scope, verdict="parked"}[$__rate_interval]))`, "{{reason}}")},
		}},
		{"Dead letters", []Panel{
			{Title: "Given up, by reason", Unit: "reqps", Query: lines(`sum by (reason) (rate(postrider_deliverer_verdicts_total{$scope, verdict="dead"}[$__rate_interval]))`, "{{reason}}")},
			{Title: "Given up of all that ended", Unit: "percentunit", Query: lines(`sum(rate(postrider_deliverer_verdicts_total{$scope, verdict="dead"}[$__rate_interval])) / sum(rate(postrider_deliverer_verdicts_total{$scope, verdict=~"dead|delivered"}[$__rate_interval]))`, "share")},
			{Title: "Subscriptions disabled", Unit: "reqps", Query: lines(rate("postrider_disabler_events_total", "result"), "{{result}}")},
		}},
	}}
}

// Size of a panel on Grafana's grid of 24 columns.
const (
	panelWidth  = 8
	panelHeight = 8
	perRow      = 3
)

// JSON returns the dashboard as Grafana 10 and later import it. Its variables choose the data source and the namespace.
func (d Dashboard) JSON() ([]byte, error) {
	source := map[string]string{"type": "prometheus", "uid": "${source}"}
	var panels []map[string]any
	id, y := 0, 0
	place := func(x, w, h int) map[string]int { return map[string]int{"x": x, "y": y, "w": w, "h": h} }
	for _, row := range d.Rows {
		id++
		panels = append(panels, map[string]any{"id": id, "type": "row", "title": row.Title, "gridPos": place(0, 24, 1)})
		y++
		for i, p := range row.Panels {
			id++
			var targets []map[string]any
			for n, q := range p.Query {
				expr := strings.ReplaceAll(q.Expr, "$scope", `namespace=~"$namespace"`)
				targets = append(targets, map[string]any{"refId": string(rune('A' + n)), "datasource": source, "expr": expr, "legendFormat": q.Legend})
			}
			kind := "timeseries"
			if p.Stat {
				kind = "stat"
			}
			panels = append(panels, map[string]any{
				"id": id, "type": kind, "title": p.Title, "datasource": source, "targets": targets,
				"gridPos":     place(i%perRow*panelWidth, panelWidth, panelHeight),
				"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.Unit, "min": 0}, "overrides": []any{}},
			})
			if i%perRow == perRow-1 || i == len(row.Panels)-1 {
				y += panelHeight
			}
		}
	}
	return json.MarshalIndent(map[string]any{
		"uid": "postrider-" + d.Name, "title": d.Title, "tags": []string{"postrider"}, "schemaVersion": 39, "editable": true,
		"refresh": "30s", "time": map[string]string{"from": "now-3h", "to": "now"}, "timezone": "browser", "panels": panels,
		"templating": map[string]any{"list": []map[string]any{
			{"name": "source", "type": "datasource", "query": "prometheus", "label": "Data source"},
			{
				"name": "namespace", "type": "query", "label": "Namespace", "datasource": source, "includeAll": true, "allValue": ".*", "refresh": 2,
				"query": "label_values(postrider_registry_version, namespace)",
			},
		}},
	}, "", " ")
}
