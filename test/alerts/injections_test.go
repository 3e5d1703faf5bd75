package alerts

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/topics"
)

// injections returns how the condition of each alert comes about.
func injections() map[string]*injection {
	all := map[string]*injection{}
	for _, some := range []map[string]*injection{
		flowInjections(), partitionInjections(), stateInjections(), apiInjections(), endpointInjections(), canaryInjections(), pauseInjections(),
	} {
		maps.Copy(all, some)
	}
	return all
}

func ok(string) (int, time.Duration)   { return http.StatusOK, 0 }
func fail(string) (int, time.Duration) { return http.StatusInternalServerError, 0 }

// slowly returns endpoints that answer after so long.
func slowly(after time.Duration) func(string) (int, time.Duration) {
	return func(string) (int, time.Duration) { return http.StatusOK, after }
}

func flowInjections() map[string]*injection {
	return map[string]*injection{
		// A pod is gone and does not come back.
		"PostriderRoleMissing": {
			roles: []string{"router", "deliver", "retry"}, labels: map[string]string{"role": "retry"},
			inject: func(s *scene, _ *backends) { s.of("retry").Kill(s.t.Context()) },
		},
		// One worker, and endpoints that use up the longest timeout: the third delivery waits for two minutes.
		"PostriderDeliveriesLate": {
			roles: []string{"router", "deliver"}, set: []string{"--set", "deliverer.workers=1"},
			inject: func(s *scene, _ *backends) {
				s.answers(slowly(time.Hour))
				s.events(5, s.subscribe(5, func(sub *rig.Subscription) { sub.Timeout = time.Minute }))
			},
		},
		// Four workers, and endpoints that take a second, beside 1,000 deliveries a second.
		"PostriderDeliveriesBehind": {
			roles: []string{"router", "deliver"}, set: []string{"--set", "deliverer.workers=4"}, partitions: 4,
			inject: func(s *scene, _ *backends) {
				s.answers(slowly(time.Second))
				all := rig.Tenants(1, 50, func(sub *rig.Subscription) { sub.URL = s.url })
				require.NoError(s.t, s.in.Apply(s.t.Context(), all))
				s.flow(20, all)
			},
		},
		// A router that waits for Kafka after every delivery, and 30,000 events at once.
		"PostriderSourcesBehind": {
			roles: []string{"router"}, set: []string{"--set", "router.max_expansions=1"},
			inject: func(s *scene, _ *backends) { s.events(30_000, s.subscribe(1, nil)) },
		},
		// A broker that takes eight seconds for what is written to a retry topic.
		"PostriderRetriesLate": {
			roles: []string{"router", "deliver", "retry"}, set: []string{"--set", "deliverer.breaker.failures=10000"}, embedded: true,
			inject: late,
		},
		// A producer that writes what is no event.
		"PostriderEventsRejected": {
			roles: []string{"router"},
			inject: func(s *scene, _ *backends) {
				s.steadily(10, func(int) {
					s.in.Client.Produce(s.t.Context(), &kgo.Record{Topic: s.in.Topic(topics.Events), Value: []byte("no event")}, nil)
				})
			},
		},
	}
}

func late(s *scene, b *backends) {
	name := s.in.Topic(topics.Retry(time.Second))
	all, err := s.in.Admin.ListTopics(s.t.Context(), name)
	require.NoError(s.t, err)
	slow := func(req *kmsg.ProduceRequest) bool {
		return slices.ContainsFunc(req.Topics, func(t kmsg.ProduceRequestTopic) bool { return t.Topic == name || t.TopicID == all[name].ID })
	}
	b.embedded.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.embedded.KeepControl()
		if slow(req.(*kmsg.ProduceRequest)) {
			b.embedded.SleepControl(func() { _ = rig.Pause(s.t.Context(), 8*time.Second) })
		}
		return nil, nil, false
	})
	s.answers(fail)
	s.flow(10, s.subscribe(10, func(sub *rig.Subscription) { sub.Retry = rig.Retry{Every: 2 * time.Second, MaxTries: 3} }))
}

// cut deletes the events that the router has not read, while it is away, and starts it again.
func cut(s *scene, args ...string) {
	s.t.Helper()
	all := s.subscribe(1, nil)
	s.events(10, all)
	s.drained("router")
	s.end("router")
	s.events(10, all)
	ends, err := s.in.Admin.ListEndOffsets(s.t.Context(), s.in.Topic(topics.Events))
	require.NoError(s.t, err)
	deleted, err := s.in.Admin.DeleteRecords(s.t.Context(), ends.Offsets())
	require.NoError(s.t, err)
	require.NoError(s.t, deleted.Error())
	s.run("router", args...)
}

