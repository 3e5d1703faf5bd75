// Package flow runs the roles of the app on an embedded broker in virtual time: hours of retries pass in moments, and
// what happens when is exact.
package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/suite"
	"github.com/postrider/postrider/topics"
)

func TestMain(m *testing.M) { suite.Main(m) }

// world is an installation in virtual time.
type world struct {
	t       *testing.T
	conf    config.Config
	cluster *kfake.Cluster
	client  *kgo.Client
	writer  *registry.Writer
	view    *registry.View
	tenant  *subscription.Tenant
	// freeze ends the world's own view and writer of the registry, which saves half of what an idle world does.
	freeze func()
	end    []func()
}

// partitions is the number of partitions of deliveries.
const partitions = 2

// run calls fn in a world with one tenant, in a bubble of virtual time.
func run(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		fn(t, w)
	})
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func newWorld(t *testing.T) *world {
	t.Helper()
	network := &kfake.VirtualNetwork{}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen),
	)
	require.NoError(t, err)
	w := &world{t: t, cluster: cluster, conf: config.Default()}
	w.conf.Kafka.Brokers = []string{"localhost:9092"}
	w.conf.Kafka.Dial = network.DialContext
	w.conf.Kafka.SessionTimeout = 10 * time.Second
	// Long waits of idle fetches make virtual time cheap: new records end them at once, and the shortest tier is seen in time.
	w.conf.Kafka.FetchMaxWait = 900 * time.Millisecond
	w.conf.Deliverer.Workers = 64
	keyset, err := seal.Generate()
	require.NoError(t, err)
	w.conf.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	ctx := t.Context()
	err = kafka.EnsureTopics(ctx, w.conf.Kafka, kafka.PlanOptions{Partitions: partitions})
	require.NoError(t, err)
	w.client, err = kafka.NewClient(w.conf.Kafka)
	require.NoError(t, err)
	w.openRegistry(ctx)
	w.tenant = &subscription.Tenant{ID: ident.Derive("test", "acme"), UID: "acme", Name: "Acme", Profile: "standard"}
	w.put(registry.PutTenant(w.tenant))
	return w
}

func (w *world) openRegistry(ctx context.Context) {
	topic := w.conf.Kafka.Prefix + topics.Registry
	log, err := kafka.OpenLog(w.conf.Kafka, topic)
	require.NoError(w.t, err)
	w.view, err = registry.Open(ctx, log, registry.Options{})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = w.view.Run(ctx) }()
	w.writer, err = registry.OpenWriter(ctx, w.view, func(ctx context.Context) (registry.Appender, error) {
		return kafka.OpenLogWriter(ctx, w.conf.Kafka, topic, "postrider.registry-writer")
	})
	require.NoError(w.t, err)
	w.freeze = sync.OnceFunc(func() { w.writer.Close(); cancel(); <-done; log.Close() })
	w.end = append(w.end, w.freeze)
}

func (w *world) close() {
	for _, end := range slices.Backward(w.end) {
		end()
	}
	w.client.Close()
	w.cluster.Close()
}

func (w *world) put(changes ...registry.Change) int64 {
	w.t.Helper()
	version, err := w.writer.Apply(w.t.Context(), changes...)
	require.NoError(w.t, err)
	return version
}

// subscribe adds a subscription to every event type.
func (w *world) subscribe(name string, change ...func(*subscription.Subscription)) *subscription.Subscription {
	w.t.Helper()
	s := &subscription.Subscription{
		ID: ident.Derive("test", name), Tenant: w.tenant.ID, UID: name, Name: name, URL: "https://" + name + ".example.com/in",
		Secrets: []string{secret}, Generation: 1,
	}
	for _, c := range change {
		c(s)
	}
	w.put(registry.PutSubscription(s))
	return s
}

// send puts n events on the events topic and waits until the broker has them.
func (w *world) send(n int, prefix string) {
	w.t.Helper()
	for i := range n {
		value := fmt.Appendf(nil, `{"specversion":"1.0","id":"%s-%d","source":"test","type":"contact.updated","tenant":"acme","data":{"n":%d}}`, prefix, i, i)
		r := &kgo.Record{
			Topic: w.conf.Kafka.Prefix + topics.Events, Value: value, Key: []byte("acme"),
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}},
		}
		require.NoError(w.t, w.client.ProduceSync(w.t.Context(), r).FirstErr())
	}
}

// process is a running app.
type process struct {
	cancel context.CancelFunc
	done   chan error
	ended  bool
}

