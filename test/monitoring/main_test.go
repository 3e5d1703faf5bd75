// Package monitoring_test has what watches over Postrider generated, and tests it: the alerts by promtool, and every metric
// that is named anywhere against those that a running process has.
package monitoring_test

//go:generate go test -run ^TestGenerated -update .

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/deploy/monitoring"
	"github.com/postrider/postrider/test/suite"
)

var update = flag.Bool("update", false, "write what is generated anew")

func TestMain(m *testing.M) { suite.Main(m) }

const chart = "../../deploy/helm/postrider"

// golden compares a generated file with what it should be, or writes it.
func golden(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, want, 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "%s: go generate ./test/monitoring writes it", path)
}

func TestGeneratedRules(t *testing.T) {
	t.Parallel()
	rules, err := monitoring.Rules()
	require.NoError(t, err)
	golden(t, chart+"/files/alerts.yaml", rules)
	golden(t, "../../deploy/helm/RUNBOOK.md", monitoring.Runbook())
}

func TestGeneratedDashboards(t *testing.T) {
	t.Parallel()
	for _, d := range monitoring.Dashboards() {
		text, err := d.JSON()
		require.NoError(t, err)
		golden(t, chart+"/files/dashboards/"+d.Name+".json", text)
	}
}
