package kafka_test

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/kafka"
)

const logTopic = "registry"

// logCluster returns the configuration of an embedded broker with an empty compacted topic.
func logCluster(t *testing.T) kafka.Config {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	cfg := kafka.Config{Brokers: c.ListenAddrs()}
	client, err := kafka.NewClient(cfg)
	require.NoError(t, err)
	defer client.Close()
	compacted := "compact"
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &compacted}, logTopic)
	require.NoError(t, err)
	return cfg
}

func openLog(t *testing.T, cfg kafka.Config) *kafka.Log {
	t.Helper()
	log, err := kafka.OpenLog(cfg, logTopic)
	require.NoError(t, err)
	t.Cleanup(log.Close)
	return log
}

func openLogWriter(t *testing.T, cfg kafka.Config) *kafka.LogWriter {
	t.Helper()
	w, err := kafka.OpenLogWriter(t.Context(), cfg, logTopic, "registry-writer")
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w
}

func one(key, value string) iter.Seq[kafka.LogRecord] {
	return slices.Values([]kafka.LogRecord{{Key: key, Value: []byte(value)}})
}

// readTo reads from an offset to the committed end.
func readTo(t *testing.T, log *kafka.Log, at int64) (values []string, next int64) {
	t.Helper()
	end, err := log.End(t.Context())
	require.NoError(t, err)
	for at < end {
		at, err = log.Read(t.Context(), at, func(_ int64, key, value []byte) {
			values = append(values, string(key)+"="+string(value))
		})
		require.NoError(t, err)
	}
	require.Equal(t, end, at)
	return values, at
}

func TestLogReadsWhatWasCommittedAndReachesTheEnd(t *testing.T) {
	cfg := logCluster(t)
	log, w := openLog(t, cfg), openLogWriter(t, cfg)
	start, err := log.Start(t.Context())
	require.NoError(t, err)
	require.Zero(t, start)
	values, next := readTo(t, log, 0)
	require.Empty(t, values)
	require.Zero(t, next)

	last, err := w.Append(t.Context(), 0, one("a", "1"))
	require.NoError(t, err)
	require.Zero(t, last)
	last, err = w.Append(t.Context(), 2, one("b", "2"))
	require.NoError(t, err)
	require.EqualValues(t, 2, last, "after a marker")
	values, next = readTo(t, log, 0)
	require.Equal(t, []string{"a=1", "b=2"}, values)
	require.EqualValues(t, 4, next)

	began := time.Now()
	next, err = log.Read(t.Context(), next, func(int64, []byte, []byte) { t.Error("there is nothing") })
	require.NoError(t, err)
	require.EqualValues(t, 4, next)
	require.Less(t, time.Since(began), 5*time.Second)

	_, err = w.Append(t.Context(), 4, one("a", ""))
	require.NoError(t, err)
	values, _ = readTo(t, log, 4)
	require.Equal(t, []string{"a="}, values)
	values, _ = readTo(t, log, 2)
	require.Equal(t, []string{"b=2", "a="}, values, "a jump back")
}

func TestLogDoesNotShowOpenAndAbortedTransactions(t *testing.T) {
	cfg := logCluster(t)
	log := openLog(t, cfg)
	client, err := kafka.NewClient(cfg, kgo.TransactionalID("other"))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.BeginTransaction())
	record := &kgo.Record{Topic: logTopic, Key: []byte("a"), Value: []byte("aborted")}
	require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	end, err := log.End(t.Context())
	require.NoError(t, err)
	require.Zero(t, end, "an open transaction is above the committed end")
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryAbort))
	values, next := readTo(t, log, 0)
	require.Empty(t, values)
	require.EqualValues(t, 2, next)
}

func TestLogSaysThatAnOffsetIsOutOfRange(t *testing.T) {
	cfg := logCluster(t)
	log := openLog(t, cfg)
	var err error
	for err == nil { // the fetch that finds out may take longer than one read
		_, err = log.Read(t.Context(), 100, func(int64, []byte, []byte) {})
	}
	require.ErrorIs(t, err, kerr.OffsetOutOfRange)
	_, err = openLogWriter(t, cfg).Append(t.Context(), 0, one("a", "1"))
	require.NoError(t, err)
	values, _ := readTo(t, log, 0)
	require.Equal(t, []string{"a=1"}, values)
}

func TestLogOfAMissingTopic(t *testing.T) {
	cfg := logCluster(t)
	log, err := kafka.OpenLog(cfg, "missing")
	require.NoError(t, err)
	defer log.Close()
	_, err = log.End(t.Context())
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
}

