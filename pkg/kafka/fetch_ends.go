package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Ends returns the first offset of every partition of a topic and the one after the last record that readers are given.
func (f *Fetcher) Ends(ctx context.Context, topic string) (map[int32]Ends, error) {
	admin := kadm.NewClient(f.client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("listing start offsets of %s: %w", topic, err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("listing end offsets of %s: %w", topic, err)
	}
	out := map[int32]Ends{}
	for partition, end := range ends[topic] {
		start, ok := starts.Lookup(topic, partition)
		switch {
		case end.Err != nil:
			return nil, fmt.Errorf("listing end offset of %s/%d: %w", topic, partition, end.Err)
		case !ok:
			return nil, fmt.Errorf("listing start offset of %s/%d: no answer", topic, partition)
		case start.Err != nil:
			return nil, fmt.Errorf("listing start offset of %s/%d: %w", topic, partition, start.Err)
		}
		out[partition] = Ends{Start: start.Offset, End: end.Offset}
	}
	return out, nil
}
