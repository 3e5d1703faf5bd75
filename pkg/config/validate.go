package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/canary"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/notify"
	"github.com/postrider/postrider/pkg/portal"
	"github.com/postrider/postrider/topics"
)

// Validate returns an error for every setting that is wrong, joined. Each names its key and what is allowed.
func (c *Config) Validate() error {
	d, b := c.Deliverer, c.Deliverer.Breaker
	return errors.Join(
		c.Kafka.Validate(),
		c.Redis.validate(),
		listen("http.listen", c.HTTP.Listen),
		c.API.validate(),
		c.Portal.validate(c.API.PortalURL),
		c.Notices.validate(),
		oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error"),
		oneOf("log.format", c.Log.Format, "text", "json"),
		c.Tracing.validate(),
		c.validateSources(),
		within("router.max_expansions", c.Router.MaxExpansions, 1, 100_000),
		within("deliverer.workers", d.Workers, 1, 65_536),
		within("deliverer.max_in_flight_bytes", d.MaxInFlightBytes, 2*event.MaxBytes, 1<<40),
		within("deliverer.lane_queue", d.LaneQueue, 1, 1_000_000),
		within("deliverer.lane_concurrency", d.LaneConcurrency, 1, 4096),
		within("deliverer.drain", d.Drain, 0, 5*time.Minute),
		within("deliverer.window", d.Window, 1024, 16<<20),
		within("deliverer.breaker.failures", b.Failures, 1, 10_000),
		within("deliverer.breaker.open_for", b.OpenFor, 100*time.Millisecond, b.MaxOpen),
		within("deliverer.breaker.max_open", b.MaxOpen, time.Second, 24*time.Hour),
		within("deliverer.breaker.probes", b.Probes, 1, 100),
		within("deliverer.breaker.ramp_rate", b.RampRate, 1, 100_000),
		d.Outcomes.validate(),
		within("retrier.buffer", c.Retrier.Buffer, 1, 1_000_000),
		within("recorder.event_retention", c.Recorder.EventRetention, time.Hour, 30*24*time.Hour),
		c.Canary.validate(),
		c.Egress.validate(),
		c.Encryption.validate(),
	)
}

func (o Outcomes) validate() error {
	const section = "deliverer.outcomes."
	return errors.Join(
		oneOf(section+"response_body", o.ResponseBody, Keep, Drop),
		oneOf(section+"response_headers", o.ResponseHeaders, Keep, Drop),
		oneOf(section+"url_query", o.URLQuery, Keep, Drop),
	)
}

func (r Redis) validate() error {
	var errs []error
	if len(r.Addresses) == 0 {
		errs = append(errs, errors.New("redis.addresses: missing: want at least one host:port"))
	}
	for _, a := range r.Addresses {
		if _, _, err := net.SplitHostPort(a); err != nil {
			errs = append(errs, fmt.Errorf("redis.addresses: %q: want host:port", a))
		}
	}
	if r.Password != "" && r.PasswordFile != "" {
		errs = append(errs, errors.New("redis: password and password_file: want one of them"))
	}
	s := r.Sentinel
	if s.Password != "" && s.PasswordFile != "" {
		errs = append(errs, errors.New("redis.sentinel: password and password_file: want one of them"))
	}
	if s.Master == "" && (s.Username != "" || s.Password != "" || s.PasswordFile != "") {
		errs = append(errs, errors.New("redis.sentinel.master: missing: want the master's name, or no credentials of Sentinels"))
	}
	if len(r.Addresses) > 1 && s.Master == "" && r.DB != 0 {
		errs = append(errs, fmt.Errorf("redis.db: %d: want 0, a Redis Cluster has no other", r.DB))
	}
	errs = append(errs, within("redis.db", r.DB, 0, 1<<20),
		within("redis.call_timeout", r.CallTimeout, 100*time.Millisecond, time.Minute))
	return errors.Join(errs...)
}

func (a API) validate() error {
	errs := []error{
		listen("api.listen", a.Listen),
		within("api.requests_per_second", a.RequestsPerSecond, 1, 1_000_000),
		within("api.burst", a.Burst, 1, 1_000_000),
	}
	if u, err := url.Parse(a.PortalURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		errs = append(errs, fmt.Errorf("api.portal_url: %q: want http(s)://host/path", a.PortalURL))
	} else if top, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/"); top == "api" || top == "v1" || "/"+top == canary.Path {
		errs = append(errs, fmt.Errorf("api.portal_url: %q: want another path than the API's, which is below /api, /v1 and %s", a.PortalURL, canary.Path))
	}
	for _, p := range slices.Concat(a.SourceIPs, a.TrustedProxies) {
		if p != p.Masked() {
			errs = append(errs, fmt.Errorf("api networks: %s: want %s", p, p.Masked()))
		}
	}
	return errors.Join(errs...)
}

// validate also refuses what browsers would not do: a cookie for pages that are embedded goes over TLS alone.
func (p Portal) validate(address string) error {
	var errs []error
	for _, err := range append(split(p.Theme().Validate()), split(portal.ValidateAncestors(p.FrameAncestors))...) {
		errs = append(errs, fmt.Errorf("portal.%w", err))
	}
	if len(p.FrameAncestors) > 0 && !strings.HasPrefix(address, "https://") {
		errs = append(errs, fmt.Errorf("portal.frame_ancestors: want https at api.portal_url, which is %q", address))
	}
	return errors.Join(errs...)
}

