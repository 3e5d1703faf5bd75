package monitoring

import (
	"fmt"
	"slices"
	"strings"
)

// Alerts returns all alerts, the worst first.
func Alerts() []Alert {
	return slices.Concat(flowAlerts(), stateAlerts(), apiAlerts(), endpointAlerts(), canaryAlerts(), pauseAlerts())
}

// grown is an expression that is true for as long after a counter has grown, also if it was there at the counter's first
// scrape: what happens while a process starts is counted by then, and no increase.
func grown(counter, window string) string {
	return fmt.Sprintf("(increase(%[1]s[%[2]s]) > 0) or (%[1]s > 0 unless %[1]s offset %[2]s)", counter, window)
}

// What operators have paused, as selectors of what each is, for [unlessPaused].
const (
	egressStopped   = `scope="egress"`
	routerPaused    = `paused_role="router"`
	delivererPaused = `paused_role="deliverer"`
	retrierPaused   = `paused_role="retrier"`
)

// unlessPaused is an expression that is not true while one of these is paused: what comes of that is meant.
func unlessPaused(expr string, by ...string) string {
	return unless(expr, "postrider_registry_pauses{%s}", by)
}

// unlessPausedWithin is one that is not true for as long after either, since what it counts is seen as long.
func unlessPausedWithin(window, expr string, by ...string) string {
	return unless(expr, "max_over_time(postrider_registry_pauses{%s}["+window+"])", by)
}

func unless(expr, pauses string, by []string) string {
	var standing []string
	for _, selector := range by {
		standing = append(standing, fmt.Sprintf(pauses, selector)+" > 0")
	}
	return "(" + expr + ") unless on () (" + strings.Join(standing, " or ") + ")"
}