func TestNewLogWriterFencesTheOld(t *testing.T) {
	cfg := logCluster(t)
	log, first := openLog(t, cfg), openLogWriter(t, cfg)
	_, err := first.Append(t.Context(), 0, one("a", "1"))
	require.NoError(t, err)
	second := openLogWriter(t, cfg)
	_, err = first.Append(t.Context(), 2, one("a", "2"))
	var fenced interface{ Fenced() bool }
	require.ErrorAs(t, err, &fenced)
	require.True(t, fenced.Fenced(), err)
	_, err = first.Append(t.Context(), 2, one("a", "2"))
	require.Error(t, err, "it stays of no use")
	_, err = second.Append(t.Context(), 2, one("a", "3"))
	require.NoError(t, err)
	values, _ := readTo(t, log, 0)
	require.Equal(t, []string{"a=1", "a=3"}, values)
}

// TestOpeningAWriterEndsWhatTheOldLeftOpen leaves a transaction in the middle, as a crash does.
func TestOpeningAWriterEndsWhatTheOldLeftOpen(t *testing.T) {
	cfg := logCluster(t)
	log := openLog(t, cfg)
	client, err := kafka.NewClient(cfg, kgo.TransactionalID("registry-writer"))
	require.NoError(t, err)
	require.NoError(t, client.BeginTransaction())
	record := &kgo.Record{Topic: logTopic, Key: []byte("a"), Value: []byte("left open")}
	require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	client.Close()
	w := openLogWriter(t, cfg)
	end, err := log.End(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, end, "the fence came with its abort")
	_, err = w.Append(t.Context(), 2, one("a", "1"))
	require.NoError(t, err)
	values, _ := readTo(t, log, 0)
	require.Equal(t, []string{"a=1"}, values)
}

func TestLogWriterWithoutABroker(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := kafka.OpenLogWriter(ctx, kafka.Config{Brokers: []string{"127.0.0.1:1"}}, logTopic, "registry-writer")
	require.Error(t, err)
}

// TestLogWriterRefusesToWriteElsewhere plans on a log that somebody else has written to without fencing: nothing may be
// written over what the plan did not see.
func TestLogWriterRefusesToWriteElsewhere(t *testing.T) {
	cfg := logCluster(t)
	log, w := openLog(t, cfg), openLogWriter(t, cfg)
	_, err := w.Append(t.Context(), 7, one("a", "1"))
	require.ErrorContains(t, err, "another writes to it")
	values, next := readTo(t, log, 0)
	require.Empty(t, values)
	require.EqualValues(t, 2, next, "the record and its abort")
	_, err = openLogWriter(t, cfg).Append(t.Context(), next, one("a", "2"))
	require.NoError(t, err)
}

// TestLogWriterWritesOtherTopicsInTheSameTransaction looks at the records of another topic: by key where other producers
// put them, with their headers, and there only if the transaction is.
func TestLogWriterWritesOtherTopicsInTheSameTransaction(t *testing.T) {
	cfg := logCluster(t)
	plain, err := kafka.NewClient(cfg)
	require.NoError(t, err)
	defer plain.Close()
	_, err = kadm.NewClient(plain).CreateTopic(t.Context(), 5, 1, nil, "audit")
	require.NoError(t, err)
	both := func(value string) iter.Seq[kafka.LogRecord] {
		return slices.Values([]kafka.LogRecord{
			{Key: "a", Value: []byte(value)},
			{Topic: "audit", Key: "tenant", Value: []byte(value), Headers: [][2]string{{"content-type", "text/plain"}}},
		})
	}
	_, err = openLogWriter(t, cfg).Append(t.Context(), 99, both("aborted"))
	require.Error(t, err)
	last, err := openLogWriter(t, cfg).Append(t.Context(), 2, both("1"))
	require.NoError(t, err)
	require.EqualValues(t, 2, last)
	same := &kgo.Record{Topic: "audit", Key: []byte("tenant"), Value: []byte("2")}
	require.NoError(t, plain.ProduceSync(t.Context(), same).FirstErr())
	var got []string
	_, err = kafka.NewReader(cfg).Range(t.Context(), "audit", same.Partition, 0, func(r *kafka.Record) error {
		got = append(got, string(r.Key)+"="+string(r.Value))
		if string(r.Value) == "1" {
			require.Equal(t, []kafka.Header{{Key: "content-type", Value: []byte("text/plain")}}, r.Headers)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"tenant=1", "tenant=2"}, got, "and nothing that was aborted")
}
