package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// forwarder sends deliveries to a local URL, made as their endpoints get them.
type forwarder struct {
	opts     *listenOptions
	view     *registry.View
	profiles profile.Set
	tenant   *subscription.Tenant
	client   *http.Client
	tell     func(format string, args ...any)
	// secrets are those made here, by profile. told are the subscriptions of which it was said what is left out.
	secrets map[string]string
	told    map[ident.ID]bool
}

func newForwarder(conf *config.Config, view *registry.View, o *listenOptions) (*forwarder, error) {
	profiles, err := app.Profiles(conf)
	if err != nil {
		return nil, err
	}
	f := &forwarder{opts: o, view: view, profiles: profiles, secrets: map[string]string{}, told: map[ident.ID]bool{}}
	var ok bool
	if f.tenant, ok = view.Snapshot().ResolveTenant(o.tenant); !ok {
		return nil, fmt.Errorf("--tenant: there is no tenant %q", o.tenant)
	}
	if o.profile != "" {
		if _, ok := profiles.Get(o.profile); !ok {
			return nil, fmt.Errorf("--profile: %q: want one of %v", o.profile, profiles.Names())
		}
	}
	f.client = &http.Client{
		// Compression and proxy are as endpoints are asked. A server in development is restarted again and again: a connection
		// that is kept may be one that it closes at this moment, and a POST that fails with EOF says nothing about why.
		Transport:     &http.Transport{Proxy: nil, DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return f, nil
}

// forwarded is one line of what was forwarded.
type forwarded struct {
	At           time.Time `json:"at"`
	EventType    string    `json:"event_type"`
	EventID      string    `json:"event_id"`
	Message      string    `json:"message"`
	Delivery     string    `json:"delivery"`
	Subscription string    `json:"subscription,omitempty"`
	Trigger      string    `json:"trigger"`
	Status       int       `json:"status,omitempty"`
	DurationMS   float64   `json:"duration_ms"`
	// Error says why there was no answer, or no request.
	Error string `json:"error,omitempty"`
}

func (l forwarded) print(out io.Writer) error {
	answer := cmp.Or(l.Error, strconv.Itoa(l.Status))
	_, err := fmt.Fprintf(out, "%s  %-24s  %-24s  %s  %s  %.0f ms\n", l.At.Local().Format("15:04:05.000"), l.EventType, l.Subscription, l.Message,
		answer, l.DurationMS)
	return err
}

// pickFunc returns the delivery that a record is, or becomes, with its subscription; nil for none.
type pickFunc func(rec *kgo.Record) (*delivery.Delivery, *subscription.Subscription)

// picker returns the topics to tail, and what picks what is forwarded.
func (o *listenOptions) picker(ctx context.Context, conf *config.Config, f *forwarder) ([]string, pickFunc, error) {
	if o.events {
		return o.eventPicker(ctx, conf, f)
	}
	only, err := o.only(f)
	if err != nil {
		return nil, nil, err
	}
	return []string{conf.Kafka.Prefix + topics.Deliveries}, func(rec *kgo.Record) (*delivery.Delivery, *subscription.Subscription) {
		d, err := pipeline.DecodeDelivery(rec)
		switch {
		case err != nil, d.Tenant != f.tenant.ID, !only.IsZero() && d.Subscription != only, !o.retries && d.Pass > 0:
			return nil, nil
		case len(o.types) > 0 && !match.Covers(o.types, d.EventType):
			return nil, nil
		}
		waiting, cancel := context.WithTimeout(ctx, registryWait)
		defer cancel()
		_ = f.view.Wait(waiting, d.Registry) // one that does not come leaves the subscription as it is known
		sub, ok := f.view.Snapshot().Subscription(d.Subscription)
		if !ok {
			return nil, nil // deleted meanwhile: its endpoint gets nothing, either
		}
		return d, sub
	}, nil
}

// registryWait is how long a delivery waits for the registry that it was matched with.
const registryWait = 5 * time.Second

func (o *listenOptions) only(f *forwarder) (ident.ID, error) {
	if o.subscription == "" {
		return ident.ID{}, nil
	}
	sub, ok := f.view.Snapshot().ResolveSubscription(f.tenant.ID, o.subscription)
	if !ok {
		return ident.ID{}, fmt.Errorf("--subscription: tenant %s has no subscription %q", o.tenant, o.subscription)
	}
	return sub.ID, nil
}

// eventPicker matches events against a subscription that is nowhere but here.
func (o *listenOptions) eventPicker(ctx context.Context, conf *config.Config, f *forwarder) ([]string, pickFunc, error) {
	opts, err := app.HistoryOptions(conf)
	if err != nil {
		return nil, nil, err
	}
	names, err := kafka.TopicNames(ctx, conf.Kafka)
	if err != nil {
		return nil, nil, err
	}
	own := conf.Kafka.Prefix + topics.Operational
	names = slices.DeleteFunc(names, func(topic string) bool { return topic == own || opts.Router.Decoder(topic) == nil })
	var filters filter.Cache
	if o.filter != "" {
		if _, err := filters.Get(o.filter); err != nil {
			return nil, nil, fmt.Errorf("--filter: %w", err)
		}
	}
	sub := &subscription.Subscription{
		ID: ident.New(), Tenant: f.tenant.ID, EventTypes: o.types, Channels: o.channels, Filter: o.filter, Profile: o.profile, URL: o.url,
	}
	matcher := pipeline.NewMatcher(opts.Router)
	return names, func(rec *kgo.Record) (*delivery.Delivery, *subscription.Subscription) {
		ev, err := matcher.Read(rec)
		if err != nil {
			return nil, nil
		}
		snap := f.view.Snapshot()
		tenant, ok := snap.ResolveTenant(ev.Tenant)
		if !ok || tenant.ID != f.tenant.ID || !match.Covers(sub.EventTypes, ev.Type) {
			return nil, nil
		}
		if selection, _ := pipeline.Select(sub, ev, filter.NewInput(ev), &filters); selection != pipeline.Selected {
			return nil, nil
		}
		at := delivery.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
		return pipeline.Expand(ev, tenant, sub, at, snap.Version()), sub
	}, nil
}

// forward sends one delivery. An error is one of the context: whatever else goes wrong is in the line.
func (f *forwarder) forward(ctx context.Context, d *delivery.Delivery, sub *subscription.Subscription) (*forwarded, error) {
	line := &forwarded{
		At: time.Now(), EventType: d.EventType, EventID: d.EventID, Message: d.Message.Base62(delivery.MessagePrefix),
		Delivery: d.ID.Base62(delivery.IDPrefix), Trigger: d.Trigger.String(),
	}
	if !f.opts.events {
		line.Subscription = subscriptionName(sub)
	}
	req, cancel, err := f.request(ctx, d, sub, line.At)
	defer cancel()
	if err != nil {
		if line.Error = err.Error(); ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return line, nil
	}
	resp, err := f.client.Do(req)
	line.DurationMS = float64(time.Since(line.At).Microseconds()) / 1000
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		line.Error = err.Error()
		return line, nil
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // so that the connection is used again
	line.Status = resp.StatusCode
	return line, nil
}

// maxAnswer is how much of an answer is read, bytes.
const maxAnswer = 64 << 10

// errNotSent is of what the subscription's transformation cancels.
var errNotSent = errors.New(string(outcome.ReasonNotSent))

// request makes the request as a deliverer would, but for its URL.
func (f *forwarder) request(
	ctx context.Context, d *delivery.Delivery, sub *subscription.Subscription, at time.Time,
) (req *http.Request, cancel context.CancelFunc, err error) {
	cancel = func() {}
	tenant, ok := f.view.Snapshot().Tenant(f.tenant.ID)
	if !ok {
		tenant = f.tenant
	}
	name := subscription.ProfileOf(sub, tenant)
	p, ok := f.profiles.Get(name)
	if !ok {
		return nil, cancel, fmt.Errorf("profile %q does not exist: see profiles_dir", name)
	}
	if sub, err = f.signable(sub, p, name); err != nil {
		return nil, cancel, err
	}
	sender, err := p.Sender(sub, at)
	if err != nil {
		return nil, cancel, err
	}
	message, err := sender.Message(ctx, d)
	if err == nil && message.Cancelled {
		err = errNotSent
	}
	if err != nil {
		return nil, cancel, err
	}
	in := &envelope.Input{Delivery: message.Delivery, Tenant: tenant, Attempt: delivery.AttemptID(d.ID, d.Trigger, d.Attempts+1), At: at}
	body, err := sender.AppendBody(nil, in)
	if err != nil {
		return nil, cancel, err
	}
	ctx, cancel = context.WithTimeout(ctx, p.TimeoutFor(sub))
	req, err = http.NewRequestWithContext(ctx, cmp.Or(message.Method, http.MethodPost), f.opts.url, bytes.NewReader(body))
	if err != nil {
		return nil, cancel, err
	}
	for _, h := range sender.AppendHeaders(nil, &message, at, body) {
		req.Header[h.Name] = append(req.Header[h.Name], h.Value)
	}
	return req, cancel, nil
}

// signable returns the subscription with secrets to sign with: its own, or one that is made here and told. What else of it is
// secret goes with its own secrets.
func (f *forwarder) signable(sub *subscription.Subscription, p *profile.Profile, name string) (*subscription.Subscription, error) {
	if !f.opts.ephemeral && !f.opts.events && !sub.IsSealed() {
		return sub, nil
	}
	secret, ok := f.secrets[name]
	if !ok {
		var err error
		if secret, err = p.Scheme().NewSecret(); err != nil {
			return nil, err
		}
		f.secrets[name] = secret
		f.tell("what profile %s signs is signed with %s", name, secret)
	}
	c := *sub
	c.Secrets, c.Retired = []string{secret}, nil
	if !f.told[c.ID] && (len(c.Headers) > 0 || c.Authorization != nil || c.Encryption != nil || c.Transformation != nil) {
		f.told[c.ID] = true
		f.tell("%s: its own headers, authorization and encryption, and sealed variables of its transformation, are left out", subscriptionName(sub))
	}
	c.Headers, c.Authorization, c.OAuth, c.Encryption = nil, nil, nil, nil
	if c.Transformation != nil && sub.IsSealed() {
		t := *c.Transformation
		t.Variables, c.Transformation = nil, &t
	}
	return &c, nil
}