// flowAlerts are about deliveries that do not get on.
func flowAlerts() []Alert {
	return []Alert{
		{
			Name: "PostriderRoleMissing", Severity: Critical, For: "3m",
			Expr: `label_replace(absent(postrider_group_partitions{group=~".*router"}), "role", "router", "", "") or ` +
				`label_replace(absent(postrider_group_partitions{group=~".*deliverer"}), "role", "deliver", "", "") or ` +
				`label_replace(absent(postrider_group_partitions{group=~".*retrier"}), "role", "retry", "", "")`,
			Summary: "No process of the role {{ $labels.role }} shows metrics",
			Means:   "that no process of the role is in its group, or that none is scraped. What it should do waits.",
			See:     "the pods of the role and their last log lines: a role that cannot start ends with one line that says why. `kafka-consumer-groups --describe --group postrider.deliverer` tells whether Kafka knows members.",
			Do:      "what the log says: most often a Secret, a topic or an ACL is missing. If the pods are well, mend the scrape.",
		},
		{
			Name: "PostriderDeliveriesLate", Severity: Critical, For: "5m",
			Expr:    unlessPaused(`max by (group) (postrider_group_oldest_unfinished_seconds{group=~".*deliverer"}) > 120`, egressStopped, delivererPaused),
			Summary: "The oldest delivery that was read and is not finished is {{ $value | humanizeDuration }} old",
			Means:   "that deliveries wait in memory longer than the longest timeout (60 s) explains: there are too few processes or workers, or Kafka does not take what they write.",
			See:     "`postrider_deliverer_in_flight` beside `deliverer.workers`, `postrider_deliverer_queued`, `postrider_group_commit_errors_total`, and the response times on the dashboard *Roles*.",
			Do:      "more deliverers while half of the workers are busy (the others are for endpoints that have none), up to the partitions of `deliveries`. If few are busy, look at Kafka's latency.",
		},
		{
			Name: "PostriderDeliveriesBehind", Severity: Critical, For: "15m",
			Expr: unlessPaused(`sum by (group) (postrider_group_lag_records{group=~".*deliverer"}) > 10000 `+
				`and sum by (group) (deriv(postrider_group_lag_records{group=~".*deliverer"}[15m])) > 0`, egressStopped, delivererPaused),
			Summary: "{{ $value | humanize }} deliveries wait, and they get more",
			Means:   "that more deliveries are made than sent. Retries are not among them: they wait in topics of their own.",
			See:     "the lag by partition: if one stands out, one subscription or its endpoint is the reason; if all rise, there are too few processes.",
			Do:      "more deliverers, up to the partitions. For a single subscription, its rate limit and the answers of its endpoint: what is too much for it is diverted to the retry topics by itself.",
		},
		{
			Name: "PostriderSourcesBehind", Severity: Warning, For: "10m",
			Expr:    unlessPaused(`sum by (group) (postrider_group_lag_records{group=~".*router"}) > 10000`, routerPaused),
			Summary: "{{ $value | humanize }} source records are not routed yet",
			Means:   "that routers are slower than the sources. Events arrive late; none is skipped.",
			See:     "CPU of the routers and `postrider_router_expansions_total`: one event may make thousands of deliveries.",
			Do:      "more routers, up to the partitions of the sources. After a replay of a source it ends by itself.",
		},
		{
			Name: "PostriderPartitionsHalted", Severity: Critical,
			Expr:    `max by (topic) (postrider_partitions_halted_total) > 0`,
			Summary: "A partition of {{ $labels.topic }} stands still: its committed offset is not in the log, or a record is of a newer release",
			Means:   "that records were deleted before they were read (retention, a topic that was made anew), or that the log lost what it had acknowledged. The partition stays unread and its process unready, since going on would skip what nobody has decided to skip. **Deliveries may be lost.** Or else that an older process got a partition in which a newer release had written: it leaves what it does not understand to a newer owner, and nothing is lost.",
			See:     "the log line `partition halted`, with the offsets or the version; `kafka-get-offsets` and the retention of the topic.",
			Do:      "find out why. Then either put the records back (from a mirror) and restart the process, or accept what is gone with `kafka.on_out_of_range: earliest` for one start. Of a newer release: end the older processes, or finish the upgrade that was taken back.",
		},
		{
			Name: "PostriderPartitionsSkipped", Severity: Critical,
			Expr:    `sum by (topic) (` + grown("postrider_partitions_out_of_range_total", "1h") + `) > 0`,
			Summary: "Records of {{ $labels.topic }} were gone before they were read",
			Means:   "that a partition was started at the start of its log, because `kafka.on_out_of_range` is `earliest` and its committed offset was outside. **What was deleted before is lost.**",
			See:     "the log line `starting at the start of the log`, with both offsets.",
			Do:      "raise the retention of the topic above the longest stop that you expect, and set `on_out_of_range: stop` again.",
		},
		{
			Name: "PostriderRetriesLate", Severity: Warning, For: "10m",
			Expr:    `histogram_quantile(0.99, sum by (le) (rate(postrider_retrier_late_seconds_bucket[5m]))) > 5`,
			Summary: "A hundredth of the retries goes back {{ $value | humanizeDuration }} late or later",
			Means:   "that retries are later than the second that is promised. After egress was stopped, or the retrier paused, it ends when those that came due meanwhile are through.",
			See:     "`postrider_retrier_waiting` beside `retrier.buffer`, CPU of the retriers, Kafka's latency.",
			Do:      "more retriers, up to the 12 partitions of a tier.",
		},
		{
			Name: "PostriderEventsRejected", Severity: Warning, For: "10m",
			Expr:    `sum(rate(postrider_router_events_total{result="rejected"}[10m])) > 0.01 * sum(rate(postrider_router_events_total[10m]))`,
			Summary: "{{ $value | humanize }} source records a second cannot be read as events",
			Means:   "that a producer writes what its source's format or mapping does not fit. Nobody receives these events.",
			See:     "the topic `rejected`: `kcat -C -t postrider.rejected -o -10 -e -f '%h %s\\n'` shows reason, field and the bytes.",
			Do:      "mend the producer or the mapping. What was rejected can be produced again from `rejected`.",
		},
	}
}