func (n Notices) validate() error {
	errs := []error{
		within("notices.gather", n.Gather, 0, time.Hour),
		within("notices.every", n.Every, time.Minute, 24*time.Hour),
	}
	for _, err := range split(notify.SMTP(n.SMTP).Validate()) {
		errs = append(errs, fmt.Errorf("notices.smtp.%w", err))
	}
	return errors.Join(errs...)
}

func (c Canary) validate() error {
	if c.Interval == 0 {
		return nil
	}
	var errs []error
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
		u.Path != canary.Path || u.RawQuery != "" || u.Fragment != "" {
		errs = append(errs, fmt.Errorf("canary.url: %q: want http(s)://host:port%s, where deliverers reach api.listen", c.URL, canary.Path))
	}
	return errors.Join(append(errs, within("canary.interval", c.Interval, time.Second, time.Hour),
		within("canary.lost_after", c.LostAfter, 10*time.Second, 24*time.Hour))...)
}

func (t Tracing) validate() error {
	var errs []error
	if u, err := url.Parse(t.Endpoint); t.Endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
		errs = append(errs, errors.New("tracing.endpoint: want http(s)://host:port, without a user, as http://collector:4318")) // it may hold a secret
	}
	return errors.Join(append(errs, within("tracing.ratio", t.Ratio, 0, 1))...)
}

func (e Encryption) validate() error {
	if e.Keyset != "" && e.KeysetFile != "" {
		return errors.New("encryption: keyset and keyset_file: want one of them")
	}
	return nil // the keyset itself is read by those who need it
}

func (c *Config) validateSources() error {
	var errs []error
	names, read := map[string]bool{EventsTopic: true}, map[string]bool{c.Kafka.Prefix + EventsTopic: true}
	for i, s := range c.Sources {
		field := fmt.Sprintf("sources[%d]", i)
		for _, err := range split(s.Validate()) {
			errs = append(errs, fmt.Errorf("%s.%w", field, err))
		}
		if s.Name != "" && names[s.Name] {
			errs = append(errs, fmt.Errorf("%s.name: %q: want a name that no other source has (%q is Postrider's own)",
				field, s.Name, EventsTopic))
		}
		names[s.Name] = true
		if (len(s.Topics) == 0) == (s.Pattern == "") {
			errs = append(errs, fmt.Errorf("%s: want topics or pattern, and one of them only", field))
		}
		errs = append(errs, c.ownTopics(field, s))
		for _, topic := range s.Topics {
			if read[topic] {
				errs = append(errs, fmt.Errorf("%s.topics: %q: is read by another source already", field, topic))
			}
			read[topic] = true
		}
	}
	return errors.Join(errs...)
}

// ownTopics refuses a source that would read what Postrider itself writes: every delivery would be an event again.
func (c *Config) ownTopics(field string, s Source) error {
	pattern, err := regexp.Compile("^(?:" + s.Pattern + ")$")
	if err != nil {
		return fmt.Errorf("%s.pattern: %w", field, err)
	}
	for _, t := range topics.All() {
		name := c.Kafka.Prefix + t.Name
		if s.Pattern != "" && pattern.MatchString(name) {
			return fmt.Errorf("%s.pattern: %q: want a pattern that does not match %s, a topic of Postrider's own", field, s.Pattern, name)
		}
		if slices.Contains(s.Topics, name) && t.Name != topics.Events { // the name of events is taken as well, and told so
			return fmt.Errorf("%s.topics: %q: want topics that are not Postrider's own", field, name)
		}
	}
	return nil
}

func (e Egress) validate() error {
	var errs []error
	for _, p := range e.Ports {
		errs = append(errs, within("egress.ports", p, 1, 65_535))
	}
	for _, p := range slices.Concat(e.AllowNetworks, e.DenyNetworks) {
		if p != p.Masked() {
			errs = append(errs, fmt.Errorf("egress networks: %s: want %s", p, p.Masked()))
		}
	}
	if e.UserAgent == "" || strings.ContainsAny(e.UserAgent, "\r\n\x00") {
		errs = append(errs, fmt.Errorf("egress.user_agent: %q: want one line of text", e.UserAgent))
	}
	if err := egress.Proxy(e.Proxy).Validate(); err != nil {
		errs = append(errs, fmt.Errorf("egress.proxy.%w", err))
	}
	if e.Proxy.Password != "" && e.Proxy.PasswordFile != "" {
		errs = append(errs, errors.New("egress.proxy: password and password_file: want one of them"))
	}
	errs = append(errs, oneOf("egress.http2", e.HTTP2, string(egress.HTTP2Busy), string(egress.HTTP2Needed), string(egress.HTTP2Off)))
	return errors.Join(append(errs, within("egress.max_idle_conns", e.MaxIdleConns, 1, 1_000_000))...)
}

// within refuses values outside lo to hi, both allowed.
func within[T cmp.Ordered](field string, got, lo, hi T) error {
	if lo <= got && got <= hi {
		return nil
	}
	return fmt.Errorf("%s: %s: want %s to %s", field, text(got), text(lo), text(hi))
}

func oneOf[T ~string](field string, got T, allowed ...T) error {
	if slices.Contains(allowed, got) {
		return nil
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	return fmt.Errorf("%s: %q: want %s", field, got, strings.Join(words, ", "))
}

func listen(field, addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("%s: %q: want host:port or :port", field, addr)
	}
	return nil
}

// split takes a joined error apart.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, split(e)...)
		}
		return all
	}
	return []error{err}
}