// start runs roles as one process would.
func (w *world) start(client *endpoints, roles ...string) *process {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	level := slog.LevelError
	if os.Getenv("POSTRIDER_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	conf := w.conf
	a, err := app.New(ctx, &conf, app.Options{
		Attempter: client, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
	require.NoError(w.t, err)
	for _, role := range roles {
		switch role {
		case "router":
			err = a.AddRouter(ctx)
		case "deliverer":
			err = a.AddDeliverer(ctx)
		case "retrier":
			err = a.AddRetrier()
		}
		require.NoError(w.t, err)
	}
	p := &process{cancel: cancel, done: make(chan error, 1)}
	go func() { p.done <- a.Run(ctx) }()
	w.end = append(w.end, func() { require.NoError(w.t, p.stop()) })
	return p
}

// stop ends the process as SIGTERM does.
func (p *process) stop() error {
	if p.ended {
		return nil
	}
	p.ended = true
	p.cancel()
	return <-p.done
}

// outcomes reads all outcomes so far.
func (w *world) outcomes() []outcome.Outcome {
	w.t.Helper()
	var rows []outcome.Outcome
	w.read(topics.Outcomes, func(r *kgo.Record) {
		var row outcome.Outcome
		require.NoError(w.t, json.Unmarshal(r.Value, &row))
		rows = append(rows, row)
	})
	return rows
}

// read calls fn for every record of a topic.
func (w *world) read(topic string, fn func(*kgo.Record)) {
	w.t.Helper()
	reader := kafka.NewReader(w.conf.Kafka)
	for p := range int32(64) {
		_, err := reader.Range(w.t.Context(), w.conf.Kafka.Prefix+topic, p, 0, func(r *kafka.Record) error { fn(r); return nil })
		if err != nil {
			require.Positive(w.t, p)
			return
		}
	}
}

// hit is one attempt that reached an endpoint.
type hit struct {
	method string
	url    string
	id     string
	header http.Header
	body   string
	at     time.Time
}

// endpoints stands in for the network: it answers attempts by URL.
type endpoints struct {
	mu     sync.Mutex
	hits   []hit
	answer func(ctx context.Context, url string, n int) (attempt.Response, error) // n counts the hits of the URL from 1
}

func newEndpoints(answer func(ctx context.Context, url string, n int) (attempt.Response, error)) *endpoints {
	return &endpoints{answer: answer}
}

// always answers every attempt with one status.
func always(status int) func(context.Context, string, int) (attempt.Response, error) {
	return func(context.Context, string, int) (attempt.Response, error) { return reply(status), nil }
}

func reply(status int) attempt.Response {
	result := outcome.ResultSuccess
	switch {
	case status == 410:
		result = outcome.ResultGone
	case status == 429:
		result = outcome.ResultThrottled
	case status >= 500:
		result = outcome.ResultServerError
	case status >= 400:
		result = outcome.ResultClientError
	case status >= 300:
		result = outcome.ResultRedirect
	}
	return attempt.Response{Result: result, Status: status}
}

// Do implements pipeline.Attempter.
func (e *endpoints) Do(ctx context.Context, r *attempt.Request) (attempt.Response, error) {
	e.mu.Lock()
	h := hit{method: r.Method, url: r.URL, header: http.Header{}, body: string(r.Body), at: time.Now()}
	for _, header := range r.Header {
		h.header.Add(header.Name, header.Value)
	}
	h.id = h.header.Get("webhook-id")
	e.hits = append(e.hits, h)
	n := 0
	for _, other := range e.hits {
		if other.url == h.url {
			n++
		}
	}
	e.mu.Unlock()
	resp, err := e.answer(ctx, r.URL, n)
	resp.Started = h.at
	resp.Duration = time.Since(h.at)
	return resp, err
}

// times returns when a URL was hit.
func (e *endpoints) times(url string) []time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []time.Time
	for _, h := range e.hits {
		if url == "" || h.url == url {
			out = append(out, h.at)
		}
	}
	return out
}

// total returns how often anything was received.
func (e *endpoints) total() int { return len(e.times("")) }

// count returns how often each message was received, by URL and id.
func (e *endpoints) count() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]int{}
	for _, h := range e.hits {
		out[h.url+" "+h.id]++
	}
	return out
}

func retryList(waits ...time.Duration) *subscription.RetryPolicy {
	p := &subscription.RetryPolicy{Kind: subscription.RetryList, Jitter: subscription.JitterNone}
	for _, w := range waits {
		p.List = append(p.List, subscription.Duration(w))
	}
	return p
}

// until waits, in virtual time, for what becomes true within the limit. Idle minutes cost as much as busy ones.
func until(t *testing.T, limit time.Duration, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(time.Second) {
		require.Less(t, time.Since(began), limit, "did not happen")
	}
}

func verdicts(rows []outcome.Outcome) map[string]int {
	out := map[string]int{}
	for _, r := range rows {
		out[fmt.Sprintf("%s/%s", r.Verdict, r.Reason)]++
	}
	return out
}

// lag returns how many records of a topic a group has not finished.
func (w *world) lag(group, topic string) int64 {
	w.t.Helper()
	lags, err := kadm.NewClient(w.client).Lag(w.t.Context(), w.conf.Kafka.Prefix+group)
	require.NoError(w.t, err)
	var n int64
	for _, l := range lags[w.conf.Kafka.Prefix+group].Lag[w.conf.Kafka.Prefix+topic] {
		require.NoError(w.t, l.Err)
		n += l.Lag
	}
	return n
}
