package pipeline

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// shown is what a scrape sees, by tenant: successes and failures.
func (c *tenantCounts) shown(t *testing.T) map[string]attemptCount {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(c))
	families, err := r.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	all := map[string]attemptCount{}
	for _, m := range families[0].GetMetric() {
		tenant, n := m.GetLabel()[1].GetValue(), int(m.GetGauge().GetValue())
		count := all[tenant]
		if m.GetLabel()[0].GetValue() == "success" {
			count.success = n
		} else {
			count.failure = n
		}
		all[tenant] = count
	}
	return all
}

func rowsOf(tenant ident.ID, result outcome.Result, n int) []view.Row {
	rows := make([]view.Row, n)
	for i := range rows {
		rows[i] = view.Row{Tenant: tenant, Result: result, At: time.Now()}
	}
	return rows
}

func tenantNumber(i int) ident.ID { return ident.Derive("tenant", fmt.Sprint(i)) }

func numberName(i int) string { return tenantNumber(i).Base62(subscription.TenantPrefix) }

func TestTenantsOfTheLastWholeMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.Zero(t, time.Now().Second())
		c := newTenantCounts(&registered{snap: snapshotOf(t), confirmed: time.Now})
		nobody := map[string]attemptCount{otherTenants: {}}
		c.add(rowsOf(acme.ID, outcome.ResultSuccess, 5))
		c.add(rowsOf(acme.ID, outcome.ResultServerError, 2))
		c.add(rowsOf(acme.ID, outcome.ResultBlocked, 1))
		c.add(rowsOf(acme.ID, outcome.ResultNone, 7)) // no attempts
		old := rowsOf(acme.ID, outcome.ResultSuccess, 9)
		for i := range old {
			old[i].At = time.Now().Add(-tenantsPatience - time.Millisecond)
		}
		c.add(old)
		require.Equal(t, nobody, c.shown(t), "the minute is not over")

		time.Sleep(time.Minute)
		c.add(rowsOf(acme.ID, outcome.ResultSuccess, 100))
		want := map[string]attemptCount{acme.UID: {5, 3}, otherTenants: {}}
		require.Equal(t, want, c.shown(t))
		time.Sleep(time.Minute - time.Second)
		require.Equal(t, want, c.shown(t), "it is shown for a minute")
		time.Sleep(time.Second)
		require.Equal(t, map[string]attemptCount{acme.UID: {100, 0}, otherTenants: {}}, c.shown(t))
		time.Sleep(time.Minute)
		require.Equal(t, nobody, c.shown(t), "a minute without an attempt")
		c.add(rowsOf(acme.ID, outcome.ResultSuccess, 1))
		time.Sleep(time.Hour)
		require.Equal(t, nobody, c.shown(t))
	})
}

func TestRecorderCountsAttemptsByTenant(t *testing.T) {
	p := newPublishing(t)
	r := p.recorder(t)
	records := outcomeRecords(t, 110)
	for _, rec := range records {
		var o outcome.Outcome
		require.NoError(t, json.Unmarshal(rec.Value, &o))
		o.At = time.Now()
		text, err := json.Marshal(o)
		require.NoError(t, err)
		rec.Value = text
	}
	whole(t, p.assigned(t, r, "outcomes", records), 110)
	r.tenants.mu.Lock()
	defer r.tenants.mu.Unlock()
	both := r.tenants.last.of[acme.ID].plus(r.tenants.current.of[acme.ID]) // if a minute has ended in between
	require.Equal(t, attemptCount{success: 90, failure: 10}, both)
}

func TestTenantsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTenantCounts(&registered{snap: snapshotOf(t), confirmed: time.Now})
		// The higher the number, the more attempts; the lower, the more failures.
		const tenants = 100
		for i := range tenants {
			c.add(rowsOf(tenantNumber(i), outcome.ResultSuccess, 10*i))
			c.add(rowsOf(tenantNumber(i), outcome.ResultTimeout, max(0, 50-i)))
		}
		time.Sleep(time.Minute)
		shown := c.shown(t)
		require.Len(t, shown, 2*topTenants+1)
		sum := attemptCount{}
		for _, n := range shown {
			sum = sum.plus(n)
		}
		require.Equal(t, attemptCount{10 * tenants * (tenants - 1) / 2, 50 * 51 / 2}, sum, "nothing is left out")
		for i := range topTenants {
			require.Equal(t, attemptCount{10 * i, 50 - i}, shown[numberName(i)], "one of the most failures")
			require.Equal(t, attemptCount{10 * (tenants - 1 - i), 0}, shown[numberName(tenants-1-i)], "one of the most attempts")
		}
	})
}

func BenchmarkTenants(b *testing.B) {
	c := newTenantCounts(&registered{snap: snapshotOf(b), confirmed: time.Now})
	var rows []view.Row
	for i := range recordBatch {
		rows = append(rows, rowsOf(tenantNumber(i%300), outcome.ResultSuccess, 1)...)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.add(rows)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/recordBatch, "ns/row")
}
