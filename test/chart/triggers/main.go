// Triggers prints what the chart's ScaledObjects ask Prometheus, as JSON, with the values from standard input over the chart's own:
// test/verify puts the questions to a Prometheus that scrapes running processes.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/postrider/postrider/test/chart"
)

// Trigger is one question.
type Trigger struct {
	Role       string  `json:"role"`
	Name       string  `json:"name"`
	Query      string  `json:"query"`
	Threshold  float64 `json:"threshold"`
	MetricType string  `json:"metricType"`
	Min        int32   `json:"min"`
	Max        int32   `json:"max"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "triggers:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("reading values: %w", err)
	}
	objects, err := chart.Render(values, chart.KubeVersion)
	if err != nil {
		return err
	}
	var all []Trigger
	for _, o := range objects {
		scaled, ok := o.Object.(*keda.ScaledObject)
		if !ok {
			continue
		}
		for _, t := range scaled.Spec.Triggers {
			if t.Type != "prometheus" {
				continue
			}
			threshold, err := strconv.ParseFloat(t.Metadata["threshold"], 64)
			if err != nil {
				return fmt.Errorf("threshold of %s %s: %w", scaled.Name, t.Name, err)
			}
			all = append(all, Trigger{
				Role: strings.TrimPrefix(scaled.Name, chart.Release+"-postrider-"), Name: t.Name, Query: t.Metadata["query"], Threshold: threshold,
				MetricType: string(t.MetricType), Min: *scaled.Spec.MinReplicaCount, Max: *scaled.Spec.MaxReplicaCount,
			})
		}
	}
	return json.NewEncoder(out).Encode(all)
}
