package monitoring_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider/deploy/monitoring"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/seal"
)

// metric is what a process says of one of its metrics.
type metric struct {
	name, kind, help string
	labels           []string
}

// listing is a registry that remembers what is registered: one without values yet is not in what a process shows.
type listing struct {
	*prometheus.Registry
	mu    sync.Mutex
	known map[string]metric
}

var _ prometheus.Registerer = (*listing)(nil)

func (l *listing) Register(c prometheus.Collector) error {
	l.list(c)
	return l.Registry.Register(c)
}

func (l *listing) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		l.list(c)
	}
	l.Registry.MustRegister(cs...)
}

// description is what the text of a [prometheus.Desc] has: there is no other way to its parts.
var description = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "(.*)", unit: ".*", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

func (l *listing) list(c prometheus.Collector) {
	ch := make(chan *prometheus.Desc, 100)
	c.Describe(ch)
	close(ch)
	l.mu.Lock()
	defer l.mu.Unlock()
	for d := range ch {
		parts := description.FindStringSubmatch(d.String())
		if parts == nil {
			panic("a description has changed its form: " + d.String())
		}
		m := metric{name: parts[1], help: strings.ReplaceAll(parts[2], `\"`, `"`), kind: kind(c)}
		for _, constant := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(parts[3], -1) {
			m.labels = append(m.labels, constant[1])
		}
		if parts[4] != "" {
			m.labels = append(m.labels, strings.Split(parts[4], ",")...)
		}
		l.known[m.name] = m
	}
}

func kind(c prometheus.Collector) string {
	switch c.(type) {
	case *prometheus.CounterVec, prometheus.Counter:
		if _, gauge := c.(prometheus.Gauge); gauge { // which has all that a counter has
			return "gauge"
		}
		return "counter"
	case *prometheus.HistogramVec, prometheus.Histogram:
		return "histogram"
	}
	return "gauge"
}

// process runs all roles until the test ends, and returns what they registered and where they show it.
func process(t *testing.T) (known map[string]metric, url string) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	redis := miniredis.RunT(t)
	conf := config.Default()
	conf.Kafka.Brokers, conf.Redis.Addresses = cluster.ListenAddrs(), []string{redis.Addr()}
	conf.API.Listen = "127.0.0.1:0"
	conf.Canary.Interval, conf.Canary.URL = time.Hour, "http://localhost/canary" // for its metrics
	keyset, err := seal.Generate()
	require.NoError(t, err)
	conf.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	require.NoError(t, kafka.EnsureTopics(ctx, conf.Kafka, kafka.PlanOptions{Partitions: 1}))

	metrics := &listing{Registry: prometheus.NewRegistry(), known: map[string]metric{}}
	views, err := app.OpenViews(&conf, metrics)
	require.NoError(t, err)
	a, err := app.New(ctx, &conf, app.Options{Metrics: metrics, Presence: views, Views: views})
	require.NoError(t, err)
	for _, add := range []func(context.Context) error{a.AddRouter, a.AddDeliverer, a.AddRecorder, a.AddAPI} {
		require.NoError(t, add(ctx))
	}
	require.NoError(t, a.AddRetrier())
	addr := freeAddress(t)
	wait, err := a.ServeOps(ctx, addr, metrics)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, views.Close())
		wait()
	})
	require.Eventually(t, func() bool { return a.Ready() == nil }, time.Minute, 20*time.Millisecond)
	get(t, "http://"+a.APIAddr()+"/api/v1/health/") // for the metrics of requests
	return metrics.known, "http://" + addr + "/metrics"
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return body
}

// Every metric of a running process is on the page, with its type, and the page has no other.
func TestGeneratedMetrics(t *testing.T) {
	known, url := process(t)
	golden(t, "../../deploy/helm/METRICS.md", page(known))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	shown, err := parser.TextToMetricFamilies(bytes.NewReader(get(t, url)))
	require.NoError(t, err)
	require.Greater(t, len(shown), 40)
	for name, family := range shown {
		require.Contains(t, known, name, "what a process shows")
		require.Equal(t, strings.ToLower(family.GetType().String()), known[name].kind, "%s", name)
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName())
			}
			require.ElementsMatch(t, known[name].labels, labels, "%s", name)
		}
	}
}

func page(known map[string]metric) []byte {
	var b strings.Builder
	b.WriteString("# Metrics\n\nEvery role shows its metrics at `/metrics` of `http.listen`, port 9464; those of Go and of the process (`go_…`, `process_…`)\n" +
		"as well. " + monitoring.Generated + "\n\nNo label has subscriptions or endpoints for values: every set is closed, or bounded by the configuration. One metric has tenants,\n" +
		"at most 20 of each recorder at a time: `postrider_recorder_tenant_attempts`. With several recorders, each of which reads some of the\n" +
		"partitions, a tenant may be among the ten of one and among the `(others)` of another, so that sums by tenant are at least so much.\n")
	section := ""
	for _, name := range slices.Sorted(maps.Keys(known)) {
		m := known[name]
		if s := strings.Split(name, "_")[1]; s != section {
			section = s
			fmt.Fprintf(&b, "\n## %s\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n", section)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.kind, strings.Join(m.labels, ", "), m.help)
	}
	return []byte(b.String())
}

// mentioned finds the metrics of Postrider in an expression, histograms by their own name.
var mentioned = regexp.MustCompile(`postrider_[a-z0-9_]+`)

func names(text string) (all []string) {
	for _, name := range mentioned.FindAllString(text, -1) {
		all = append(all, strings.TrimSuffix(name, "_bucket"))
	}
	return all
}

// Alerts, dashboards, the chart's scaling and the runbook speak of metrics that there are.
func TestEveryMetricThatIsUsedExists(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/helm/METRICS.md")
	require.NoError(t, err)
	known := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)`").FindAllStringSubmatch(string(text), -1) {
		known[row[1]] = true
	}
	used := map[string]string{}
	for _, glob := range []string{chart + "/files/*.yaml", chart + "/files/dashboards/*.json", chart + "/templates/scaledobjects.yaml", "../../deploy/helm/RUNBOOK.md"} {
		paths, err := filepath.Glob(glob)
		require.NoError(t, err)
		require.NotEmpty(t, paths, "%s", glob)
		for _, path := range paths {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, name := range names(string(content)) {
				used[name] = path
			}
		}
	}
	require.NotEmpty(t, used)
	for name, path := range used {
		require.True(t, known[name], "%s: there is no %s", path, name)
	}
}
