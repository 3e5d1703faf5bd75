package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/notice"
	"github.com/postrider/postrider/pkg/notify"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// healths are views that say of every attempt of the last minutes what they were told.
type healths struct {
	mu     sync.Mutex
	away   bool
	of     map[ident.ID]doing
	looked map[ident.ID]int
}

// doing is how an endpoint does: attempts in the last hour, and whether the last ones of an event type failed.
type doing struct {
	attempts, successes int64
	failing             []string
	succeeding          []string
}

var errRedis = errors.New("redis is away")

func (h *healths) set(s *subscription.Subscription, of doing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of[s.ID] = of
}

func (h *healths) get(sub ident.ID) (doing, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looked[sub]++
	if h.away {
		return doing{}, errRedis
	}
	return h.of[sub], nil
}

func (h *healths) Statuses(_ context.Context, sub ident.ID) (out []view.TypeStatus, err error) {
	of, err := h.get(sub)
	add := func(name string, at time.Time, result outcome.Result) {
		out = append(out, view.TypeStatus{EventType: name, Attempt: view.Attempt{Time: at, Result: result}})
	}
	for _, name := range of.failing {
		add(name, time.Now(), outcome.ResultServerError)
	}
	for _, name := range of.succeeding {
		add(name, time.Now().Add(-time.Second), outcome.ResultSuccess)
	}
	return out, err
}

func (h *healths) LastAttempts(_ context.Context, sub ident.ID, eventType string, n int) (out []view.Attempt, err error) {
	of, err := h.get(sub)
	if slices.Contains(of.failing, eventType) {
		for range n {
			out = append(out, view.Attempt{Result: outcome.ResultTimeout})
		}
	}
	return out, err
}

func (h *healths) Health(_ context.Context, q view.HealthQuery) (view.Health, error) {
	of, err := h.get(q.Subscription)
	var out view.Health
	out.Total.Results = map[outcome.Result]int64{outcome.ResultSuccess: of.successes}
	for range of.attempts {
		out.Total.Durations.Observe(time.Millisecond)
	}
	return out, err
}

// remembered is a NoticeMemory that may fail to keep.
type remembered struct {
	mu     sync.Mutex
	states map[ident.ID][]byte
	refuse bool
}

func (m *remembered) NoticeState(_ context.Context, tenant ident.ID) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[tenant], nil
}

func (m *remembered) KeepNoticeState(_ context.Context, tenant ident.ID, state []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse {
		return errRedis
	}
	m.states[tenant] = state
	return nil
}

