package monitoring_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/deploy/monitoring"
	"github.com/postrider/postrider/test/internal/node"
)

// healthy is an hour of an installation that nothing is wrong with, in promtool's notation: every minute a value.
const healthy = `
up{job="deliver"} 1x60
postrider_group_partitions{group="postrider.router"} 4x60
postrider_group_partitions{group="postrider.deliverer"} 48x60
postrider_group_partitions{group="postrider.retrier"} 96x60
postrider_group_oldest_unfinished_seconds{group="postrider.deliverer"} 3x60
postrider_group_oldest_unfinished_seconds{group="postrider.retrier"} 80000x60
postrider_group_lag_records{group="postrider.deliverer",topic="postrider.deliveries",partition="0"} 100x60
postrider_group_lag_records{group="postrider.router",topic="orders",partition="0"} 100x60
postrider_group_lag_records{group="postrider.retrier",topic="postrider.retry.24h",partition="0"} 0+90000x60
postrider_group_commit_errors_total{group="postrider.deliverer"} 0x60
postrider_group_lost_total{group="postrider.deliverer"} 1x60
postrider_group_metadata_overflows_total{topic="postrider.deliveries"} 0x60
postrider_partitions_halted_total{topic="postrider.deliveries"} 0x60
postrider_partitions_out_of_range_total{topic="postrider.deliveries"} 0x60
postrider_retrier_late_seconds_bucket{le="1"} 0+60x60
postrider_retrier_late_seconds_bucket{le="+Inf"} 0+60x60
postrider_router_events_total{result="expanded"} 0+6000x60
postrider_router_events_total{result="rejected"} 0+6x60
postrider_registry_confirmed_age_seconds{instance="a"} 0.4x60
postrider_registry_undecodable_total{instance="a"} 0x60
postrider_registry_unopened_total{instance="a"} 0x60
postrider_registry_fencings_total{instance="a"} 1x60
postrider_registry_subscriptions{instance="a"} 1000x60
postrider_redis_up{instance="a"} 1x60
postrider_api_requests_total{class="2xx"} 0+6000x60
postrider_api_requests_total{class="5xx"} 0+6x60
postrider_api_request_seconds_bucket{le="0.064"} 0+6000x60
postrider_api_request_seconds_bucket{le="+Inf"} 0+6000x60
postrider_deliverer_attempts_total{result="success"} 0+6000x60
postrider_deliverer_attempts_total{result="timeout"} 0+2000x60
postrider_deliverer_attempts_total{result="proxy"} 0x60
postrider_deliverer_attempts_total{result="blocked"} 0x60
postrider_deliverer_breakers_open{instance="a"} 100x60
postrider_deliverer_verdicts_total{verdict="delivered"} 0+6000x60
postrider_deliverer_verdicts_total{verdict="dead"} 0+60x60
postrider_canary_interval_seconds{instance="a"} 30x60
postrider_canary_age_seconds{instance="a"} 25x60
postrider_canary_age_seconds{instance="b"} 0+60x60
postrider_canary_events_total{result="lost"} 0x60
postrider_registry_pauses{scope="egress",paused_role=""} 0x60
postrider_registry_pauses{scope="role",paused_role="router"} 0x60
postrider_registry_pauses{scope="role",paused_role="deliverer"} 0x60
postrider_registry_pauses{scope="role",paused_role="recorder"} 0x60
postrider_registry_pauses{scope="subscription",paused_role=""} 3x60
`

