package pipeline

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/notice"
	"github.com/postrider/postrider/pkg/notify"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// NoticeMemory keeps what tenants were told, by the bytes of [notice.Tenant.State]. Its methods may be called concurrently.
type NoticeMemory interface {
	NoticeState(ctx context.Context, tenant ident.ID) ([]byte, error)
	KeepNoticeState(ctx context.Context, tenant ident.ID, state []byte) error
}

// NoticeSender sends a notice and returns when it was taken; what goes wrong is a [*notify.Error]. It is called concurrently and
// has a bound of its own.
type NoticeSender interface {
	Send(ctx context.Context, r notice.Recipient, d notice.Digest) error
}

// NoticerOptions are what a noticer works with. Log and Metrics may be left out.
type NoticerOptions struct {
	Timing notice.Timing
	Portal notice.Portal
	// Partitions is how many the topic has whose owners share the tenants; it has tenants for keys.
	Partitions int32
	Log        *slog.Logger
	Metrics    *Metrics
}

// Noticer is the stage that tells tenants of what is wrong with their endpoints. It reads no records: whoever owns a partition of
// the operational topic looks at the tenants whose key lands there, so there is one at a time for each, and two for a
// moment when one is thought dead. What it finds is in the registry and the views; see [notice].
type Noticer struct {
	opts     NoticerOptions
	registry Registry
	views    NoticeViews
	memory   NoticeMemory
	sender   NoticeSender

	mu    sync.Mutex
	parts map[*kafka.Partition]*noticing
	down  bool // Redis did not answer the last look
}

// noticing is the work for one partition.
type noticing struct{ stop, done chan struct{} }

const (
	// noticeEvery is the time between two looks at a tenant, and how late a notice may be.
	noticeEvery = 30 * time.Second
	// noticesAtOnce are the tenants of a partition that are looked at, or written to, at a time.
	noticesAtOnce = 8
)

// NewNoticer returns a noticer.
func NewNoticer(opts NoticerOptions, reg Registry, views NoticeViews, memory NoticeMemory, sender NoticeSender) *Noticer {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	return &Noticer{
		opts: opts, registry: reg, views: views, memory: memory, sender: sender, parts: map[*kafka.Partition]*noticing{},
	}
}

// Beside returns h, a handler of the operational topic, with the noticer at work for as long as it owns a partition.
func (n *Noticer) Beside(h kafka.Handler) kafka.Handler { return noticerBeside{h, n} }

type noticerBeside struct {
	kafka.Handler
	n *Noticer
}

// Assign begins to look when the other handler is ready.
func (b noticerBeside) Assign(p *kafka.Partition) error {
	if err := b.Handler.Assign(p); err != nil {
		return err
	}
	b.n.begin(p)
	return nil
}

// Revoke ends the looks after the notices that are being sent, for which it waits a moment.
func (b noticerBeside) Revoke(ps []*kafka.Partition) {
	limit := time.NewTimer(chunkTimeout)
	defer limit.Stop()
	ended := b.n.end(ps)
	b.Handler.Revoke(ps)
	for _, w := range ended {
		select {
		case <-w.done:
		case <-limit.C:
			return // its partition's context ends next, and cuts it off
		}
	}
}

// Lost ends the looks at once, with the partition's context.
func (b noticerBeside) Lost(ps []*kafka.Partition) {
	b.n.end(ps)
	b.Handler.Lost(ps)
}

func (n *Noticer) begin(p *kafka.Partition) {
	w := &noticing{stop: make(chan struct{}), done: make(chan struct{})}
	n.mu.Lock()
	n.parts[p] = w
	n.mu.Unlock()
	go func() {
		defer close(w.done)
		n.work(p, w.stop)
	}()
}

func (n *Noticer) end(ps []*kafka.Partition) (ended []*noticing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range ps {
		if w := n.parts[p]; w != nil {
			close(w.stop)
			delete(n.parts, p)
			ended = append(ended, w)
		}
	}
	return ended
}

// work looks at the tenants of a partition until it is taken away.
func (n *Noticer) work(p *kafka.Partition, stop <-chan struct{}) {
	known := map[ident.ID]*tenantNotices{}
	timer := time.NewTicker(noticeEvery)
	defer timer.Stop()
	for {
		known = n.look(p, stop, known)
		select {
		case <-timer.C:
		case <-stop:
			return
		case <-p.Context().Done():
			return
		}
	}
}

// tenantNotices is what the owner of a tenant knows of it.
type tenantNotices struct {
	told *notice.Tenant
	kept []byte // the state that is in memory
}

