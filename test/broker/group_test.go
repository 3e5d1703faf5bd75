package broker

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/test/kafkatest"
)

// keeper is a handler that remembers what it was handed, and finishes what the test tells it to.
type keeper struct {
	mu      sync.Mutex
	parts   map[int32]*kafka.Partition
	seen    map[int32][]int64
	lost    int
	finish  func(partition int32, offset int64) bool
	changed chan struct{}
}

func newKeeper(finish func(int32, int64) bool) *keeper {
	return &keeper{
		parts: map[int32]*kafka.Partition{}, seen: map[int32][]int64{}, finish: finish, changed: make(chan struct{}, 1),
	}
}

func (k *keeper) touch() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

func (k *keeper) Assign(p *kafka.Partition) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.parts[p.ID] = p
	k.touch()
	return nil
}

func (k *keeper) Records(p *kafka.Partition, records []*kafka.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range records {
		k.seen[p.ID] = append(k.seen[p.ID], r.Offset)
		if k.finish(p.ID, r.Offset) {
			p.Finish(r.Offset)
		}
	}
	k.touch()
}

func (k *keeper) Revoke(ps []*kafka.Partition) { k.drop(ps) }
func (k *keeper) Lost(ps []*kafka.Partition) {
	k.mu.Lock()
	k.lost++
	k.mu.Unlock()
	k.drop(ps)
}

func (k *keeper) drop(ps []*kafka.Partition) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range ps {
		delete(k.parts, p.ID)
	}
	k.touch()
}

// wait blocks until ok is true of the keeper.
func (k *keeper) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	for {
		k.mu.Lock()
		done := ok()
		k.mu.Unlock()
		if done {
			return
		}
		select {
		case <-k.changed:
		case <-deadline.C:
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}

func (k *keeper) count() (n int) {
	for _, seen := range k.seen {
		n += len(seen)
	}
	return n
}

// distinct counts offsets, each once however often it was handed over.
func (k *keeper) distinct() (n int) {
	for _, seen := range k.seen {
		offsets := map[int64]bool{}
		for _, o := range seen {
			offsets[o] = true
		}
		n += len(offsets)
	}
	return n
}

// last is the offset that was handed over last. Unlike a count it tells whether all have been: a member that lost its
// session on the way is handed some of them again.
func (k *keeper) last(partition int32) int64 {
	seen := k.seen[partition]
	if len(seen) == 0 {
		return -1
	}
	return seen[len(seen)-1]
}

// member runs a group member until stop.
type member struct {
	cancel context.CancelFunc
	done   chan error
	group  *kafka.Group
	once   sync.Once
}

func join(t *testing.T, conf kafka.Config, name, topic string, h kafka.Handler) *member {
	t.Helper()
	g, err := kafka.NewGroup(conf, kafka.GroupOptions{Name: name, Topics: []string{topic}}, h)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{cancel: cancel, done: make(chan error, 1), group: g}
	go func() { m.done <- g.Run(ctx) }()
	t.Cleanup(func() { m.stop(t) })
	return m
}

func (m *member) stop(t *testing.T) {
	t.Helper()
	m.once.Do(func() {
		m.cancel()
		require.NoError(t, <-m.done)
	})
}

// scene is a topic and a group of their own in the shared cluster.
type scene struct {
	conf   kafka.Config
	topic  string
	group  string
	client *kgo.Client
	admin  *kadm.Client
}

func newScene(t *testing.T, partitions int32, conf kafka.Config) *scene {
	t.Helper()
	if conf.Brokers == nil {
		conf.Brokers = kafkatest.Shared(t)
	}
	if conf.SessionTimeout == 0 {
		conf.SessionTimeout = 10 * time.Second
	}
	id := uuid.NewString()[:8]
	s := &scene{conf: conf, topic: "group-" + id, group: "g-" + id}
	client, err := kafka.NewClient(conf, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s.client, s.admin = client, kadm.NewClient(client)
	opts, err := conf.Options()
	require.NoError(t, err)
	kafkatest.CreateTopic(t, s.topic, partitions, nil, opts...)
	return s
}

func (s *scene) produce(t *testing.T, partition int32, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		r := &kgo.Record{Topic: s.topic, Partition: partition, Value: fmt.Appendf(nil, "%d", i)}
		s.client.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			defer wg.Done()
			if err != nil {
				t.Errorf("producing: %v", err)
			}
		})
	}
	wg.Wait()
}

func (s *scene) committed(t *testing.T, partition int32) kadm.Offset {
	t.Helper()
	offsets, err := s.admin.FetchOffsetsForTopics(t.Context(), s.group, s.topic)
	require.NoError(t, err)
	o, ok := offsets.Lookup(s.topic, partition)
	require.True(t, ok)
	require.NoError(t, o.Err)
	return o.Offset
}

