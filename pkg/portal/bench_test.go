package portal_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/portal"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// manyEndpoints are those of a large tenant.
const manyEndpoints = 10_000

// BenchmarkManyEndpoints measures pages of a tenant with 10,000 endpoints: the median, and how much of the time is the API's.
func BenchmarkManyEndpoints(b *testing.B) {
	var inside atomic.Int64
	s := newSite(b, func(o *portal.Options) {
		next := o.API
		o.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			next.ServeHTTP(w, r)
			inside.Add(int64(time.Since(began)))
		})
	})
	tenant, _ := s.store.Snapshot().ResolveTenant("acme")
	var changes []registry.Change
	for i := range manyEndpoints {
		changes = append(changes, registry.PutSubscription(&subscription.Subscription{
			ID: ident.New(), Tenant: tenant.ID, Name: fmt.Sprintf("Endpoint %d", i), URL: fmt.Sprintf("https://e%d.example/in", i),
			EventTypes: []string{"order.created"}, Secrets: []string{fmt.Sprintf("whsec_%043d=", i)}, Disabled: i%2 == 0,
		}))
	}
	for part := range slices.Chunk(changes, 100) {
		_, err := s.store.Apply(b.Context(), audit.Actor{Kind: "test"}, part...)
		require.NoError(b, err)
	}
	visitor, list := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint"
	for name, path := range map[string]string{
		"list": list, "search": list + "?search=endpoint+9999", "state": list + "?state=disabled", "form": list + "/new",
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			inside.Store(0)
			for b.Loop() {
				began := time.Now()
				require.Equal(b, http.StatusOK, visitor.get(path).status)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
			b.ReportMetric(float64(inside.Load())/float64(len(took))/1e6, "ms-API")
		})
	}
}
