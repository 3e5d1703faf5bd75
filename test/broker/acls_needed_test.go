package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/backoff"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/topics"
)

// refused is what Kafka's refusals have in them: TOPIC_AUTHORIZATION_FAILED and the like.
const refused = "AUTHORIZATION_FAILED"

// watch is a log that keeps the first line that tells of a refusal.
type watch struct{ found chan error }

var _ slog.Handler = watch{}

// Enabled implements [slog.Handler].
func (w watch) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements [slog.Handler].
func (w watch) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	if strings.Contains(line, refused) {
		select {
		case w.found <- errors.New("logged: " + line):
		default:
		}
	}
	return nil
}

// WithAttrs implements [slog.Handler].
func (w watch) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements [slog.Handler].
func (w watch) WithGroup(string) slog.Handler { return w }

// work makes a role use everything that it may, and returns when it has.
type work func(ctx context.Context, base string) error

// suite starts a role, lets it work, ends it, and returns what went wrong: that it did not start, or ended, that something was
// refused, or that its work was not done.
func (g *guarded) suite(role string, conf *config.Config, do work) (err error) {
	ctx, cancel := context.WithTimeout(g.t.Context(), 3*time.Minute)
	defer cancel()
	log := watch{make(chan error, 1)}
	views, err := app.OpenViews(conf, nil)
	require.NoError(g.t, err)
	defer func() { require.NoError(g.t, views.Close()) }()
	a, err := app.New(ctx, conf, app.Options{Presence: views, Views: views, Log: slog.New(log)})
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	if err := addRole(ctx, a, role); err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	ended, done := make(chan error, 1), make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	go func() { done <- do(ctx, "http://"+a.APIAddr()+"/api/v1") }()
	select {
	case err := <-ended:
		cancel()
		<-done //nolint:errcheck // it says only that it was cut off
		return fmt.Errorf("ended: %w", err)
	case err = <-log.found:
	case err = <-done:
		done <- nil
	}
	cancel()
	_, _ = <-ended, <-done // that they were cut off
	select {               // at the end, too
	case late := <-log.found:
		err = errors.Join(err, late)
	default:
	}
	return err
}

func addRole(ctx context.Context, a *app.App, role string) error {
	switch role {
	case "router":
		return a.AddRouter(ctx)
	case "deliver":
		return a.AddDeliverer(ctx)
	case "retry":
		return a.AddRetrier()
	case "recorder":
		return a.AddRecorder(ctx)
	}
	return a.AddAPI(ctx)
}

// grown returns a function that waits until each of the topics has got a record more than now.
func (g *guarded) grown(names ...string) func(context.Context) error {
	g.t.Helper()
	sums := func(ctx context.Context) (map[string]int64, error) {
		full := make([]string, len(names))
		for i, name := range names {
			full[i] = g.conf.Kafka.Prefix + name
		}
		ends, err := g.adm.ListEndOffsets(ctx, full...)
		out := map[string]int64{}
		ends.Each(func(o kadm.ListedOffset) { out[o.Topic] += max(0, o.Offset) })
		return out, err
	}
	before, err := sums(g.t.Context())
	require.NoError(g.t, err)
	return func(ctx context.Context) error {
		return every(ctx, func() error {
			now, err := sums(ctx)
			for topic, n := range now {
				if n <= before[topic] {
					err = errors.Join(err, fmt.Errorf("%s has nothing new", topic))
				}
			}
			return err
		})
	}
}

// every calls try until it returns nil, or ctx ends.
func every(ctx context.Context, try func() error) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}

// number makes ids and types that nobody had before.
func (g *guarded) number() string {
	g.made++
	return strconv.Itoa(g.made)
}

// send produces an event of a new type to the source and to Postrider's own topic, and what is none.
func (g *guarded) send() {
	g.t.Helper()
	n := g.number()
	g.produce(ce(orders, "o"+n, "order.n"+n), &kgo.Record{Topic: orders, Value: []byte("no event")}, ce(g.conf.Kafka.Prefix+topics.Events, "e"+n, "order.n"+n))
}

// works are what the roles do, and who has to run beside them.
func (g *guarded) works() map[string]struct {
	beside []string
	do     func() work // called when the others run and the role does not
} {
	after := func(prepare func(), grown ...string) func() work {
		return func() work {
			prepare()
			wait := g.grown(grown...)
			return func(ctx context.Context, _ string) error { return wait(ctx) }
		}
	}
	var tiers []string
	for _, wait := range backoff.Tiers() {
		tiers = append(tiers, topics.Retry(wait))
	}
	return map[string]struct {
		beside []string
		do     func() work
	}{
		"router": {nil, after(g.send, topics.Routed, topics.Rejected, topics.Deliveries)},
		"deliver": {
			[]string{"router"},
			after(g.send, append(tiers, topics.DeadLetters, topics.Outcomes, topics.EndpointStates, topics.Operational)...),
		},
		"retry":    {nil, after(g.overdue, append(tiers, topics.Deliveries)...)},
		"recorder": {[]string{"router", "deliver"}, after(g.send, topics.Statuses)},
		"api":      {[]string{"router", "deliver", "retry", "recorder"}, g.tour},
	}
}