func partitionInjections() map[string]*injection {
	return map[string]*injection{
		"PostriderPartitionsHalted": {
			roles:  []string{"router"},
			inject: func(s *scene, _ *backends) { cut(s) },
		},
		"PostriderPartitionsSkipped": {
			roles:  []string{"router"},
			inject: func(s *scene, _ *backends) { cut(s, "--set", "kafka.on_out_of_range=earliest") },
		},
		// A broker that takes less metadata than it has to.
		"PostriderCommitsFail": {
			roles: []string{"router", "deliver"}, embedded: true,
			inject: func(s *scene, b *backends) {
				b.embedded.ControlKey(kmsg.OffsetCommit.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
					b.embedded.KeepControl()
					return refusal(req.(*kmsg.OffsetCommitRequest)), nil, true
				})
				s.flow(10, s.subscribe(5, nil))
			},
		},
		// A deliverer that stops for longer than its session, five times within two thirds of the window.
		"PostriderGroupUnstable": {
			roles: []string{"deliver"},
			inject: func(s *scene, _ *backends) {
				p := s.of("deliver")
				for n := 1; n <= 5; n++ {
					require.NoError(s.t, p.Pause(s.t.Context()))
					require.NoError(s.t, rig.Pause(s.t.Context(), rig.SessionTimeout+time.Second))
					require.NoError(s.t, p.Resume(s.t.Context()))
					s.prom.await(time.Minute, "the loss is noticed", func() bool {
						lost, err := p.Metric(s.t.Context(), "postrider_group_lost_total")
						return err == nil && lost >= float64(n)
					})
					require.NoError(s.t, p.Ready(s.t.Context()))
				}
			},
		},
		"PostriderCommitsOverflow": {
			roles: []string{"router", "deliver"}, set: []string{"--set", "deliverer.workers=4000", "--set", "deliverer.lane_queue=100000"},
			inject: scatter,
		},
	}
}

