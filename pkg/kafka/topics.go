package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/postrider/postrider/topics"
)

const (
	// replicas is the replication factor of every topic, minISR the replicas that must have a record before it is
	// acknowledged: one broker may be lost without losing records or standing still.
	replicas, minISR = 3, 2
	minISRKey        = "min.insync.replicas"
)

// PlanOptions are what the declarations leave open. The zero value is for production.
type PlanOptions struct {
	// Partitions replaces the number of partitions of deliveries, and so of the topics that have the same; 0 is as declared,
	// or as the topic exists.
	Partitions int
	// ReplicationFactor is 3 if 0. It is lowered where the cluster has fewer brokers.
	ReplicationFactor int
}

// TopicAction is what a plan does with a topic.
type TopicAction string

// Topic actions.
const (
	TopicKeep   TopicAction = "keep"
	TopicCreate TopicAction = "create"
	TopicAlter  TopicAction = "alter"
	// TopicRefuse: something is wrong that Postrider does not do; Problem says what, and what to do.
	TopicRefuse TopicAction = "refuse"
)

// TopicChange is a setting of a topic that differs.
type TopicChange struct {
	Key  string `json:"key"`
	From string `json:"from,omitempty"`
	To   string `json:"to"`
}

// TopicPlan is what a plan does with one topic.
type TopicPlan struct {
	// Topic is the full name, with the prefix.
	Topic      string      `json:"topic"`
	Action     TopicAction `json:"action"`
	Partitions int         `json:"partitions"`
	// AddPartitions is how many partitions the topic gets besides; never for a keyed topic.
	AddPartitions int `json:"add_partitions,omitempty"`
	Replicas      int `json:"replicas"`
	// Changes are the settings to alter, or all settings of a topic to create, by key.
	Changes []TopicChange `json:"changes,omitempty"`
	Problem string        `json:"problem,omitempty"`
}

// TopicsPlan is the difference between the declared topics and a cluster.
type TopicsPlan struct {
	Topics   []TopicPlan `json:"topics"`
	Warnings []string    `json:"warnings,omitempty"`
}

// Changed reports whether there is anything to create or alter.
func (p TopicsPlan) Changed() bool {
	return slices.ContainsFunc(p.Topics, func(t TopicPlan) bool { return t.Action == TopicCreate || t.Action == TopicAlter })
}

// Err returns the problems of the refused topics, joined, or nil.
func (p TopicsPlan) Err() error {
	var errs []error
	for _, t := range p.Topics {
		if t.Action == TopicRefuse {
			errs = append(errs, fmt.Errorf("topic %s: %s", t.Topic, t.Problem))
		}
	}
	return errors.Join(errs...)
}

// PlanTopics compares the declared topics with the cluster and returns what [ApplyTopics] would do. It changes nothing; what
// it would create or alter was checked by the cluster. Settings that the declarations do not name are left alone.
func PlanTopics(ctx context.Context, cfg Config, declared []topics.Topic, opts PlanOptions) (TopicsPlan, error) {
	client, err := NewClient(cfg)
	if err != nil {
		return TopicsPlan{}, err
	}
	defer client.Close()
	p := planner{admin: kadm.NewClient(client), prefix: cfg.Prefix, opts: opts, counts: map[string]int{}}
	if err := p.look(ctx, declared); err != nil {
		return TopicsPlan{}, fmt.Errorf("planning topics: %w", err)
	}
	for _, t := range declared {
		p.add(t)
	}
	for i := range p.plan.Topics {
		p.check(ctx, &p.plan.Topics[i])
	}
	return p.plan, nil
}

// planner holds what the cluster has while a plan is made.
type planner struct {
	admin   *kadm.Client
	prefix  string
	opts    PlanOptions
	factor  int
	details kadm.TopicDetails
	configs map[string]map[string]string
	counts  map[string]int // partitions by declared name, for topics that have the same
	plan    TopicsPlan
}

