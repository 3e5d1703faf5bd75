package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/cmd/postrider/internal/demo"
	"github.com/postrider/postrider/cmd/postrider/internal/embedded"
	"github.com/postrider/postrider/configs"
	samples "github.com/postrider/postrider/configs/demo"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// configureDemo adds the sources of the sample events, and a breaker that is quick enough to watch: one probe every two
// seconds at the slowest, as the subscriptions' ladders are of seconds, too.
func (d *dev) configureDemo() (err error) {
	if d.systems, err = demo.Systems(configs.Catalogues); err != nil {
		return fmt.Errorf("reading the demo's systems: %w", err)
	}
	d.conf.Sources = nil
	for _, s := range d.systems {
		d.conf.Sources = append(d.conf.Sources, config.Source{Source: s.Source, Topics: []string{s.Topic}})
	}
	d.conf.Deliverer.Breaker = config.Breaker{Failures: 5, OpenFor: time.Second, MaxOpen: 2 * time.Second, Probes: 3, RampRate: 50}
	return nil
}

// prepareDemo subscribes what configs/demo/subscriptions.yaml says, at the address of this process' receiver.
func (d *dev) prepareDemo(ctx context.Context) error {
	l, err := embedded.Listen(ctx, d.opts.receiverPort)
	if err != nil {
		return fmt.Errorf("listening for the demo's endpoints: %w", err)
	}
	d.listener, d.receiver = l, l.Addr().String()
	file, opts, err := d.subscriptions()
	if err != nil {
		return err
	}
	tenant := file.Tenants[0].Tenant
	d.stream = demo.NewStream(d.systems, demo.Tenant{UID: tenant.UID, Name: tenant.Name}, ident.New().UUID())
	return app.WithStore(ctx, d.conf, app.StoreUse{}, func(ctx context.Context, store *registry.Store) error {
		a := &applier{out: io.Discard, file: file, opts: opts}
		if err := a.apply(ctx, store); err != nil {
			return err
		}
		d.endpoints = demoEndpoints(store.Snapshot(), file)
		return d.preparePortal(ctx, store, d.endpoints[0].Tenant)
	})
}

// subscriptions returns the demo's subscriptions file, its endpoints moved to where this receiver listens.
func (d *dev) subscriptions() (*subscription.File, registry.FileOptions, error) {
	profiles, err := app.Profiles(d.conf)
	if err != nil {
		return nil, registry.FileOptions{}, err
	}
	rules, err := fileRules(d.conf, profiles)
	if err != nil {
		return nil, registry.FileOptions{}, err
	}
	file, err := subscription.ParseFile("configs/demo/subscriptions.yaml", samples.Subscriptions, rules)
	if err != nil {
		return nil, registry.FileOptions{}, err
	}
	for _, t := range file.Tenants {
		for _, s := range t.Subscriptions {
			if u, err := url.Parse(s.URL); err == nil && u.Port() == strconv.Itoa(demoReceiverPort) {
				u.Host = d.receiver
				s.URL = u.String()
			}
		}
	}
	return file, registry.FileOptions{NewSecret: newSecret(profiles), CheckSecret: rules.CheckSecret}, nil
}

// demoEndpoints are the file's subscriptions as the registry has them, with their secrets.
func demoEndpoints(s *registry.Snapshot, file *subscription.File) []demo.Endpoint {
	var endpoints []demo.Endpoint
	for _, t := range file.Tenants {
		tenant, ok := s.ResolveTenant(t.Tenant.UID)
		if !ok {
			continue
		}
		for _, in := range t.Subscriptions {
			if sub, ok := s.ResolveSubscription(tenant.ID, in.UID); ok {
				endpoints = append(endpoints, demo.Endpoint{
					Subscription: sub.ID, Tenant: tenant.ID, TenantName: tenant.UID, Name: sub.UID,
					Profile: subscription.ProfileOf(sub, tenant), Secrets: sub.Secrets, Types: sub.EventTypes,
				})
			}
		}
	}
	return endpoints
}

// story is what the demo shows, in a sentence.
func (d *dev) story() string {
	return fmt.Sprintf("%d systems, %d endpoints of one company; flaky fails, dead is not there", len(d.systems), len(d.endpoints))
}

// Timeouts of the receiver's server; a demo endpoint may hang for a minute.
const (
	receiverReadTimeout  = 10 * time.Second
	receiverWriteTimeout = 90 * time.Second
)

