package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Place is where a record is.
type Place struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Fetcher reads single records at known places. It keeps its connections, so that a read costs one round trip for each
// stretch of a partition that the places are in; a [Reader] makes a client for each stretch and reads it to its end. All
// methods may be called concurrently. Close it.
type Fetcher struct {
	client *kgo.Client

	mu      sync.Mutex
	leaders map[string]topicLeaders
}

// topicLeaders is what a fetch must know of a topic.
type topicLeaders struct {
	id         [16]byte
	partitions map[int32]int32 // to the broker that leads it; -1 for none
}

// Bounds of a fetch.
const (
	// fetchBytes is what a broker may return at once of a partition where the next place is near; it returns at least one
	// batch, and no more where the next one is far.
	fetchBytes = 256 << 10
	// near is how many offsets further on a place is likely to be in the same fetch: records have 500 bytes at least.
	near = 500
	// fetchWait is how long a broker may hold it, ms; what is read is there.
	fetchWait = 100
	// fetchTries is how often a partition is tried again whose leader did not answer, fetchPause the pause before the
	// first of these; an election takes less than a second.
	fetchTries = 4
	fetchPause = 100 * time.Millisecond
	// fetchLanes is how many stretches are read at a time by one call. Brokers answer the requests of a connection one after
	// the other, but need not wait for the next.
	fetchLanes = 8
)

// NewFetcher returns a fetcher. It connects to nothing yet.
func NewFetcher(conf Config) (*Fetcher, error) {
	client, err := NewClient(conf)
	if err != nil {
		return nil, err
	}
	return &Fetcher{client: client, leaders: map[string]topicLeaders{}}, nil
}

// Close ends the connections.
func (f *Fetcher) Close() { f.client.Close() }

// Fetch reads the records at the places. Those that are not there, because the log was cut or never had them, are left
// out. It stops when it has more than maxBytes of keys, values and headers, and says which places it did not get to.
func (f *Fetcher) Fetch(ctx context.Context, places []Place, maxBytes int) (found map[Place]*Record, left []Place, err error) {
	type topicPartition struct {
		topic     string
		partition int32
	}
	wanted := map[topicPartition][]int64{}
	for _, p := range places {
		tp := topicPartition{p.Topic, p.Partition}
		wanted[tp] = append(wanted[tp], p.Offset)
	}
	s := &fetchSum{found: map[Place]*Record{}, budget: maxBytes}
	var lanes sync.WaitGroup
	slot := make(chan struct{}, fetchLanes)
	for tp, offsets := range wanted {
		slices.Sort(offsets)
		for stretch := range stretches(slices.Compact(offsets)) {
			slot <- struct{}{}
			lanes.Go(func() {
				defer func() { <-slot }()
				if err := f.partition(ctx, tp.topic, tp.partition, stretch, s); err != nil {
					s.fail(fmt.Errorf("fetching %s/%d: %w", tp.topic, tp.partition, err))
				}
			})
		}
	}
	lanes.Wait()
	if s.err != nil {
		return nil, nil, s.err
	}
	slices.SortFunc(s.left, func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return s.found, s.left, nil
}

// stretches yields the pieces of ascending offsets that are near each other.
func stretches(offsets []int64) iter.Seq[[]int64] {
	return func(yield func([]int64) bool) {
		first := 0
		for i := range offsets {
			if last := i+1 == len(offsets); last || offsets[i+1]-offsets[i] > near {
				if !yield(offsets[first : i+1]) {
					return
				}
				first = i + 1
			}
		}
	}
}

// fetchSum is what the lanes of a call have so far.
type fetchSum struct {
	mu     sync.Mutex
	found  map[Place]*Record
	left   []Place
	budget int
	err    error
}

func (s *fetchSum) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// spent reports whether nothing more is to be read, and notes what was not.
func (s *fetchSum) spent(topic string, partition int32, offsets []int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return true
	}
	if s.budget > 0 {
		return false
	}
	for _, o := range offsets {
		s.left = append(s.left, Place{topic, partition, o})
	}
	return true
}

