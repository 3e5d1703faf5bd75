package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/view"
)

// presence keeps reports and fails while it is away.
type presence struct {
	mu      sync.Mutex
	away    error
	start   time.Time
	reports []string
}

func (p *presence) Report(_ context.Context, role, instance string, version int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports = append(p.reports, fmt.Sprintf("%s %s %s %d", time.Since(p.start), role, instance, version))
	return p.away
}

func (p *presence) Leave(_ context.Context, role, instance string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports = append(p.reports, fmt.Sprintf("%s %s %s leaves", time.Since(p.start), role, instance))
	return p.away
}

// take returns the reports since it was last called.
func (p *presence) take() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.reports = nil }()
	return p.reports
}

func (p *presence) set(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = err
}

// still is a registry of one version that changes when it is told to.
type still struct{ changed chan struct{} }

func (s still) Snapshot() *registry.Snapshot { return registry.Empty() }
func (s still) Changed() <-chan struct{}     { return s.changed }

func TestReporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &presence{start: time.Now()}
		var out bytes.Buffer
		plain := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: plain}))
		changes := still{make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := &reporter{to: p, view: changes, roles: []string{"router", "deliverer"}, instance: "i", log: log}
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.run(ctx)
		}()

		require.Equal(t, []string{"0s router i 0", "0s deliverer i 0"}, p.take())
		time.Sleep(1500 * time.Millisecond)
		require.Equal(t, []string{"1s router i 0", "1s deliverer i 0"}, p.take())
		changes.changed <- struct{}{}
		require.Equal(t, []string{"1.5s router i 0", "1.5s deliverer i 0"}, p.take(), "a change is told at once")

		p.set(errors.New("redis.addresses: [a:1] cannot be reached: refused"))
		time.Sleep(7 * time.Second)
		require.Equal(t, []string{"2.5s router i 0", "2.75s router i 0", "3.25s router i 0", "4.25s router i 0", "6.25s router i 0", "8.25s router i 0"}, p.take())
		synctest.Wait()
		require.Equal(t, `level=WARN msg="Redis is away; deliveries go on without it" error="redis.addresses: [a:1] cannot be reached: refused"`+"\n", out.String())
		out.Reset()
		p.set(nil)
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"10.25s router i 0", "10.25s deliverer i 0"}, p.take())
		require.Equal(t, "level=INFO msg=\"Redis is back\"\n", out.String())

		cancel()
		<-done
		require.Equal(t, []string{"10.5s router i leaves", "10.5s deliverer i leaves"}, p.take())
	})
}

func TestAwayRoleIsKnownAgainInTime(t *testing.T) {
	require.Less(t, maxReportRetry+reportTimeout, view.Lifetime, "WaitApplied trusts a Redis that has had reports for as long")
}
