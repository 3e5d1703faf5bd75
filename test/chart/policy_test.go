package chart

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The restricted profile of the Pod Security Standards, field by field:
// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
func restricted(p corev1.PodSpec) (problems []string) {
	problem := func(bad bool, what string) {
		if bad {
			problems = append(problems, what)
		}
	}
	pod := p.SecurityContext
	problem(p.HostNetwork || p.HostPID || p.HostIPC, "host namespaces")
	for _, v := range p.Volumes {
		s := v.VolumeSource
		problem(s.ConfigMap == nil && s.CSI == nil && s.DownwardAPI == nil && s.EmptyDir == nil && s.Ephemeral == nil &&
			s.PersistentVolumeClaim == nil && s.Projected == nil && s.Secret == nil, "volume "+v.Name)
	}
	for _, c := range slices.Concat(p.InitContainers, p.Containers) {
		own := c.SecurityContext
		if own == nil {
			own = &corev1.SecurityContext{}
		}
		problem(own.Privileged != nil && *own.Privileged, c.Name+": privileged")
		problem(own.AllowPrivilegeEscalation == nil || *own.AllowPrivilegeEscalation, c.Name+": privilege escalation")
		problem(!isTrue(own.RunAsNonRoot) && (pod == nil || !isTrue(pod.RunAsNonRoot)), c.Name+": may run as root")
		problem(own.RunAsUser != nil && *own.RunAsUser == 0, c.Name+": runs as root")
		problem(own.Capabilities == nil || !slices.Equal(own.Capabilities.Drop, []corev1.Capability{"ALL"}), c.Name+": keeps capabilities")
		problem(own.Capabilities != nil && len(own.Capabilities.Add) > 0, c.Name+": adds capabilities")
		seccomp := own.SeccompProfile
		if seccomp == nil && pod != nil {
			seccomp = pod.SeccompProfile
		}
		problem(seccomp == nil || seccomp.Type != corev1.SeccompProfileTypeRuntimeDefault, c.Name+": no seccomp profile")
		for _, port := range c.Ports {
			problem(port.HostPort != 0, c.Name+": host port")
		}
	}
	return problems
}

func isTrue(b *bool) bool { return b != nil && *b }

func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	for name, v := range installations(t) {
		for owner, p := range pods(render(t, v)) {
			at := name + ": " + owner
			assert.Empty(t, restricted(p.Spec), "%s", at)
			assert.True(t, isTrue(p.main().SecurityContext.ReadOnlyRootFilesystem), "%s: writable root", at)
			assert.NotZero(t, *p.Spec.SecurityContext.RunAsUser, "%s", at)
			for _, m := range p.main().VolumeMounts {
				assert.True(t, m.ReadOnly || m.Name == "scratch", "%s: %s is writable", at, m.Name)
			}
		}
	}
}

// The check itself: what the profile refuses is found.
func TestWhatIsNotRestricted(t *testing.T) {
	t.Parallel()
	assert.Len(t, restricted(corev1.PodSpec{
		HostNetwork: true,
		Volumes:     []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}}},
		Containers:  []corev1.Container{{Name: "bare"}},
	}), 6)
}

// What the types do not say: names are names of Kubernetes, and what is mounted is there.
func TestPodsAreComplete(t *testing.T) {
	t.Parallel()
	for name, v := range installations(t) {
		for owner, p := range pods(render(t, v)) {
			at := name + ": " + owner
			volumes := map[string]bool{}
			for _, volume := range p.Spec.Volumes {
				assert.Empty(t, validation.IsDNS1123Label(volume.Name), "%s: volume %q", at, volume.Name)
				assert.False(t, volumes[volume.Name], "%s: volume %q twice", at, volume.Name)
				volumes[volume.Name] = true
			}
			for _, m := range p.main().VolumeMounts {
				assert.True(t, volumes[m.Name], "%s: there is no volume %q", at, m.Name)
			}
			for key, value := range p.Labels {
				assert.Empty(t, validation.IsQualifiedName(key), "%s: label %s", at, key)
				assert.Empty(t, validation.IsValidLabelValue(value), "%s: label %s", at, key)
			}
			assert.Equal(t, "/etc/postrider/config/postrider.yaml", env(p.main(), "POSTRIDER_CONFIG"), "%s", at)
		}
	}
}