// look looks at every tenant of a partition that wants to be told, and returns what is known of those.
func (n *Noticer) look(p *kafka.Partition, stop <-chan struct{}, known map[ident.ID]*tenantNotices) map[ident.ID]*tenantNotices {
	snap, next := n.registry.Snapshot(), map[ident.ID]*tenantNotices{}
	var looks errgroup.Group
	looks.SetLimit(noticesAtOnce)
	for t := range snap.Tenants() {
		if !t.Notices.Told() || kafka.PartitionOf([]byte(t.ID.UUID()), n.opts.Partitions) != p.ID {
			continue
		}
		select {
		case <-stop:
			continue // those that are being written to are waited for
		default:
		}
		tn := known[t.ID]
		if tn == nil {
			tn = &tenantNotices{}
		}
		next[t.ID] = tn
		looks.Go(func() error {
			err := n.tenant(p.Context(), snap, t, tn)
			if p.Context().Err() == nil {
				n.tell(err)
			}
			return nil // a tenant's trouble is no other's
		})
	}
	_ = looks.Wait() // see above
	return next
}

// tell says once that Redis is away, and once that it is back.
func (n *Noticer) tell(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case err != nil:
		n.opts.Metrics.noticesAway.Inc()
		if !n.down {
			n.opts.Log.Warn("Redis is away; tenants are told of failures when it is back", "error", err)
		}
	case n.down:
		n.opts.Log.Info("Redis is back; tenants are told of failures")
	}
	n.down = err != nil
}

// tenant looks at one tenant and tells it what there is to tell.
func (n *Noticer) tenant(ctx context.Context, snap *registry.Snapshot, t *subscription.Tenant, tn *tenantNotices) error {
	if tn.told == nil {
		raw, err := n.memory.NoticeState(ctx, t.ID)
		if err != nil {
			return err
		}
		told, err := notice.ReadTenant(raw)
		if err != nil {
			n.opts.Log.Warn("what a tenant was told cannot be read; it is told once more", "tenant", t.ID.UUID(), "error", err)
		}
		tn.told, tn.kept = told, raw
	}
	findings, err := n.findings(ctx, snap, t)
	if err != nil {
		return err
	}
	recipients := notice.Recipients(t.Notices)
	tn.told.Keep(recipients)
	tn.told.Fold(findings, time.Now())
	for _, r := range recipients {
		n.recipient(ctx, snap, t, tn.told, r)
		if err := n.keep(ctx, t.ID, tn); err != nil {
			return err
		}
	}
	return nil
}

// keep writes down what a tenant was told, if that has changed. It comes after the notice: a kill in between sends one again,
// where the other order would lose one.
func (n *Noticer) keep(ctx context.Context, tenant ident.ID, tn *tenantNotices) error {
	state, err := tn.told.State()
	if err != nil || bytes.Equal(state, tn.kept) {
		return err
	}
	if err := n.memory.KeepNoticeState(ctx, tenant, state); err != nil {
		return err
	}
	tn.kept = state
	return nil
}

// recipient tells one recipient its news, if it is time.
func (n *Noticer) recipient(ctx context.Context, snap *registry.Snapshot, t *subscription.Tenant, told *notice.Tenant, r notice.Recipient) {
	news, due, ok := told.News(r, n.opts.Timing)
	if !ok || time.Now().Before(due) {
		return
	}
	err := n.sender.Send(ctx, r, n.opts.Portal.Digest(t, news, snap.Subscription))
	if ctx.Err() != nil {
		return // cut off: the next owner finds the same news
	}
	if err == nil {
		told.Taken(r, news, time.Now())
		n.opts.Metrics.notices.WithLabelValues(string(r.Medium), resultSent).Inc()
		return
	}
	why, result := "", resultFailed
	refused := false
	if e, ok := errors.AsType[*notify.Error](err); ok {
		why, refused = e.Why, e.Refused
	}
	if refused {
		result = resultRefused
	}
	n.opts.Metrics.notices.WithLabelValues(string(r.Medium), result).Inc()
	if told.Told(r).Failures == 0 {
		n.opts.Log.Warn("notice not taken; it is tried again", "tenant", t.ID.UUID(), "recipient", r.Key(), "error", err)
	}
	told.NotTaken(r, why, refused, time.Now())
}

// What becomes of a notice.
const (
	resultSent    = "sent"
	resultRefused = "refused"
	resultFailed  = "failed"
)