// stateAlerts are about what the roles know and where they keep it.
func stateAlerts() []Alert {
	return []Alert{
		{
			Name: "PostriderRegistryStale", Severity: Critical, For: "1m",
			Expr:    `max(postrider_registry_confirmed_age_seconds) > 10`,
			Summary: "A process has not heard of the registry for {{ $value | humanizeDuration }}",
			Means:   "that a process cannot ask Kafka for the end of the topic `registry`. A deliverer that does not know it starts no sends, since a subscription may have been deleted.",
			See:     "which pod it is (`postrider_registry_confirmed_age_seconds > 10`), and whether it reaches the leader of `registry`.",
			Do:      "mend its way to the broker, or the broker.",
		},
		{
			Name: "PostriderRegistryUnreadable", Severity: Critical,
			Expr:    grown("postrider_registry_undecodable_total", "15m"),
			Summary: "{{ $labels.instance }} passed over records of the registry",
			Means:   "that the registry has records that this version cannot read: somebody else wrote to the topic, or a newer version did. The objects in them do not exist for this process.",
			See:     "the log line with the record's key and offset.",
			Do:      "after a downgrade, upgrade again. Otherwise find out who may write to the topic, and write the object again over the API.",
		},
		{
			Name: "PostriderSecretsUnreadable", Severity: Critical,
			Expr:    grown("postrider_registry_unopened_total", "15m"),
			Summary: "{{ $labels.instance }} cannot decrypt secrets of subscriptions",
			Means:   "that the keyset of this process lacks a key that secrets were encrypted with. Their deliveries cannot be signed.",
			See:     "`postrider keys` on the keyset that is mounted, and when the Secret changed.",
			Do:      "put the old keyset back. A key may go only after `postrider keys rotate` has written all secrets anew.",
		},
		{
			Name: "PostriderRedisDown", Severity: Warning, For: "5m",
			Expr:    `min(postrider_redis_up) == 0`,
			Summary: "Redis does not answer",
			Means:   "that lists and searches of events fail, and that publishing does not notice an event id that was published before. Deliveries go on.",
			See:     "`postrider_redis_errors_total` by pod: one or all.",
			Do:      "mend Redis. If its data are gone, stop the recorders and start one with `--rebuild`.",
		},
		{
			Name: "PostriderCommitsFail", Severity: Warning, For: "10m",
			Expr:    `sum by (group) (rate(postrider_group_commit_errors_total[5m])) > 0`,
			Summary: "{{ $labels.group }} cannot commit",
			Means:   "that brokers refuse commits or do not answer. A crash now would repeat what was done since the last one.",
			See:     "the log lines `committing`, with the brokers' reason.",
			Do:      "look at the group's coordinator, at ACLs for the group, and whether rebalances follow each other.",
		},
		{
			Name: "PostriderGroupUnstable", Severity: Warning,
			Expr:    `sum by (group) (increase(postrider_group_lost_total[30m])) > 3`,
			Summary: "Members of {{ $labels.group }} are thrown out again and again",
			Means:   "that members are silent for longer than the session (`kafka.session_timeout`). Each time their partitions stand still for as long, and what was in flight is repeated.",
			See:     "CPU throttling of the pods (`container_cpu_cfs_throttled_periods_total`), and the brokers' latency.",
			Do:      "no CPU limits, or higher ones; then the longest session, 10 s.",
		},
		{
			Name: "PostriderCommitsOverflow", Severity: Warning,
			Expr:    `sum by (topic) (` + grown("postrider_group_metadata_overflows_total", "15m") + `) > 0`,
			Summary: "Commits of {{ $labels.topic }} cannot say all that is finished",
			Means:   "that more is finished above the oldest unfinished record than a commit's metadata can hold. A crash now would repeat the rest.",
			See:     "`postrider_group_oldest_unfinished_seconds`, and whether the brokers' `offset.metadata.max.bytes` is below 4096.",
			Do:      "set it to 4096. Otherwise report it: partitions are held before this happens.",
		},
	}
}

// apiAlerts are about the API, and who writes to the registry.
func apiAlerts() []Alert {
	return []Alert{
		{
			Name: "PostriderWritersFight", Severity: Warning,
			Expr:    `sum(increase(postrider_registry_fencings_total[15m])) > 20`,
			Summary: "Writers of the registry take turns {{ $value | humanize }} times in a quarter of an hour",
			Means:   "that several processes write to the registry at once, each of which ends the other's. Every write takes longer; none is lost.",
			See:     "who writes: API processes, `postrider apply` in a loop, another installation with the same prefix.",
			Do:      "send writes to one place, and bundle them.",
		},
		{
			Name: "PostriderAPIErrors", Severity: Critical, For: "10m",
			Expr:    `sum(rate(postrider_api_requests_total{class="5xx"}[5m])) > 0.01 * sum(rate(postrider_api_requests_total[5m]))`,
			Summary: "{{ $value | humanize }} requests to the API a second fail",
			Means:   "that the API cannot do what it is asked: customers see errors, events are not published.",
			See:     "`postrider_api_requests_total` by operation, and the API's log.",
			Do:      "writes need Kafka's transactions (min ISR of `registry`), lists need Redis, publishing needs both.",
		},
		{
			Name: "PostriderAPISlow", Severity: Warning, For: "10m",
			Expr:    `histogram_quantile(0.99, sum by (le) (rate(postrider_api_request_seconds_bucket[5m]))) > 2`,
			Summary: "A hundredth of the requests to the API takes {{ $value | humanizeDuration }} or longer",
			Means:   "that the API waits for Kafka or Redis, or has too little CPU.",
			See:     "`postrider_api_request_seconds` by operation, `postrider_registry_write_seconds`, `postrider_publisher_seconds`.",
			Do:      "more API processes if they are out of CPU; otherwise look at what the slow operation needs.",
		},
	}
}

