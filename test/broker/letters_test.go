package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/test/redistest"
)

// office is an installation with all roles and its API, whose configuration can be changed by starting it again.
type office struct {
	t     *testing.T
	conf  config.Config
	token string
	base  string
	stop  func()
}

func newOffice(t *testing.T, url string) *office {
	t.Helper()
	o := &office{t: t, conf: config.Default()}
	c := &o.conf
	c.Kafka = kafka.Config{Brokers: kafkatest.Shared(t), Prefix: fmt.Sprintf("letters-%s.", ident.New().UUID()[24:])}
	keyset, err := seal.Generate()
	require.NoError(t, err)
	c.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	c.Redis.Addresses = []string{redistest.Shared(t)}
	c.Egress.AllowHTTP, c.Egress.AnyPort = true, true
	c.Egress.AllowNetworks = loopback()
	c.Deliverer.Breaker.Failures = 1000 // nothing is to be parked
	c.API.Listen, c.API.RequestsPerSecond = "127.0.0.1:0", 10_000
	c.Sources = []config.Source{{
		Source: event.Source{Name: "shop", Format: event.FormatJSON, Mapping: event.Mapping{Type: "kind", Tenant: "org"}},
		Topics: []string{c.Kafka.Prefix + "shop"},
	}}
	require.NoError(t, kafka.EnsureTopics(t.Context(), c.Kafka, kafka.PlanOptions{Partitions: 4}))
	client, err := kafka.NewClient(c.Kafka)
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 2, 1, nil, c.Sources[0].Topics[0])
	require.NoError(t, err)
	tenant := &subscription.Tenant{ID: ident.New(), UID: "acme", Name: "Acme", Profile: "standard"}
	key, token := access.NewKey("test", access.RoleOperator, ident.ID{}, time.Now().UTC(), time.Time{})
	o.token = token
	err = app.WithStore(t.Context(), c, app.StoreUse{}, func(ctx context.Context, s *registry.Store) error {
		_, err := s.Apply(ctx, audit.Actor{Kind: audit.ActorCommand, Name: "test"}, registry.PutTenant(tenant), registry.PutKey(key),
			registry.PutSubscription(&subscription.Subscription{
				ID: ident.New(), UID: "crm", Tenant: tenant.ID, URL: url, Secrets: []string{secret}, Generation: 1,
				Retry: &subscription.RetryPolicy{Kind: subscription.RetryFixed, Interval: subscription.Duration(time.Second), MaxTries: 1, Jitter: subscription.JitterNone},
			}))
		return err
	})
	require.NoError(t, err)
	o.start()
	return o
}

func (o *office) produce(client *kgo.Client, key, value string) {
	o.t.Helper()
	r := &kgo.Record{Topic: o.conf.Kafka.Prefix + "shop", Key: []byte(key), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "own", Value: []byte("1")}}}
	require.NoError(o.t, client.ProduceSync(o.t.Context(), r).FirstErr())
}

func (o *office) start() {
	o.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	views, err := app.OpenViews(&o.conf, nil)
	require.NoError(o.t, err)
	a, err := app.New(ctx, &o.conf, app.Options{Metrics: prometheus.NewRegistry(), Views: views})
	require.NoError(o.t, err)
	require.NoError(o.t, errors.Join(a.AddRouter(ctx), a.AddDeliverer(ctx), a.AddRetrier(), a.AddAPI(ctx)))
	o.base = "http://" + a.APIAddr() + "/api/v1"
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	o.stop = sync.OnceFunc(func() { cancel(); require.NoError(o.t, errors.Join(<-done, views.Close())) })
	o.t.Cleanup(o.stop)
}

