package registry

import (
	"context"
	"errors"
	"iter"
)

// Log is the reading side of the registry's partition, read committed. Only End is called concurrently with the
// others. pkg/kafka's Log is one.
type Log interface {
	// Start returns the lowest offset that the log still has.
	Start(ctx context.Context) (int64, error)
	// End returns the committed end (last stable offset): every record acknowledged before the call is below it.
	End(ctx context.Context) (int64, error)
	// Read yields the records at and after from, in order, a value of nil being a tombstone, and returns the offset
	// to go on at, which is past records that are not yielded (transaction markers, aborted ones). It blocks until
	// there is something to read, at most half a second; then it returns from. After an error it is called again
	// with the same offset, and yields the same records.
	Read(ctx context.Context, from int64, yield func(offset int64, key, value []byte)) (next int64, err error)
}

// Record is a record to append. Its type has no name, so that what implements [Appender] need not import this package.
type Record = struct {
	// Topic is empty for the registry's own.
	Topic string
	Key   string
	// Value deletes the key in a compacted topic if it is nil.
	Value []byte
	// Headers are names and values.
	Headers [][2]string
}

// Appender is the writing side: a transactional producer that fenced its predecessors when it was made. One goroutine
// uses it at a time. pkg/kafka's LogWriter is one.
type Appender interface {
	// Append writes the records in one transaction and returns the offset of the last of the registry's own, of which
	// the first must get the offset at: otherwise the log holds what the writer has not seen, and the transaction is
	// aborted. After an error it is unknown whether they were written, and the Appender is of no more use but to be
	// closed. An error of which a `Fenced() bool` in its chain is true says that another writer took over.
	Append(ctx context.Context, at int64, records iter.Seq[Record]) (last int64, err error)
	// Close gives its connections back. It is idempotent.
	Close()
}

// ErrFenced is wrapped by errors of a [Writer] that another one replaced.
var ErrFenced = errors.New("another writer took over the registry")

// ErrBroken is wrapped by errors of a [Writer] after a transaction failed: whether its changes were written is unknown
// until a new Writer was opened.
var ErrBroken = errors.New("registry writer is broken")

// ErrUnknown is wrapped by errors of a [Store] that cannot tell whether changes were written. Look before making them
// again.
var ErrUnknown = errors.New("it is not known whether the registry was changed")

// ErrClosed is returned by a [Store] after its Close.
var ErrClosed = errors.New("registry store is closed")

// ErrBusy is returned by a [Store] for which too many changes wait already. None of the changes was made.
var ErrBusy = errors.New("too many changes of the registry wait")
