package alerts

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/deploy/monitoring"
	"github.com/postrider/postrider/test/internal/node"
	"github.com/postrider/postrider/test/internal/rig"
)

// prometheus is one that scrapes the processes of a scene and evaluates the rules every second.
type prometheus struct {
	t       *testing.T
	url     string
	targets string // file
	node    *node.Child
}

// newPrometheus starts one that scrapes as often.
func newPrometheus(t *testing.T, every time.Duration) *prometheus {
	t.Helper()
	program, err := node.Program(t.Context(), "prometheus", "prometheus")
	require.NoError(t, err)
	address, err := rig.FreeAddress(t.Context())
	require.NoError(t, err)
	dir := t.TempDir()
	p := &prometheus{t: t, url: "http://" + address, targets: filepath.Join(dir, "targets.json")}
	rules, err := monitoring.Rules()
	require.NoError(t, err)
	rules, err = faster(rules)
	require.NoError(t, err)
	conf := fmt.Sprintf(`global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: 1s}
rule_files: [alerts.yaml]
scrape_configs:
- job_name: postrider
  file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
`, every)
	for name, text := range map[string]string{"alerts.yaml": string(rules), "prometheus.yaml": conf, "targets.json": "[]"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	p.node = &node.Child{
		Command: []string{
			program, "--config.file=" + filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path=" + filepath.Join(dir, "data"),
			"--web.listen-address=" + address, "--log.level=warn",
		},
		Dir: dir, LogFile: filepath.Join(dir, "prometheus.log"),
	}
	require.NoError(t, p.node.Start(t.Context()))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Prometheus:\n%s", p.node.Log())
		}
		require.NoError(t, p.node.Remove())
	})
	return p
}

// scrape lets it scrape these processes from now on.
func (p *prometheus) scrape(all []*rig.Process) {
	p.t.Helper()
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	for _, process := range all {
		groups = append(groups, group{[]string{process.Address()}, map[string]string{"role": process.Role}})
	}
	text, err := json.Marshal(groups)
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(p.targets+".new", text, 0o600))
	require.NoError(p.t, os.Rename(p.targets+".new", p.targets)) // it reads no half of a file
}

// get asks the API of Prometheus, https://prometheus.io/docs/prometheus/latest/querying/api/. While it starts there is no answer.
func (p *prometheus) get(path string, data any) bool {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, http.NoBody)
	require.NoError(p.t, err)
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, rig.MaxScrape))
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	require.NoError(p.t, json.Unmarshal(text, &struct{ Data any }{data}))
	return true
}

// alert is one that is pending or fires.
type alert struct {
	Labels, Annotations map[string]string
	State, Value        string
}

// active returns the alerts of a name that are pending or fire.
func (p *prometheus) active(name string) []alert {
	p.t.Helper()
	var data struct{ Alerts []alert }
	p.get("/api/v1/alerts", &data)
	return slices.DeleteFunc(data.Alerts, func(a alert) bool { return a.Labels["alertname"] != name })
}

// scraped returns when each of n targets last answered, and whether all did.
func (p *prometheus) scraped(n int) (last time.Time, ok bool) {
	p.t.Helper()
	var data struct {
		ActiveTargets []struct {
			Health     string
			LastScrape time.Time
		}
	}
	if !p.get("/api/v1/targets?state=active", &data) || len(data.ActiveTargets) != n {
		return last, false
	}
	for _, target := range data.ActiveTargets {
		if target.Health != "up" {
			return last, false
		}
		if target.LastScrape.After(last) {
			last = target.LastScrape
		}
	}
	return last, true
}

// evaluatedSince reports whether all rules were evaluated after an instant; one that cannot be fails the test.
func (p *prometheus) evaluatedSince(at time.Time) bool {
	p.t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct {
				Name, Health, LastError string
				LastEvaluation          time.Time
			}
		}
	}
	if !p.get("/api/v1/rules", &data) || len(data.Groups) == 0 {
		return false
	}
	require.Len(p.t, data.Groups[0].Rules, len(monitoring.Alerts()))
	for _, r := range data.Groups[0].Rules {
		require.NotEqual(p.t, "err", r.Health, "%s: %s", r.Name, r.LastError)
		if !r.LastEvaluation.After(at) {
			return false
		}
	}
	return true
}

// await waits until done; what says what for.
func (p *prometheus) await(limit time.Duration, what string, done func() bool) {
	p.t.Helper()
	require.NoError(p.t, rig.Await(p.t.Context(), limit, func() (bool, error) { return done(), nil }), "%s", what)
}
