package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/topics"
)

// examination is one run of the doctor.
type examination struct {
	conf     *config.Config
	urls     []string
	now      time.Time
	findings []checkup
}

func (x *examination) run(ctx context.Context) {
	if x.kafka(ctx) {
		x.topics(ctx)
	}
	x.redis(ctx)
	x.files()
	x.certificates()
	x.endpoints(ctx)
}

func (x *examination) ok(what, format string, args ...any) {
	x.findings = append(x.findings, checkup{Level: levelOK, What: what, Detail: fmt.Sprintf(format, args...)})
}

func (x *examination) bad(level, what, detail, do string) {
	x.findings = append(x.findings, checkup{Level: level, What: what, Detail: detail, Do: do})
}

func (x *examination) failed() bool {
	return slices.ContainsFunc(x.findings, func(f checkup) bool { return f.Level == levelFailure })
}

var majorMinor = regexp.MustCompile(`(\d+)\.(\d+)`)

// below tells whether a version is lower than major.minor; one that cannot be read is not.
func below(version string, major, minor int) bool {
	parts := majorMinor.FindStringSubmatch(version)
	if parts == nil {
		return false
	}
	a, _ := strconv.Atoi(parts[1]) // digits
	b, _ := strconv.Atoi(parts[2]) // likewise
	return a < major || a == major && b < minor
}

// kafka checks the brokers, and tells whether there is anything more to ask them.
func (x *examination) kafka(ctx context.Context) bool {
	const what = "Kafka"
	if err := kafka.Reach(ctx, x.conf.Kafka); err != nil {
		x.bad(levelFailure, what, err.Error(), "check kafka.brokers, kafka.tls and kafka.sasl, and whether a network policy is in the way")
		return false
	}
	versions, err := kafka.Versions(ctx, x.conf.Kafka)
	if err != nil {
		x.bad(levelFailure, what, err.Error(), "every broker has to be reachable from here, not only those of kafka.brokers")
		return true
	}
	for _, id := range slices.Sorted(maps.Keys(versions)) {
		text := fmt.Sprintf("broker %d: %s, by the requests that it knows", id, versions[id].Guess)
		if versions[id].Enough {
			x.ok(what, "%s", text)
		} else {
			x.bad(levelWarning, what, text, "want Apache Kafka 3.8 or later, or what knows its requests")
		}
	}
	return true
}

// topics checks Postrider's own topics against their declarations, and whether those of the sources exist.
func (x *examination) topics(ctx context.Context) {
	const what = "topics"
	plan, err := kafka.PlanTopics(ctx, x.conf.Kafka, topics.All(), kafka.PlanOptions{})
	switch {
	case err != nil:
		x.bad(levelFailure, what, err.Error(), "its user needs what 'postrider acls topics' prints")
	case plan.Err() != nil:
		x.bad(levelFailure, what, plan.Err().Error(), "see topics/README.md: keyed topics never change their partitions in place")
	case plan.Changed():
		x.bad(levelFailure, what, "not as declared", "look with 'postrider topics plan', then 'postrider topics apply'")
	default:
		x.ok(what, "%d as declared", len(plan.Topics))
	}
	for _, w := range plan.Warnings {
		x.bad(levelWarning, what, w, "no installation that matters has fewer than three brokers")
	}
	var named []string
	for _, s := range x.conf.Sources {
		named = append(named, s.Topics...)
	}
	if len(named) == 0 {
		return
	}
	if err := kafka.Reach(ctx, x.conf.Kafka, named...); err != nil {
		x.bad(levelFailure, "sources", err.Error(), "create them, or mend sources")
		return
	}
	x.ok("sources", "%s", strings.Join(named, ", "))
}

// Differences of clocks. Signatures carry the time, and receivers allow five minutes; retries are promised to the second.
const (
	clockWarning = time.Second
	clockFailure = time.Minute
)

