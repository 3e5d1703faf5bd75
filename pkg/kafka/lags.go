package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TopicLag is how far a group is behind in a topic.
type TopicLag struct {
	Topic string
	// Records are those between the commits and the ends of its partitions.
	Records int64
}

// GroupLag is how far a group is, as the brokers know it.
type GroupLag struct {
	// Members are in the group; State is the brokers' word for it: Stable, Empty, Dead ….
	Members int
	State   string
	// Topics are those that it has commits of, by name. Of one without a commit the group knows nothing.
	Topics []TopicLag
}

// Records are those of all topics.
func (g GroupLag) Records() (n int64) {
	for _, t := range g.Topics {
		n += t.Records
	}
	return n
}

// GroupLags asks the brokers how far groups are. A group that does not exist has no topics.
func GroupLags(ctx context.Context, conf Config, groups ...string) (map[string]GroupLag, error) {
	return withAdmin(ctx, conf, func(ctx context.Context, admin *kadm.Client) (map[string]GroupLag, error) {
		lags, err := admin.Lag(ctx, slices.Clone(groups)...) // it writes into what it is given
		if err != nil {
			return nil, fmt.Errorf("asking for the lag of groups: %w", err)
		}
		out := make(map[string]GroupLag, len(groups))
		for _, name := range groups {
			l := lags[name]
			if err := l.Error(); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
				return nil, fmt.Errorf("asking for the lag of group %s: %w", name, err)
			}
			g := GroupLag{Members: len(l.Members), State: l.State}
			for _, topic := range slices.Sorted(maps.Keys(l.Lag)) {
				t := TopicLag{Topic: topic}
				for _, p := range l.Lag[topic] {
					if p.Err != nil {
						return nil, fmt.Errorf("asking for the lag of group %s: %s/%d: %w", name, topic, p.Partition, p.Err)
					}
					t.Records += max(0, p.Lag)
				}
				g.Topics = append(g.Topics, t)
			}
			out[name] = g
		}
		return out, nil
	})
}
