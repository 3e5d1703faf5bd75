package filter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/subscription"
)

// BenchmarkMatch matches an event of 1 KiB with subscriptions whose filters look at its data; "×unfiltered" is that over
// finding the same subscriptions by their event type alone.
func BenchmarkMatch(b *testing.B) {
	data := strings.TrimSuffix(orderData, "}") + `,"note":"` + strings.Repeat("a", 800) + `"}`
	for _, candidates := range []int{1, 1000} {
		b.Run(fmt.Sprint("candidates=", candidates), func(b *testing.B) {
			var cache Cache
			tenant, batch := ident.New(), match.New().Batch()
			for i := range candidates {
				batch.Put(&subscription.Subscription{
					ID: ident.New(), Tenant: tenant, EventTypes: []string{"order.created"},
					Filter: fmt.Sprintf("data.amount > %d && data.items.exists(i, i.sku == 'Y')", i%10),
				})
			}
			ix, in := batch.Index(), new(Input)
			var dst []*subscription.Subscription
			keep := func(s *subscription.Subscription) bool {
				p, err := cache.Get(s.Filter)
				require.NoError(b, err)
				ok, _ := p.Match(in)
				return ok
			}
			started, rounds := time.Now(), 1+100_000/candidates
			for range rounds {
				dst = ix.Append(dst[:0], tenant, "order.created", nil)
			}
			unfiltered := float64(time.Since(started).Nanoseconds()) / float64(rounds)
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(&event.Event{Type: "order.created", ContentType: "application/json", Data: []byte(data)})
				dst = ix.Append(dst[:0], tenant, "order.created", keep)
			}
			require.Len(b, dst, candidates)
			perOp := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			b.ReportMetric(perOp/float64(candidates), "ns/candidate")
			b.ReportMetric(perOp/unfiltered, "×unfiltered")
		})
	}
}

// BenchmarkCost measures a unit of cost: expressions that run into the limit.
func BenchmarkCost(b *testing.B) {
	list := `{"l":[` + strings.Repeat("1,", 20_000) + `1],"t":"` + strings.Repeat("a", 60_000) + `"}`
	for name, expression := range map[string]string{
		"steps": "data.l.all(i, i == 1)", "regexp": `data.t.matches("(a|b)*c") || data.t.matches("(b|a)*c")`,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := Compile(expression)
			require.NoError(b, err)
			in := NewInput(&event.Event{ContentType: "application/json", Data: []byte(list)})
			_, problem := p.Match(in)
			require.Equal(b, ProblemCost, problem)
			for b.Loop() {
				p.Match(in)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/MaxCost, "ns/unit")
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		_, err := Compile(`data.amount > 10 && data.items.exists(i, i.sku == "Y")`)
		require.NoError(b, err)
	}
}