// set has what is written refused or taken, and what was written replaced unless states is nil.
func (m *remembered) set(refuse bool, states map[ident.ID][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = refuse
	if states != nil {
		m.states = states
	}
}

// mailbox is a NoticeSender that keeps what it is given, as "minute recipient: subject".
type mailbox struct {
	mu    sync.Mutex
	began time.Time
	got   []string
	// fail is what becomes of a notice; nil takes all.
	fail func(ctx context.Context, r notice.Recipient) error
}

func (m *mailbox) Send(ctx context.Context, r notice.Recipient, d notice.Digest) error {
	if m.fail != nil {
		if err := m.fail(ctx, r); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	minute := time.Since(m.began).Round(time.Minute) / time.Minute
	m.got = append(m.got, fmt.Sprintf("%d %s: %s", minute, strings.TrimSuffix(r.Address, "@example.com"), d.Subject()))
	return nil
}

// noticed is a noticer in a bubble, and all that it works with.
type noticed struct {
	t        *testing.T
	registry *registered
	views    *healths
	memory   *remembered
	mail     *mailbox
	metrics  *Metrics
	end      func()
}

func noticesTo(emails ...string) *subscription.Notices {
	return &subscription.Notices{
		Emails: emails, EndpointDisabled: true, FailingFor: subscription.Duration(time.Hour), SuccessRate: 90, EventTypeFailing: true,
	}
}

// snapshotWith has other tenants than acme, too.
func snapshotWith(t *testing.T, objects ...any) *registry.Snapshot {
	t.Helper()
	v, err := registry.Open(t.Context(), registryLog(objects), registry.Options{})
	require.NoError(t, err)
	return v.Snapshot()
}

func newNoticed(t *testing.T, objects ...any) *noticed {
	t.Helper()
	n := &noticed{
		t: t, registry: &registered{snap: snapshotWith(t, objects...)}, metrics: NewMetrics(nil),
		views:  &healths{of: map[ident.ID]doing{}, looked: map[ident.ID]int{}},
		memory: &remembered{states: map[ident.ID][]byte{}}, mail: &mailbox{began: time.Now()},
	}
	n.start(0, 1)
	t.Cleanup(func() { n.end() })
	return n
}

// start makes the noticer of one partition of so many.
func (n *noticed) start(id, partitions int32) {
	stage := NewNoticer(NoticerOptions{
		Timing: notice.Timing{Gather: time.Minute, Every: time.Hour}, Portal: notice.Portal{URL: "https://p.example", Product: "Webhooks"},
		Partitions: partitions, Metrics: n.metrics,
	}, n.registry, n.views, n.memory, n.mail)
	h := stage.Beside(NewDisabler(DisablerOptions{}, &disabling{}))
	p := kafka.NewPartition(context.Background(), "operational", id, offset.NewTracker(0, offset.Set{}))
	require.NoError(n.t, h.Assign(p))
	n.end = sync.OnceFunc(func() { h.Revoke([]*kafka.Partition{p}) })
}

// pass lets time go by, to a moment at which nobody looks.
func (n *noticed) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// sent is what was sent since it was asked last.
func (n *noticed) sent() []string {
	n.mail.mu.Lock()
	defer n.mail.mu.Unlock()
	got := n.mail.got
	n.mail.got = nil
	return got
}

func acmeTold(emails ...string) *subscription.Tenant {
	tenant := *acme
	tenant.Notices = noticesTo(emails...)
	return &tenant
}

// Each tenant is told of its own endpoints alone: a minute after the first trouble, then at most once an hour, with what is well
// again in the same notice.
func TestTenantsAreToldOfFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders, invoices := subscriptionNamed("orders"), subscriptionNamed("invoices")
		other := &subscription.Tenant{ID: ident.Derive("test", "other"), Name: "Other", Notices: noticesTo("them@example.com")}
		theirs := subscriptionNamed("theirs")
		theirs.Tenant = other.ID
		silent := &subscription.Tenant{ID: ident.Derive("test", "silent"), Name: "Silent", Notices: &subscription.Notices{EndpointDisabled: true}}
		n := newNoticed(t, acmeTold("ops@example.com"), orders, invoices, other, theirs, silent)
		n.pass(time.Hour)
		require.Empty(t, n.sent())

		n.views.set(orders, doing{attempts: 100, successes: 50, succeeding: []string{"a.b"}})
		n.pass(30 * time.Second)
		n.views.set(invoices, doing{attempts: 9, failing: []string{"a.b"}})
		n.pass(time.Hour)
		require.Equal(t, []string{"62 ops: Webhooks of Acme: 2 new problems"}, n.sent(), "what came within a minute is one notice")

		n.views.set(orders, doing{attempts: 100, successes: 99, succeeding: []string{"a.b"}})
		n.views.set(theirs, doing{attempts: 9, successes: 8, succeeding: []string{"a.b"}, failing: []string{"c.d"}})
		n.pass(2 * time.Hour)
		require.Equal(t, []string{"122 ops: Webhooks of Acme: 1 well again", "122 them: Webhooks of Other: 1 new problem"}, sorted(n.sent()))
		n.pass(24 * time.Hour)
		require.Empty(t, n.sent(), "what goes on is not told again")
		require.InDelta(t, 3, figure(t, n.metrics.notices.WithLabelValues("email", resultSent)), 0)
	})
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// Disabled is what the registry says, whoever looks at views or not; a person's own doing is no news.
func TestDisabledEndpointsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders, off := subscriptionNamed("orders"), subscriptionNamed("off")
		off.Disabled = true
		tenant := acmeTold("ops@example.com")
		tenant.Notices = &subscription.Notices{Emails: tenant.Notices.Emails, EndpointDisabled: true}
		n := newNoticed(t, tenant, orders, off)
		n.pass(time.Second) // the first look is over
		disabled := *orders
		disabled.Disabled, disabled.DisabledReason = true, string(outcome.ReasonGone)
		n.registry.set(snapshotWith(t, tenant, &disabled, off))
		n.pass(10 * time.Minute)
		require.Equal(t, []string{"2 ops: Webhooks of Acme: 1 new problem"}, n.sent())
		n.registry.set(snapshotWith(t, tenant, orders, off))
		n.pass(2 * time.Hour)
		require.Len(t, n.sent(), 1)
		n.registry.set(snapshotWith(t, tenant, &disabled, off))
		n.pass(2 * time.Hour)
		require.Len(t, n.sent(), 1)
		n.registry.set(snapshotWith(t, tenant, off))
		n.pass(2 * time.Hour)
		require.Empty(t, n.sent(), "it was deleted by somebody who knows")
		require.Zero(t, n.views.looked[orders.ID], "views are not asked of what nobody wants to be told of")
	})
}