// overdue gives the retrier one record that is due, and one for every tier to which it has to go on.
func (g *guarded) overdue() {
	g.t.Helper()
	if g.retry == nil {
		g.retry = g.first(topics.Retry(24 * time.Hour))
	}
	shortest := g.conf.Kafka.Prefix + topics.Retry(backoff.Tiers()[0])
	for _, wait := range append(backoff.Tiers(), 0) {
		now, r := time.Now(), &kgo.Record{Topic: shortest, Key: g.retry.Key, Value: g.retry.Value}
		due := now
		if wait > 0 {
			due = now.Add(wait + wait/2 + 2*time.Second)
		}
		for _, h := range g.retry.Headers {
			switch h.Key {
			case delivery.HeaderReady:
				h.Value = strconv.AppendInt(nil, now.UnixMilli(), 10)
			case delivery.HeaderDue:
				h.Value = strconv.AppendInt(nil, due.UnixMilli(), 10)
			}
			r.Headers = append(r.Headers, h)
		}
		g.produce(r)
	}
}

// first returns the first record of a topic.
func (g *guarded) first(topic string) *kgo.Record {
	g.t.Helper()
	reader, err := kafka.NewClient(g.conf.Kafka, kgo.ConsumeTopics(g.conf.Kafka.Prefix+topic))
	require.NoError(g.t, err)
	defer reader.Close()
	fetches := reader.PollRecords(g.t.Context(), 1)
	require.NoError(g.t, fetches.Err())
	return fetches.Records()[0]
}

// Every right that `postrider acls` prints is needed: without any one of them, and with all others, the role does not do its work
// on a cluster of three brokers. With all it does, and nothing is refused.
func TestEveryACLIsNeededOverTLSAndSASL(t *testing.T) {
	g := newGuarded(t)
	_, err := g.adm.CreateTopics(t.Context(), 2, aclBrokers, nil, orders)
	require.NoError(t, err)
	require.NoError(t, g.apply("admin"))
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer endpoint.Close()
	g.subscribe(&g.conf, endpoint.URL)
	g.seed()
	for _, role := range []string{"router", "deliver", "retry", "recorder", "api"} {
		if !t.Run(role, func(t *testing.T) { g.needs(t, role) }) {
			return
		}
	}
	t.Run("topics", g.topicsNeed)
}

// seed has everything happen once, so that there is something of everything.
func (g *guarded) seed() {
	g.t.Helper()
	stop := g.administrators("router", "deliver", "retry", "recorder")
	defer stop()
	var all []string
	for _, wait := range backoff.Tiers() {
		all = append(all, topics.Retry(wait))
	}
	wait := g.grown(append(all, topics.DeadLetters, topics.Rejected, topics.Statuses, topics.EndpointStates)...)
	g.send()
	require.NoError(g.t, wait(g.t.Context()))
}

// administrators run roles as the user who may do all.
func (g *guarded) administrators(roles ...string) (stop func()) {
	g.t.Helper()
	var stops []func()
	for _, role := range roles {
		stops = append(stops, g.runAs(&g.conf, role))
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// in has failures be those of a subtest until it ends.
func (g *guarded) in(t *testing.T) (leave func()) {
	t.Helper()
	outer := g.t
	g.t = t
	return func() { g.t = outer }
}

// needs takes the rights of a role away, one at a time.
func (g *guarded) needs(t *testing.T, role string) {
	t.Helper()
	defer g.in(t)()
	begin, conf, w := time.Now(), g.as(role), g.works()[role]
	rights := g.rights(role)
	g.grant(role, rights...)
	defer g.administrators(w.beside...)()
	require.NoError(t, g.suite(role, conf, w.do()), "with all rights")
	for _, r := range rights {
		g.deny(role, r)
		err := g.suite(role, conf, w.do())
		g.grant(role, r)
		require.ErrorContains(t, err, refused, "nothing needs %s", r)
		t.Logf("without %s: %.250s", r, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	require.NoError(t, g.suite(role, conf, w.do()), "with all rights again")
	t.Logf("%d rights in %s", len(rights), time.Since(begin).Round(time.Second))
}

// topicsNeed does the same for the command that makes topics, on a prefix of its own: one topic is missing, one has too few
// partitions, one another setting.
func (g *guarded) topicsNeed(t *testing.T) {
	defer g.in(t)()
	g.conf.Kafka.Prefix = "made."
	g.grant("topics", g.rights("topics")...)
	apply := func() error { return g.apply("topics") }
	require.NoError(t, apply())
	for _, r := range g.rights("topics") {
		g.spoil(t)
		g.deny("topics", r)
		err := apply()
		g.grant("topics", r)
		require.ErrorContains(t, err, refused, "nothing needs %s", r)
		t.Logf("without %s: %.250s", r, strings.ReplaceAll(err.Error(), "\n", " "))
		require.NoError(t, apply(), "with all rights again")
	}
}

// apply makes the topics as a user. Of several brokers that are busy one may not know yet what another has done, and says that a
// topic is there that was not a moment ago: then it is asked again.
func (g *guarded) apply(user string) (err error) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 3*time.Minute)
	defer cancel()
	_ = every(ctx, func() error {
		if err = kafka.EnsureTopics(ctx, g.as(user).Kafka, kafka.PlanOptions{Partitions: 2}); err != nil && strings.Contains(err.Error(), refused) {
			return nil
		}
		return err
	})
	return err
}

func (g *guarded) spoil(t *testing.T) {
	t.Helper()
	name := func(topic string) string { return g.conf.Kafka.Prefix + topic }
	_, err := g.adm.DeleteTopics(t.Context(), name(topics.Routed), name(topics.Rejected))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := g.adm.CreateTopic(t.Context(), 1, aclBrokers, nil, name(topics.Rejected))
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	_, err = g.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: new("1000000")}}, name(topics.Audit))
	require.NoError(t, err)
}