// receive serves the endpoints until the returned function is called.
func (d *dev) receive() (stop func(), err error) {
	d.tally = demo.NewTally(d.endpoints)
	d.board = demo.NewBoard(d.endpoints, d.name, d.console.Say)
	if d.opts.noDemo {
		return func() {}, nil
	}
	receiver, err := demo.NewReceiver(d.endpoints, d.tally.Received)
	if err != nil {
		return nil, err
	}
	var handler http.Handler = receiver
	if d.opts.wrap != nil {
		handler = d.opts.wrap(handler)
	}
	server := &http.Server{Handler: handler, ReadTimeout: receiverReadTimeout, WriteTimeout: receiverWriteTimeout}
	done := make(chan struct{})
	go func(l net.Listener) {
		defer close(done)
		_ = server.Serve(l) // it ends when it is closed
	}(d.listener)
	return func() {
		_ = server.Close() // nobody waits for what is in flight
		<-done
	}, nil
}

// watch follows the outcomes and shows them until the returned function is called.
func (d *dev) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	d.say("running")
	for _, f := range d.facts() {
		d.console.Say(fmt.Sprintf("%-9s %s", f.Name, f.Value))
	}
	d.console.Say("Ctrl-C ends it, with a summary")
	if !d.opts.noDemo {
		d.console.Say("retrying: failed, and to be tried again; parked: waits untried, as the breaker is open; dead: given up")
	}
	shown, followed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(shown)
		d.console.Run(ctx, d.board, d.frame)
	}()
	go func() {
		defer close(followed)
		err := tailOutcomes(ctx, d.conf.Kafka, d.start, true, func(value []byte) error {
			return d.outcome(value, func(o *outcome.Outcome) {
				d.tally.Outcome(o)
				d.board.Add(o, time.Now())
			})
		})
		if err != nil {
			d.log.Error("following outcomes", "error", err)
		}
	}()
	return func() {
		cancel()
		<-shown
		<-followed
	}
}

func (d *dev) outcome(value []byte, each func(*outcome.Outcome)) error {
	var o outcome.Outcome
	if err := json.Unmarshal(value, &o); err != nil {
		return fmt.Errorf("reading outcome: %w", err)
	}
	each(&o)
	return nil
}

// frame is what the console shows beside the board.
func (d *dev) frame() demo.Frame {
	sent, unwanted := d.tally.Counts()
	bad, all := d.tally.Unverified()
	return demo.Frame{
		Demo: !d.opts.noDemo, State: *d.state.Load(), Now: time.Now(), Start: d.start, Sent: sent, Unwanted: unwanted, Verified: all - bad, Unverified: bad,
		Facts: d.facts(),
	}
}

// work sends events until ctx ends, the time is over or a role ended.
func (d *dev) work(ctx context.Context, roles *devRoles) error {
	if d.opts.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.opts.duration)
		defer cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-roles.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	if d.opts.noDemo {
		<-ctx.Done()
		return nil
	}
	return d.send(ctx)
}

// flushTimeout bounds the wait for the acknowledgement of the last events, which takes milliseconds unless the machine is
// very busy.
const flushTimeout = 30 * time.Second

// send puts events on the source topics, at the rate, until ctx ends.
func (d *dev) send(ctx context.Context) error {
	lasting := context.WithoutCancel(ctx)
	client, err := kafka.NewClient(d.conf.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 1; ; n++ {
		select {
		case <-timer.C:
		case <-ctx.Done():
			flush, cancel := context.WithTimeout(lasting, flushTimeout)
			defer cancel()
			return client.Flush(flush)
		}
		ev, err := d.stream.Next(time.Now())
		if err != nil {
			return fmt.Errorf("making event: %w", err)
		}
		d.tally.Sent(&ev)
		if d.opts.lose == nil || !d.opts.lose(n) {
			client.Produce(lasting, record(&ev), func(_ *kgo.Record, err error) {
				if err != nil {
					d.log.Error("sending event", "event", ev.ID, "error", err)
					d.tally.Withdraw(&ev)
				}
			})
		}
		timer.Reset(time.Until(begun.Add(time.Duration(float64(n) / d.opts.rate * float64(time.Second)))))
	}
}

func record(ev *demo.Event) *kgo.Record {
	r := &kgo.Record{Topic: ev.Topic, Key: []byte(ev.Tenant), Value: ev.Value}
	for _, h := range ev.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: []byte(h.Value)})
	}
	return r
}
