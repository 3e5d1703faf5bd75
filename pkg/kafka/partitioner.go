package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// partitioner places records by the murmur2 hash of their key, as Kafka's own clients do, but for the topics whose
// writer names the partition itself.
type partitioner struct {
	keyed  kgo.Partitioner
	manual kgo.Partitioner
	pinned []string
}

// newPartitioner returns a partitioner that honours the record's own partition in the pinned topics.
func newPartitioner(pinned []string) kgo.Partitioner {
	return partitioner{keyed: kgo.StickyKeyPartitioner(nil), manual: kgo.ManualPartitioner(), pinned: pinned}
}

// ForTopic implements kgo.Partitioner.
func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if slices.Contains(p.pinned, topic) {
		return p.manual.ForTopic(topic)
	}
	return p.keyed.ForTopic(topic)
}
