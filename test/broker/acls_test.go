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
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/backoff"
	"github.com/postrider/postrider/pkg/config"
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

// orders is the source of the ACL test, whose cluster has so many brokers.
const (
	orders     = "orders"
	aclBrokers = 3
)

// guarded is a cluster with an authorizer, and a user for every role.
type guarded struct {
	t     *testing.T
	dir   string
	conf  config.Config // of the administrator
	admin *kgo.Client
	adm   *kadm.Client
	token string      // of the API
	made  int         // numbers
	retry *kgo.Record // of the retry topics
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	jaas := `org.apache.kafka.common.security.plain.PlainLoginModule required user_admin="admin"`
	for _, role := range app.ACLRoles() {
		jaas += fmt.Sprintf(" user_%s=%q", role, role)
	}
	g := &guarded{t: t, dir: t.TempDir(), conf: config.Default()}
	cluster := kafkatest.Start(t, kafkatest.Options{
		Dir: g.dir, Brokers: aclBrokers, TLS: true, SASL: &kafkatest.SASL{Mechanism: kafkatest.Plain, User: "admin", Password: "admin"},
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
	c.Retrier.Buffer = 1 // or nothing would hop to the shortest tiers
	c.Sources = []config.Source{{Source: event.Source{Name: orders, Format: event.FormatCloudEvents}, Topics: []string{orders}}}
	c.Egress.AllowHTTP, c.Egress.AnyPort = true, true
	c.Egress.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	c.Deliverer.Breaker.Failures = 10_000 // what fails goes to the tier that its policy says
	c.API.RequestsPerSecond = 10_000
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

// right is one operation of an ACL.
type right struct {
	app.ACL
	operation string
}

// String names it as the authorizer does.
func (r right) String() string { return r.operation + " " + r.Type + " " + r.Name }

// rights returns what [app.ACLs] says of a role, one by one.
func (g *guarded) rights(role string) (all []right) {
	g.t.Helper()
	acls, err := app.ACLs(g.as(role), role)
	require.NoError(g.t, err)
	for _, a := range acls {
		for _, operation := range a.Operations {
			all = append(all, right{a, operation})
		}
	}
	return all
}

// binding is the right as Kafka's protocol has it.
func (r right) binding(role string) kmsg.CreateACLsRequestCreation {
	c := kmsg.NewCreateACLsRequestCreation()
	c.ResourceType = map[string]kmsg.ACLResourceType{
		"topic": kmsg.ACLResourceTypeTopic, "group": kmsg.ACLResourceTypeGroup, "transactionalId": kmsg.ACLResourceTypeTransactionalId,
	}[r.Type]
	c.ResourceName, c.Principal, c.Host, c.PermissionType = r.Name, "User:"+role, "*", kmsg.ACLPermissionTypeAllow
	c.ResourcePatternType = kmsg.ACLResourcePatternTypeLiteral
	if r.Prefixed {
		c.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
	}
	c.Operation, _ = kmsg.ParseACLOperation(r.operation)
	return c
}

// grant gives a role rights.
func (g *guarded) grant(role string, rights ...right) {
	g.t.Helper()
	req := kmsg.NewPtrCreateACLsRequest()
	for _, r := range rights {
		req.Creations = append(req.Creations, r.binding(role))
	}
	resp, err := req.RequestWith(g.t.Context(), g.admin)
	require.NoError(g.t, err)
	for _, r := range resp.Results {
		require.Zero(g.t, r.ErrorCode)
	}
	for _, r := range rights {
		g.known(role, r, true)
	}
}

// deny takes a right back.
func (g *guarded) deny(role string, r right) {
	g.t.Helper()
	b, filter := r.binding(role), kmsg.NewDeleteACLsRequestFilter()
	filter.ResourceType, filter.ResourceName, filter.ResourcePatternType = b.ResourceType, &b.ResourceName, b.ResourcePatternType
	filter.Principal, filter.Host, filter.Operation, filter.PermissionType = &b.Principal, &b.Host, b.Operation, b.PermissionType
	req := kmsg.NewPtrDeleteACLsRequest()
	req.Filters = append(req.Filters, filter)
	resp, err := req.RequestWith(g.t.Context(), g.admin)
	require.NoError(g.t, err)
	require.Len(g.t, resp.Results[0].MatchingACLs, 1, "%s", r)
	g.known(role, r, false)
}

// known waits until every broker has a right, or has it no more.
func (g *guarded) known(role string, r right, there bool) {
	g.t.Helper()
	b, req := r.binding(role), kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourceName, req.ResourcePatternType = b.ResourceType, &b.ResourceName, b.ResourcePatternType
	req.Principal, req.Host, req.Operation, req.PermissionType = &b.Principal, &b.Host, b.Operation, b.PermissionType
	for id := range aclBrokers {
		require.Eventually(g.t, func() bool {
			resp, err := req.RequestWith(g.t.Context(), g.admin.Broker(id+1))
			require.NoError(g.t, err)
			return (len(resp.Resources) > 0) == there
		}, time.Minute, 10*time.Millisecond, "broker %d: %s", id+1, r)
	}
}

// run runs a role as its user until the returned function is called.
func (g *guarded) run(role string) (stop func()) {
	g.t.Helper()
	return g.runAs(g.as(role), role)
}

func (g *guarded) runAs(conf *config.Config, role string) (stop func()) {
	g.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	views, err := app.OpenViews(conf, nil)
	require.NoError(g.t, err)
	a, err := app.New(ctx, conf, app.Options{Presence: views, Views: views})
	require.NoError(g.t, err)
	require.NoError(g.t, addRole(ctx, a, role), "%s", role)
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
	var log []byte
	for id := range aclBrokers {
		text, err := os.ReadFile(filepath.Join(g.dir, fmt.Sprintf("broker-%d", id+1), "broker.log"))
		require.NoError(g.t, err)
		log = append(log, text...)
	}
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

// unused are ACLs of which use is made only when the API is asked to do something, as TestEveryACLIsNeeded does.
func unused(role, name string) bool {
	return role == "api" && slices.Contains([]string{
		topics.Events, topics.Deliveries, topics.Outcomes, topics.DeadLetters, topics.Rejected, topics.Audit, topics.Tasks, orders,
		"router", "deliverer", "retrier", "recorder", "retry.", topics.Statuses,
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
	g.grant("topics", g.rights("topics")...)
	require.NoError(t, g.apply("topics"))
	_, err = g.adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: new("1000000")}}, g.conf.Kafka.Prefix+topics.Audit)
	require.NoError(t, err)
	require.NoError(t, g.apply("topics"))

	var stops []func()
	for _, role := range []string{"router", "deliver", "retry", "recorder", "api"} {
		g.grant(role, g.rights(role)...)
	}
	tiers := backoff.Tiers()
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer endpoint.Close()
	g.subscribe(g.as("api"), endpoint.URL)
	for _, role := range []string{"router", "retry", "recorder", "api", "deliver"} {
		stops = append(stops, g.run(role))
	}
	g.produce(ce(orders, "1", "order.placed"), &kgo.Record{Topic: orders, Value: []byte("no event")}, ce(g.conf.Kafka.Prefix+topics.Events, "2", "order.placed"))
	g.eventually(topics.Rejected, 1)
	g.eventually(topics.DeadLetters, 2)
	var tierTopics []string
	for _, wait := range tiers {
		tierTopics = append(tierTopics, topics.Retry(wait))
		g.eventually(topics.Retry(wait), 1)
	}
	moved := g.grown(tierTopics...)
	g.overdue()
	require.NoError(t, moved(ctx))
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

// subscribe makes a tenant with a subscription for each tier, and one that gives up at once; the endpoint refuses everything.
func (g *guarded) subscribe(conf *config.Config, url string) {
	g.t.Helper()
	tenant := &subscription.Tenant{ID: ident.New(), UID: "acme", Name: "Acme", Profile: "standard"}
	key, token := access.NewKey("test", access.RoleOperator, ident.ID{}, time.Now().UTC(), time.Time{})
	g.token = token
	changes := []registry.Change{registry.PutTenant(tenant), registry.PutKey(key)}
	for i, wait := range append([]time.Duration{0}, backoff.Tiers()...) {
		tries := 2
		if i == 0 {
			tries, wait = 1, time.Second
		}
		changes = append(changes, registry.PutSubscription(&subscription.Subscription{
			ID: ident.New(), UID: fmt.Sprint("s", i), Tenant: tenant.ID, URL: url, Secrets: []string{secret}, Generation: 1,
			Retry: &subscription.RetryPolicy{
				Kind: subscription.RetryFixed, Interval: subscription.Duration(wait + wait/4), MaxTries: tries, Jitter: subscription.JitterNone,
			},
		}))
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), stepLimit)
	defer cancel()
	require.NoError(g.t, every(ctx, func() error { // a broker of three may not have heard of a topic yet
		return app.WithStore(ctx, conf, app.StoreUse{}, func(ctx context.Context, s *registry.Store) error {
			_, err := s.Apply(ctx, audit.Actor{Kind: audit.ActorSystem, Name: "test"}, changes...)
			return err
		})
	}))
}

// ce is the record of an event of the tenant.
func ce(topic, id, kind string) *kgo.Record {
	return &kgo.Record{Topic: topic, Value: []byte(`{}`), Headers: []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte(id)},
		{Key: "ce_source", Value: []byte("test")},
		{Key: "ce_type", Value: []byte(kind)},
		{Key: "ce_tenant", Value: []byte("acme")},
	}}
}