// A new owner goes on where the last one was. What was told and could not be written down is told once more, by it alone.
func TestNoticesOutliveTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders, invoices := subscriptionNamed("orders"), subscriptionNamed("invoices")
		n := newNoticed(t, acmeTold("ops@example.com"), orders, invoices)
		bad := doing{attempts: 9, failing: []string{"a.b"}}
		n.views.set(orders, bad)
		n.pass(10 * time.Minute)
		require.Len(t, n.sent(), 1)
		again := func(partition, partitions int32) {
			n.end()
			n.start(partition, partitions)
		}
		again(0, 1)
		n.pass(3 * time.Hour)
		require.Empty(t, n.sent())

		n.memory.set(true, nil)
		n.views.set(invoices, bad)
		n.pass(3 * time.Hour)
		require.Equal(t, []string{"192 ops: Webhooks of Acme: 1 new problem"}, n.sent(), "once, though it is not written down")
		require.Positive(t, figure(t, n.metrics.noticesAway))
		again(0, 1)
		n.pass(3 * time.Hour)
		require.Equal(t, []string{"371 ops: Webhooks of Acme: 1 new problem"}, n.sent())

		n.memory.set(false, map[ident.ID][]byte{acme.ID: []byte("of another version")})
		again(0, 1)
		n.pass(3 * time.Hour)
		require.Equal(t, []string{"551 ops: Webhooks of Acme: 2 new problems"}, n.sent(), "all that goes on, once, when it was lost")

		elsewhere := (kafka.PartitionOf([]byte(acme.ID.UUID()), 6) + 1) % 6
		n.memory.set(false, map[ident.ID][]byte{})
		again(elsewhere, 6)
		n.pass(3 * time.Hour)
		require.Empty(t, n.sent(), "a tenant is of the owner of its partition")
	})
}

// While Redis is away nothing is known, nothing is told, and nothing counts as well again.
func TestNoticesWaitForRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := subscriptionNamed("orders")
		n := newNoticed(t, acmeTold("ops@example.com"), orders)
		n.views.set(orders, doing{attempts: 9, failing: []string{"a.b"}})
		n.pass(10 * time.Minute)
		require.Len(t, n.sent(), 1)
		n.views.mu.Lock()
		n.views.away = true
		n.views.mu.Unlock()
		n.pass(3 * time.Hour)
		require.Empty(t, n.sent())
		require.Positive(t, figure(t, n.metrics.noticesAway))
		n.views.mu.Lock()
		n.views.away, n.views.of = false, map[ident.ID]doing{} // it comes back empty
		n.views.mu.Unlock()
		n.pass(3 * time.Hour)
		require.Empty(t, n.sent())
		n.views.set(orders, doing{attempts: 1, successes: 1, succeeding: []string{"a.b"}})
		n.pass(time.Hour)
		require.Len(t, n.sent(), 1)
	})
}