// Nothing of Postrider asks Kubernetes for anything.
func TestNoPodHasAToken(t *testing.T) {
	t.Parallel()
	for name, v := range installations(t) {
		objects := render(t, v)
		accounts := of[*corev1.ServiceAccount](objects)
		for owner, p := range pods(objects) {
			require.NotNil(t, p.Spec.AutomountServiceAccountToken, "%s: %s", name, owner)
			assert.False(t, *p.Spec.AutomountServiceAccountToken, "%s: %s", name, owner)
			account := accounts[p.Spec.ServiceAccountName]
			require.NotNil(t, account, "%s: %s: account %q", name, owner, p.Spec.ServiceAccountName)
			assert.False(t, *account.AutomountServiceAccountToken, "%s: %s", name, owner)
			assert.False(t, *p.Spec.EnableServiceLinks, "%s: %s: variables named like settings", name, owner)
		}
	}
}

func TestPodsHaveResourcesAndGoKnowsThem(t *testing.T) {
	t.Parallel()
	for name, v := range installations(t) {
		for owner, p := range pods(render(t, v)) {
			at, c := name+": "+owner, p.main()
			assert.False(t, c.Resources.Requests.Cpu().IsZero(), "%s: no CPU request", at)
			assert.False(t, c.Resources.Requests.Memory().IsZero(), "%s: no memory request", at)
			limit := c.Resources.Limits.Memory().Value()
			assert.Positive(t, limit, "%s: no memory limit", at)
			assert.Equal(t, limit*9/10, quantity(t, env(c, "GOMEMLIMIT")), "%s: GOMEMLIMIT", at)
			assert.Positive(t, quantity(t, env(c, "GOMAXPROCS")), "%s: GOMAXPROCS", at)
			if cpu := c.Resources.Limits.Cpu(); !cpu.IsZero() {
				assert.Equal(t, (cpu.MilliValue()+999)/1000, quantity(t, env(c, "GOMAXPROCS")), "%s: GOMAXPROCS", at)
			}
		}
	}
}

// A role has the secrets that it reads and no other: the keyset and the proxy's password only where endpoints are reached, the mail
// server's only at the API.
func TestSecretsAreWhereTheyAreNeeded(t *testing.T) {
	t.Parallel()
	got := map[string][]string{}
	for owner, p := range pods(render(t, values(t, `{secrets: {kafka: {name: k}, kafkaTLS: {name: kt}, redis: {name: r},
		redisTLS: {name: rt}, encryption: {name: e}, egressProxy: {name: p}, smtp: {name: m}}, topicsJob: {secrets: {kafka: {name: admin}}}}`))) {
		for _, v := range p.Spec.Volumes {
			if v.Secret != nil {
				got[owner] = append(got[owner], v.Secret.SecretName)
				assert.Equal(t, int32(0o440), *v.Secret.DefaultMode, "%s", owner)
			}
		}
		for _, e := range p.main().Env {
			assert.Nil(t, e.ValueFrom, "%s: %s: secrets are files", owner, e.Name)
		}
	}
	shared, outside := []string{"k", "kt", "r", "rt"}, []string{"k", "kt", "r", "rt", "e", "p"}
	assert.Equal(t, map[string][]string{
		"acme-postrider-router": shared, "acme-postrider-retry": shared, "acme-postrider-recorder": shared,
		"acme-postrider-deliver": outside, "acme-postrider-api": append(slices.Clip(outside), "m"), "acme-postrider-topics": {"admin", "kt"},
	}, got)
}

// reaches tells whether a policy lets packets to an address and port of no pod leave.
func reaches(t *testing.T, p *networkingv1.NetworkPolicy, addr string, port int32) bool {
	t.Helper()
	a := netip.MustParseAddr(addr)
	within := func(cidr string) bool {
		prefix, err := netip.ParsePrefix(cidr)
		require.NoError(t, err)
		return prefix.Contains(a)
	}
	for _, rule := range p.Spec.Egress {
		open := len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, func(n networkingv1.NetworkPolicyPort) bool { return n.Port.IntVal == port })
		to := len(rule.To) == 0 || slices.ContainsFunc(rule.To, func(peer networkingv1.NetworkPolicyPeer) bool {
			return peer.IPBlock != nil && within(peer.IPBlock.CIDR) && !slices.ContainsFunc(peer.IPBlock.Except, within)
		})
		if open && to {
			return true
		}
	}
	return false
}

