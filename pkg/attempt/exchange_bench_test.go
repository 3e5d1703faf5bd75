package attempt

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/pkg/wire"
)

// BenchmarkHeader is what the header of a response costs an attempt, beside reading it.
func BenchmarkHeader(b *testing.B) {
	for name, fields := range map[string]string{
		"none":  "",
		"three": "Content-Type: text/plain; charset=utf-8\r\nDate: Sun, 01 Mar 2026 12:00:30 GMT\r\n",
		"twelve": "Server: cloudflare\r\nDate: Sun, 01 Mar 2026 12:00:30 GMT\r\nContent-Type: application/json\r\n" +
			"X-Request-Id: 8c5ad2cf-4f1e-4a33-9f8e-0d7a1f6f6d11\r\nVary: Accept-Encoding\r\nCache-Control: no-store\r\n" +
			"CF-Ray: 93cf0d6e1a2b3c4d-FRA\r\nStrict-Transport-Security: max-age=31536000; includeSubDomains\r\n" +
			"X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nSet-Cookie: a=b; Secure; HttpOnly\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			text := "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 0\r\n\r\n"
			buf := make([]byte, 4096)
			var got wire.Response
			if err := got.Read(strings.NewReader(text), buf, limits); err != nil {
				b.Fatal(err)
			}
			var scratch []byte
			b.ReportAllocs()
			for b.Loop() {
				var r Response
				r.takeHeader(&got, &scratch)
				r.readHeader(&got, time.Now)
			}
		})
	}
}
