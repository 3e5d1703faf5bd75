package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/test/redistest"
	"github.com/postrider/postrider/topics"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver is an endpoint that verifies every signature with the official library and remembers what it accepted.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	accepted map[string]int // by path and message id
	tried    map[string]int
	bad      []error
	changed  chan struct{}
	// refuse says that a try is answered with 500; nil refuses none.
	refuse func() bool
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	wh, err := webhooks.NewWebhook(secret)
	require.NoError(t, err)
	r := &receiver{accepted: map[string]int{}, tried: map[string]int{}, changed: make(chan struct{}, 1)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err = errors.Join(err, wh.Verify(body, req.Header)); err != nil {
			r.bad = append(r.bad, err)
		}
		key := req.URL.Path + " " + req.Header.Get("webhook-id")
		r.tried[key]++
		if r.refuse != nil && r.refuse() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if req.URL.Path == "/flaky" && r.tried[key] == 1 && len(r.tried)%3 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.accepted[key]++
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// wait blocks until n different deliveries were accepted.
func (r *receiver) wait(t *testing.T, n int) {
	t.Helper()
	limit := time.NewTimer(10 * time.Minute)
	defer limit.Stop()
	for {
		r.mu.Lock()
		got := len(r.accepted)
		r.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-r.changed:
		case <-limit.C:
			t.Fatalf("%d of %d deliveries accepted", got, n)
		}
	}
}

// installed is a whole installation in this process: every role, on a cluster.
type installed struct {
	conf    config.Config
	client  *kgo.Client
	metrics *prometheus.Registry
	stop    func()
}

// lost is how often the broker threw a role out of its group, as it does with one that is not heard of for a session.
func (i *installed) lost(t *testing.T) (n float64) {
	t.Helper()
	families, err := i.metrics.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "postrider_group_lost_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func install(t *testing.T, conf kafka.Config, redis string, endpoints ...string) *installed {
	t.Helper()
	c := config.Default()
	conf.Prefix = fmt.Sprintf("pipeline-%s.", uuid.NewString()[:8])
	c.Kafka = conf
	keyset, err := seal.Generate()
	require.NoError(t, err)
	c.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	c.Redis.Addresses = []string{redis}
	c.Egress.AllowHTTP, c.Egress.AnyPort = true, true
	c.Egress.AllowNetworks = loopback()
	require.NoError(t, c.Validate())
	require.NoError(t, kafka.EnsureTopics(t.Context(), c.Kafka, kafka.PlanOptions{Partitions: 4}))
	subscribe(t, &c, endpoints)
	client, err := kafka.NewClient(c.Kafka)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	metrics := prometheus.NewRegistry()
	a, err := app.New(ctx, &c, app.Options{Metrics: metrics})
	require.NoError(t, err)
	require.NoError(t, errors.Join(a.AddRouter(ctx), a.AddDeliverer(ctx), a.AddRetrier()))
	go func() { done <- a.Run(ctx) }()
	stop := sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
	t.Cleanup(stop)
	return &installed{conf: c, client: client, metrics: metrics, stop: stop}
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// subscribe writes a tenant with one subscription per endpoint.
func subscribe(t *testing.T, c *config.Config, endpoints []string) {
	t.Helper()
	topic := c.Kafka.Prefix + topics.Registry
	log, err := kafka.OpenLog(c.Kafka, topic)
	require.NoError(t, err)
	defer log.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	view, err := registry.Open(ctx, log, registry.Options{})
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = view.Run(ctx) }()
	w, err := registry.OpenWriter(ctx, view, func(ctx context.Context) (registry.Appender, error) {
		return kafka.OpenLogWriter(ctx, c.Kafka, topic, c.Kafka.Prefix+"registry")
	})
	require.NoError(t, err)
	tenant := &subscription.Tenant{ID: ident.New(), UID: "acme", Name: "Acme", Profile: "standard"}
	changes := []registry.Change{registry.PutTenant(tenant)}
	for _, url := range endpoints {
		changes = append(changes, registry.PutSubscription(&subscription.Subscription{
			ID: ident.New(), Tenant: tenant.ID, URL: url, Secrets: []string{secret},
			Retry: &subscription.RetryPolicy{
				Kind: subscription.RetryFixed, Interval: subscription.Duration(time.Second), MaxTries: 100,
				Jitter: subscription.JitterNone,
			},
		}))
	}
	_, err = w.Apply(ctx, changes...)
	require.NoError(t, err)
	w.Close()
	cancel()
	<-ended
}

