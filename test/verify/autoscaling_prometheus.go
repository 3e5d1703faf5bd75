package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/test/internal/node"
	"github.com/postrider/postrider/test/internal/rig"
)

// trigger is what a ScaledObject asks, as test/chart/triggers prints it.
type trigger struct {
	Role, Name, Query, MetricType string
	Threshold                     float64
	Min, Max                      int
}

func (t trigger) title() string { return t.Role + " " + t.Name }

// autoscaler asks what KEDA asks.
type autoscaler struct {
	in         *installation
	triggers   []trigger
	prometheus string // base URL
}

// autoscaler renders the chart, and starts a Prometheus that scrapes the processes under the names of the chart's services.
func (in *installation) autoscaler(ctx context.Context, values string, roles []*rig.Process) (*autoscaler, error) {
	k := &autoscaler{in: in}
	cmd := exec.CommandContext(ctx, "go", "run", "-C", "test/chart", "./triggers")
	cmd.Stdin = strings.NewReader(values)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("rendering the chart: %w\n%s", err, said.Bytes())
	}
	var all []trigger
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("reading the chart's triggers: %w", err)
	}
	running := map[string]bool{}
	config := strings.Builder{}
	config.WriteString("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: postrider\n  static_configs:\n")
	for _, p := range roles {
		running[p.Role] = true
		fmt.Fprintf(&config, "  - {targets: [%q], labels: {namespace: webhooks, service: acme-postrider-%s-ops}}\n", p.Address(), p.Role)
	}
	for _, t := range all {
		if running[t.Role] {
			k.triggers = append(k.triggers, t)
		}
	}
	return k, k.start(ctx, config.String())
}

func (k *autoscaler) start(ctx context.Context, config string) error {
	program, err := node.Program(ctx, "prometheus", "prometheus")
	if err != nil {
		return err
	}
	file := filepath.Join(k.in.Dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return fmt.Errorf("writing configuration: %w", err)
	}
	address, err := rig.FreeAddress(ctx)
	if err != nil {
		return err
	}
	err = k.in.StartHelper(ctx, &node.Child{
		Command: []string{
			program, "--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(k.in.Dir, "prometheus"), "--web.listen-address=" + address,
		},
		Dir: k.in.Dir, LogFile: filepath.Join(k.in.Dir, "prometheus.log"),
	})
	if err != nil {
		return err
	}
	k.prometheus = "http://" + address
	err = rig.Await(ctx, wantWithin, func() (bool, error) {
		_, err := k.ask(ctx)
		return err == nil, nil // until all were scraped
	})
	if err != nil {
		_, asked := k.ask(ctx)
		return errors.Join(fmt.Errorf("waiting for Prometheus: %w", err), asked)
	}
	return nil
}

// ask puts all questions.
func (k *autoscaler) ask(ctx context.Context) (map[string]wanted, error) {
	out := map[string]wanted{}
	for _, t := range k.triggers {
		v, err := k.query(ctx, t.Query)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.title(), err)
		}
		out[t.title()] = t.want(v)
	}
	return out, nil
}

// query is the value of an expression. KEDA takes one that is not one number for an error, too.
func (k *autoscaler) query(ctx context.Context, expression string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.prometheus+"/api/v1/query?query="+url.QueryEscape(expression), http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := apiClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return 0, fmt.Errorf("reading Prometheus' answer: %w", err)
	}
	if len(answer.Data.Result) != 1 {
		return 0, fmt.Errorf("%d values of %s, want 1; %s", len(answer.Data.Result), expression, answer.Error)
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	return strconv.ParseFloat(text, 64)
}
