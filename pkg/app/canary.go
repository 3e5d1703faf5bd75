package app

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/canary"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
)

// newCanary returns the canary of the API role; nil if there is none.
func (a *App) newCanary(store *registry.Store, p *Publishing, letters *Letters) *canary.Canary {
	c := a.conf.Canary
	if c.Interval == 0 {
		return nil
	}
	return canary.New(canary.Options{
		Interval: c.Interval, LostAfter: c.LostAfter, URL: c.URL, Instance: instanceName(), Registry: store, Publisher: p.Publisher,
		History: letters.History, Log: a.opts.Log, Metrics: a.opts.Metrics,
	})
}

// withCanary returns a handler with the canary's receiver beside it.
func withCanary(c *canary.Canary, handler http.Handler) http.Handler {
	if c == nil {
		return handler
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == canary.Path {
			c.ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// canaryException lets the attempts of the canary's subscription, and nobody else's, reach the API role, which is internal. The
// guard that all others have to pass knows nothing of it.
func canaryException(conf *config.Config) (pipeline.Exception, error) {
	if conf.Canary.Interval == 0 {
		return pipeline.Exception{}, nil
	}
	c, err := canaryEgress(conf.Canary.URL)
	if err != nil {
		return pipeline.Exception{}, fmt.Errorf("canary.url: %w", err)
	}
	transport, err := egress.New(c)
	if err != nil {
		return pipeline.Exception{}, fmt.Errorf("canary.url: %w", err)
	}
	return pipeline.Exception{
		Tenant: canary.Tenant, Subscription: canary.Subscription,
		Client: onlyTo{url: conf.Canary.URL, client: attempt.New(transport)},
	}, nil
}

// canaryEgress allows what the URL leads to. Its host is the operator's to name, and any address may be its own; no other URL
// gets as far as this, see [onlyTo].
func canaryEgress(raw string) (egress.Config, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return egress.Config{}, err
	}
	c := egress.Config{
		AllowHTTP: u.Scheme == "http", AllowInternalNames: true,
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	}
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return c, err
		}
		c.Ports = []uint16{uint16(port)}
	}
	return c, nil
}

// onlyTo makes attempts to one URL.
type onlyTo struct {
	url    string
	client pipeline.Attempter
}

// Do implements [pipeline.Attempter].
func (o onlyTo) Do(ctx context.Context, r *attempt.Request) (attempt.Response, error) {
	if r.URL != o.url {
		return attempt.Response{Result: outcome.ResultRequest, Detail: "url: is not canary.url of the deliverer", Started: time.Now()}, nil
	}
	return o.client.Do(ctx, r)
}
