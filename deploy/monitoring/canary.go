package monitoring

// canaryAlerts are about events that Postrider sends to itself, where the configuration has a canary.
func canaryAlerts() []Alert {
	return []Alert{
		{
			Name: "PostriderCanaryStale", Severity: Critical, For: "2m",
			Expr:    unlessPaused(`min(postrider_canary_age_seconds) > 60 + 5 * max(postrider_canary_interval_seconds)`, egressStopped, routerPaused, delivererPaused),
			Summary: "No event has come all the way through for {{ $value | humanizeDuration }}",
			Means:   "that nothing that Postrider sends to itself arrives: publishing, routing, delivering or the way between deliverers and the API is broken. What customers wait for waits most likely, too; it is in Kafka.",
			See:     "which other alert fires: it says where. `postrider_canary_events_total` by result: `failed` is before Kafka, `sent` without `received` behind it, `refused` a secret that is not known yet. `postrider outcomes` of the tenant `postrider-canary` has the attempts with what went wrong.",
			Do:      "what the other alert says. If there is none and attempts are `blocked`, deliverers lack `canary`, or a NetworkPolicy lets them not reach the API's port; with `request`, their `canary.url` is another than the API's.",
		},
		{
			Name: "PostriderCanaryLost", Severity: Warning,
			Expr: unlessPausedWithin("30m", `sum(increase(postrider_canary_events_total{result="lost"}[30m])) > 0`,
				egressStopped, routerPaused, delivererPaused, retrierPaused),
			Summary: "{{ $value | humanize }} of the canary's events did not arrive in time",
			Means:   "that events that Kafka has were not delivered within `canary.lost_after`, or that nobody can say so. Others came through: something fails now and then.",
			See:     "the log line `canary is lost` of the API, with the event's id, and `postrider outcomes` of the tenant `postrider-canary` around its time.",
			Do:      "what its outcomes say. Without any, look for *PostriderPartitionsSkipped*, and for routers whose registry is stale.",
		},
	}
}

func canaryRow() Row {
	return Row{"Canary, where there is one", []Panel{
		{Title: "The whole way", Unit: "s", Query: quantiles("postrider_canary_latency_seconds")},
		{Title: "Age of the last that came through", Unit: "s", Query: lines(`min(postrider_canary_age_seconds{$scope})`, "age")},
		{Title: "Events", Unit: "short", Query: lines(`sum by (result) (increase(postrider_canary_events_total{$scope}[$__rate_interval]))`, "{{result}}")},
	}}
}
