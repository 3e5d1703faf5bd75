package app

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

const routerRole = "router"

// AddRouter adds the role that expands events into deliveries:
//
//	source topics ──▶ group "router" ──▶ decoder of the topic's source ──▶ registry snapshot ──▶ deliveries
//	                                                                                        ├──▶ rejected
//	                                                                                        └──▶ routed
func (a *App) AddRouter(ctx context.Context) error {
	view, err := a.View(ctx)
	if err != nil {
		return err
	}
	sources, err := newSources(append(a.conf.AllSources(), a.operationalSource()))
	if err != nil {
		return err
	}
	profiles, err := Profiles(a.conf)
	if err != nil {
		return err
	}
	out, err := kafka.NewProducer(a.conf.Kafka.For("router-producer", a.opts.Metrics), kafka.ProducerOptions{})
	if err != nil {
		return err
	}
	fail, failed := failures()
	router := pipeline.NewRouter(pipeline.RouterOptions{
		Topics: a.topics, Decoder: sources.decoder, OperationalTenant: a.conf.Router.OperationalTenant, MaxExpansions: a.conf.Router.MaxExpansions,
		Profiles: profiles, Tracer: a.opts.Tracer, Log: a.opts.Log, Metrics: a.metrics,
	}, view, out, fail)
	opts := a.groupOptions(routerRole, sources.topics...)
	opts.Pattern = sources.pattern
	group, err := kafka.NewGroup(a.conf.Kafka.For("router", a.opts.Metrics), opts, router)
	if err != nil {
		return err
	}
	a.role(routerRole, group, out, failed, func() {}, func() {})
	a.followers = append(a.followers, routerRole)
	return nil
}

// operationalSource is the topic of operational events, which are delivered like others to those who name them.
func (a *App) operationalSource() config.Source {
	return config.Source{
		Source: event.Source{Name: topics.Operational, Format: event.FormatCloudEvents},
		Topics: []string{a.topics.Name(topics.Operational)},
	}
}

// sources finds the decoder of a topic.
type sources struct {
	topics  []string
	pattern bool
	exact   map[string]*event.Decoder
	regexps []sourcePattern
}

type sourcePattern struct {
	re      *regexp.Regexp
	decoder *event.Decoder
}

func newSources(conf []config.Source) (*sources, error) {
	s := &sources{exact: map[string]*event.Decoder{}}
	for _, c := range conf {
		decoder, err := event.NewDecoder(c.Source)
		if err != nil {
			return nil, fmt.Errorf("sources: %s: %w", c.Name, err)
		}
		for _, topic := range c.Topics {
			s.topics = append(s.topics, topic)
			s.exact[topic] = decoder
		}
		if c.Pattern == "" {
			continue
		}
		re, err := regexp.Compile("^(?:" + c.Pattern + ")$")
		if err != nil {
			return nil, fmt.Errorf("sources: %s: pattern: %w", c.Name, err)
		}
		s.regexps = append(s.regexps, sourcePattern{re, decoder})
	}
	if len(s.regexps) > 0 {
		s.pattern = true
		s.topics = []string{s.expression()}
	}
	return s, nil
}

// expression is the one regular expression that stands for all topics and patterns: a group reads either names or
// patterns, not both.
func (s *sources) expression() string {
	var parts []string
	for _, topic := range s.topics {
		parts = append(parts, regexp.QuoteMeta(topic))
	}
	for _, p := range s.regexps {
		parts = append(parts, strings.TrimSuffix(strings.TrimPrefix(p.re.String(), "^"), "$"))
	}
	return "^(?:" + strings.Join(parts, "|") + ")$"
}

// and returns what a group reads that reads other topics besides.
func (s *sources) and(others []string) []string {
	if !s.pattern {
		return append(slices.Clone(s.topics), others...)
	}
	quoted := make([]string, len(others))
	for i, topic := range others {
		quoted[i] = regexp.QuoteMeta(topic)
	}
	return []string{s.topics[0] + "|^(?:" + strings.Join(quoted, "|") + ")$"}
}

// decoder returns the decoder of a topic: of the source that names it, or of the first whose pattern matches.
func (s *sources) decoder(topic string) *event.Decoder {
	if d := s.exact[topic]; d != nil {
		return d
	}
	for _, p := range s.regexps {
		if p.re.MatchString(topic) {
			return p.decoder
		}
	}
	return nil
}
