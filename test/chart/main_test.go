package chart

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestMain does what test/suite does, which is of another module.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.shuffle", "on"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// installations are the values with which every test of all renders the chart.
func installations(t *testing.T) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{
		"defaults":   {},
		"everything": values(t, everything),
	}
	for _, size := range []string{"small", "medium", "large"} {
		text, err := os.ReadFile(filepath.Join(Dir, "values-"+size+".yaml"))
		require.NoError(t, err)
		all[size] = values(t, string(text))
	}
	return all
}

// everything uses what the values files do not.
const everything = `
fullnameOverride: hooks
commonLabels: {team: platform}
image: {digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
imagePullSecrets: [{name: registry}]
config:
  kafka: {prefix: hooks., sasl: {mechanism: PLAIN, user: hooks}}
  deliverer: {drain: 1m30s}
  egress: {proxy: {url: "http://proxy.example.com:3128", username: hooks}, deny_networks: [192.0.2.0/24]}
  tracing: {enabled: true, endpoint: "http://collector.observability:4318", tenants: [acme=1]}
  notices: {smtp: {host: mail.example.com, from: hooks@example.com, username: hooks}}
canary: {interval: 30s}
secrets:
  kafka: {name: kafka, passwordKey: word}
  kafkaTLS: {name: kafka-tls, caKey: ""}
  egressProxy: {name: proxy}
  smtp: {name: smtp}
  encryption: {name: keyset}
profiles: {acme.yaml: "name: acme\n"}
defaults:
  podLabels: {tier: backend}
  podAnnotations: {note: "yes"}
  nodeSelector: {disk: ssd}
  tolerations: [{operator: Exists}]
  affinity: {nodeAffinity: {}}
  priorityClassName: high
  extraEnv: [{name: ZONE, value: a}]
  extraEnvFrom: [{configMapRef: {name: more}}]
  extraVolumes: [{name: scratch, emptyDir: {}}]
  extraVolumeMounts: [{name: scratch, mountPath: /scratch}]
  extraArgs: [--log-level=debug]
  autoscaling: {enabled: true, extraTriggers: [{type: cron, metadata: {timezone: UTC, start: 0 6 * * *, end: 0 8 * * *, desiredReplicas: "4"}}]}
roles:
  recorder: {enabled: false}
  deliver: {resources: {limits: {cpu: 1500m, memory: 1Gi}}}
autoscaling: {enabled: true, prometheus: {authenticationRef: prometheus}}
serviceAccount: {annotations: {a: b}}
networkPolicy:
  extraIngress: [{from: [{podSelector: {}}]}]
  extraEgress: [{to: [{podSelector: {}}]}]
service: {annotations: {a: b}}
ingress: {enabled: true, annotations: {a: b}, hosts: [{host: a.example.com, path: /hooks}]}
monitoring: {serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboards: {enabled: true, annotations: {a: b}}}
extraObjects:
  - |
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: "{{ .Release.Name }}-more"}
`

func values(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &v))
	return v
}

func render(t *testing.T, v map[string]any) []Object {
	t.Helper()
	objects, err := Render(v, KubeVersion)
	require.NoError(t, err)
	require.NotEmpty(t, objects)
	return objects
}

// of returns the objects of one kind by name.
func of[K any](objects []Object) map[string]K {
	found := map[string]K{}
	for _, o := range objects {
		if k, ok := o.Object.(K); ok {
			found[o.Name()] = k
		}
	}
	return found
}

// pods returns the pod templates by the object that has them.
func pods(objects []Object) map[string]podTemplate {
	found := map[string]podTemplate{}
	for _, o := range objects {
		if p, ok := o.pod(); ok {
			found[o.Name()] = p
		}
	}
	return found
}
