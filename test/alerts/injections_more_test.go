package alerts

import (
	"net/http"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/canary"
	"github.com/postrider/postrider/test/internal/rig"
)

func canaryInjections() map[string]*injection {
	return map[string]*injection{
		// Nothing is routed any more, for longer than a minute.
		"PostriderCanaryStale": {
			roles: []string{"router"},
			inject: func(s *scene, _ *backends) {
				s.flies("PostriderCanaryStale")
				s.of("router").Kill(s.t.Context())
			},
		},
		// A deliverer that is gone for longer than an event may take.
		"PostriderCanaryLost": {
			roles: []string{"router"},
			inject: func(s *scene, _ *backends) {
				s.flies("PostriderCanaryLost")
				s.of("deliver").Kill(s.t.Context())
			},
		},
	}
}

// flies starts what the canary needs besides a router, and waits until it has come through and the alert is quiet.
func (s *scene) flies(alert string) {
	s.t.Helper()
	address, err := rig.FreeAddress(s.t.Context())
	require.NoError(s.t, err)
	set := []string{
		"--set", "canary.interval=1s", "--set", "canary.lost_after=10s", "--set", "canary.url=http://" + address + canary.Path,
	}
	s.runReady("deliver", set...)
	s.runAPIAt(address, set...)
	s.prom.await(time.Minute, "the canary comes through", func() bool {
		received, err := s.of("api").Metric(s.t.Context(), "postrider_canary_events_total", `result="received"`)
		return err == nil && received > 0
	})
	s.quiet(alert)
}

func pauseInjections() map[string]*injection {
	return map[string]*injection{
		"PostriderEgressStopped": {
			roles: []string{"router"},
			inject: func(s *scene, _ *backends) {
				_, err := s.in.Run(s.t.Context(), "egress", "stop", "--direct", "--reason", "alerts")
				require.NoError(s.t, err)
			},
		},
		"PostriderRolePaused": {
			roles: []string{"router"}, labels: map[string]string{"paused_role": "recorder"},
			inject: func(s *scene, _ *backends) {
				a := s.runAPI()
				require.Less(s.t, a.call(http.MethodPut, "/pause/role/recorder", map[string]string{"reason": "alerts"}), http.StatusMultipleChoices)
			},
		},
	}
}
