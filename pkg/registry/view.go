package registry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// askEvery is the time between two questions for the committed end: a deliverer that is unconfirmed for 1.5 s
	// starts no sends, so two questions may fail before anything stands still.
	askEvery = 500 * time.Millisecond
	// askTimeout bounds one question; a broker that takes longer is as good as away.
	askTimeout = 5 * time.Second
	// retryEvery is the pause after a failed read.
	retryEvery = 500 * time.Millisecond
	// defaultMaxGap is Kafka's default of delete.retention.ms: tombstones older than that may be gone, so whoever did
	// not read for as long may have missed a deletion for good.
	defaultMaxGap = 24 * time.Hour
)

// Options are the settings of a [View]. The zero value works.
type Options struct {
	// MaxGap is how long a view may be unconfirmed and still go on where it was; after more it replays from the start.
	// It must not exceed the topic's delete.retention.ms. 24 h if 0.
	MaxGap time.Duration
	// Cipher opens the secrets of subscriptions and seals those that are written. Nil leaves both as they are: nothing is
	// opened and nothing is sealed, for roles that need no secrets.
	Cipher Cipher
	// Only is the one kind of objects that is read, for roles that need no others; all are if it is empty. Such a view can
	// not be written through.
	Only Kind
	// Now is the clock; nil takes the system's.
	Now func() time.Time
	// Log gets what operators should know; nil discards it.
	Log *slog.Logger
	// Metrics registers the metrics of the package; nil keeps none.
	Metrics prometheus.Registerer
}

// View is the registry as one process sees it: replayed to the committed end by [Open], followed by [View.Run]. All
// methods may be called concurrently.
type View struct {
	log     Log
	opts    Options
	metrics *metrics
	vault   vault

	current   atomic.Pointer[Snapshot]
	confirmed atomic.Pointer[time.Time]

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when current is
	watches map[*watch]bool
	// watching is how many watches there are, to be asked without the lock.
	watching atomic.Int32
}

// Open reads the log to its committed end and returns a view of it. A view that is only looked at once needs nothing
// more; one that is to follow the log needs [View.Run].
func Open(ctx context.Context, log Log, opts Options) (*View, error) {
	if opts.MaxGap == 0 {
		opts.MaxGap = defaultMaxGap
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	v := &View{log: log, opts: opts, changed: make(chan struct{})}
	v.current.Store(Empty())
	v.confirmed.Store(new(time.Time))
	var err error
	if v.metrics, err = newMetrics(opts.Metrics, v); err != nil {
		return nil, fmt.Errorf("registering metrics of the registry: %w", err)
	}
	v.vault = vault{cipher: opts.Cipher, unopened: v.tellUnopened}
	if err := v.replay(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

// Snapshot returns the newest snapshot.
func (v *View) Snapshot() *Snapshot { return v.current.Load() }

// ConfirmedAt returns the instant up to which the snapshot is known to be complete: it contains every change that was
// acknowledged before. It advances about every 500 ms while the log can be reached, and stands still while not.
func (v *View) ConfirmedAt() time.Time { return *v.confirmed.Load() }

// Changed returns a channel that is closed when a newer snapshot is there. To miss none, get the channel before the
// snapshot.
func (v *View) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// Wait blocks until the snapshot's version is at least version. Something else has to call [View.Run].
func (v *View) Wait(ctx context.Context, version int64) error {
	for {
		changed := v.Changed()
		at := v.Snapshot().Version()
		if at >= version {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for registry version %d, at %d: %w", version, at, context.Cause(ctx))
		}
	}
}

// Sync blocks until the snapshot contains every change acknowledged before the call. Something else has to call
// [View.Run].
func (v *View) Sync(ctx context.Context) error {
	asked := v.opts.Now()
	end, err := v.log.End(ctx)
	if err != nil {
		return fmt.Errorf("asking for the registry's end: %w", err)
	}
	if err := v.Wait(ctx, end); err != nil {
		return err
	}
	v.confirm(asked)
	return nil
}

func (v *View) publish(s *Snapshot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.current.Store(s)
	close(v.changed)
	v.changed = make(chan struct{})
}

// confirm moves the confirmed instant forward to at; questions may be answered out of order.
func (v *View) confirm(at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if at.After(*v.confirmed.Load()) {
		v.confirmed.Store(&at)
	}
}
