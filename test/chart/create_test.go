package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"sigs.k8s.io/yaml"
)

// strategies are how the API server of Kubernetes checks what is created: required members, enumerations, names, selectors.
func strategies() map[string]rest.RESTCreateStrategy {
	return map[string]rest.RESTCreateStrategy{
		"ConfigMap": configmap.Strategy, "Deployment": deployment.Strategy, "Ingress": ingress.Strategy, "Job": job.Strategy,
		"NetworkPolicy": networkpolicy.Strategy, "PodDisruptionBudget": poddisruptionbudget.Strategy, "Service": service.Strategy,
		"ServiceAccount": serviceaccount.Strategy,
	}
}

// warnings are what the API server would say to whoever creates an object.
type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

// create does with a manifest what the API server does before it stores it. A warning is an error.
func create(strategy rest.RESTCreateStrategy, o *Object) error {
	object, err := runtime.Decode(legacyscheme.Codecs.UniversalDecoder(), o.Text)
	if err != nil {
		return err
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	if m.GetNamespace() == "" {
		m.SetNamespace(Namespace)
	}
	rest.FillObjectMetaSystemFields(m)
	if s, ok := object.(*core.Service); ok && s.Spec.ClusterIP != "" { // as where it allocates addresses
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
	kind := o.GetObjectKind().GroupVersionKind()
	var said warnings
	ctx := request.WithNamespace(context.Background(), Namespace)
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{IsResourceRequest: true, Verb: "create", APIGroup: kind.Group, APIVersion: kind.Version})
	if err := rest.BeforeCreate(strategy, warning.WithWarningRecorder(ctx, &said), object); err != nil {
		return err
	}
	if len(said) > 0 {
		return fmt.Errorf("warnings: %q", said)
	}
	return nil
}

// operatorModule has the newest definitions of the Prometheus Operator that the Go proxy has: the types in go.mod are a module
// of their own, which is newer and has none.
const operatorModule = "github.com/prometheus-operator/prometheus-operator@v0.85.0"

// definitions are files of custom resource definitions, by kind.
func definitions(t *testing.T) map[string]string {
	t.Helper()
	operator := filepath.Join(module(t, "mod", "download", "-json", operatorModule), "example/prometheus-operator-crd")
	keda := filepath.Join(module(t, "list", "-m", "-json", "github.com/kedacore/keda/v2"), "config/crd/bases")
	return map[string]string{
		"PrometheusRule": operator + "/monitoring.coreos.com_prometheusrules.yaml",
		"ServiceMonitor": operator + "/monitoring.coreos.com_servicemonitors.yaml",
		"ScaledObject":   keda + "/keda.sh_scaledobjects.yaml",
	}
}

// module returns the directory of a module that the go command says something of.
func module(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	require.NoError(t, err, "go %v: %s", args, out)
	var m struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &m))
	require.NotEmpty(t, m.Dir, "go %v", args)
	return m.Dir
}

// custom returns the check of a custom resource against its definition in a file, for the version that the chart uses.
func custom(t *testing.T, path, version string) func(*Object) error {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var definition apiextensionsv1.CustomResourceDefinition
	require.NoError(t, yaml.UnmarshalStrict(text, &definition))
	for _, v := range definition.Spec.Versions {
		if v.Name != version {
			continue
		}
		var props apiextensions.JSONSchemaProps
		require.NoError(t, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &props, nil))
		validator, _, err := validation.NewSchemaValidator(&props)
		require.NoError(t, err)
		return func(o *Object) error {
			var object map[string]any
			if err := yaml.UnmarshalStrict(o.Text, &object); err != nil {
				return err
			}
			return validation.ValidateCustomResource(nil, object, validator).ToAggregate()
		}
	}
	require.Fail(t, "no such version", "%s: %s", path, version)
	return nil
}

// checker returns what an API server with the operators' definitions does with a manifest.
func checker(t *testing.T) func(*Object) error {
	t.Helper()
	known, checks := strategies(), map[string]func(*Object) error{}
	versions := map[string]string{"PrometheusRule": "v1", "ServiceMonitor": "v1", "ScaledObject": "v1alpha1"}
	for kind, path := range definitions(t) {
		checks[kind] = custom(t, path, versions[kind])
	}
	return func(o *Object) error {
		kind := o.GetObjectKind().GroupVersionKind().Kind
		if check := checks[kind]; check != nil {
			return check(o)
		}
		if strategy := known[kind]; strategy != nil {
			return create(strategy, o)
		}
		return errors.New("nothing checks this kind")
	}
}

// What the chart makes of all values files would be created, without a warning.
func TestKubernetesTakesEveryManifest(t *testing.T) {
	t.Parallel()
	check, kinds := checker(t), map[string]int{}
	for name, v := range installations(t) {
		for _, o := range render(t, v) {
			kind := o.GetObjectKind().GroupVersionKind().Kind
			kinds[kind]++
			assert.NoError(t, check(&o), "%s: %s/%s of %s", name, kind, o.Name(), o.Template)
		}
	}
	for kind := range strategies() {
		assert.Positive(t, kinds[kind], "%s: no values make one", kind)
	}
}

// What the types alone let through is refused.
func TestKubernetesRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	check := checker(t)
	objects := render(t, installations(t)["everything"])
	for _, c := range []struct{ kind, have, instead, want string }{
		{"Deployment", "type: RollingUpdate", "type: AllAtOnce", `supported values: "Recreate", "RollingUpdate"`},
		{"Deployment", "imagePullPolicy: IfNotPresent", "imagePullPolicy: Sometimes", `Unsupported value: "Sometimes"`},
		{"Deployment", "name: ZONE", "name: ''", "name: Required value"},
		{"Deployment", "mountPath: /scratch", "mountPath: ''", "mountPath: Required value"},
		{"Deployment", "app.kubernetes.io/component: api", "app.kubernetes.io/component: a/b", "Invalid value"},
		{"Service", "name: ops", "name: Ops", "Invalid value"},
		{"Job", "restartPolicy: Never", "restartPolicy: Always", `valid values: "OnFailure", "Never"`},
		{"NetworkPolicy", "policyTypes: [Ingress, Egress]", "policyTypes: [Sideways]", "Unsupported value"},
		{"Ingress", "pathType: Prefix", "pathType: Suffix", "Unsupported value"},
		{"PodDisruptionBudget", "maxUnavailable: 1", "maxUnavailable: many", "a valid percent"},
		{"ConfigMap", "postrider.yaml:", "post/rider.yaml:", "Invalid value"},
		{"ServiceAccount", "name: hooks", "name: Hooks", "Invalid value"},
		{"ScaledObject", "- type: prometheus", "-", "type: Required value"},
		{"ServiceMonitor", "selector:", "selectors:", "selector: Required value"},
		{"PrometheusRule", "- name: postrider", "- limit: 1", "name: Required value"},
	} {
		tried := false
		for _, o := range objects {
			if o.GetObjectKind().GroupVersionKind().Kind != c.kind || tried || !bytes.Contains(o.Text, []byte(c.have)) {
				continue
			}
			tried = true
			o.Text = bytes.Replace(o.Text, []byte(c.have), []byte(c.instead), 1)
			assert.ErrorContains(t, check(&o), c.want, "%s: %s", c.kind, c.instead)
		}
		assert.True(t, tried, "%s: no manifest has %q", c.kind, c.have)
	}
}
