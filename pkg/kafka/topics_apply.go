package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/topics"
)

// A topic that was created is known to all brokers within milliseconds; seeTimeout bounds the wait for it, seeEvery is how
// often it is looked for.
const (
	seeTimeout = time.Minute
	seeEvery   = 50 * time.Millisecond
)

// check asks the cluster whether it would do what the plan says, and refuses the topic if not.
func (p *planner) check(ctx context.Context, t *TopicPlan) {
	if err := change(ctx, p.admin, *t, true); err != nil {
		t.Action, t.Problem = TopicRefuse, err.Error()
	}
}

// ApplyTopics does what the plan says, or nothing if the plan refuses a topic. It returns when the topics it created can be
// used. Every topic that could not be changed is in the error; the others were changed, and a new plan shows the rest.
func ApplyTopics(ctx context.Context, cfg Config, plan TopicsPlan) error {
	if err := plan.Err(); err != nil {
		return fmt.Errorf("applying topics: nothing was changed: %w", err)
	}
	// The client answers from what it knows already unless that is older than the minimum age.
	client, err := NewClient(cfg, kgo.MetadataMinAge(seeEvery))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var errs []error
	var created []string
	for _, t := range plan.Topics {
		if err := change(ctx, admin, t, false); err != nil {
			errs = append(errs, fmt.Errorf("topic %s: %w", t.Topic, err))
		} else if t.Action == TopicCreate {
			created = append(created, t.Topic)
		}
	}
	errs = append(errs, see(ctx, admin, created))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("applying topics: %w", err)
	}
	return nil
}

// EnsureTopics plans and applies in one go: what embedded brokers and tests need.
func EnsureTopics(ctx context.Context, cfg Config, opts PlanOptions) error {
	plan, err := PlanTopics(ctx, cfg, topics.All(), opts)
	if err != nil {
		return err
	}
	return ApplyTopics(ctx, cfg, plan)
}

// change creates or alters a topic, or only has the cluster check it.
func change(ctx context.Context, admin *kadm.Client, t TopicPlan, checkOnly bool) error {
	switch t.Action {
	case TopicCreate:
		return create(ctx, admin, t, checkOnly)
	case TopicAlter:
		if len(t.Changes) > 0 {
			if err := alter(ctx, admin, t, checkOnly); err != nil {
				return err
			}
		}
		if t.AddPartitions > 0 {
			return grow(ctx, admin, t, checkOnly)
		}
	case TopicKeep, TopicRefuse:
	}
	return nil
}

func create(ctx context.Context, admin *kadm.Client, t TopicPlan, checkOnly bool) error {
	configs := make(map[string]*string, len(t.Changes))
	for _, c := range t.Changes {
		configs[c.Key] = new(c.To)
	}
	call := admin.CreateTopics
	if checkOnly {
		call = admin.ValidateCreateTopics
	}
	rs, err := call(ctx, int32(t.Partitions), int16(t.Replicas), configs, t.Topic) //nolint:gosec // small by declaration
	if err != nil {
		return fmt.Errorf("creating: %w", err)
	}
	r, err := rs.On(t.Topic, nil)
	if err == nil {
		err = r.Err
	}
	return answer("creating", err, r.ErrMessage)
}

func alter(ctx context.Context, admin *kadm.Client, t TopicPlan, checkOnly bool) error {
	changes := make([]kadm.AlterConfig, 0, len(t.Changes))
	for _, c := range t.Changes {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: c.Key, Value: new(c.To)})
	}
	call := admin.AlterTopicConfigs
	if checkOnly {
		call = admin.ValidateAlterTopicConfigs
	}
	rs, err := call(ctx, changes, t.Topic)
	if err != nil {
		return fmt.Errorf("altering: %w", err)
	}
	r, err := rs.On(t.Topic, nil)
	if err == nil {
		err = r.Err
	}
	return answer("altering", err, r.ErrMessage)
}

func grow(ctx context.Context, admin *kadm.Client, t TopicPlan, checkOnly bool) error {
	call := admin.UpdatePartitions
	if checkOnly {
		call = admin.ValidateUpdatePartitions
	}
	rs, err := call(ctx, t.Partitions, t.Topic)
	if err != nil {
		return fmt.Errorf("adding partitions: %w", err)
	}
	r, err := rs.On(t.Topic, nil)
	if err == nil {
		err = r.Err
	}
	return answer("adding partitions", err, r.ErrMessage)
}

// answer is the cluster's own words, if it has any.
func answer(doing string, err error, words string) error {
	switch {
	case err == nil:
		return nil
	case words == "":
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w (%s)", doing, err, words)
}

// see waits until every topic has a leader for every partition.
func see(ctx context.Context, admin *kadm.Client, names []string) error {
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, seeTimeout, errors.New("a topic that was created has no leader yet"))
	defer cancel()
	tick := time.NewTicker(seeEvery)
	defer tick.Stop()
	for {
		details, err := admin.ListTopics(ctx, names...)
		if err == nil && ready(details, names) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for topics: %w", context.Cause(ctx))
		}
	}
}

func ready(details kadm.TopicDetails, names []string) bool {
	for _, name := range names {
		d, ok := details[name]
		if !ok || d.Err != nil || len(d.Partitions) == 0 {
			return false
		}
		for _, p := range d.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return false
			}
		}
	}
	return true
}
