package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/postrider/postrider/pkg/offset"
)

// TopicEnds returns the ends of every partition of a topic, the end being the committed one.
func TopicEnds(ctx context.Context, conf Config, topic string) (map[int32]Ends, error) {
	return withAdmin(ctx, conf, func(ctx context.Context, admin *kadm.Client) (map[int32]Ends, error) {
		return topicEnds(ctx, admin, topic)
	})
}

func topicEnds(ctx context.Context, admin *kadm.Client, topic string) (map[int32]Ends, error) {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing start offsets of %s: %w", topic, err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing end offsets of %s: %w", topic, err)
	}
	out := map[int32]Ends{}
	starts.Each(func(o kadm.ListedOffset) { out[o.Partition] = Ends{Start: o.Offset} })
	ends.Each(func(o kadm.ListedOffset) { out[o.Partition] = Ends{Start: out[o.Partition].Start, End: o.Offset} })
	return out, nil
}

// OffsetsAt returns for every partition of a topic the offset of the first record whose timestamp is not before at; the end
// of the log where there is none.
func OffsetsAt(ctx context.Context, conf Config, topic string, at time.Time) (map[int32]int64, error) {
	return withAdmin(ctx, conf, func(ctx context.Context, admin *kadm.Client) (map[int32]int64, error) {
		listed, err := admin.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("listing offsets of %s at %s: %w", topic, at.UTC().Format(time.RFC3339), err)
		}
		out := map[int32]int64{}
		listed.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
		return out, nil
	})
}

// Commits are what a consumer group has finished, by topic and partition. A partition without a commit has the zero Commit:
// nothing is finished.
type Commits map[string]map[int32]offset.Commit

// GroupCommits returns the commits of a group with what their metadata lists; none for a group that does not exist.
func GroupCommits(ctx context.Context, conf Config, group string) (Commits, error) {
	return withAdmin(ctx, conf, func(ctx context.Context, admin *kadm.Client) (Commits, error) {
		offsets, err := admin.FetchOffsets(ctx, group)
		if err == nil {
			err = offsets.Error()
		}
		switch {
		case errors.Is(err, kerr.GroupIDNotFound):
			return Commits{}, nil
		case err != nil:
			return nil, fmt.Errorf("fetching the commits of group %s: %w", group, err)
		}
		out := Commits{}
		for topic, partitions := range offsets {
			out[topic] = map[int32]offset.Commit{}
			for id, o := range partitions {
				finished, err := offset.DecodeMetadata(o.At, o.Metadata)
				if err != nil {
					return nil, fmt.Errorf("commit of group %s for %s/%d: %w", group, topic, id, err)
				}
				out[topic][id] = offset.Commit{Offset: max(0, o.At), Finished: finished}
			}
		}
		return out, nil
	})
}

// withAdmin runs fn with an administrator's client of its own, in bounded time.
func withAdmin[T any](ctx context.Context, conf Config, fn func(context.Context, *kadm.Client) (T, error)) (T, error) {
	var none T
	client, err := NewClient(conf)
	if err != nil {
		return none, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	return fn(ctx, kadm.NewClient(client))
}

// TopicNames returns the names of all topics that may be listed, but for Kafka's own.
func TopicNames(ctx context.Context, conf Config) ([]string, error) {
	return withAdmin(ctx, conf, func(ctx context.Context, admin *kadm.Client) ([]string, error) {
		details, err := admin.ListTopics(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing topics: %w", err)
		}
		return details.Names(), nil
	})
}
