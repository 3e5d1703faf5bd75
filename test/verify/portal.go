package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

func (p *portalLook) signIn(ctx context.Context, token string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	p.client = &http.Client{Timeout: 30 * time.Second, Jar: jar}
	portal := strings.TrimSuffix(p.api.base, "/api/v1") + "/portal"
	p.root = portal + "/app/" + p.app
	form := url.Values{"token": {token}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, portal+"/session", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, err = p.answered(req)
	return err
}

// answered makes a request and returns the page.
func (p *portalLook) answered(req *http.Request) (string, error) {
	resp, err := p.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, rig.MaxScrape))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s\n%s", req.URL, resp.Status, text)
	}
	return string(text), err
}

func (p *portalLook) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.root+path, http.NoBody)
	if err != nil {
		return "", err
	}
	return p.answered(req)
}

// portalPage is a page that somebody looks at. Path is that of the n-th look, Want a text without which it is not that page.
type portalPage struct {
	what, want string
	path       func(n int) string
}

// pages are all that are looked at.
func (p *portalLook) pages(ctx context.Context) ([]portalPage, error) {
	busy := "/endpoint/" + p.ids[0]
	same := func(path string) func(int) string { return func(int) string { return path } }
	others := func(rest string) func(int) string {
		return func(n int) string { return "/endpoint/" + p.ids[1+n%(len(p.ids)-1)] + rest }
	}
	list, err := p.get(ctx, "/endpoint")
	if err != nil {
		return nil, err
	}
	next := regexp.MustCompile(`href="[^"]*/endpoint(\?[^"]*)" rel="next"`).FindStringSubmatch(list)
	attempts, err := p.get(ctx, busy+"/attempt")
	if err != nil {
		return nil, err
	}
	one := regexp.MustCompile(`href="[^"]*(/event/msg_\w+)(/attempt/atmpt_\w+)"`).FindAllStringSubmatch(attempts, -1)
	if next == nil || len(one) == 0 {
		return nil, errors.New("the lists of endpoints and attempts have no further page or no row")
	}
	eachOf := func(part int, rest string) func(int) string {
		return func(n int) string {
			m := one[n%len(one)]
			return strings.Join(m[1:1+part], "") + rest
		}
	}
	last := p.ids[len(p.ids)-1]
	out := []portalPage{
		{"endpoints", `class="card"`, same("/endpoint")},
		{"endpoints, the next page", `class="card"`, same("/endpoint" + html.UnescapeString(next[1]))},
		{"endpoints, searched", last, same("/endpoint?search=" + p.tenant.Subscriptions[len(p.ids)-1].ID)},
		{"endpoints, searched in vain", "No endpoint fits", same("/endpoint?search=absent")},
		{"endpoints, disabled", "Disabled", same("/endpoint?state=disabled")},
		{"form of an endpoint", "Save changes", others("/edit")},
		{"overview of an endpoint", "Health", others("")},
		{"health of an hour, of the busy endpoint", "succeeded", same(busy + "?window=hour")},
		{"health of a day, of the busy endpoint", "succeeded", same(busy + "?window=day")},
		{"health of a week, of the busy endpoint", "succeeded", same(busy + "?window=week")},
		{"attempts", "atmpt_", others("/attempt")},
		{"attempts of the busy endpoint", "atmpt_", same(busy + "/attempt")},
		{"one attempt", "What happened", eachOf(2, "")},
		{"an event and its attempts", "Payload", eachOf(1, "")},
		{"the last 50", "delivery", others("/last")},
		{"the last 50 of a type, of the busy endpoint", "delivery", same(busy + "/last?type=order.paid")},
		{"events", "msg_", same("/event")},
		{"events of a type and an hour", "msg_", same("/event?type=order.paid&window=hour")},
		{"dead letters", "Dead letters", same("/dead-letter")},
	}
	for _, by := range []struct{ what, query, want string }{
		{"failed", "status=2", "atmpt_"}, {"succeeded", "status=0", "atmpt_"}, {"not sent, none", "status=4", "No attempt fits"},
		{"status code 5xx", "class=500", "atmpt_"}, {"status code 3xx, none", "class=300", "No attempt fits"},
		{"an event type", "type=order.paid", "atmpt_"}, {"an event type, none", "type=order.absent", ""},
		{"no response, none", "class=0", "No attempt fits"}, {"a channel", "channel=eu-4", "atmpt_"}, {"a channel, none", "channel=absent", ""},
		{"the last hour", "window=hour", "atmpt_"}, {"failed, a type, a channel", "status=2&type=order.created&channel=eu-4", ""},
	} {
		out = append(out, portalPage{"attempts of the busy endpoint: " + by.what, by.want, same(busy + "/attempt?" + by.query)})
	}
	return out, nil
}

// look measures all pages.
func (p *portalLook) look(ctx context.Context) error {
	all, err := p.pages(ctx)
	if err != nil {
		return err
	}
	for _, page := range all {
		took := make([]time.Duration, portalLooks)
		before, err := p.api.Metric(ctx, "postrider_api_request_seconds_sum")
		if err != nil {
			return err
		}
		for n := range took {
			begin := time.Now()
			text, err := p.get(ctx, page.path(n))
			took[n] = time.Since(begin)
			if err == nil && !strings.Contains(text, page.want) {
				err = fmt.Errorf("want %q on it", page.want)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", page.what, err)
			}
		}
		after, err := p.api.Metric(ctx, "postrider_api_request_seconds_sum")
		if err != nil {
			return err
		}
		var all time.Duration
		for _, d := range took {
			all += d
		}
		slices.Sort(took)
		median := took[len(took)/2]
		p.in.want(median <= portalMedian, page.what+", median", "≤ "+portalMedian.String(), "%.1f ms, of which the API has %.0f %%; max %.1f ms",
			median.Seconds()*1e3, (after-before)/all.Seconds()*100, took[len(took)-1].Seconds()*1e3)
	}
	return nil
}
