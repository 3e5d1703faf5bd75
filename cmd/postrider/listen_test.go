package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
)

// listener is the command at work, the local server that it forwards to, and what it printed.
type listener struct {
	t        *testing.T
	server   *httptest.Server
	requests chan received
	lines    chan string
	told     chan string
	cancel   context.CancelFunc
	done     chan error
}

type received struct {
	header http.Header
	body   string
}

// startListening starts the command and returns once it listens; what it told before is returned as well.
func startListening(t *testing.T, args ...string) (*listener, []string) {
	t.Helper()
	l := &listener{t: t, requests: make(chan received, 10), lines: make(chan string, 10), told: make(chan string, 10), done: make(chan error, 1)}
	l.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.requests <- received{r.Header, string(body)}
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(l.server.Close)
	root := &cobra.Command{Use: "postrider", SilenceErrors: true, SilenceUsage: true}
	config.AddFlags(root.PersistentFlags())
	root.AddCommand(newListenCmd())
	out, outWriter := io.Pipe()
	told, toldWriter := io.Pipe()
	root.SetOut(outWriter)
	root.SetErr(toldWriter)
	root.SetArgs(append(append([]string{"listen"}, args...), l.server.URL+"/hook"))
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(t.Context())
	go func() {
		err := root.ExecuteContext(ctx)
		_ = outWriter.Close()
		_ = toldWriter.Close()
		l.done <- err
	}()
	each := func(r io.Reader, to chan<- string) {
		for s := bufio.NewScanner(r); s.Scan(); {
			to <- s.Text()
		}
	}
	go each(out, l.lines)
	go each(told, l.told)
	var before []string
	for {
		line := next(t, l.told)
		if strings.HasPrefix(line, "listening for") {
			return l, before
		}
		before = append(before, line)
	}
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(inTime):
		require.FailNow(t, "nothing came")
	}
	panic("unreachable")
}

func (l *listener) stop() {
	l.t.Helper()
	l.cancel()
	require.NoError(l.t, <-l.done, "who listens may stop")
	require.Empty(l.t, l.requests)
}

