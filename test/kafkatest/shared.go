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

// SharedOptions describe the cluster that tests share: one broker that nobody
// kills. It keeps what it leads for a minute of silence, because it has nobody to
// hand over to and must not lose its topics while tests keep the machine busy. (A
// broker that is killed waits as long before it is let in again, so clusters that
// are made for that have a short session.)
func SharedOptions() Options {
	return Options{Properties: map[string]string{"broker.session.timeout.ms": "60000"}}
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
		shared.cluster, shared.err = Launch(context.Background(), SharedOptions())
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
