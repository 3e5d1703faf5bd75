package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/postrider/postrider/cmd/postrider/internal/demo"
	"github.com/postrider/postrider/cmd/postrider/internal/embedded"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
)

// dev is a running dev process.
type dev struct {
	opts    devOptions
	conf    *config.Config
	dir     *embedded.Dir
	system  *embedded.System
	out     io.Writer
	log     *slog.Logger
	console *demo.Console
	start   time.Time

	systems   []demo.System
	endpoints []demo.Endpoint
	stream    *demo.Stream
	board     *demo.Board
	tally     *demo.Tally
	listener  net.Listener   // of the receiver
	receiver  string         // its address
	view      *registry.View // of the running roles
	token     string         // of an operator's key
	// tenantToken is that of a key of the demo's tenant; empty without one.
	tenantToken string
	state       atomic.Pointer[string]
}

// devPartitions is the number of partitions of deliveries and of source topics: few, since everything is one process.
const devPartitions = 4

// configure makes the configuration fit the embedded system; what it does not touch is as the user has it.
func (d *dev) configure(ctx context.Context) error {
	c := d.conf
	defaults := config.Default()
	prefix := c.Kafka.Prefix
	c.Kafka = defaults.Kafka
	c.Kafka.Prefix, c.Kafka.Brokers = prefix, d.system.Brokers()
	c.Redis = config.Redis{Addresses: []string{d.system.Redis()}, CallTimeout: c.Redis.CallTimeout}
	c.Egress.AllowHTTP, c.Egress.AnyPort = true, true
	c.Egress.AllowNetworks = append(c.Egress.AllowNetworks, loopbackNetworks()...)
	if c.HTTP.Listen == defaults.HTTP.Listen {
		c.HTTP.Listen = fmt.Sprintf("127.0.0.1:%d", opsPort)
	}
	var err error
	if c.HTTP.Listen, err = freeAddress(ctx, "http.listen", c.HTTP.Listen); err != nil {
		return err
	}
	if err := d.configureAPI(ctx); err != nil {
		return err
	}
	if !d.opts.noDemo {
		if err := d.configureDemo(); err != nil {
			return err
		}
	}
	if err := d.configureKeyset(); err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("checking configuration: %w", err)
	}
	return nil
}

// configureKeyset makes a keyset in the data directory at the first start, unless one is configured.
func (d *dev) configureKeyset() error {
	e := &d.conf.Encryption
	if e.Keyset != "" || e.KeysetFile != "" {
		return nil
	}
	e.KeysetFile = filepath.Join(d.dir.Path, "keyset.json")
	if _, err := os.Stat(e.KeysetFile); err == nil {
		return nil
	}
	keyset, err := seal.Generate()
	if err != nil {
		return err
	}
	return createKeyset(e.KeysetFile, keyset)
}

// loopbackNetworks are this machine's own addresses, where the demo's endpoints are.
func loopbackNetworks() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// opsPort is the default port of probes and metrics.
const opsPort = 9464

// freeAddress returns the address, or a free one on the loopback interface if it is taken.
func freeAddress(ctx context.Context, field, address string) (string, error) {
	l, err := embedded.ListenAt(ctx, address)
	if err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	return l.Addr().String(), l.Close()
}

// prepare creates what has to be there before the roles start: topics, and for the demo the tenant and its subscriptions.
func (d *dev) prepare(ctx context.Context) error {
	if err := kafka.EnsureTopics(ctx, d.conf.Kafka, kafka.PlanOptions{Partitions: devPartitions}); err != nil {
		return err
	}
	for _, source := range d.conf.Sources {
		for _, topic := range source.Topics {
			if err := d.system.EnsureTopic(ctx, d.conf.Kafka, topic, devPartitions); err != nil {
				return err
			}
		}
	}
	if err := app.RebuildViews(ctx, d.conf); err != nil { // the embedded Redis is empty at every start
		return err
	}
	if err := d.prepareAPI(ctx); err != nil {
		return err
	}
	if d.opts.noDemo {
		return nil
	}
	return d.prepareDemo(ctx)
}