// listenEnv is a broker with a tenant, acme, of one subscription, orders, and what writes its deliveries.
func listenEnv(t *testing.T) (client *kgo.Client, tenant, orders ident.ID, secret string) {
	t.Helper()
	cfg := kafkaCmdEnv(t)
	keyset, err := seal.Generate()
	require.NoError(t, err)
	text, err := keyset.JSON()
	require.NoError(t, err)
	t.Setenv("POSTRIDER_ENCRYPTION_KEYSET", text)
	out, _, err := runKafkaCmd(t, newApplyCmd(), "", "-f", file(t, "subscriptions.yaml", acme))
	require.NoError(t, err)
	secret = secretPattern.FindStringSubmatch(out)[1]
	var found []struct{ ID ident.ID }
	out, _, err = runKafkaCmd(t, newGetCmd(), "", "tenants", "-o", "json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	tenant = found[0].ID
	out, _, err = runKafkaCmd(t, newGetCmd(), "", "subscriptions", "orders", "--tenant", "acme", "-o", "json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	orders = found[0].ID
	client, err = kafka.NewClient(cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client, tenant, orders, secret
}

// produceDelivery writes the delivery of an event to a subscription, as a router or, for a higher pass, a retrier would.
func produceDelivery(t *testing.T, client *kgo.Client, tenant, sub ident.ID, id, kind string, pass int) {
	t.Helper()
	ev := &event.Event{ID: id, Type: kind, Source: "test", Time: time.Now(), ContentType: "application/json", Data: []byte(`{"id":"` + id + `"}`)}
	d := pipeline.Expand(ev, &subscription.Tenant{ID: tenant}, &subscription.Subscription{ID: sub}, delivery.Position{Topic: "t"}, 1)
	d.Pass = pass
	r := &kgo.Record{Topic: "postrider.deliveries", Key: []byte(sub.UUID()), Value: d.Data}
	for name, value := range d.Headers() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
}

// written counts all records of the cluster, and its consumer groups.
func written(t *testing.T, client *kgo.Client) string {
	t.Helper()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(t.Context())
	require.NoError(t, err)
	var records int64
	ends.Each(func(o kadm.ListedOffset) { records += o.Offset })
	groups, err := admin.ListGroups(t.Context())
	require.NoError(t, err)
	return fmt.Sprintf("%d records, groups %v", records, groups.Groups())
}

// verify checks a request as its receiver would.
func (r received) verify(t *testing.T, secret string) {
	t.Helper()
	_, err := sign.Verify(sign.Standard{Prefix: "webhook-"}, []string{secret}, sign.Received{Header: r.header.Get, Body: []byte(r.body)}, time.Now(), time.Minute)
	require.NoError(t, err)
}

// What is forwarded is what the endpoint gets: signed with its own secret, with its own headers; of the asked types and of no
// other tenant or pass. Kafka is as it was.
func TestListenForwardsDeliveries(t *testing.T) {
	client, tenant, orders, secret := listenEnv(t)
	produceDelivery(t, client, tenant, orders, "before", "order.created", 0)
	l, before := startListening(t, "--tenant", "acme", "--subscription", "orders", "--types", "order.*")
	require.Empty(t, before)
	produceDelivery(t, client, tenant, orders, "retried", "order.created", 1)
	produceDelivery(t, client, ident.Derive("test", "other"), orders, "other-tenant", "order.created", 0)
	produceDelivery(t, client, tenant, ident.Derive("test", "gone"), "other-subscription", "order.created", 0)
	produceDelivery(t, client, tenant, orders, "other-type", "contact.created", 0)
	produceDelivery(t, client, tenant, orders, "4711", "order.created", 0)
	was := written(t, client)
	r := next(t, l.requests)
	require.Contains(t, r.body, `"4711"`)
	r.verify(t, secret)
	require.Equal(t, "Bearer canary", r.header.Get("Authorization"), "the subscription's own headers")
	line := next(t, l.lines)
	require.Regexp(t, `^\d\d:\d\d:\d\d\.\d{3}  order.created +orders +msg_\w{27}  418  \d+ ms$`, line)
	require.Equal(t, was, written(t, client), "nothing is written, and no group is made")
	l.stop()
}

// Without the keyset a secret is made and told, and what the subscription keeps secret is left out.
func TestListenWithoutKeyset(t *testing.T) {
	client, tenant, orders, secret := listenEnv(t)
	t.Setenv("POSTRIDER_ENCRYPTION_KEYSET", "")
	l, _ := startListening(t, "--tenant", "acme", "--retries", "-o", "json")
	produceDelivery(t, client, tenant, orders, "4711", "order.created", 2)
	told := next(t, l.told)
	require.Regexp(t, `^what profile standard signs is signed with whsec_`, told)
	require.NotContains(t, told, secret)
	require.Regexp(t, `^orders: its own headers`, next(t, l.told))
	r := next(t, l.requests)
	r.verify(t, told[strings.LastIndexByte(told, ' ')+1:])
	require.Empty(t, r.header.Get("Authorization"))
	var line forwarded
	require.NoError(t, json.Unmarshal([]byte(next(t, l.lines)), &line))
	require.Equal(t, "4711", line.EventID)
	require.Equal(t, http.StatusTeapot, line.Status)
	l.stop()
}

// With --events nobody needs to have subscribed, and the local server may be away.
func TestListenForwardsEvents(t *testing.T) {
	client, _, _, _ := listenEnv(t)
	l, _ := startListening(t, "--tenant", "acme", "--events", "--types", "cart.*", "--filter", "data.n > 1")
	send := func(id, tenant, kind string, n int) {
		r := &kgo.Record{
			Topic:   "postrider.events",
			Value:   fmt.Appendf(nil, `{"specversion":"1.0","id":"%s","source":"test","type":"%s","tenant":"%s","data":{"n":%d}}`, id, kind, tenant, n),
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}, Key: []byte("one partition"),
		}
		require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
	}
	send("1", "acme", "cart.left", 1)
	send("2", "acme", "order.created", 2)
	send("3", "nobody", "cart.left", 3)
	send("4", "acme", "cart.left", 4)
	told := next(t, l.told)
	r := next(t, l.requests)
	require.Contains(t, r.body, `"n":4`)
	r.verify(t, told[strings.LastIndexByte(told, ' ')+1:])
	require.Contains(t, next(t, l.lines), "cart.left")
	l.server.Close()
	send("5", "acme", "cart.left", 5)
	require.Contains(t, next(t, l.lines), "connection refused")
	l.stop()
}

func TestListenRefusesBadFlags(t *testing.T) {
	listenEnv(t)
	const local = "http://localhost:1/"
	for want, args := range map[string][]string{
		"want the URL of a local server":  {"--tenant", "acme", "localhost:3000"},
		"--tenant: missing":               {local},
		"--tenant: there is no tenant":    {"--tenant", "nobody", local},
		"--subscription: tenant acme has": {"--tenant", "acme", "--subscription", "x", local},
		"--types:":                        {"--tenant", "acme", "--types", "order*", local},
		"want --events":                   {"--tenant", "acme", "--filter", "true", local},
		"goes without --subscription":     {"--tenant", "acme", "--events", "--retries", local},
		"--filter:":                       {"--tenant", "acme", "--events", "--filter", "data.", local},
		`--profile: "x": want one of`:     {"--tenant", "acme", "--events", "--profile", "x", local},
		`--output: "xml": want text or`:   {"--tenant", "acme", "-o", "xml", local},
	} {
		_, _, err := runKafkaCmd(t, newListenCmd(), "", args...)
		require.ErrorContains(t, err, want, "%v", args)
	}
}
