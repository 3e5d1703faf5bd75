package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

var roles = []string{"router", "deliver", "retry", "recorder", "api"}

func env(c corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

func quantity(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

func TestEveryRoleIsAWorkload(t *testing.T) {
	t.Parallel()
	objects := render(t, nil)
	deployments, services := of[*appsv1.Deployment](objects), of[*corev1.Service](objects)
	budgets := of[*policyv1.PodDisruptionBudget](objects)
	require.Len(t, deployments, len(roles))
	for _, role := range roles {
		name := "acme-postrider-" + role
		d := deployments[name]
		require.NotNil(t, d, "%s", name)
		c := d.Spec.Template.Spec.Containers[0]
		assert.Equal(t, []string{role}, c.Args, "%s", name)
		labels := d.Spec.Template.Labels
		for key, value := range d.Spec.Selector.MatchLabels {
			assert.Equal(t, value, labels[key], "%s: selector", name)
		}
		assert.Equal(t, d.Spec.Selector.MatchLabels, budgets[name].Spec.Selector.MatchLabels, "%s: budget", name)
		assert.Equal(t, d.Spec.Selector.MatchLabels, services[name+"-ops"].Spec.Selector, "%s: service", name)
		assert.Len(t, d.Spec.Template.Spec.TopologySpreadConstraints, 2, "%s", name)
		assert.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path, "%s", name)
		assert.Equal(t, "/healthz", c.LivenessProbe.HTTPGet.Path, "%s", name)
		assert.Equal(t, "/healthz", c.StartupProbe.HTTPGet.Path, "%s", name)
		assert.Zero(t, d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue(), "%s", name)
	}
}

// maxTimeout is the longest that a subscription may wait for an answer, in seconds.
const maxTimeout = 60

func TestGraceIsTimeoutAndDrain(t *testing.T) {
	t.Parallel()
	for drain, want := range map[string]int64{"5s": 80, "1m30s": 165, "500ms": 76, "2m": 195} {
		d := of[*appsv1.Deployment](render(t, values(t, "config: {deliverer: {drain: "+drain+"}}")))["acme-postrider-deliver"]
		assert.Equal(t, want, *d.Spec.Template.Spec.TerminationGracePeriodSeconds, "%s", drain)
		assert.Greater(t, want, int64(maxTimeout), "%s", drain)
	}
}

// A newer Kubernetes lets the API go on while nodes still send it requests.
func TestTheAPIWaitsForTheNodes(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{"1.29.0": false, "1.30.0": true, "1.34.1": true} {
		objects, err := Render(nil, version)
		require.NoError(t, err)
		for name, d := range of[*appsv1.Deployment](objects) {
			got := d.Spec.Template.Spec.Containers[0].Lifecycle != nil
			assert.Equal(t, want && strings.HasSuffix(name, "-api"), got, "%s: %s", version, name)
		}
	}
	_, err := Render(nil, "1.26.9")
	require.ErrorContains(t, err, "kubeVersion")
}

func TestTopicsComeFirst(t *testing.T) {
	t.Parallel()
	objects := render(t, values(t, `topicsJob: {partitions: 24, replicationFactor: 2}`))
	job := of[*batchv1.Job](objects)["acme-postrider-topics"]
	require.NotNil(t, job)
	assert.Equal(t, "pre-install,pre-upgrade", job.Annotations["helm.sh/hook"])
	assert.Equal(t, []string{"topics", "apply", "--partitions=24", "--replication-factor=2"}, job.Spec.Template.Spec.Containers[0].Args)
	// What it needs is there before it, although nothing of the release is.
	account := of[*corev1.ServiceAccount](objects)[job.Spec.Template.Spec.ServiceAccountName]
	config := of[*corev1.ConfigMap](objects)[job.Spec.Template.Spec.Volumes[0].ConfigMap.Name]
	network := of[*networkingv1.NetworkPolicy](objects)["acme-postrider-topics"]
	for _, hook := range []map[string]string{account.Annotations, config.Annotations, network.Annotations} {
		assert.Equal(t, "pre-install,pre-upgrade", hook["helm.sh/hook"])
		assert.Less(t, quantity(t, hook["helm.sh/hook-weight"]), quantity(t, job.Annotations["helm.sh/hook-weight"]))
	}
	assert.Empty(t, of[*batchv1.Job](render(t, values(t, `topicsJob: {enabled: false}`))))
}

func TestAChangedConfigurationIsANewProcess(t *testing.T) {
	t.Parallel()
	sum := func(v string) map[string]string {
		sums := map[string]string{}
		for name, d := range of[*appsv1.Deployment](render(t, values(t, v))) {
			sums[name] = d.Spec.Template.Annotations["checksum/config"]
		}
		return sums
	}
	before, after := sum(`{}`), sum(`roles: {retry: {config: {retrier: {buffer: 5000}}}}`)
	for name := range before {
		assert.Equal(t, name == "acme-postrider-retry", before[name] != after[name], "%s", name)
	}
}

// Deliverers are scaled on three signals of deliveries, and on none of the retry topics: what waits there waits by design.
func TestScaling(t *testing.T) {
	t.Parallel()
	objects := render(t, installations(t)["medium"])
	scaled := of[*keda.ScaledObject](objects)
	require.Len(t, scaled, 4)
	triggers := func(role string) (names []string) {
		for _, trigger := range scaled["acme-postrider-"+role].Spec.Triggers {
			names = append(names, trigger.Name)
			assert.NotContains(t, trigger.Metadata["query"], "retrier", "%s", role)
			assert.NotContains(t, trigger.Metadata["query"], "retry", "%s", role)
		}
		return names
	}
	assert.Equal(t, []string{"lag"}, triggers("router"))
	assert.Equal(t, []string{"lag", "oldest-unfinished", "utilisation"}, triggers("deliver"))
	assert.Equal(t, []string{"lag"}, triggers("recorder"))
	assert.Equal(t, []string{"cpu"}, triggers("api"))
	for name, s := range scaled {
		down := s.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior.ScaleDown
		assert.GreaterOrEqual(t, *down.StabilizationWindowSeconds, int32(600), "%s", name)
		assert.Equal(t, int32(1), down.Policies[0].Value, "%s", name)
		assert.LessOrEqual(t, *s.Spec.MaxReplicaCount, int32(48), "%s: more processes than partitions", name)
		assert.Nil(t, of[*appsv1.Deployment](objects)[s.Spec.ScaleTargetRef.Name].Spec.Replicas, "%s: replicas are KEDA's", name)
	}
	busy := scaled["acme-postrider-deliver"].Spec.Triggers[2].Metadata["query"]
	assert.Contains(t, busy, "/ 1024", "of config.deliverer.workers")
}

func TestTheIngressLeadsToTheAPI(t *testing.T) {
	t.Parallel()
	objects := render(t, installations(t)["medium"])
	ingress := of[*networkingv1.Ingress](objects)["acme-postrider"]
	backend := ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
	service := of[*corev1.Service](objects)[backend.Name]
	require.NotNil(t, service, "%s", backend.Name)
	assert.Equal(t, backend.Port.Name, service.Spec.Ports[0].Name)
	assert.Equal(t, "http", service.Spec.Ports[0].TargetPort.String())
	assert.Equal(t, "webhooks-tls", ingress.Spec.TLS[0].SecretName)
}

func TestMonitoring(t *testing.T) {
	t.Parallel()
	objects := render(t, installations(t)["large"])
	rules := of[*monitoring.PrometheusRule](objects)["acme-postrider"]
	require.NotNil(t, rules)
	require.Greater(t, len(rules.Spec.Groups[0].Rules), 20)
	for _, r := range rules.Spec.Groups[0].Rules {
		assert.Regexp(t, `^https://.+/RUNBOOK\.md#postrider[a-z]+$`, r.Annotations["runbook_url"], "%s", r.Alert)
		assert.NotEmpty(t, r.Labels["severity"], "%s", r.Alert)
	}
	boards := 0
	for name, m := range of[*corev1.ConfigMap](objects) {
		for file, text := range m.Data {
			if m.Labels["grafana_dashboard"] == "1" {
				assert.True(t, json.Valid([]byte(text)), "%s: %s", name, file)
				boards++
			}
		}
	}
	assert.Equal(t, 5, boards)
	scraped := of[*monitoring.ServiceMonitor](objects)["acme-postrider"].Spec.Selector.MatchLabels
	for name, s := range of[*corev1.Service](objects) {
		matches := true
		for key, value := range scraped {
			matches = matches && s.Labels[key] == value
		}
		assert.Equal(t, strings.HasSuffix(name, "-ops"), matches, "%s is scraped", name)
	}
}

// The configurations of all roles stand in testdata, where the tests of configs read them as the roles do.
func TestConfigurations(t *testing.T) {
	t.Parallel()
	for name, v := range installations(t) {
		archive := &txtar.Archive{}
		maps := of[*corev1.ConfigMap](render(t, v))
		for _, role := range append([]string{"topics"}, roles...) {
			for _, full := range []string{"acme-postrider-", "hooks-"} {
				if m := maps[full+role]; m != nil {
					var config map[string]any
					require.NoError(t, yaml.UnmarshalStrict([]byte(m.Data["postrider.yaml"]), &config), "%s: %s", name, role)
					archive.Files = append(archive.Files, txtar.File{Name: role + ".yaml", Data: []byte(m.Data["postrider.yaml"])})
				}
			}
		}
		path := filepath.Join("testdata", name+".txtar")
		if *update {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(path, txtar.Format(archive), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), string(txtar.Format(archive)), "%s: go test -C test/chart . -update writes it", path)
	}
}