// devRoles are the roles of a dev process, running.
type devRoles struct {
	app    *app.App
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // once ended is closed
}

// startRoles starts router, deliverer, retrier, recorder and API as one process, with probes and metrics.
func (d *dev) startRoles(ctx context.Context) (*devRoles, error) {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	views, err := app.OpenViews(d.conf, metrics)
	if err != nil {
		return nil, err
	}
	tracer, endTracing, err := app.OpenTracer(ctx, d.conf, d.log)
	if err != nil {
		return nil, err
	}
	a, err := app.New(ctx, d.conf, app.Options{Log: d.log, Metrics: metrics, Presence: views, Views: views, Tracer: tracer})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(a.AddRouter(ctx), a.AddDeliverer(ctx), a.AddRetrier(), a.AddRecorder(ctx), a.AddAPI(ctx)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	wait, err := a.ServeOps(ctx, d.conf.HTTP.Listen, metrics)
	if err != nil {
		cancel()
		return nil, err
	}
	r := &devRoles{app: a, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = errors.Join(a.Run(ctx), views.Close())
		endTracing()
		wait()
	}()
	return r, nil
}

// A role joins its group within moments; readyTimeout is for a machine that is very busy, readyEvery how often it is asked.
const (
	readyTimeout = time.Minute
	readyEvery   = 50 * time.Millisecond
)

// ready waits until every role is in its group.
func (r *devRoles) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	t := time.NewTicker(readyEvery)
	defer t.Stop()
	for {
		err := r.app.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-t.C:
		case <-r.ended:
			return nil // stop says why
		case <-ctx.Done():
			return fmt.Errorf("waiting for the roles: %w", err)
		}
	}
}

// stop drains the roles and waits for their end.
func (r *devRoles) stop() error {
	r.cancel()
	<-r.ended
	return r.err
}

// facts are what a person may want to look at. Only what exists is listed.
func (d *dev) facts() []demo.Fact {
	broker := d.conf.Kafka.Brokers[0]
	var facts []demo.Fact
	if !d.opts.noDemo {
		facts = append(facts, demo.Fact{Name: "Demo", Value: d.story()})
	}
	facts = append(facts, []demo.Fact{
		{Name: "Portal", Value: d.portalLink()},
		{Name: "Kafka", Value: "kcat -C -b " + broker + " -t " + d.conf.Kafka.Prefix + "outcomes -o end"},
		{Name: "API", Value: "http://" + d.conf.API.Listen + "/api/v1/docs   the reference of the API"},
		{Name: "Key", Value: d.exports()},
		{Name: "Metrics", Value: "http://" + d.conf.HTTP.Listen + "/metrics   probes: /healthz /readyz"},
	}...)
	if !d.opts.noDemo {
		facts = append(facts, demo.Fact{Name: "Receiver", Value: "http://" + d.receiver + "   the demo's endpoints"})
	}
	return append(facts,
		demo.Fact{Name: "Redis", Value: d.system.Redis() + "   views, which can be lost"},
		demo.Fact{Name: "Data", Value: d.dir.Path + "   log: " + filepath.Base(d.dir.Log.Name())})
}

// exports is what another shell needs for the commands that call the API. The token comes first: a terminal may cut the rest.
func (d *dev) exports() string {
	text := "export POSTRIDER_TOKEN=" + d.token
	if _, port, err := net.SplitHostPort(d.conf.API.Listen); err == nil && !strings.HasSuffix(defaultAPI, ":"+port) {
		text += " POSTRIDER_SERVER=http://" + d.conf.API.Listen
	}
	return text
}

// name is what the console calls a subscription.
func (d *dev) name(id ident.ID) string {
	if sub, ok := d.view.Snapshot().Subscription(id); ok && sub.UID != "" {
		return sub.UID
	}
	return id.Base62(subscription.SubscriptionPrefix)
}

// say sets what the console shows as going on.
func (d *dev) say(state string) { d.state.Store(&state) }
