// Package chart tests the Helm chart in deploy/helm/postrider: it is rendered by Helm's own library with every values file,
// and what comes out is read with the types of Kubernetes, KEDA and the Prometheus Operator, which refuse what they do not
// know. The tests then have it created by the code of Kubernetes' API server, and checked against the operators' definitions. It
// is a module of its own, since nothing of Postrider needs those.
package chart

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	v2util "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// Dir is the chart.
const Dir = "../../deploy/helm/postrider"

// Release is the name under which charts are rendered, and its namespace.
const (
	Release   = "acme"
	Namespace = "webhooks"
)

// Object is a rendered manifest.
type Object struct {
	runtime.Object
	// Template is the file that it comes from, and Text what Helm made of it, in YAML.
	Template string
	Text     []byte
}

// KubeVersion is the newest Kubernetes that the types in go.mod are of.
const KubeVersion = "1.37.0"

// Render renders the chart with values over its own, as "helm template" does, and reads the manifests strictly: a field that
// their types do not have is an error.
func Render(values map[string]any, kubeVersion string) ([]Object, error) {
	c, err := loader.Load(Dir)
	if err != nil {
		return nil, err
	}
	caps := common.DefaultCapabilities.Copy()
	version, err := common.ParseKubeVersion(kubeVersion)
	if err != nil {
		return nil, err
	}
	caps.KubeVersion = *version
	if !v2util.IsCompatibleRange(c.Metadata.KubeVersion, caps.KubeVersion.String()) {
		return nil, fmt.Errorf("kubeVersion: want %s, have %s", c.Metadata.KubeVersion, caps.KubeVersion.String())
	}
	top, err := util.ToRenderValues(c, values, common.ReleaseOptions{Name: Release, Namespace: Namespace, IsInstall: true, Revision: 1}, caps)
	if err != nil {
		return nil, err
	}
	files, err := engine.Engine{Strict: true}.RenderWithContext(context.Background(), c, top)
	if err != nil {
		return nil, err
	}
	decoder, err := newDecoder()
	if err != nil {
		return nil, err
	}
	var objects []Object
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(path, ".yaml") {
			continue
		}
		read, err := decode(decoder, files[path])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, o := range read {
			o.Template = filepath.Base(path)
			objects = append(objects, o)
		}
	}
	return objects, nil
}

// newDecoder returns a decoder that knows the kinds of the chart and refuses everything else, and fields that they lack.
func newDecoder() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
		keda.AddToScheme, monitoring.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer(), nil
}

func decode(decoder runtime.Decoder, text string) ([]Object, error) {
	var objects []Object
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := reader.Read()
		switch {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		case blank(document):
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, document)
		}
		objects = append(objects, Object{Object: object, Text: document})
	}
}

// blank tells whether a document has nothing but comments.
func blank(document []byte) bool {
	for line := range bytes.Lines(document) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}