// endpointAlerts are about what endpoints answer: most often it is theirs, unless it is many at once.
func endpointAlerts() []Alert {
	return []Alert{
		{
			Name: "PostriderAttemptsFail", Severity: Critical, For: "10m",
			Expr: `sum(rate(postrider_deliverer_attempts_total{result=~"timeout|dns|refused|unreachable|reset|tls"}[5m])) > 0.5 * sum(rate(postrider_deliverer_attempts_total[5m])) ` +
				`and sum(rate(postrider_deliverer_attempts_total[5m])) > 0.1`,
			Summary: "{{ $value | humanize }} attempts a second, more than half, do not get an answer",
			Means:   "that the way out is broken: endpoints of different people do not fail all at once. Retries are used up meanwhile.",
			See:     "the results by kind on the dashboard *Overview*: `dns` is the resolver, `unreachable` and `timeout` the network, `tls` the authorities or the clock.",
			Do:      "mend DNS, the NetworkPolicy, the NAT. If it takes long, stop the deliverers (scale them to 0): what waits keeps its tries.",
		},
		{
			Name: "PostriderProxyFails", Severity: Critical, For: "5m",
			Expr:    `sum(rate(postrider_deliverer_attempts_total{result="proxy"}[5m])) > 0`,
			Summary: "The forward proxy refuses {{ $value | humanize }} attempts a second",
			Means:   "that `egress.proxy` cannot be reached, or answers what it should not. Breakers open; no subscription is disabled by it.",
			See:     "`postrider outcomes` shows the proxy's answer in the detail.",
			Do:      "mend the proxy or its password. It has to allow CONNECT to addresses on the ports of endpoints.",
		},
		{
			Name: "PostriderEndpointsBlocked", Severity: Warning, For: "15m",
			Expr:    `sum(rate(postrider_deliverer_attempts_total{result="blocked"}[15m])) > 0`,
			Summary: "{{ $value | humanize }} attempts a second are refused by the address guard",
			Means:   "that an endpoint's name leads to an address that is not public, or is in `egress.deny_networks`: a mistake, a split DNS, or somebody who tries to reach what is inside.",
			See:     "whose it is: `postrider outcomes` with the result `blocked`.",
			Do:      "ask the tenant. If it is an attack, disable the subscription. An internal endpoint that is meant needs `egress.allow_networks`.",
		},
		{
			Name: "PostriderBreakersOpen", Severity: Warning, For: "15m",
			Expr:    `sum(postrider_deliverer_breakers_open) > 10 and sum(postrider_deliverer_breakers_open) > 0.2 * max(postrider_registry_subscriptions)`,
			Summary: "{{ $value }} endpoints, more than a fifth, are left alone",
			Means:   "that many endpoints fail. Their deliveries wait in the retry topics.",
			See:     "whether PostriderAttemptsFail or PostriderProxyFails is there as well: then it is the way out.",
			Do:      "nothing, if the endpoints belong to one customer. Breakers close by themselves.",
		},
		{
			Name: "PostriderDeadLetters", Severity: Warning, For: "30m",
			Expr: `sum(rate(postrider_deliverer_verdicts_total{verdict="dead"}[30m])) > 0.05 * sum(rate(postrider_deliverer_verdicts_total{verdict=~"dead|delivered"}[30m])) ` +
				`and sum(increase(postrider_deliverer_verdicts_total{verdict="dead"}[30m])) > 10`,
			Summary: "{{ $value | humanize }} deliveries a second, more than a twentieth, are given up",
			Means:   "that deliveries have used up their tries, or can never succeed. **They are not tried again** unless somebody redrives them.",
			See:     "`postrider_deliverer_verdicts_total` by reason; `postrider outcomes` for whose they are; the topic `deadletters`.",
			Do:      "when the reason is gone, `postrider redrive`.",
		},
	}
}
