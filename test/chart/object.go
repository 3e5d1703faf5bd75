package chart

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Name returns the name of the object.
func (o Object) Name() string { return o.meta().GetName() }

func (o Object) meta() metav1.Object {
	return o.Object.(metav1.Object)
}

// podTemplate is the template of a workload's pods, with the labels it has to have.
type podTemplate struct {
	corev1.PodTemplateSpec
	selector map[string]string // nil for a job, which makes its own
}

// main is the container of Postrider.
func (p podTemplate) main() corev1.Container { return p.Spec.Containers[0] }

func (o Object) pod() (podTemplate, bool) {
	switch w := o.Object.(type) {
	case *appsv1.Deployment:
		return podTemplate{w.Spec.Template, w.Spec.Selector.MatchLabels}, true
	case *batchv1.Job:
		return podTemplate{w.Spec.Template, nil}, true
	}
	return podTemplate{}, false
}
