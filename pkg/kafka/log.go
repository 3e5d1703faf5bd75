package kafka

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// logWait is how long a read of a log blocks when there is nothing new, and how long a broker may hold a fetch.
	logWait = 250 * time.Millisecond
	// txTimeout is how long brokers keep a transaction open whose producer is gone; readers stop at its start for as
	// long, unless a new producer of the same id ends it first.
	txTimeout = 15 * time.Second
	// txEndTimeout bounds the end of a transaction, whose caller's context does not.
	txEndTimeout = 10 * time.Second
)

// Log reads partition 0 of a topic, read committed, from any offset. It is what the registry calls a Log. Close it.
type Log struct {
	cfg   Config
	topic string
	admin *kadm.Client

	// consumer reads on at next; nil before the first read, after an error and after a jump.
	consumer *kgo.Client
	next     int64
}

// OpenLog returns the log of a one-partition topic, which must exist. Nothing is read before the first
// [Log.Read].
func OpenLog(cfg Config, topic string) (*Log, error) {
	client, err := NewClient(cfg)
	if err != nil {
		return nil, err
	}
	return &Log{cfg: cfg, topic: topic, admin: kadm.NewClient(client)}, nil
}

// Close gives the connections back. No other method may be running or called later.
func (l *Log) Close() {
	l.drop()
	l.admin.Close()
}

// Start returns the lowest offset the log has. It may be called concurrently with the other methods, as [Log.End] may.
func (l *Log) Start(ctx context.Context) (int64, error) {
	listed, err := l.admin.ListStartOffsets(ctx, l.topic)
	return l.offset(listed, err)
}

// End returns the committed end, the last stable offset: records of transactions that are not complete are above it.
func (l *Log) End(ctx context.Context) (int64, error) {
	listed, err := l.admin.ListCommittedOffsets(ctx, l.topic)
	return l.offset(listed, err)
}

func (l *Log) offset(listed kadm.ListedOffsets, err error) (int64, error) {
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("listing offsets of topic %s: %w", l.topic, err)
	}
	o, ok := listed.Lookup(l.topic, 0)
	if !ok {
		return 0, fmt.Errorf("listing offsets of topic %s: %w", l.topic, kerr.UnknownTopicOrPartition)
	}
	return o.Offset, nil
}

// Read yields committed records at and after from, in order, and returns the offset to go on at. Transaction markers
// are counted, not yielded: the last offset of a log is one as a rule, and without them its end would never be reached.
// It blocks for at most 250 ms if there is nothing, and then returns from; brokers that cannot be reached are nothing,
// ask [Log.End] for them. An error is one of the partition, for example an offset that is not in the log.
func (l *Log) Read(
	ctx context.Context, from int64, yield func(offset int64, key, value []byte),
) (next int64, err error) {
	if err := l.seek(from); err != nil {
		return from, err
	}
	waiting, cancel := context.WithTimeout(ctx, logWait)
	defer cancel()
	fetches := l.consumer.PollFetches(waiting)
	if err := readError(fetches); err != nil {
		l.drop()
		return from, fmt.Errorf("reading topic %s at %d: %w", l.topic, from, err)
	}
	for it := fetches.RecordIter(); !it.Done(); {
		r := it.Next()
		l.next = r.Offset + 1
		if !r.Attrs.IsControl() {
			yield(r.Offset, r.Key, r.Value)
		}
	}
	return l.next, ctx.Err()
}

// readError returns the first error of fetches that is not the end of the wait.
func readError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
			return e.Err
		}
	}
	return nil
}

// seek makes the consumer read at from. A jump, which is rare, makes a new one: the buffers of the old hold what it
// would have read on.
func (l *Log) seek(from int64) error {
	if l.consumer != nil && l.next == from {
		return nil
	}
	l.drop()
	client, err := NewClient(l.cfg,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: {0: kgo.NewOffset().At(from)}}),
		// An offset that is not in the log is for the reader to decide on; a reset would skip records in silence.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(logWait),
	)
	if err != nil {
		return err
	}
	l.consumer, l.next = client, from
	return nil
}

func (l *Log) drop() {
	if l.consumer != nil {
		l.consumer.Close()
		l.consumer = nil
	}
}

// LogWriter appends to partition 0 of a topic in transactions under a fixed id. It is what the registry calls an
// Appender. One goroutine uses it at a time.
type LogWriter struct {
	client *kgo.Client
	topic  string
	broken error
}