func TestOnlyWhoReachesEndpointsMayLeave(t *testing.T) {
	t.Parallel()
	policies := of[*networkingv1.NetworkPolicy](render(t, installations(t)["large"]))
	require.Len(t, policies, 6)
	for name, p := range policies {
		outside := strings.HasSuffix(name, "-deliver") || strings.HasSuffix(name, "-api")
		for _, c := range []struct {
			addr string
			port int32
			want bool
		}{
			{"198.51.100.7", 443, outside},
			{"198.51.100.7", 8443, outside},
			{"2001:db8::1", 443, outside},
			{"198.51.100.7", 80, false},
			{"198.51.100.7", 22, false},
			{"10.96.0.1", 443, false},       // the cluster's own API
			{"192.168.1.1", 443, false},     // private
			{"169.254.169.254", 443, false}, // metadata of clouds
			{"100.100.100.200", 443, false}, // likewise
			{"fd00:ec2::254", 443, false},   // likewise
			{"10.20.1.1", 9093, true},       // Kafka
			{"10.21.1.1", 6380, !strings.HasSuffix(name, "-topics")},
			{"10.21.1.1", 9093, false},
		} {
			assert.Equal(t, c.want, reaches(t, p, c.addr, c.port), "%s → %s:%d", name, c.addr, c.port)
		}
		assert.Equal(t, []networkingv1.PolicyType{"Ingress", "Egress"}, p.Spec.PolicyTypes, "%s", name)
	}
}

func TestBehindAProxyNothingElseIsReached(t *testing.T) {
	t.Parallel()
	for name, p := range of[*networkingv1.NetworkPolicy](render(t, values(t, `
config: {egress: {proxy: {url: "http://proxy.example.com:3128"}}}
networkPolicy: {proxy: {to: [{ipBlock: {cidr: 10.1.2.3/32}}]}}`))) {
		outside := strings.HasSuffix(name, "-deliver") || strings.HasSuffix(name, "-api")
		assert.Equal(t, outside, reaches(t, p, "10.1.2.3", 3128), "%s", name)
		assert.False(t, reaches(t, p, "198.51.100.7", 443), "%s", name)
	}
}

// selects tells whether one of the peers is the pods of a role.
func selects(peers []networkingv1.NetworkPolicyPeer, role string) bool {
	return slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		return p.PodSelector != nil && p.PodSelector.MatchLabels["app.kubernetes.io/component"] == role
	})
}

// The canary's way is from deliverers to the API's pods and nowhere else in the cluster, and traces go to the collector.
func TestTheCanaryAndTracesHaveTheirWay(t *testing.T) {
	t.Parallel()
	for text, on := range map[string]bool{
		"{}": false,
		`{canary: {interval: 30s}, config: {tracing: {enabled: true}}, networkPolicy: {apiFrom: [{namespaceSelector: {}}], tracing: {to: [{ipBlock: {cidr: 10.1.2.3/32}}]}}}`: true,
	} {
		for name, p := range of[*networkingv1.NetworkPolicy](render(t, values(t, text))) {
			role := name[strings.LastIndex(name, "-")+1:]
			toAPI := slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
				return selects(r.To, "api") && len(r.To) == 1 && len(r.Ports) == 1 && r.Ports[0].Port.StrVal == "http"
			})
			fromDeliver := slices.ContainsFunc(p.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool { return selects(r.From, "deliver") })
			assert.Equal(t, on && role == "deliver", toAPI, "%s", name)
			assert.Equal(t, on && role == "api", fromDeliver, "%s", name)
			traces := on && slices.Contains([]string{"router", "deliver", "retry"}, role)
			assert.Equal(t, traces, reaches(t, p, "10.1.2.3", 4318), "%s", name)
			assert.False(t, reaches(t, p, "10.96.0.1", 8070), "%s", name)
		}
	}
}