// call calls the API until it does not ask to come again.
func (o *office) call(method, path, body string) string {
	o.t.Helper()
	for range 600 {
		r, err := http.NewRequestWithContext(o.t.Context(), method, o.base+path, bytes.NewReader([]byte(body)))
		require.NoError(o.t, err)
		r.Header.Set("Authorization", "Bearer "+o.token)
		r.Header.Set("Content-Type", "application/json")
		answer, err := (&http.Client{}).Do(r)
		require.NoError(o.t, err)
		raw, err := io.ReadAll(answer.Body)
		require.NoError(o.t, errors.Join(err, answer.Body.Close()))
		if answer.StatusCode == http.StatusOK {
			return string(raw)
		}
		require.Equal(o.t, http.StatusServiceUnavailable, answer.StatusCode, "%s", raw)
		rest := time.NewTimer(100 * time.Millisecond)
		<-rest.C
	}
	o.t.Fatalf("%s is unavailable for a minute", path)
	return ""
}

// count is how many elements a list has, once it has so many.
func (o *office) count(path string, want int) (ids []string) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		var page struct{ Data []struct{ ID string } }
		require.NoError(o.t, json.Unmarshal([]byte(o.call("GET", path+"?limit=250", "")), &page))
		ids = nil
		for _, d := range page.Data {
			ids = append(ids, d.ID)
		}
		return len(ids) == want
	}, 5*time.Minute, 100*time.Millisecond, "%s has %d", path, len(ids))
	return ids
}

// Redrive, discard and re-ingest on real Kafka, through the API, across a restart: what is closed stays closed for a process
// that knows the log alone, what is redriven arrives, what is put back arrives once under the identity that it had.
func TestKafkaLetters(t *testing.T) {
	const events = 40
	var healthy atomic.Bool
	r := newReceiver(t)
	r.refuse = func() bool { return !healthy.Load() }
	o := newOffice(t, r.URL+"/in")
	client, err := kafka.NewClient(o.conf.Kafka)
	require.NoError(t, err)
	defer client.Close()
	for n := range events {
		o.produce(client, fmt.Sprint(n), fmt.Sprintf(`{"kind":"contact.updated","org":"acme","n":%d}`, n))
	}
	o.produce(client, "late", `{"type":"contact.created","org":"acme"}`)
	dead := o.count("/app/acme/dead-letter", events)
	rejected := o.count("/rejected", 1)

	require.Contains(t, o.call("GET", "/app/acme/dead-letter/cause", ""), fmt.Sprintf(`"status":500,"count":%d`, events))
	shown := o.call("GET", "/app/acme/dead-letter/"+dead[0], "")
	require.Contains(t, shown, `"historyComplete":true`)
	require.Contains(t, shown, `"verdict":"dead","reason":"exhausted"`)
	require.Contains(t, o.call("POST", "/app/acme/dead-letter/discard", fmt.Sprintf(`{"ids":["%s","%s"]}`, dead[0], dead[1])), `"count":2`)
	require.Contains(t, o.call("POST", "/rejected/reingest", `{"all":true}`), `"count":0,"skipped":{"still_rejected":1}`)

	// Another process, with a mapping that was mended.
	o.stop()
	o.conf.Sources[0].Mapping.Type = "type"
	healthy.Store(true)
	o.start()
	o.count("/app/acme/dead-letter", events-2)
	require.Len(t, strings.Split(strings.TrimSpace(o.call("GET", "/dead-letter/export", "")), "\n"), events-2)
	require.Contains(t, o.call("POST", "/dead-letter/redrive", `{"all":true,"dryRun":true}`), fmt.Sprintf(`"count":%d`, events-2))
	require.Contains(t, o.call("POST", "/dead-letter/redrive", `{"all":true}`), fmt.Sprintf(`"count":%d,"skipped":{}`, events-2))
	r.wait(t, events-2)
	require.Contains(t, o.call("POST", "/rejected/reingest", fmt.Sprintf(`{"ids":["%s"]}`, rejected[0])), `"count":1`)
	r.wait(t, events-1)
	o.count("/dead-letter", 0)
	o.count("/rejected", 0)
	require.Contains(t, o.call("GET", "/audit", ""), `"action":"redriven","kind":"dead-letter"`)
	o.stop()
	o.start()
	o.count("/dead-letter", 0)
	o.count("/rejected", 0)
	o.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.bad, "signatures")
	for key, n := range r.accepted {
		require.Equal(t, 1, n, key)
	}
}
