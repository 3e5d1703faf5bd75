// Package h2 makes requests over HTTP/2 (RFC 9113) on connections that somebody else opens: many at a time on one.
//
// It exists because an endpoint that gets tens of thousands of requests a second costs least this way, on both sides. What is asked while
// processors are short is written with what others ask, in one TLS record by one system call, and what was answered meanwhile is read
// together: make bench says by how much. Where there is a processor for everybody there is little to share, and a request costs about
// as much as over HTTP/1.1 (BenchmarkDo of pkg/attempt), a single one a little more: who asks has to wake the reader, and is woken by it.
//
// Frames and the compression of what comes back are golang.org/x/net's. What stands here is what net/http's client does around them
// with more goroutines, locks and system calls, for 1.2 to 2 times the CPU of its own HTTP/1.1.
//
//	conn.go    a connection, and what a request needs of it
//	head.go    the head of a request
//	body.go    its body, as far as the peer's windows let it
//	write.go   what is waiting to be written, written together
//	read.go    what comes back
//	watch.go   deadlines, pings and the end of what nobody uses
//
// Nothing that a peer sends costs memory without a bound: see [Options] and the constants beside what they bound.
package h2
