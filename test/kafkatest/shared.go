package kafkatest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// AddrVar is the environment variable with the brokers that Shared returns.
const AddrVar = "POSTRIDER_TEST_KAFKA"

var shared struct {
	once    sync.Once
	brokers []string
	cluster *Cluster // nil if the environment gave the brokers
	err     error
}

// Shared returns the addresses of a one-broker cluster that all tests share: the
// one that the environment names, else one that the first caller starts and that
// ends with [Main] or, at the latest, with the test process.
//
// Nothing is cleaned between tests: use topics and groups with names of your own.
func Shared(tb testing.TB) []string {
	tb.Helper()
	shared.once.Do(func() {
		if given := os.Getenv(AddrVar); given != "" {
			shared.brokers = strings.Split(given, ",")
			return
		}
		// Not the test's context: the cluster outlives the test.
		shared.cluster, shared.err = Launch(context.Background(), Options{})
		if shared.err == nil {
			shared.brokers = shared.cluster.Brokers()
		}
	})
	if shared.err != nil {
		tb.Fatalf("starting shared Kafka: %v", shared.err)
	}
	return shared.brokers
}

// Main runs the tests of a package, closes the shared cluster and returns the
// exit code. A package that uses Shared calls it from its TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(kafkatest.Main(m)) }
func Main(m interface{ Run() int }) int {
	code := m.Run()
	if shared.cluster == nil {
		return code
	}
	if err := shared.cluster.Close(); err != nil {
		fmt.Fprintf(os.Stderr, "closing shared Kafka: %v\n", err)
		return max(code, 1)
	}
	return code
}