func protocols(t *testing.T, fn func(t *testing.T, conf kafka.Config)) {
	t.Helper()
	for _, p := range []string{kafka.ProtocolClassic, kafka.ProtocolConsumer} {
		t.Run(p, func(t *testing.T) { fn(t, kafka.Config{GroupProtocol: p}) })
	}
}

// The worst pattern for the metadata, every other offset finished, over the whole span that always fits: the broker
// takes it, and the next owner is handed exactly the rest.
func TestKafkaTakesCommitMetadataAtItsLimit(t *testing.T) {
	protocols(t, func(t *testing.T, conf kafka.Config) {
		s := newScene(t, 1, conf)
		n := int(offset.SafeSpan)
		s.produce(t, 0, n)
		k := newKeeper(func(_ int32, o int64) bool { return o%2 == 1 })
		m := join(t, s.conf, s.group, s.topic, k)
		k.wait(t, "the last record", func() bool { return k.last(0) == int64(n-1) })
		m.stop(t)
		at := s.committed(t, 0)
		require.Zero(t, at.At)
		require.LessOrEqual(t, len(at.Metadata), offset.MaxMetadata)
		require.Greater(t, len(at.Metadata), offset.MaxMetadata-200, "the test does not reach the limit")

		k2 := newKeeper(func(int32, int64) bool { return true })
		m2 := join(t, s.conf, s.group, s.topic, k2)
		k2.wait(t, "the last unfinished record", func() bool { return k2.last(0) == int64(n-1)&^1 })
		for _, o := range k2.seen[0] {
			require.Zero(t, o%2, "offset %d was finished before", o)
		}
		m2.stop(t)
		require.Equal(t, int64(n), s.committed(t, 0).At)
		require.Empty(t, s.committed(t, 0).Metadata)
	})
}

// A broker refuses metadata that is longer than its limit, which the embedded broker does not: what we write must stay
// below it by itself.
func TestKafkaRefusesMetadataOverItsLimit(t *testing.T) {
	s := newScene(t, 1, kafka.Config{})
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: s.topic, Partition: 0, At: 0, Metadata: string(make([]byte, offset.MaxMetadata+1))})
	responses, err := s.admin.CommitOffsets(t.Context(), s.group, offsets)
	require.NoError(t, err)
	require.ErrorContains(t, responses.Error(), "OFFSET_METADATA_TOO_LARGE")
}

// Members come and go while records arrive: every record is handled, none by two owners, under both protocols.
func TestKafkaRebalancesLoseAndRepeatNothing(t *testing.T) {
	protocols(t, func(t *testing.T, conf kafka.Config) {
		const partitions, perRound, rounds = 4, 500, 6
		s := newScene(t, partitions, conf)
		k := newKeeper(func(int32, int64) bool { return true })
		members := []*member{join(t, s.conf, s.group, s.topic, k)}
		for round := range rounds {
			for p := range int32(partitions) {
				s.produce(t, p, perRound)
			}
			if round%2 == 0 {
				members = append(members, join(t, s.conf, s.group, s.topic, k))
			} else {
				members[0].stop(t)
				members = members[1:]
			}
		}
		k.wait(t, "all records", func() bool { return k.distinct() == partitions*perRound*rounds })
		for _, m := range members {
			m.stop(t)
		}
		for p := range int32(partitions) {
			seen := map[int64]int{}
			for _, o := range k.seen[p] {
				seen[o]++
				// A member that stood still for its session's time is thrown out: what it had not committed is handed over again.
				require.LessOrEqual(t, seen[o], 1+k.lost, "offset %d of partition %d was handled again", o, p)
			}
			require.Len(t, seen, perRound*rounds)
			require.Equal(t, int64(perRound*rounds), s.committed(t, p).At)
		}
	})
}

// A member that holds on to what it was handed while it loses the partition: its late acknowledgements never move the
// new owner's commit.
func TestKafkaLateAckAfterRevokeNeverCommits(t *testing.T) {
	protocols(t, func(t *testing.T, conf kafka.Config) {
		s := newScene(t, 1, conf)
		s.produce(t, 0, 100)
		hoard := newKeeper(func(int32, int64) bool { return false })
		first := join(t, s.conf, s.group, s.topic, hoard)
		hoard.wait(t, "all records", func() bool { return hoard.count() == 100 })
		hoard.mu.Lock()
		p := hoard.parts[0]
		hoard.mu.Unlock()
		first.stop(t)
		second := newKeeper(func(int32, int64) bool { return true })
		m := join(t, s.conf, s.group, s.topic, second)
		second.wait(t, "all records again", func() bool { return second.count() == 100 })
		for o := range int64(50) {
			p.Finish(o)
			require.ErrorIs(t, p.Tracker().Finish(o), offset.ErrRevoked)
		}
		m.stop(t)
		require.Equal(t, int64(100), s.committed(t, 0).At)
		require.ErrorIs(t, context.Cause(p.Context()), kafka.ErrRevoked)
	})
}

