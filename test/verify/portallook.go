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
	"strings"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
)

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
		{"failed", "status=2", "atmpt_"},
		{"succeeded", "status=0", "atmpt_"},
		{"not sent, none", "status=4", "No attempt fits"},
		{"status code 5xx", "class=500", "atmpt_"},
		{"status code 3xx, none", "class=300", "No attempt fits"},
		{"an event type", "type=order.paid", "atmpt_"},
		{"an event type, none", "type=order.absent", ""},
		{"no response, none", "class=0", ""},
		{"a channel", "channel=eu-4", "atmpt_"},
		{"a channel, none", "channel=absent", ""},
		{"the last hour", "window=hour", "atmpt_"},
		{"failed, a type, a channel", "status=2&type=order.created&channel=eu-4", ""},
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
