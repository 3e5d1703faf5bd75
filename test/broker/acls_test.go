package broker

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/backoff"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/test/redistest"
	"github.com/postrider/postrider/topics"
)

// orders is the source of the ACL test.
const orders = "orders"

// guarded is a cluster with an authorizer, and a user for every role.
type guarded struct {
	t     *testing.T
	dir   string
	conf  config.Config // of the administrator
	admin *kgo.Client
	adm   *kadm.Client
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	jaas := `org.apache.kafka.common.security.plain.PlainLoginModule required user_admin="admin"`
	for _, role := range app.ACLRoles() {
		jaas += fmt.Sprintf(" user_%s=%q", role, role)
	}
	g := &guarded{t: t, dir: t.TempDir(), conf: config.Default()}
	cluster := kafkatest.Start(t, kafkatest.Options{
		Dir: g.dir, TLS: true, SASL: &kafkatest.SASL{Mechanism: kafkatest.Plain, User: "admin", Password: "admin"},
		Properties: map[string]string{
			"listener.name.client.plain.sasl.jaas.config": jaas + ";",
			"authorizer.class.name":                       "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			"super.users":                                 "User:admin;User:ANONYMOUS", // the brokers' own listeners
		},
	})
	if cluster.Way() != "process" {
		t.Skip("reads the log of a broker that is a process")
	}
	c := &g.conf
	c.Kafka.Brokers, c.Kafka.Prefix = cluster.Brokers(), "acl."
	c.Kafka.TLS = kafka.TLSConfig{Enabled: true, CAFile: cluster.CAFile()}
	c.Kafka.SASL = kafka.SASLConfig{Mechanism: "PLAIN", User: "admin", Password: "admin"}
	c.Redis.Addresses = []string{redistest.Shared(t)}
	c.API.Listen = "127.0.0.1:0"
	c.Sources = []config.Source{{Source: event.Source{Name: orders, Format: event.FormatCloudEvents}, Topics: []string{orders}}}
	c.Egress.AllowHTTP, c.Egress.AnyPort = true, true
	c.Egress.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	keyset, err := seal.Generate()
	require.NoError(t, err)
	c.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	g.admin, err = kafka.NewClient(c.Kafka)
	require.NoError(t, err)
	t.Cleanup(g.admin.Close)
	g.adm = kadm.NewClient(g.admin)
	return g
}

// as is the configuration of a role's user.
func (g *guarded) as(role string) *config.Config {
	c := g.conf
	c.Kafka.SASL.User, c.Kafka.SASL.Password = role, role
	return &c
}

// grant gives a role what [app.ACLs] says.
func (g *guarded) grant(role string) {
	g.t.Helper()
	acls, err := app.ACLs(g.as(role), role)
	require.NoError(g.t, err)
	types := map[string]kmsg.ACLResourceType{
		"topic": kmsg.ACLResourceTypeTopic, "group": kmsg.ACLResourceTypeGroup, "transactionalId": kmsg.ACLResourceTypeTransactionalId,
	}
	req := kmsg.NewPtrCreateACLsRequest()
	for _, a := range acls {
		for _, name := range a.Operations {
			operation, err := kmsg.ParseACLOperation(name)
			require.NoError(g.t, err)
			c := kmsg.NewCreateACLsRequestCreation()
			c.ResourceType, c.ResourceName, c.Principal, c.Host = types[a.Type], a.Name, "User:"+role, "*"
			c.Operation, c.PermissionType, c.ResourcePatternType = operation, kmsg.ACLPermissionTypeAllow, kmsg.ACLResourcePatternTypeLiteral
			if a.Prefixed {
				c.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
			}
			req.Creations = append(req.Creations, c)
		}
	}
	resp, err := req.RequestWith(g.t.Context(), g.admin)
	require.NoError(g.t, err)
	for _, r := range resp.Results {
		require.Zero(g.t, r.ErrorCode)
	}
}

