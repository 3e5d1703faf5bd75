package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/test/internal/rig"
)

// Figures of the portal check. One attempt of ten is at the first endpoint, which is the busy one; the others share the rest.
const (
	portalEndpoints = 10_000
	portalAttempts  = 1_000_000
	portalBusy      = 10 // one of so many attempts is at the busy endpoint
	portalFan       = 4  // attempts of one event
	portalLooks     = 31 // of each page
	portalMedian    = 200 * time.Millisecond
)

// portalPages: a tenant with 10,000 endpoints and 1,000,000 attempts of the last hour. How long pages take, and how much of that is
// the API's.
func portalPages(ctx context.Context, in *installation) (err error) {
	v, err := newViewing(ctx, in)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, v.close) }()
	tenant := in.tenants(1, portalEndpoints, rig.Subscription{Types: []string{"order.*"}})[0]
	for i := range tenant.Subscriptions {
		tenant.Subscriptions[i].Disabled = i%10 == 9
	}
	if err := in.Apply(ctx, []rig.Tenant{tenant}); err != nil {
		return err
	}
	token, err := in.key(ctx)
	if err != nil {
		return err
	}
	api, err := in.startAPI(ctx, v.set()...)
	if err != nil {
		return err
	}
	p := &portalLook{in: in, v: v, api: api, tenant: tenant}
	if err := p.fill(ctx, token); err != nil {
		return err
	}
	if err := p.signIn(ctx, token); err != nil {
		return err
	}
	return p.look(ctx)
}

// portalLook is somebody who looks at the pages of a large tenant.
type portalLook struct {
	in     *installation
	v      *viewing
	api    *apiProcess
	tenant rig.Tenant
	client *http.Client
	root   string // of the portal, up to the tenant's path
	app    string
	ids    []string // of endpoints, as the API has them
}

// fill writes the events and the attempts at their endpoints, and has them recorded.
func (p *portalLook) fill(ctx context.Context, token string) error {
	got, err := p.api.call(ctx, token, http.MethodGet, "/app/"+p.tenant.UID, nil, "")
	if err != nil {
		return err
	}
	found := regexp.MustCompile(`"id":"(app_\w+)"`).FindSubmatch(got.body)
	if found == nil {
		return fmt.Errorf("reading the tenant: %d %s", got.status, got.body)
	}
	p.app = string(found[1])
	tenant, err := ident.ParseBase62("app_", p.app)
	if err != nil {
		return err
	}
	subs := make([]ident.ID, len(p.tenant.Subscriptions))
	for i, s := range p.tenant.Subscriptions {
		if subs[i], err = ident.ParseUUID(s.ID); err != nil {
			return err
		}
		p.ids = append(p.ids, subs[i].Base62("ep_"))
	}
	n := p.in.scale(portalAttempts)
	places, err := p.events(ctx, n/portalFan)
	if err != nil {
		return err
	}
	p.v.change = func(i int, o *outcome.Outcome) {
		event, sub := i/portalFan, subs[1+i%(len(subs)-1)]
		if i%portalBusy == 0 {
			sub = subs[0]
		}
		message := delivery.MessageID(tenant, p.in.Rig.Program, strconv.Itoa(event))
		o.Tenant, o.Subscription, o.Message = tenant, sub, message.Base62(delivery.MessagePrefix)
		o.Delivery = delivery.ID(message, sub).Base62(delivery.IDPrefix)
		o.EventType, o.Channels, o.Source = portalType(event), []string{"eu-" + strconv.Itoa(event%10)}, places[event]
	}
	if err := p.v.produce(ctx, 0, n); err != nil {
		return err
	}
	recorder, err := p.v.start(ctx)
	if err != nil {
		return err
	}
	err = rig.Await(ctx, viewLimit, func() (bool, error) {
		done, err := recorder.Metric(ctx, "postrider_recorder_outcomes_total")
		events, err2 := recorder.Metric(ctx, "postrider_recorder_events_total", `result="recorded"`)
		return int(done) >= n && int(events) >= n/portalFan, errors.Join(err, err2)
	})
	if err != nil {
		return fmt.Errorf("waiting for the recorder: %w", err)
	}
	return nil
}

func portalType(event int) string {
	return []string{"order.created", "order.paid", "order.shipped", "order.returned"}[event%4]
}

// events writes n events and returns where they are.
func (p *portalLook) events(ctx context.Context, n int) ([]delivery.Position, error) {
	places, failed := make([]delivery.Position, n), make(chan error, 1)
	for i := range n {
		record := p.in.Event(strconv.Itoa(i), p.tenant.UID, portalType(i), []byte(`{"order":"`+strconv.Itoa(i)+`","lines":[{"sku":"a","quantity":2}]}`))
		p.in.Client.Produce(ctx, record, func(r *kgo.Record, err error) {
			places[i] = delivery.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := p.in.Client.Flush(ctx); err != nil {
		return nil, err
	}
	select {
	case err := <-failed:
		return nil, fmt.Errorf("writing events: %w", err)
	default:
		return places, nil
	}
}