// add keeps a record, unless enough was read.
func (s *fetchSum) add(r *Record) bool {
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	kept := *r // the record's batch shares its memory; what is kept must not keep all of it
	kept.Key, kept.Value = slices.Clone(r.Key), slices.Clone(r.Value)
	kept.Headers = make([]Header, len(r.Headers))
	for i, h := range r.Headers {
		kept.Headers[i] = Header{Key: h.Key, Value: slices.Clone(h.Value)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.budget <= 0 {
		return false
	}
	s.budget -= size
	s.found[Place{r.Topic, r.Partition, r.Offset}] = &kept
	return true
}

// partition reads ascending offsets of one partition that are near each other.
func (f *Fetcher) partition(ctx context.Context, topic string, partition int32, offsets []int64, s *fetchSum) error {
	tries := 0
	for len(offsets) > 0 && !s.spent(topic, partition, offsets) {
		size := int32(fetchBytes)
		if len(offsets) == 1 {
			size = 1 // a batch comes as a whole all the same (KIP-74)
		}
		records, err := f.read(ctx, topic, partition, offsets[0], size)
		switch {
		case errors.Is(err, kerr.OffsetOutOfRange):
			offsets = offsets[1:] // cut off the log, or not there yet
			continue
		case err != nil && tries < fetchTries && ctx.Err() == nil: // the leader moved, or its broker is gone
			tries++
			f.forget(topic)
			if err := pause(ctx, time.Duration(tries)*fetchPause); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		reached := offsets[0] // all up to here is dealt with: a gap in the log is no record
		if len(records) > 0 && records[0].Offset == reached {
			reached-- // it is there, and may be left
		}
		for _, r := range records {
			if _, ok := slices.BinarySearch(offsets, r.Offset); ok && !s.add(r) {
				break // the rest is left
			}
			reached = max(reached, r.Offset)
		}
		i, ok := slices.BinarySearch(offsets, reached)
		if ok {
			i++
		}
		offsets = offsets[i:]
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// read reads from an offset on, as much as one fetch of that size returns.
func (f *Fetcher) read(ctx context.Context, topic string, partition int32, from int64, size int32) ([]*Record, error) {
	leaders, err := f.topic(ctx, topic)
	if err != nil {
		return nil, err
	}
	broker, ok := leaders.partitions[partition]
	switch {
	case !ok:
		return nil, nil // a topic made anew with fewer partitions: there is no such record
	case broker < 0:
		return nil, kerr.LeaderNotAvailable
	}
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = -1, fetchWait, 1, size
	req.SessionEpoch = -1 // no session
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, leaders.id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.PartitionMaxBytes = partition, -1, from, size
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := f.client.Broker(int(broker)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return nil, fmt.Errorf("broker answered a fetch with %T", answer)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
				Offset: from, IsolationLevel: kgo.ReadUncommitted(), Topic: topic, Partition: partition,
			}, &resp.Topics[i].Partitions[j], kgo.DefaultDecompressor(), nil)
			return got.Records, got.Err
		}
	}
	return nil, nil
}

// topic returns who leads a topic's partitions, as it was last asked.
func (f *Fetcher) topic(ctx context.Context, topic string) (topicLeaders, error) {
	f.mu.Lock()
	known, ok := f.leaders[topic]
	f.mu.Unlock()
	if ok {
		return known, nil
	}
	req := kmsg.NewPtrMetadataRequest() // not the client's own, which it keeps for seconds
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = new(topic)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, f.client)
	if err != nil {
		return topicLeaders{}, fmt.Errorf("asking who leads %s: %w", topic, err)
	}
	known = topicLeaders{partitions: map[int32]int32{}}
	for _, t := range resp.Topics {
		known.id = t.TopicID
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return known, nil // deleted: there are no such records
		case err != nil:
			return topicLeaders{}, fmt.Errorf("asking who leads %s: %w", topic, err)
		}
		for _, p := range t.Partitions {
			known.partitions[p.Partition] = p.Leader
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaders[topic] = known
	return known, nil
}

func (f *Fetcher) forget(topic string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.leaders, topic)
}