// run runs a role until the returned function is called.
func (g *guarded) run(role string) (stop func()) {
	g.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	conf := g.as(role)
	views, err := app.OpenViews(conf, nil)
	require.NoError(g.t, err)
	a, err := app.New(ctx, conf, app.Options{Presence: views, Views: views})
	require.NoError(g.t, err)
	add := map[string]func(context.Context) error{
		"router": a.AddRouter, "deliver": a.AddDeliverer, "recorder": a.AddRecorder, "api": a.AddAPI,
		"retry": func(context.Context) error { return a.AddRetrier() },
	}
	require.NoError(g.t, add[role](ctx), "%s", role)
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	require.Eventually(g.t, func() bool { return a.Ready() == nil }, 5*time.Minute, 50*time.Millisecond, "%s", role)
	return func() {
		cancel()
		require.NoError(g.t, <-done, "%s", role)
		require.NoError(g.t, views.Close())
	}
}

func (g *guarded) produce(records ...*kgo.Record) {
	g.t.Helper()
	require.NoError(g.t, g.admin.ProduceSync(g.t.Context(), records...).FirstErr())
}

// eventually waits until a topic of Postrider's own has n records at least.
func (g *guarded) eventually(topic string, n int64) {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		ends, err := g.adm.ListEndOffsets(g.t.Context(), g.conf.Kafka.Prefix+topic)
		require.NoError(g.t, err)
		sum := int64(0)
		ends.Each(func(o kadm.ListedOffset) { sum += max(0, o.Offset) })
		return sum >= n
	}, 5*time.Minute, 100*time.Millisecond, "%s: %d records", topic, n)
}

// asked is what the authorizer wrote down: who, whether, what, of which type and name, for which request.
var asked = regexp.MustCompile(`Principal = User:(\w+) is (Allowed|Denied) [Oo]peration = (\w+) from host = \S+ on resource = (\w+):LITERAL:(\S+) for request = (\w+)`)

// answers returns what was allowed, as role operation name, and what was denied that should not have been.
func (g *guarded) answers() (allowed map[string]bool, denied []string) {
	g.t.Helper()
	log, err := os.ReadFile(filepath.Join(g.dir, "broker-1", "broker.log"))
	require.NoError(g.t, err)
	allowed = map[string]bool{}
	for _, m := range asked.FindAllStringSubmatch(string(log), -1) {
		role, operation, request := m[1], strings.ReplaceAll(m[3], "_", ""), m[6]
		switch {
		case m[2] == "Allowed":
			allowed[strings.ToLower(role+" "+operation+" "+m[5])] = true
		case request == "Metadata" || operation == "IDEMPOTENTWRITE":
			// Whether topics exist is asked of all, at start; a producer may write where it may write a topic.
		default:
			denied = append(denied, m[0])
		}
	}
	return allowed, denied
}

// unused are ACLs of which use is made only when the API is asked to do something.
func unused(role, name string) bool {
	return role == "api" && slices.Contains([]string{
		topics.Events, topics.Deliveries, topics.Outcomes, topics.DeadLetters, topics.Rejected, topics.Audit, topics.Tasks, orders, "router", "deliverer",
	}, name)
}

