// Package suite is how the tests of every package run: in random order, and with
// nothing left behind.
package suite

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main runs the tests of a package, in random order, and exits. It fails if a
// goroutine is left when they have passed:
//
//	func TestMain(m *testing.M) { suite.Main(m) }
//
// The order is that of go test -shuffle=on. Given on the command line, that flag
// keeps go test from caching results; set here it does not, so that a second run
// tests what has changed since the first. Another order can still be asked for.
func Main(m *testing.M) {
	Shuffle()
	goleak.VerifyTestMain(m)
}

// Shuffle is for packages that end in their own way. They call it before their tests run.
func Shuffle() {
	if err := flag.Set("test.shuffle", "on"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