// broken are what is different when an alert has to fire, as lines in place of those of the same series; a line without values
// takes the series away. After 40 minutes it fires, and no other does.
var broken = map[string]string{
	"PostriderRoleMissing":       `postrider_group_partitions{group="postrider.retrier"}`,
	"PostriderDeliveriesLate":    `postrider_group_oldest_unfinished_seconds{group="postrider.deliverer"} 3x20 130x40`,
	"PostriderDeliveriesBehind":  `postrider_group_lag_records{group="postrider.deliverer",topic="postrider.deliveries",partition="0"} 9000+200x60`,
	"PostriderSourcesBehind":     `postrider_group_lag_records{group="postrider.router",topic="orders",partition="0"} 20000x60`,
	"PostriderPartitionsHalted":  `postrider_partitions_halted_total{topic="postrider.deliveries"} 0x20 1x40`,
	"PostriderPartitionsSkipped": `postrider_partitions_out_of_range_total{topic="postrider.deliveries"} 0x20 1x40`,
	"PostriderRetriesLate": `postrider_retrier_late_seconds_bucket{le="1"} 0x60
postrider_retrier_late_seconds_bucket{le="10"} 0+60x60`,
	"PostriderEventsRejected":     `postrider_router_events_total{result="rejected"} 0+600x60`,
	"PostriderRegistryStale":      `postrider_registry_confirmed_age_seconds{instance="a"} 0x30 20+60x30`,
	"PostriderRegistryUnreadable": `postrider_registry_undecodable_total{instance="a"} 0x35 1x20`,
	"PostriderSecretsUnreadable":  `postrider_registry_unopened_total{instance="a"} 0x35 7x20`,
	"PostriderRedisDown":          `postrider_redis_up{instance="a"} 1x20 0x40`,
	"PostriderCommitsFail":        `postrider_group_commit_errors_total{group="postrider.deliverer"} 0+1x60`,
	"PostriderGroupUnstable":      `postrider_group_lost_total{group="postrider.deliverer"} 1x20 2+1x40`,
	"PostriderCommitsOverflow":    `postrider_group_metadata_overflows_total{topic="postrider.deliveries"} 0x30 5x30`,
	"PostriderWritersFight":       `postrider_registry_fencings_total{instance="a"} 0+3x60`,
	"PostriderAPIErrors":          `postrider_api_requests_total{class="5xx"} 0+600x60`,
	"PostriderAPISlow": `postrider_api_request_seconds_bucket{le="0.064"} 0+3000x60
postrider_api_request_seconds_bucket{le="8.192"} 0+6000x60`,
	"PostriderAttemptsFail":     `postrider_deliverer_attempts_total{result="timeout"} 0+9000x60`,
	"PostriderProxyFails":       `postrider_deliverer_attempts_total{result="proxy"} 0x30 0+60x30`,
	"PostriderEndpointsBlocked": `postrider_deliverer_attempts_total{result="blocked"} 0x20 0+6x40`,
	"PostriderBreakersOpen":     `postrider_deliverer_breakers_open{instance="a"} 100x10 300x50`,
	"PostriderCanaryStale":      `postrider_canary_age_seconds{instance="a"} 25x20 60+60x40`,
	"PostriderCanaryLost":       `postrider_canary_events_total{result="lost"} 0x30 1x30`,
	"PostriderDeadLetters":      `postrider_deliverer_verdicts_total{verdict="dead"} 0+600x60`,
	"PostriderEgressStopped":    egressStops,
	"PostriderRolePaused":       `postrider_registry_pauses{scope="role",paused_role="recorder"} 0x5 1x55`,
}

const (
	egressStops     = `postrider_registry_pauses{scope="egress",paused_role=""} 0x20 1x40`
	routerPauses    = `postrider_registry_pauses{scope="role",paused_role="router"} 0x20 1x40`
	delivererPauses = `postrider_registry_pauses{scope="role",paused_role="deliverer"} 0x20 1x40`
	recorderPauses  = `postrider_registry_pauses{scope="role",paused_role="recorder"} 0x20 1x40`
)