// The roles work with the ACLs that `postrider acls` prints, are refused nothing, and make use of each: without it something
// would be refused.
func TestRolesWithTheirACLsOverTLSAndSASL(t *testing.T) {
	g := newGuarded(t)
	ctx := t.Context()
	// The topics, one of them with too few partitions and one with another setting.
	_, err := g.adm.CreateTopics(ctx, 1, 1, nil, g.conf.Kafka.Prefix+topics.Rejected, orders)
	require.NoError(t, err)
	g.grant("topics")
	require.NoError(t, kafka.EnsureTopics(ctx, g.as("topics").Kafka, kafka.PlanOptions{Partitions: 2}))
	_, err = g.adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: new("1000000")}}, g.conf.Kafka.Prefix+topics.Audit)
	require.NoError(t, err)
	require.NoError(t, kafka.EnsureTopics(ctx, g.as("topics").Kafka, kafka.PlanOptions{Partitions: 2}))

	var stops []func()
	for _, role := range []string{"router", "deliver", "retry", "recorder", "api"} {
		g.grant(role)
	}
	tiers := backoff.Tiers()
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer endpoint.Close()
	// One subscription for each tier, and one that gives up at once.
	tenant := &subscription.Tenant{ID: ident.New(), UID: "acme", Name: "Acme", Profile: "standard"}
	require.NoError(t, app.WithStore(ctx, g.as("api"), app.StoreUse{}, func(ctx context.Context, s *registry.Store) error {
		changes := []registry.Change{registry.PutTenant(tenant)}
		for i, wait := range append([]time.Duration{0}, tiers...) {
			tries := 2
			if i == 0 {
				tries, wait = 1, time.Second
			}
			changes = append(changes, registry.PutSubscription(&subscription.Subscription{
				ID: ident.New(), Tenant: tenant.ID, URL: endpoint.URL, Secrets: []string{secret}, EventTypes: []string{"order.placed"},
				Retry: &subscription.RetryPolicy{
					Kind: subscription.RetryFixed, Interval: subscription.Duration(wait + wait/4), MaxTries: tries, Jitter: subscription.JitterNone,
				},
			}))
		}
		_, err := s.Apply(ctx, audit.Actor{Kind: audit.ActorSystem, Name: "test"}, changes...)
		return err
	}))
	for _, role := range []string{"router", "retry", "recorder", "api", "deliver"} {
		stops = append(stops, g.run(role))
	}
	ce := func(topic string) *kgo.Record {
		return &kgo.Record{Topic: topic, Value: []byte(`{}`), Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")},
			{Key: "ce_id", Value: []byte(topic)},
			{Key: "ce_source", Value: []byte("test")},
			{Key: "ce_type", Value: []byte("order.placed")},
			{Key: "ce_tenant", Value: []byte("acme")},
		}}
	}
	g.produce(ce(orders), &kgo.Record{Topic: orders, Value: []byte("no event")}, ce(g.conf.Kafka.Prefix+topics.Events))
	g.eventually(topics.Rejected, 1)
	g.eventually(topics.DeadLetters, 2)
	for _, wait := range tiers {
		g.eventually(topics.Retry(wait), 1)
	}
	g.hop(tiers)
	g.eventually(topics.EndpointStates, 1)
	// A new owner reads what the old one left.
	stops[len(stops)-1]()
	stops[len(stops)-1] = g.run("deliver")
	for _, stop := range stops {
		stop()
	}

	allowed, denied := g.answers()
	require.Empty(t, denied)
	for _, role := range app.ACLRoles() {
		acls, err := app.ACLs(g.as(role), role)
		require.NoError(t, err)
		for _, a := range acls {
			for _, operation := range a.Operations {
				use := strings.ToLower(role + " " + operation + " ")
				found := slices.ContainsFunc(slices.Collect(maps.Keys(allowed)), func(key string) bool {
					return key == use+strings.ToLower(a.Name) || a.Prefixed && strings.HasPrefix(key, use+a.Name)
				})
				if !unused(role, strings.TrimPrefix(a.Name, g.conf.Kafka.Prefix)) {
					require.True(t, found, "%s: nothing makes use of %s on %s", role, operation, a.Name)
				}
			}
		}
	}
}

// hop lets the retrier write to every tier: it finds records that are ready and due later than that.
func (g *guarded) hop(tiers []time.Duration) {
	g.t.Helper()
	prefix := g.conf.Kafka.Prefix
	longest := topics.Retry(tiers[len(tiers)-1])
	reader, err := kafka.NewClient(g.conf.Kafka, kgo.ConsumeTopics(prefix+longest))
	require.NoError(g.t, err)
	defer reader.Close()
	fetches := reader.PollRecords(g.t.Context(), 1)
	require.NoError(g.t, fetches.Err())
	found := fetches.Records()[0]
	shortest := topics.Retry(tiers[0]) // where no head waits for longer than a second
	want := map[string]int64{shortest: int64(len(tiers))}
	for _, wait := range tiers {
		ends, err := g.adm.ListEndOffsets(g.t.Context(), prefix+topics.Retry(wait))
		require.NoError(g.t, err)
		ends.Each(func(o kadm.ListedOffset) { want[topics.Retry(wait)] += o.Offset })
	}
	for _, wait := range tiers {
		r := &kgo.Record{Topic: prefix + shortest, Key: found.Key, Value: found.Value}
		for _, h := range found.Headers {
			switch h.Key {
			case delivery.HeaderReady:
				h.Value = strconv.AppendInt(nil, time.Now().UnixMilli(), 10)
			case delivery.HeaderDue:
				h.Value = strconv.AppendInt(nil, time.Now().Add(wait+wait/2+2*time.Second).UnixMilli(), 10)
			}
			r.Headers = append(r.Headers, h)
		}
		g.produce(r)
	}
	for _, wait := range tiers {
		g.eventually(topics.Retry(wait), want[topics.Retry(wait)]+1)
	}
}
