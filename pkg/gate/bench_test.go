package gate

import (
	"testing"
	"time"
)

// BenchmarkClosed is what an endpoint that is well pays for its breaker with every attempt.
func BenchmarkClosed(b *testing.B) {
	now := time.Now()
	br := New(Config{}, State{}, 0, now)
	b.ReportAllocs()
	for b.Loop() {
		p, _ := br.Allow(now)
		if p == nil || p.Done(false, now) {
			b.Fatal("it is not closed")
		}
	}
}
