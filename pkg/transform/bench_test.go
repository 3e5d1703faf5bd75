package transform

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchPayload returns JSON of about n bytes.
func benchPayload(n int) string {
	line := `{"sku":"ABC-123","name":"A thing to buy","price":10.5,"qty":2,"attributes":{"colour":"red","size":null}}`
	return `{"id":9007199254740993,"shop":"nord","lines":[` + strings.TrimSuffix(strings.Repeat(line+",", 1+n/len(line)), ",") + `]}`
}

// BenchmarkRun runs programs with payloads of 1 and 64 KiB; "×json" is that over decoding and encoding the same payload
// with encoding/json in the same run.
func BenchmarkRun(b *testing.B) {
	for name, source := range map[string]string{
		"identity": `.`,
		"rename":   `.payload |= {order: .id, shop} | .headers["X-Shop"] = .payload.shop`,
		"map":      `.payload.lines |= map({sku, total: (.price * .qty)})`,
		"walk":     `.payload |= walk(if . == null then "" else . end)`,
	} {
		for _, size := range []int{1 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("%s/bytes=%d", name, size), func(b *testing.B) {
				payload := []byte(benchPayload(size))
				p, err := Compile(source)
				require.NoError(b, err)
				var plain time.Duration
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer() // in turns, for what else the machine does to weigh on both alike
					started := time.Now()
					var v any
					require.NoError(b, json.Unmarshal(payload, &v))
					_, err := json.Marshal(v)
					require.NoError(b, err)
					plain += time.Since(started)
					b.StartTimer()
					_, err = p.Run(b.Context(), order(string(payload)))
					require.NoError(b, err)
				}
				b.ReportMetric(float64(b.Elapsed())/float64(plain), "×json")
			})
		}
	}
}

// BenchmarkWork measures a unit of work, with programs that run into the limit.
func BenchmarkWork(b *testing.B) {
	for name, source := range map[string]string{
		"steps": `def f: f; f`, "arrays": `[range(20000)] | until(false; map(. + 1))`, "compare": doubled + ` | . == .`,
		"texts": `"x" * 1000000 | until(false; ascii_upcase)`,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := Compile(source)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_, err := p.Run(b.Context(), order(`1`))
				require.Error(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/MaxWork, "ns/unit")
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, err := Compile(`.payload |= (to_entries | map(select(.value != null)) | from_entries) | .headers["X-Id"] = .id`)
		require.NoError(b, err)
	}
}
