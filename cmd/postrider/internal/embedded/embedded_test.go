package embedded

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/test/suite"
	"github.com/postrider/postrider/topics"
)

func TestMain(m *testing.M) { suite.Main(m) }

func open(t *testing.T, path string, fresh bool) *Dir {
	t.Helper()
	d, err := OpenDir(path, fresh)
	require.NoError(t, err)
	return d
}

func start(t *testing.T, d *Dir) (*System, kafka.Config) {
	t.Helper()
	s, err := Start(t.Context(), d, Ports{})
	require.NoError(t, err)
	return s, kafka.Config{Brokers: s.Brokers(), Prefix: "p."}
}

func client(t *testing.T, conf kafka.Config) *kgo.Client {
	t.Helper()
	c, err := kafka.NewClient(conf)
	require.NoError(t, err)
	return c
}

func TestADirectoryHasOneOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "down")
	d := open(t, path, false)
	_, err := OpenDir(path, true)
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, path)
	_, err = d.Log.WriteString("first\n")
	require.NoError(t, err)
	require.NoError(t, d.Close())

	d = open(t, path, false)
	defer func() { require.NoError(t, d.Close()) }()
	last, err := os.ReadFile(d.Log.Name() + ".1")
	require.NoError(t, err)
	require.Equal(t, "first\n", string(last))
}

func TestFreshRemovesNothingElse(t *testing.T) {
	path := t.TempDir()
	mine := filepath.Join(path, "mine.txt")
	require.NoError(t, os.WriteFile(mine, nil, 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(path, kafkaDir, "x"), 0o750))
	d := open(t, path, true)
	require.NoError(t, d.Close())
	require.FileExists(t, mine)
	require.NoDirExists(t, filepath.Join(path, kafkaDir))
}

func TestTheBrokerSurvivesARestart(t *testing.T) {
	path := t.TempDir()
	d := open(t, path, false)
	s, conf := start(t, d)
	ctx := t.Context()
	require.NoError(t, s.EnsureTopic(ctx, conf, "events", 2))
	require.NoError(t, s.EnsureTopic(ctx, conf, "events", 2), "it may exist")
	c := client(t, conf)
	require.NoError(t, c.ProduceSync(ctx, &kgo.Record{Topic: "events", Partition: 0, Key: []byte("k"), Value: []byte("v")}).FirstErr())
	commits := kadm.Offsets{}
	commits.Add(kadm.Offset{Topic: "events", Partition: 1, At: 7, LeaderEpoch: -1, Metadata: "finished above"})
	require.NoError(t, kadm.NewClient(c).CommitAllOffsets(ctx, "p.group", commits))
	c.Close()
	s.Close()
	require.NoError(t, d.Close())

	d = open(t, path, false)
	defer func() { require.NoError(t, d.Close()) }()
	s, conf = start(t, d)
	defer s.Close()
	c = client(t, conf)
	defer c.Close()
	got, err := kadm.NewClient(c).FetchOffsets(ctx, "p.group")
	require.NoError(t, err)
	commit, ok := got.Lookup("events", 1)
	require.True(t, ok)
	require.Equal(t, int64(7), commit.At)
	require.Equal(t, "finished above", commit.Metadata)
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, "events")
	require.NoError(t, err)
	total := int64(0)
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	require.Equal(t, int64(1), total)
}

// Compacted topics have no retention, the registry least of all; the others have the one that they were created with.
func TestCompactedTopicsKeepWhatIsOld(t *testing.T) {
	d := open(t, t.TempDir(), false)
	defer func() { require.NoError(t, d.Close()) }()
	s, conf := start(t, d)
	defer s.Close()
	ctx := t.Context()
	require.NoError(t, kafka.EnsureTopics(ctx, conf, kafka.PlanOptions{Partitions: 1}))
	c := client(t, conf)
	defer c.Close()
	old := time.Now().AddDate(0, -2, 0)
	registry, outcomes := "p."+topics.Registry, "p."+topics.Outcomes
	for _, topic := range []string{registry, outcomes} {
		require.NoError(t, c.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("v"), Timestamp: old}).FirstErr())
	}
	s.cluster.ApplyRetention()
	starts, err := kadm.NewClient(c).ListStartOffsets(ctx, registry, outcomes)
	require.NoError(t, err)
	kept, _ := starts.Lookup(registry, 0)
	require.Zero(t, kept.Offset)
	gone, _ := starts.Lookup(outcomes, 0)
	require.Equal(t, int64(1), gone.Offset)
}

func TestAPortThatIsTakenGivesAnother(t *testing.T) {
	l, err := Listen(t.Context(), 0)
	require.NoError(t, err)
	defer l.Close()
	other, err := ListenAt(t.Context(), l.Addr().String())
	require.NoError(t, err)
	defer other.Close()
	require.NotEqual(t, l.Addr().String(), other.Addr().String())

	taken := l.Addr().(*net.TCPAddr).Port
	d := open(t, t.TempDir(), false)
	defer func() { require.NoError(t, d.Close()) }()
	s, err := Start(t.Context(), d, Ports{Kafka: taken, Redis: taken})
	require.NoError(t, err)
	defer s.Close()
	require.NotEqual(t, l.Addr().String(), s.Brokers()[0])
	require.NotEqual(t, l.Addr().String(), s.Redis())
}