func (i *installed) send(t *testing.T, from, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for id := from; id < from+n; id++ {
		wg.Add(1)
		r := &kgo.Record{
			Topic: i.conf.Kafka.Prefix + topics.Events, Key: fmt.Appendf(nil, "%d", id),
			Value: fmt.Appendf(nil, `{"n":%d}`, id),
			Headers: []kgo.RecordHeader{
				{Key: "ce_specversion", Value: []byte("1.0")},
				{Key: "ce_id", Value: fmt.Appendf(nil, "%d", id)},
				{Key: "ce_source", Value: []byte("test")},
				{Key: "ce_type", Value: []byte("contact.updated")},
				{Key: "ce_tenant", Value: []byte("acme")},
				{Key: "content-type", Value: []byte("application/json")},
			},
		}
		i.client.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			defer wg.Done()
			if err != nil {
				t.Errorf("producing: %v", err)
			}
		})
	}
	wg.Wait()
}

// The whole path on real Kafka and Redis, under both group protocols: every event arrives at every endpoint, once (and
// once more for each time that the broker threw a role out) and verified, also at one that fails every third first try.
func TestKafkaPipelineDeliversEverythingOnce(t *testing.T) {
	for _, protocol := range []string{kafka.ProtocolClassic, kafka.ProtocolConsumer} {
		t.Run(protocol, func(t *testing.T) {
			const events = 500
			r := newReceiver(t)
			conf := kafka.Config{Brokers: kafkatest.Shared(t), GroupProtocol: protocol}
			i := install(t, conf, redistest.Shared(t), r.URL+"/a", r.URL+"/b", r.URL+"/flaky")
			i.send(t, 0, events)
			r.wait(t, 3*events)
			i.stop()
			r.mu.Lock()
			defer r.mu.Unlock()
			require.Empty(t, r.bad, "signatures")
			require.Len(t, r.accepted, 3*events)
			lost := int(i.lost(t)) // none, unless the machine stood still: what was not committed then is sent again
			for key, n := range r.accepted {
				require.LessOrEqual(t, n, 1+lost, key)
			}
		})
	}
}

// A broker of three is killed and comes back in the middle: nothing is lost, and at most what was not acknowledged yet is
// sent again, once.
func TestKafkaPipelineSurvivesABroker(t *testing.T) {
	const events = 400
	cluster := kafkatest.Start(t, kafkatest.Options{Brokers: 3})
	r := newReceiver(t)
	i := install(t, kafka.Config{Brokers: cluster.Brokers()}, redistest.Shared(t), r.URL+"/a", r.URL+"/flaky")
	i.send(t, 0, events)
	r.wait(t, events)
	require.NoError(t, cluster.Kill(1))
	i.send(t, events, events)
	r.wait(t, 2*events)
	require.NoError(t, cluster.Restart(1))
	i.send(t, 2*events, events)
	r.wait(t, 6*events)
	i.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.bad, "signatures")
	require.Len(t, r.accepted, 6*events)
	repeated := 0
	for key, n := range r.accepted {
		require.LessOrEqual(t, n, 2, key)
		repeated += n - 1
	}
	// With its broker away an outcome waits for its acknowledgement; a member that loses its partition meanwhile, because
	// the coordinator was the one that died, leaves those deliveries to be repeated. It can be no more than were sent since.
	require.LessOrEqual(t, repeated, 4*events)
	t.Logf("%d of %d deliveries were sent again", repeated, 6*events)
}
