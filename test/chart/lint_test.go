package chart

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"sigs.k8s.io/yaml"
)

// What "helm lint --strict" says. An icon is for catalogues of charts.
func TestHelmLintsTheChart(t *testing.T) {
	t.Parallel()
	for name, v := range installations(t) {
		for _, m := range lint.RunAll(Dir, v, Namespace).Messages {
			if m.Severity > support.InfoSev || !strings.Contains(m.Err.Error(), "icon") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// A workload's name ends in its role, and so has to be unique and short enough for a label.
func TestRenderedObjects(t *testing.T) {
	t.Parallel()
	for name, v := range installations(t) {
		seen := map[string]bool{}
		for _, o := range render(t, v) {
			id := o.GetObjectKind().GroupVersionKind().Kind + "/" + o.Name()
			assert.False(t, seen[id], "%s: %s twice", name, id)
			seen[id] = true
			assert.LessOrEqual(t, len(o.Name()), 63, "%s: %s", name, id)
			if o.Template != "extraobjects.yaml" {
				assert.Equal(t, Namespace, o.meta().GetNamespace(), "%s: %s", name, id)
				assert.Equal(t, Release, o.meta().GetLabels()["app.kubernetes.io/instance"], "%s: %s", name, id)
			}
		}
	}
}

func TestAFieldThatKubernetesDoesNotHaveIsRefused(t *testing.T) {
	t.Parallel()
	_, err := Render(values(t, `defaults: {extraVolumes: [{name: x, emptyDirectory: {}}]}`), KubeVersion)
	require.ErrorContains(t, err, `unknown field "spec.template.spec.volumes[1].emptyDirectory"`)
	_, err = Render(values(t, `{autoscaling: {enabled: true}, defaults: {autoscaling: {enabled: true, extraTriggers: [{kind: cron}]}}}`), KubeVersion)
	require.ErrorContains(t, err, `unknown field`)
}

func TestValuesThatAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`replicas: 3`:                                         "replicas",
		`roles: {sender: {}}`:                                 "sender",
		`roles: {deliver: {replica: 3}}`:                      "replica",
		`defaults: {resources: {limits: {memory: lots}}}`:     "memory",
		`config: {kafka: {brokers: [kafka]}}`:                 "brokers",
		`config: {kafka: {sasl: {password: hunter2}}}`:        "password",
		`config: {redis: {password: hunter2}}`:                "password",
		`config: {encryption: {keyset: "{}"}}`:                "keyset",
		`config: {http: {listen: ":1"}}`:                      "http",
		`serviceAccount: {create: false, name: default}`:      "name",
		`serviceAccount: {create: false}`:                     "serviceAccount.name: missing",
		`ingress: {enabled: true}`:                            "ingress.hosts: missing",
		`canary: {interval: often}`:                           "interval",
		`config: {deliverer: {drain: soon}}`:                  "soon: want a duration such as 5s",
		`roles: {deliver: {config: {deliverer: {drain: 5}}}}`: "drain",
	} {
		_, err := Render(values(t, text), KubeVersion)
		require.ErrorContains(t, err, want, "%s", text)
	}
}

// The values file is its own reference: every section and every value that is not of the same kind as its neighbours has
// a comment.
func TestEverySectionOfTheValuesIsExplained(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(Dir + "/values.yaml")
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	explained := false
	for i, line := range lines {
		if line == "" || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "#") {
			continue
		}
		key, _, _ := strings.Cut(line, ":")
		above := strings.TrimSpace(lines[i-1])
		below := i+1 < len(lines) && strings.HasPrefix(strings.TrimSpace(lines[i+1]), "#")
		explained = strings.HasPrefix(above, "#") || below || explained && above != ""
		assert.True(t, explained, "values.yaml: %s has no comment", key)
	}
	var known map[string]any
	require.NoError(t, yaml.UnmarshalStrict(text, &known))
}