// OpenLogWriter returns a producer that has fenced every other one of the same transactional id: whatever those were
// writing is committed or aborted when it returns, and nothing they try later succeeds.
func OpenLogWriter(ctx context.Context, cfg Config, topic, transactionalID string) (*LogWriter, error) {
	client, err := NewClient(cfg,
		kgo.TransactionalID(transactionalID),
		kgo.TransactionTimeout(txTimeout),
		kgo.RecordPartitioner(newPartitioner([]string{topic})), // its own partition 0; others by key
		kgo.RecordDeliveryTimeout(txTimeout),
	)
	if err != nil {
		return nil, err
	}
	// This asks the coordinator for the id, which fences. Beginning a transaction asks for nothing: the fence would
	// come with the first record, after the reading of the log that it is to protect.
	if _, _, err := client.ProducerID(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("fencing writers of %s: %w", transactionalID, txError{err})
	}
	return &LogWriter{client: client, topic: topic}, nil
}

// LogRecord is a record for [LogWriter.Append]. Its type has no name, so that the registry's is the same.
type LogRecord = struct {
	// Topic is empty for the writer's own. In others the key says the partition, as with [Producer].
	Topic string
	Key   string
	// Value is nil for a tombstone.
	Value []byte
	// Headers are names and values.
	Headers [][2]string
}

// Append writes the records in one transaction and returns the offset of the last in the writer's own topic, of which
// there must be one. The first of those must get the offset at; if it does not, the transaction is aborted, since the log
// holds what the caller does not know of. After an error it is unknown whether they were written and the writer is of no
// more use. If another writer was opened the error has a method Fenced that returns true.
func (w *LogWriter) Append(ctx context.Context, at int64, records iter.Seq[LogRecord]) (last int64, err error) {
	if w.broken != nil {
		return 0, w.broken
	}
	last, err = w.transact(ctx, at, records)
	if err != nil {
		w.broken = fmt.Errorf("writing to topic %s: %w", w.topic, txError{err})
		return 0, w.broken
	}
	return last, nil
}

func (w *LogWriter) transact(ctx context.Context, at int64, records iter.Seq[LogRecord]) (last int64, err error) {
	if err := w.client.BeginTransaction(); err != nil {
		return 0, err
	}
	var batch []*kgo.Record
	for r := range records {
		batch = append(batch, w.record(r))
	}
	results := w.client.ProduceSync(ctx, batch...)
	// Without the caller's cancellation: it would leave open whether the transaction was committed.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), txEndTimeout)
	defer cancel()
	if last, err = w.placed(at, results); err != nil {
		return 0, errors.Join(err, w.client.EndTransaction(ending, kgo.TryAbort))
	}
	return last, w.client.EndTransaction(ending, kgo.TryCommit)
}

func (w *LogWriter) record(r LogRecord) *kgo.Record {
	rec := &kgo.Record{Topic: r.Topic, Key: []byte(r.Key), Value: r.Value}
	if rec.Topic == "" {
		rec.Topic = w.topic
	}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	return rec
}

// placed returns the offset of the last record of the writer's own topic, and an error if any was not written or if they
// do not stand where they were meant to.
func (w *LogWriter) placed(at int64, results kgo.ProduceResults) (last int64, err error) {
	if err := results.FirstErr(); err != nil {
		return 0, err
	}
	first, n := int64(math.MaxInt64), int64(0)
	for _, r := range results {
		if r.Record.Topic == w.topic {
			first, last, n = min(first, r.Record.Offset), max(last, r.Record.Offset), n+1
		}
	}
	if first != at || last != at+n-1 {
		return 0, fmt.Errorf("records were to stand at %d to %d and stand at %d to %d: another writes to it", at, at+n-1, first, last)
	}
	return last, nil
}

// Close gives the connections back; an open transaction is left to the next writer, which aborts it. It is idempotent.
func (w *LogWriter) Close() {
	w.client.Close()
	if w.broken == nil {
		w.broken = fmt.Errorf("writing to topic %s: %w", w.topic, kgo.ErrClientClosed)
	}
}

// txError is the failure of a transactional producer.
type txError struct{ err error }

func (e txError) Error() string { return e.err.Error() }
func (e txError) Unwrap() error { return e.err }

// Fenced reports whether the brokers refused the producer because of a newer one. They refuse one whose transaction
// timed out in the same way.
func (e txError) Fenced() bool {
	return errors.Is(e.err, kerr.ProducerFenced) || errors.Is(e.err, kerr.InvalidProducerEpoch)
}
