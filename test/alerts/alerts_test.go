package alerts

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider/deploy/monitoring"
	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/test/redistest"
)

// injection is how a running Postrider gets into the condition of an alert.
type injection struct {
	// roles run, and are ready, before.
	roles []string
	// config is further YAML of the configuration, set more settings of the roles.
	config string
	set    []string
	// partitions of deliveries; 1 if it does not matter.
	partitions int
	// scrape is the time between scrapes, which also bounds one; a second if 0.
	scrape time.Duration
	// ownRedis gives it a Redis that it may break. embedded gives it a broker in this process that it may tell what to answer.
	// breaksKafka has it alone with the broker that all others share.
	ownRedis, embedded, breaksKafka bool
	// inject is called when all is well. It returns when the condition is there or will come about by itself.
	inject func(s *scene, b *backends)
	// labels are some that the alert has.
	labels map[string]string
}

// backends are what an injection may break.
type backends struct {
	kafka    *kafkatest.Cluster // shared
	redis    *redistest.Server  // nil unless ownRedis
	embedded *kfake.Cluster     // nil unless embedded
}

// fireLimit is wide: the longest takes two minutes to come about, on an idle machine.
const fireLimit = 6 * time.Minute

// Every alert fires when a running Postrider gets into its condition, and is quiet before.
func TestAlertsFire(t *testing.T) {
	all := injections()
	for _, a := range monitoring.Alerts() {
		require.Contains(t, all, a.Name, "nothing brings Postrider into the condition of this alert: see injections")
	}
	require.Len(t, all, len(monitoring.Alerts()), "an injection of an alert that there is not")

	cluster := kafkatest.Start(t, kafkatest.SharedOptions())
	r := &rig.Rig{Program: "alerts", Brokers: cluster.Brokers(), Redis: redistest.Shared(t)}
	require.NoError(t, r.Open(t.Context()))
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	run := func(breaksKafka bool) func(*testing.T) {
		return func(t *testing.T) {
			for name, i := range all {
				if i.breaksKafka == breaksKafka {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						i.fires(t, name, r, cluster)
					})
				}
			}
		}
	}
	t.Run("together", run(false))
	t.Run("alone", run(true))
}

// fires makes a scene of its own for the injection.
func (i *injection) fires(t *testing.T, name string, r *rig.Rig, cluster *kafkatest.Cluster) {
	t.Helper()
	own, b := *r, &backends{kafka: cluster}
	if i.ownRedis {
		b.redis = redistest.Start(t)
		own.Redis = b.redis.Addr
	}
	if i.embedded {
		var err error
		b.embedded, err = kfake.NewCluster(kfake.NumBrokers(1))
		require.NoError(t, err)
		t.Cleanup(b.embedded.Close)
		own.Brokers = b.embedded.ListenAddrs()
	}
	s := newScene(t, name, &own, i)
	for _, role := range i.roles {
		s.run(role, i.set...)
	}
	for _, p := range s.processes {
		require.NoError(t, p.Ready(t.Context()))
	}
	s.quiet(name)
	begin := time.Now()
	i.inject(s, b)
	found := s.fires(name)
	require.NotContains(t, found.Annotations["summary"], "error", "a template that cannot be expanded says so")
	require.Equal(t, monitoring.RunbookURL, found.Annotations["runbook_url"][:len(monitoring.RunbookURL)])
	for label, want := range i.labels {
		require.Equal(t, want, found.Labels[label], "%s", label)
	}
	t.Logf("fires after %s: %s", time.Since(begin).Round(time.Second), found.Annotations["summary"])
}