// refusal answers a commit as a broker does that has a smaller offset.metadata.max.bytes.
func refusal(req *kmsg.OffsetCommitRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range req.Topics {
		answer := kmsg.NewOffsetCommitResponseTopic()
		answer.Topic, answer.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			answer.Partitions = append(answer.Partitions, kmsg.OffsetCommitResponseTopicPartition{
				Partition: p.Partition, ErrorCode: kerr.OffsetMetadataTooLarge.Code,
			})
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

// scatter leaves one delivery unfinished below more than a bitmap holds, and above that every other one.
func scatter(s *scene, _ *backends) {
	const (
		contiguous = 30_000
		scattered  = 2000
	)
	s.answers(func(path string) (int, time.Duration) {
		if path == "fast" {
			return http.StatusOK, 0
		}
		return http.StatusOK, time.Hour
	})
	all := s.subscribe(scattered+1, func(sub *rig.Subscription) {
		sub.Timeout = time.Minute
		if sub.URL == s.url+"0" {
			sub.URL = s.url + "fast"
		}
	})
	fast, slow := all[:1], all[1:]
	s.events(1, slow)
	s.events(contiguous, fast)
	s.drained("router")
	require.NoError(s.t, rig.Await(s.t.Context(), time.Minute, func() (bool, error) {
		done, err := s.of("deliver").Metric(s.t.Context(), "postrider_deliverer_verdicts_total")
		return done >= contiguous, err
	}))
	// It is handed all that follows at once.
	require.NoError(s.t, s.of("deliver").Pause(s.t.Context()))
	for i := range scattered - 1 {
		s.event(slow[i+1].UID)
		s.event(fast[0].UID)
	}
	s.drained("router")
	require.NoError(s.t, s.of("deliver").Resume(s.t.Context()))
}

func stateInjections() map[string]*injection {
	return map[string]*injection{
		// The broker hangs. What a process shows takes as long as the brokers may take to say how far groups are.
		"PostriderRegistryStale": {
			roles: []string{"deliver"}, scrape: 5 * time.Second, breaksKafka: true,
			inject: func(s *scene, b *backends) {
				require.NoError(s.t, b.kafka.Pause(0))
				s.t.Cleanup(func() { require.NoError(s.t, b.kafka.Resume(0)) })
			},
		},
		"PostriderRegistryUnreadable": {
			roles: []string{"router"},
			inject: func(s *scene, _ *backends) {
				record := &kgo.Record{Topic: s.in.Topic(topics.Registry), Key: []byte("tenant/x"), Value: []byte("nothing that is known")}
				require.NoError(s.t, s.in.Client.ProduceSync(s.t.Context(), record).FirstErr())
			},
		},
		// A deliverer that starts with another keyset.
		"PostriderSecretsUnreadable": {
			roles: []string{"deliver"},
			inject: func(s *scene, _ *backends) {
				s.subscribe(3, nil)
				s.end("deliver")
				other := s.t.TempDir() + "/keyset.json"
				_, err := s.in.Run(s.t.Context(), "keys", "generate", other)
				require.NoError(s.t, err)
				s.run("deliver", "--set", "encryption.keyset_file="+other)
			},
		},
		"PostriderRedisDown": {
			roles: []string{"recorder"}, ownRedis: true,
			inject: func(s *scene, b *backends) { require.NoError(s.t, b.redis.Kill()) },
		},
	}
}

func apiInjections() map[string]*injection {
	newTenant := func(a *api, n int) {
		require.Less(a.t, a.call(http.MethodPost, "/app", map[string]string{"name": "A", "uid": fmt.Sprint("fight-", n)}), 500)
	}
	return map[string]*injection{
		// Two processes that are given changes in turn.
		"PostriderWritersFight": {
			inject: func(s *scene, _ *backends) {
				one, other := s.runAPI(), s.runAPI()
				s.prom.await(time.Minute, "both are scraped", func() bool {
					_, ok := s.prom.scraped(2)
					return ok
				})
				for n := range 40 {
					newTenant(one, 2*n)
					newTenant(other, 2*n+1)
				}
			},
		},
		// Lists are asked for while Redis is gone.
		"PostriderAPIErrors": {
			ownRedis: true,
			inject: func(s *scene, b *backends) {
				a := s.runAPI()
				tenant := s.subscribe(1, nil)[0]
				require.NoError(s.t, b.redis.Kill())
				s.lists(a, tenant, http.StatusServiceUnavailable)
			},
		},
		// … and while Redis hangs for three seconds at a time.
		"PostriderAPISlow": {
			ownRedis: true,
			inject: func(s *scene, b *backends) {
				a := s.runAPI("--set", "redis.call_timeout=30s")
				tenant := s.subscribe(1, nil)[0]
				s.lists(a, tenant, http.StatusOK)
				s.steadily(0.3, func(int) {
					if b.redis.Pause() == nil {
						_ = rig.Pause(s.t.Context(), 3*time.Second)
						_ = b.redis.Resume()
					}
				})
			},
		},
	}
}

// lists asks for attempts again and again, ten at a time.
func (s *scene) lists(a *api, tenant rig.Tenant, want int) {
	s.t.Helper()
	path := fmt.Sprintf("/app/%s/attempt/endpoint/%s", tenant.UID, tenant.Subscriptions[0].ID)
	require.Equal(s.t, want, a.call(http.MethodGet, path, nil))
	for range 10 {
		s.steadily(2, func(int) { a.call(http.MethodGet, path, nil) })
	}
}

func endpointInjections() map[string]*injection {
	// outage has 40 endpoints at a URL, with one event a second each.
	outage := func(url func(*scene) string) func(*scene, *backends) {
		return func(s *scene, _ *backends) {
			s.flow(40, s.subscribe(40, func(sub *rig.Subscription) { sub.URL = url(s) }))
		}
	}
	own := func(s *scene) string { return s.url }
	nobody := func(*scene) string { return "https://127.0.0.1:1/" } // where nobody listens
	return map[string]*injection{
		"PostriderAttemptsFail": {roles: []string{"router", "deliver", "retry"}, inject: outage(nobody)},
		"PostriderProxyFails": {
			roles: []string{"router", "deliver", "retry"}, set: []string{"--set", "egress.proxy.url=http://127.0.0.1:1"}, inject: outage(own),
		},
		"PostriderEndpointsBlocked": {
			roles: []string{"router", "deliver", "retry"}, set: []string{"--set", "egress.allow_networks=192.0.2.0/24"}, inject: outage(own),
		},
		"PostriderBreakersOpen": {roles: []string{"router", "deliver", "retry"}, inject: outage(nobody)},
		// Deliveries that are tried once, half of them in vain.
		"PostriderDeadLetters": {
			roles: []string{"router", "deliver"}, set: []string{"--set", "deliverer.breaker.failures=10000"},
			inject: func(s *scene, _ *backends) {
				s.answers(func(path string) (int, time.Duration) {
					if len(path)%2 == 0 {
						return ok(path)
					}
					return fail(path)
				})
				s.flow(10, s.subscribe(20, func(sub *rig.Subscription) { sub.Retry = rig.Retry{Every: time.Hour, MaxTries: 1} }))
			},
		},
	}
}
