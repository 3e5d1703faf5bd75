package redistest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

var shared struct {
	once   sync.Once
	addr   string
	server *Server // nil if the environment gave the address
	err    error
}

// Shared returns the address of a server that all tests share: the one that the
// environment names, else one that the first caller starts and that ends with
// [Main] or, at the latest, with the test process.
//
// Nothing is cleaned between tests: use keys with names of your own.
func Shared(tb testing.TB) string {
	tb.Helper()
	shared.once.Do(func() {
		if shared.addr = os.Getenv(AddrVar); shared.addr != "" {
			return
		}
		// Not the test's context: the server outlives the test.
		shared.server, shared.err = Launch(context.Background())
		if shared.err == nil {
			shared.addr = shared.server.Addr
		}
	})
	if shared.err != nil {
		tb.Fatalf("starting shared Redis: %v", shared.err)
	}
	return shared.addr
}

// Main runs the tests of a package, closes the shared server and returns the exit
// code. A package that uses Shared calls it from its TestMain, around
// kafkatest.Main if it uses both.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	if shared.server == nil {
		return code
	}
	if err := shared.server.Close(); err != nil {
		fmt.Fprintf(os.Stderr, "closing shared Redis: %v\n", err)
		return max(code, 1)
	}
	return code
}