func (x *examination) redis(ctx context.Context) {
	const what = "Redis"
	views, err := app.OpenViews(x.conf, nil)
	if err != nil {
		x.bad(levelFailure, what, err.Error(), "check redis in the configuration")
		return
	}
	defer func() { _ = views.Close() }() // nothing was written
	s, err := views.Server(ctx)
	if err != nil {
		x.bad(levelFailure, what, err.Error(), "check redis in the configuration; deliveries go on without it, lists and searches do not")
		return
	}
	switch {
	case below(s.Version, 7, 0):
		x.bad(levelFailure, what, s.Version, "upgrade to Redis 7 or later")
	case s.Evicts != "" && s.Evicts != "noeviction":
		x.bad(levelWarning, what, "maxmemory-policy "+s.Evicts+": what memory has no room for is forgotten",
			"set noeviction, and see deploy/helm/README.md for how much memory it takes")
	default:
		x.ok(what, "answers %s", s.Version)
	}
	if text, err := views.OtherLayout(ctx); err == nil && text != "" {
		x.bad(levelWarning, "views", text, "see deploy/helm/CHANGELOG.md")
	}
	ahead := s.Ahead.Abs().Round(time.Millisecond)
	switch do := "let both keep time by NTP"; {
	case ahead > clockFailure:
		x.bad(levelFailure, "clock", fmt.Sprintf("%s from that of Redis", ahead), do)
	case ahead > clockWarning:
		x.bad(levelWarning, "clock", fmt.Sprintf("%s from that of Redis", ahead), do)
	default:
		x.ok("clock", "%s from that of Redis", ahead)
	}
}

// files checks what roles read at start.
func (x *examination) files() {
	switch keyset, err := app.Keyset(x.conf); {
	case err != nil:
		x.bad(levelFailure, "keyset", err.Error(), "mount the keyset that secrets were encrypted with")
	case keyset == nil:
		x.bad(levelWarning, "keyset", "none: deliver and api do not start", "make one with 'postrider keys generate', and set encryption.keyset_file")
	default:
		x.ok("keyset", "readable")
	}
	if _, err := app.Profiles(x.conf); err != nil {
		x.bad(levelFailure, "profiles", err.Error(), "mend the file, or profiles_dir")
		return
	}
	x.ok("profiles", "readable")
}

// expiresSoon is when a certificate has to be renewed: most are at a third of 90 days.
const expiresSoon = 30 * 24 * time.Hour

func (x *examination) certificates() {
	for _, c := range []struct{ key, path string }{
		{"kafka.tls.ca_file", x.conf.Kafka.TLS.CAFile}, {"kafka.tls.cert_file", x.conf.Kafka.TLS.CertFile}, {"redis.tls.ca_file", x.conf.Redis.TLS.CAFile},
	} {
		if c.path == "" {
			continue
		}
		ends, err := firstEnd(c.path)
		detail := "valid until " + ends.UTC().Format(time.RFC3339)
		switch left := ends.Sub(x.now); {
		case err != nil:
			x.bad(levelFailure, c.key, err.Error(), "mount a file of PEM certificates")
		case left <= 0:
			x.bad(levelFailure, c.key, detail, "renew it, and restart the roles")
		case left < expiresSoon:
			x.bad(levelWarning, c.key, detail, "renew it, and restart the roles")
		default:
			x.ok(c.key, "%s", detail)
		}
	}
}

// firstEnd returns when the first of a file's certificates ends.
func firstEnd(path string) (ends time.Time, err error) {
	rest, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return ends, err
	}
	for {
		block, next := pem.Decode(rest)
		if block == nil {
			break
		}
		rest = next
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return ends, fmt.Errorf("%s: %w", path, err)
		}
		if ends.IsZero() || c.NotAfter.Before(ends) {
			ends = c.NotAfter
		}
	}
	if ends.IsZero() {
		return ends, fmt.Errorf("%s: holds no PEM certificate", path)
	}
	return ends, nil
}

// probeTimeout bounds the way to one endpoint.
const probeTimeout = 15 * time.Second

func (x *examination) endpoints(ctx context.Context) {
	if len(x.urls) == 0 {
		return
	}
	transport, err := egress.New(app.EgressConfig(x.conf))
	if err != nil {
		x.bad(levelFailure, "egress", err.Error(), "check egress in the configuration")
		return
	}
	defer transport.Close()
	for _, url := range x.urls {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		for _, f := range transport.Probe(ctx, url, nil) {
			if f.OK {
				x.ok(url, "%s: %s", f.Step, f.Detail)
				continue
			}
			x.bad(levelFailure, url, string(f.Step)+": "+f.Detail, map[egress.Step]string{
				egress.StepResolves: "check the URL against egress, and the DNS of this pod",
				egress.StepConnects: "check network policies, the NAT or egress.proxy, and whether the endpoint listens",
				egress.StepTLS:      "the endpoint's certificate has to be of a public authority and for its name; check this machine's clock",
			}[f.Step])
		}
		cancel()
	}
}