// A committed offset that is not in the log any more halts its partition, or starts at the start of what is left, as
// configured; records that still exist are never skipped.
func TestKafkaCommittedOffsetOutOfRange(t *testing.T) {
	for _, tc := range []struct {
		name   string
		commit int64
	}{{"below the start", 10}, {"above the end", 1000}} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t, 1, kafka.Config{})
			s.produce(t, 0, 100)
			_, err := s.admin.DeleteRecords(t.Context(), offsetsOf(s.topic, 0, 50))
			require.NoError(t, err)
			require.NoError(t, s.admin.CommitAllOffsets(t.Context(), s.group, offsetsOf(s.topic, 0, tc.commit)))

			k := newKeeper(func(int32, int64) bool { return true })
			m := join(t, s.conf, s.group, s.topic, k)
			k.wait(t, "the assignment", func() bool { return len(k.parts) == 1 })
			halted := m.group.Halted()
			require.Contains(t, halted[s.topic+"/0"], "outside the log [50, 100]")
			m.stop(t)
			require.Zero(t, k.count(), "a halted partition was read")
			require.Equal(t, tc.commit, s.committed(t, 0).At, "the commit of a halted partition was moved")

			s.conf.OnOutOfRange = kafka.OutOfRangeEarliest
			again := newKeeper(func(int32, int64) bool { return true })
			m = join(t, s.conf, s.group, s.topic, again)
			again.wait(t, "what is left", func() bool { return again.count() == 50 })
			require.Empty(t, m.group.Halted())
			m.stop(t)
			require.Equal(t, int64(50), again.seen[0][0])
			require.Equal(t, int64(100), s.committed(t, 0).At)
		})
	}
}

func offsetsOf(topic string, partition int32, at int64) kadm.Offsets {
	o := kadm.Offsets{}
	o.Add(kadm.Offset{Topic: topic, Partition: partition, At: at, LeaderEpoch: -1})
	return o
}

// A member that was silent for longer than its session, and comes back, commits nothing: its partition has another
// owner. The silence is the broker's: every heartbeat of the first member is refused by a static rule of the group.
func TestKafkaZombieDoesNotCommit(t *testing.T) {
	s := newScene(t, 1, kafka.Config{SessionTimeout: 6 * time.Second})
	s.produce(t, 0, 10)
	zombie := newKeeper(func(int32, int64) bool { return false })
	conf := s.conf
	network := newFrozenNetwork()
	conf.Dial = network.dial
	m := join(t, conf, s.group, s.topic, zombie)
	zombie.wait(t, "all records", func() bool { return zombie.count() == 10 })
	zombie.mu.Lock()
	p := zombie.parts[0]
	zombie.mu.Unlock()

	network.freeze()
	heir := newKeeper(func(_ int32, o int64) bool { return o < 5 })
	h := join(t, s.conf, s.group, s.topic, heir)
	heir.wait(t, "all records, after the session timeout", func() bool { return heir.count() == 10 })
	for o := range int64(10) {
		p.Finish(o) // the zombie has worked on
	}
	network.thaw()
	zombie.wait(t, "word that it lost the partition", func() bool { return zombie.lost > 0 })
	require.ErrorIs(t, context.Cause(p.Context()), kafka.ErrLost)
	m.stop(t)
	h.stop(t)
	require.Equal(t, int64(5), s.committed(t, 0).At)
	require.Positive(t, zombie.lost)
}

func TestKafkaGroupOverTLSAndSASL(t *testing.T) {
	for _, mechanism := range []kafkatest.Mechanism{kafkatest.Plain, kafkatest.ScramSHA256} {
		t.Run(string(mechanism), func(t *testing.T) {
			cluster := kafkatest.Start(t, kafkatest.Options{
				TLS: true, SASL: &kafkatest.SASL{Mechanism: mechanism, User: "postrider", Password: "open sesame"},
			})
			conf := kafka.Config{
				Brokers: cluster.Brokers(), TLS: kafka.TLSConfig{Enabled: true, CAFile: cluster.CAFile()},
				SASL: kafka.SASLConfig{Mechanism: string(mechanism), User: cluster.User(), Password: cluster.Password()},
			}
			require.NoError(t, conf.Validate())
			s := newScene(t, 2, conf)
			s.produce(t, 0, 10)
			s.produce(t, 1, 10)
			k := newKeeper(func(int32, int64) bool { return true })
			m := join(t, s.conf, s.group, s.topic, k)
			k.wait(t, "all records", func() bool { return k.count() == 20 })
			m.stop(t)
			require.Equal(t, int64(10), s.committed(t, 1).At)

			conf.SASL.Password = "wrong"
			err := kafka.Reach(t.Context(), conf)
			require.Error(t, err)
			require.NotErrorIs(t, err, context.DeadlineExceeded, "a wrong password is told at once")
		})
	}
}