// A recipient that fails is tried less and less often and holds nobody up; when it is back it gets one notice.
func TestOneRecipientFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders, invoices := subscriptionNamed("orders"), subscriptionNamed("invoices")
		n := newNoticed(t, acmeTold("full@example.com", "ops@example.com"), orders, invoices)
		n.pass(time.Second)
		var mu sync.Mutex
		tries, back := 0, false
		n.mail.fail = func(_ context.Context, r notice.Recipient) error {
			mu.Lock()
			defer mu.Unlock()
			if r.Address != "full@example.com" || back {
				return nil
			}
			if tries++; tries > 20 {
				return &notify.Error{Why: "no such address", Refused: true}
			}
			return &notify.Error{Why: "the mailbox is full"}
		}
		bad := doing{attempts: 9, failing: []string{"a.b"}}
		n.views.set(orders, bad)
		n.pass(24 * time.Hour)
		n.views.set(invoices, bad)
		n.pass(24 * time.Hour)
		require.Equal(t, []string{"1442 ops: Webhooks of Acme: 1 new problem", "2 ops: Webhooks of Acme: 1 new problem"}, sorted(n.sent()))
		mu.Lock()
		require.Greater(t, tries, 40)
		require.Less(t, tries, 60, "once an hour, but for the first")
		back = true
		mu.Unlock()
		kept, err := n.memory.NoticeState(t.Context(), acme.ID)
		require.NoError(t, err)
		state, err := notice.ReadTenant(kept)
		require.NoError(t, err)
		require.Equal(t, "no such address", state.Told(notice.Recipient{Medium: notice.Email, Address: "full@example.com"}).Error)
		require.InDelta(t, 20, figure(t, n.metrics.notices.WithLabelValues("email", resultFailed)), 0)
		require.Positive(t, figure(t, n.metrics.notices.WithLabelValues("email", resultRefused)))
		n.pass(2 * time.Hour)
		got := n.sent()
		require.Len(t, got, 1)
		require.Contains(t, got[0], "full: Webhooks of Acme: 2 new problems")
	})
}

// A mail server that hangs holds a revoke up for a moment only, and what it was not told is told by the next owner.
func TestRevokeCutsANoticeOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := subscriptionNamed("orders")
		n := newNoticed(t, acmeTold("ops@example.com"), orders)
		stage := NewNoticer(NoticerOptions{Timing: notice.Timing{}, Partitions: 1}, n.registry, n.views, n.memory, n.mail)
		n.end()
		n.views.set(orders, doing{attempts: 9, failing: []string{"a.b"}})
		ended := make(chan struct{})
		n.mail.fail = func(ctx context.Context, _ notice.Recipient) error {
			<-ctx.Done()
			close(ended)
			return ctx.Err()
		}
		h := stage.Beside(NewDisabler(DisablerOptions{}, &disabling{}))
		ctx, cancel := context.WithCancel(t.Context())
		p := kafka.NewPartition(ctx, "operational", 0, offset.NewTracker(0, offset.Set{}))
		require.NoError(t, h.Assign(p))
		synctest.Wait()
		began := time.Now()
		h.Revoke([]*kafka.Partition{p})
		require.Equal(t, chunkTimeout, time.Since(began))
		cancel()
		<-ended
		synctest.Wait()
		kept, err := n.memory.NoticeState(t.Context(), acme.ID)
		require.NoError(t, err)
		require.Empty(t, kept, "it was not told")
		h.Lost([]*kafka.Partition{p}) // twice is once
	})
}