// paused are pauses that began 20 minutes ago with what comes of them, and which alerts fire then. They speak of what is broken.
var paused = []struct {
	pause string
	of    string
	want  []string
}{
	{egressStops, "PostriderDeliveriesLate", []string{"PostriderEgressStopped"}},
	{egressStops, "PostriderDeliveriesBehind", []string{"PostriderEgressStopped"}},
	{egressStops, "PostriderCanaryStale", []string{"PostriderEgressStopped"}},
	{egressStops, "PostriderCanaryLost", []string{"PostriderEgressStopped"}},
	{egressStops, "PostriderSourcesBehind", []string{"PostriderEgressStopped", "PostriderSourcesBehind"}},
	{delivererPauses, "PostriderDeliveriesLate", nil},
	{delivererPauses, "PostriderDeliveriesBehind", nil},
	{delivererPauses, "PostriderCanaryStale", nil},
	{routerPauses, "PostriderSourcesBehind", nil},
	{routerPauses, "PostriderCanaryLost", nil},
	{routerPauses, "PostriderDeliveriesBehind", []string{"PostriderDeliveriesBehind"}},
	{recorderPauses, "PostriderDeliveriesLate", []string{"PostriderDeliveriesLate"}},
	{recorderPauses, "PostriderSourcesBehind", []string{"PostriderSourcesBehind"}},
	// One that has ended: the canary's events that were lost by it are seen for longer.
	{`postrider_registry_pauses{scope="egress",paused_role=""} 0x10 1x20 0x30`, "PostriderCanaryLost", nil},
	{`postrider_registry_pauses{scope="egress",paused_role=""} 0x10 1x20 0x30`, "PostriderDeliveriesLate", []string{"PostriderDeliveriesLate"}},
}

// series returns the input of a test: the healthy lines, and the broken ones in place of theirs.
func series(t *testing.T, instead string) string {
	t.Helper()
	replaced := map[string]string{}
	for line := range strings.Lines(instead) {
		name, values, _ := strings.Cut(strings.TrimSpace(line), " ")
		replaced[name] = values
	}
	var b strings.Builder
	write := func(name, values string) {
		fmt.Fprintf(&b, "      - series: '%s'\n        values: '%s'\n", name, values)
	}
	for line := range strings.Lines(strings.TrimSpace(healthy)) {
		name, values, _ := strings.Cut(strings.TrimSpace(line), " ")
		if other, ok := replaced[name]; ok {
			values = other
			delete(replaced, name)
		}
		if values != "" {
			write(name, values)
		}
	}
	for name, values := range replaced { // more than the healthy have
		write(name, values)
	}
	return b.String()
}

// Each alert fires when it should and no other does then; none fires when all is well.
func TestAlertsByPromtool(t *testing.T) {
	t.Parallel()
	promtool, err := node.Program(t.Context(), "promtool", "prometheus")
	require.NoError(t, err)
	dir := t.TempDir()
	rules, err := monitoring.Rules()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "alerts.yaml"), rules, 0o600))

	var b strings.Builder
	b.WriteString("rule_files: [alerts.yaml]\nevaluation_interval: 1m\ntests:\n")
	add := func(name, instead string, firing ...string) {
		fmt.Fprintf(&b, "  - interval: 1m\n    name: %q\n    input_series:\n%s    promql_expr_test:\n      - expr: count by (alertname) (ALERTS{alertstate=\"firing\"})\n        eval_time: 40m\n        exp_samples:\n",
			name, series(t, instead))
		for _, alert := range firing {
			fmt.Fprintf(&b, "        - {labels: '{alertname=%q}', value: 1}\n", alert)
		}
	}
	add("all is well", "")
	for _, a := range monitoring.Alerts() {
		require.NotEmpty(t, broken[a.Name], "%s: no test makes it fire", a.Name)
		add("with "+a.Name, broken[a.Name], a.Name)
	}
	for _, p := range paused {
		require.NotEmpty(t, broken[p.of], "%s", p.of)
		add(p.of+" and "+p.pause, broken[p.of]+"\n"+p.pause, p.want...)
	}
	require.Len(t, broken, len(monitoring.Alerts()), "a test of an alert that there is not")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "test.yaml"), []byte(b.String()), 0o600))
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "promtool %v:\n%s", args, out)
	}
}

func TestEveryAlertHasARunbook(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, a := range monitoring.Alerts() {
		require.False(t, seen[a.Name], "%s twice", a.Name)
		seen[a.Name] = true
		require.Contains(t, []string{monitoring.Critical, monitoring.Warning}, a.Severity, "%s", a.Name)
		for _, text := range []string{a.Summary, a.Means, a.See, a.Do} {
			require.NotEmpty(t, text, "%s", a.Name)
		}
	}
}