// look reads the topics, their settings and the number of brokers.
func (p *planner) look(ctx context.Context, declared []topics.Topic) error {
	names := make([]string, 0, len(declared))
	for _, t := range declared {
		names = append(names, p.prefix+t.Name)
	}
	cluster, err := p.admin.BrokerMetadata(ctx)
	if err != nil {
		return fmt.Errorf("listing brokers: %w", err)
	}
	if p.factor = p.opts.ReplicationFactor; p.factor == 0 {
		p.factor = replicas
	}
	if n := len(cluster.Brokers); n < p.factor {
		p.warn("the cluster has %d of %d brokers: topics get %d replicas, and the loss of a broker can lose records", n, p.factor, n)
		p.factor = n
	}
	if p.details, err = p.admin.ListTopics(ctx, names...); err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	exist := slices.DeleteFunc(names, func(name string) bool { return p.details[name].Err != nil })
	p.configs = make(map[string]map[string]string, len(exist))
	if len(exist) == 0 {
		return nil
	}
	described, err := p.admin.DescribeTopicConfigs(ctx, exist...)
	if err != nil {
		return fmt.Errorf("describing topics: %w", err)
	}
	for _, d := range described {
		if d.Err != nil {
			return fmt.Errorf("describing topic %s: %w", d.Name, d.Err)
		}
		p.configs[d.Name] = make(map[string]string, len(d.Configs))
		for _, c := range d.Configs {
			p.configs[d.Name][c.Key] = c.MaybeValue()
		}
	}
	return nil
}

func (p *planner) warn(format string, args ...any) {
	p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf(format, args...))
}

// add plans one topic.
func (p *planner) add(t topics.Topic) {
	name := p.prefix + t.Name
	d, exists := p.details[name]
	plan := TopicPlan{Topic: name, Action: TopicKeep, Partitions: p.want(t), Replicas: p.factor}
	switch {
	case !exists || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
		plan.Action = TopicCreate
	case d.Err != nil:
		plan.Action, plan.Problem = TopicRefuse, "cannot be described: "+d.Err.Error()
	default:
		p.compare(t, d, &plan)
	}
	p.counts[t.Name] = plan.Partitions
	want := t.Configs()
	want[minISRKey] = strconv.Itoa(max(1, min(minISR, plan.Replicas-1)))
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if from := p.configs[name][key]; from != want[key] {
			plan.Changes = append(plan.Changes, TopicChange{Key: key, From: from, To: want[key]})
		}
	}
	if plan.Action == TopicKeep && len(plan.Changes)+plan.AddPartitions > 0 {
		plan.Action = TopicAlter
	}
	p.plan.Topics = append(p.plan.Topics, plan)
}

// want returns how many partitions t is to have.
func (p *planner) want(t topics.Topic) int {
	switch {
	case t.Partitions.Like != "":
		return p.counts[t.Partitions.Like]
	case t.Name == topics.Deliveries && p.opts.Partitions > 0:
		return p.opts.Partitions
	}
	return t.Partitions.Count
}

// compare decides about the partitions and replicas of a topic that exists.
func (p *planner) compare(t topics.Topic, d kadm.TopicDetail, plan *TopicPlan) {
	want, have := plan.Partitions, len(d.Partitions)
	plan.Partitions, plan.Replicas = have, d.Partitions.NumReplicas()
	if plan.Replicas < p.factor {
		p.warn("topic %s has %d replicas, %d are possible: reassign its partitions with kafka-reassign-partitions", plan.Topic,
			plan.Replicas, p.factor)
	}
	asked := t.Partitions.Like != "" || t.Name == topics.Deliveries && p.opts.Partitions > 0
	switch {
	case have == want:
	case t.Keyed && asked:
		plan.Action = TopicRefuse
		plan.Problem = fmt.Sprintf("has %d partitions: want %d, but the partitions of a keyed topic never change in place, since the"+
			" state of a subscription lives where its key lands: go on with %d, or set up a second installation with another"+
			" kafka.prefix and move the sources there", have, want, have)
	case t.Keyed:
		p.warn("topic %s has %d partitions and is declared with %d: it stays as it is", plan.Topic, have, want)
	case have < want:
		plan.Partitions, plan.AddPartitions = want, want-have
	}
}
