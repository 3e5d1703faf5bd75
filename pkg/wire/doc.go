// Package wire writes requests of HTTP/1.1 (RFC 9112) and reads their responses, on connections that somebody else makes
// and takes back. It has no goroutine, no deadline and no connection of its own.
//
// It exists because making requests is most of what Postrider does. Measured on two cores, a signed POST of 1 KiB over kept
// TLS connections, 16 at a time, with the endpoint in another process: CPU of this side per request as a share of
// net/http's, and allocations.
//
//	net/http, tuned, a request made once    1              33   (11 to 15 µs)
//	pkg/attempt over net/http, before       1.35 to 1.40   55
//	fasthttp 1.70                           0.39 to 0.50    1
//	pkg/attempt over this package           0.42 to 0.50    4   (5 to 7 µs)
//	bytes written, answer not looked at     0.30 to 0.39    4
//
// BenchmarkDo of pkg/attempt measures all but fasthttp anew. Most of what is left is the system's: a write, a read that
// waits, and the read that looks after the connection.
//
// fasthttp would cost the same, and lacks what an attempt needs: it cannot be cut off when a partition is revoked, answers
// a long body with an error instead of its start, sends again by rules of its own, and has its own dial, TLS and idle
// connections beside those of pkg/egress. What would have to be built around it is more than what stands here.
//
// What stands here is the common case alone. The head of a request is net/http's by construction: the part that depends on
// the URL is written by net/http, once for each URL. Of responses, only those are read here whose every line is as it should
// be. The rest is handed to net/http's own reader from the first byte, and costs the connection; so are chunks, which do not.
// There is no second opinion about chunks, folded lines, 1xx or HTTP/1.0 in this module, and a fuzz test holds the first one
// against net/http.
package wire
