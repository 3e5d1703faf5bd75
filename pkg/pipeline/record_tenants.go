package pipeline

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// tenantCounts shows the tenants with the most attempts, and those with the most that failed, among the rows that the recorder
// read in the last whole minute, and all others as one. Whoever they are, there are at most 2·[topTenants]+1 of them at a time.
//
// A row counts when it is read, not when it was made: rows come a while after their attempts began, so that a minute of those
// would not be whole when it is over. Rows that are older than [tenantsPatience] are left out, of which a rebuild of the views or
// a recorder that was away reads many at once.
type tenantCounts struct {
	registry Registry
	desc     *prometheus.Desc

	mu            sync.Mutex
	current, last minuteCounts
}

// minuteCounts are those of one minute, which is Unix time in minutes.
type minuteCounts struct {
	minute int64
	of     map[ident.ID]attemptCount
}

type attemptCount struct{ success, failure int }

const (
	// topTenants is how many are shown by attempts, and how many by failures.
	topTenants = 10
	// tenantsPatience is the longest timeout (60 s) and as long again for what is between a deliverer and the recorder.
	tenantsPatience = 2 * time.Minute
	// otherTenants cannot be a uid, which has no parentheses.
	otherTenants = "(others)"
)

var _ prometheus.Collector = (*tenantCounts)(nil)

func newTenantCounts(reg Registry) *tenantCounts {
	return &tenantCounts{registry: reg, desc: prometheus.NewDesc("postrider_recorder_tenant_attempts",
		"Attempts recorded in the last whole minute, of the ten tenants with the most, the ten with the most failures, and (others).",
		[]string{"tenant", "result"}, nil)}
}

// add counts the attempts among rows.
func (c *tenantCounts) add(rows []view.Row) {
	now, counts := time.Now(), map[ident.ID]attemptCount{}
	for i := range rows {
		row := &rows[i]
		if row.Result == outcome.ResultNone || now.Sub(row.At) > tenantsPatience {
			continue
		}
		n := counts[row.Tenant]
		if row.Result == outcome.ResultSuccess {
			n.success++
		} else {
			n.failure++
		}
		counts[row.Tenant] = n
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(now)
	for tenant, n := range counts {
		c.current.of[tenant] = c.current.of[tenant].plus(n)
	}
}

func (n attemptCount) plus(m attemptCount) attemptCount {
	return attemptCount{n.success + m.success, n.failure + m.failure}
}

// turn makes current the minute of now. What was last is not changed any more.
func (c *tenantCounts) turn(now time.Time) {
	minute := now.Unix() / 60
	if c.current.of != nil && c.current.minute >= minute {
		return
	}
	c.last = minuteCounts{minute: minute - 1}
	if c.current.minute == minute-1 {
		c.last = c.current
	}
	c.current = minuteCounts{minute: minute, of: map[ident.ID]attemptCount{}}
}

// Describe implements [prometheus.Collector].
func (c *tenantCounts) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements [prometheus.Collector].
func (c *tenantCounts) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	c.turn(time.Now())
	counts := c.last.of
	c.mu.Unlock()
	show := func(tenant string, n attemptCount) {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n.success), tenant, "success")
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n.failure), tenant, "failure")
	}
	var others attemptCount
	top, snap := topOf(counts), c.registry.Snapshot()
	for tenant, n := range counts {
		if !top[tenant] {
			others = others.plus(n)
			continue
		}
		name := tenant.Base62(subscription.TenantPrefix)
		if t, ok := snap.Tenant(tenant); ok && t.UID != "" {
			name = t.UID
		}
		show(name, n)
	}
	show(otherTenants, others)
}

// topOf returns those with the most attempts and those with the most failures; of equals the one whose id is lower.
func topOf(counts map[ident.ID]attemptCount) map[ident.ID]bool {
	top := map[ident.ID]bool{}
	for _, by := range []func(attemptCount) int{
		func(n attemptCount) int { return n.success + n.failure },
		func(n attemptCount) int { return n.failure },
	} {
		var all []ident.ID
		for tenant, n := range counts {
			if by(n) > 0 {
				all = append(all, tenant)
			}
		}
		slices.SortFunc(all, func(a, b ident.ID) int {
			return cmp.Or(cmp.Compare(by(counts[b]), by(counts[a])), slices.Compare(a[:], b[:]))
		})
		for _, tenant := range all[:min(len(all), topTenants)] {
			top[tenant] = true
		}
	}
	return top
}
