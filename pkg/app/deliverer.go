package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/token"
	"github.com/postrider/postrider/topics"
)

const delivererRole = "deliverer"

// outcomeLinger is how long what a deliverer writes waits for more of its kind. Nobody waits for it: retries have a second at least,
// and an outcome is read some tenths of a second later. Five times the usual linger saves a tenth of what a delivery costs.
const outcomeLinger = 10 * time.Millisecond

// AddDeliverer adds the role that makes attempts:
//
//	deliveries ──▶ group "deliverer" ──▶ lanes ──▶ workers ──▶ breaker ──▶ HTTPS endpoint
//	endpoint-states, outcomes ──▶ (at take-over)       ├──▶ retry.<tier> or deadletters
//	                                                   ├──▶ outcomes
//	                                                   ├──▶ endpoint-states
//	                                                   ├──▶ operational
//	                                                   └──▶ Redis: which breakers are open
func (a *App) AddDeliverer(ctx context.Context) error {
	view, err := a.SecretView(ctx)
	if err != nil {
		return err
	}
	profiles, err := Profiles(a.conf)
	if err != nil {
		return err
	}
	guard, err := egress.NewGuard(EgressConfig(a.conf))
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	client := a.opts.Attempter
	var tokens *token.Store
	if client == nil {
		transport, err := egress.New(EgressConfig(a.conf))
		if err != nil {
			return fmt.Errorf("egress: %w", err)
		}
		client, tokens = attempt.New(transport), token.New(transport)
	}
	exception, err := canaryException(a.conf)
	if err != nil {
		return err
	}
	if a.opts.Attempter != nil { // it makes all attempts
		exception.Client = nil
	}
	out, err := kafka.NewProducer(a.conf.Kafka.For("deliverer-producer", a.opts.Metrics), kafka.ProducerOptions{
		Pinned: []string{a.topics.Name(topics.Outcomes), a.topics.Name(topics.EndpointStates)}, Linger: outcomeLinger,
	})
	if err != nil {
		return err
	}
	fail, failed := failures()
	c := a.conf.Deliverer
	opts := pipeline.DelivererOptions{
		Topics: a.topics, Workers: c.Workers, MaxBytes: int64(c.MaxInFlightBytes), LaneQueue: c.LaneQueue,
		LaneConcurrency: c.LaneConcurrency, Drain: c.Drain, Window: c.Window,
		Breaker: gate.Config{
			Failures: c.Breaker.Failures, OpenFor: c.Breaker.OpenFor, MaxOpenFor: c.Breaker.MaxOpen,
			Probes: c.Breaker.Probes, RampRate: float64(c.Breaker.RampRate),
		},
		Outcomes: pipeline.OutcomeOptions{
			DropBodies:  c.Outcomes.ResponseBody == config.Drop,
			DropHeaders: c.Outcomes.ResponseHeaders == config.Drop,
			KeepQueries: c.Outcomes.URLQuery == config.Keep,
		},
		Tokens: tokens, CheckURL: guard.CheckURL, Exception: exception, Rand: a.opts.Rand, Saturated: a.opts.Saturated,
		Tracer: a.opts.Tracer, Log: a.opts.Log, Metrics: a.metrics,
	}
	if a.opts.Views != nil {
		opts.Breakers = a.opts.Views
	}
	deliverer := pipeline.NewDeliverer(opts, view, profiles, client, out, kafka.NewReader(a.conf.Kafka), fail)
	group, err := kafka.NewGroup(a.conf.Kafka.For("deliverer", a.opts.Metrics), a.groupOptions(delivererRole, a.topics.Name(topics.Deliveries)), deliverer)
	if err != nil {
		return err
	}
	a.role(delivererRole, group, out, failed, deliverer.Start, deliverer.Stop).stop = deliverer.SetStopped
	a.followers = append(a.followers, delivererRole)
	return nil
}

// Profiles loads the built-in profiles and those of the configured directory, which win. Those that name no user agent
// send the configured one.
func Profiles(conf *config.Config) (profile.Set, error) {
	set, err := profile.Load(configs.Profiles)
	if err != nil {
		return set, err
	}
	if conf.ProfilesDir != "" {
		// The file system of a directory calls it ".", so that it would not be named.
		if _, err := os.ReadDir(conf.ProfilesDir); err != nil {
			return set, fmt.Errorf("profiles_dir: %w", err)
		}
		own, err := profile.Load(os.DirFS(conf.ProfilesDir))
		if err != nil {
			return set, fmt.Errorf("profiles_dir: %w", err)
		}
		set = set.With(own)
	}
	return set.WithUserAgent(conf.Egress.UserAgent), nil
}

// EgressConfig is what endpoints may be, for the transport and for checking URLs at write.
func EgressConfig(conf *config.Config) egress.Config {
	c := conf.Egress
	out := egress.Config{
		AllowHTTP: c.AllowHTTP, AllowInternalNames: len(c.AllowNetworks) > 0,
		AllowNetworks: c.AllowNetworks, DenyNetworks: c.DenyNetworks, AnyPort: c.AnyPort, MaxIdleConns: c.MaxIdleConns,
		Proxy: egress.Proxy(c.Proxy), HTTP2: egress.HTTP2(c.HTTP2),
	}
	for _, p := range c.Ports {
		out.Ports = append(out.Ports, uint16(p)) //nolint:gosec // validated: 1 to 65535
	}
	return out
}
