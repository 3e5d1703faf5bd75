// Package node runs the servers that Postrider's tests need (Kafka, Redis), each
// either as a local process or as a container, behind one type: [Node].
//
// Nothing started here outlives the test process by more than a moment: local
// processes carry a parent-death signal where the kernel has one, and every
// node is removed by its owner's Close.
package node

import (
	"context"
	"fmt"
	"os"
)

// Node is one server under the control of a test. It keeps its data and its
// addresses from Start to Start; Remove throws both away.
//
// The methods are not safe for concurrent use on the same node. Start returns
// as soon as the server runs, which is before it serves: its owner waits for
// that in the server's own protocol.
type Node interface {
	// Start runs the server, for the first time or again.
	Start(ctx context.Context) error
	// Stop asks the server to end and waits until it has.
	Stop(ctx context.Context) error
	// Kill ends the server without giving it a chance to clean up.
	Kill(ctx context.Context) error
	// Pause freezes the server; its sockets stay open and nothing answers.
	Pause(ctx context.Context) error
	// Resume lets a paused server go on.
	Resume(ctx context.Context) error
	// Running tells whether the server has not ended; a paused one runs.
	Running(ctx context.Context) bool
	// Log returns the last part of what the server wrote.
	Log() string
	// Remove kills the server if it runs and frees what it held.
	Remove() error
}

// Way is how servers are provided.
type Way string

// The ways, as the environment variable POSTRIDER_TEST_PROVIDER names them.
const (
	Process Way = "process" // a child of the test process
	Docker  Way = "docker"  // a container of the local engine
)

// WayVar is the environment variable that fixes the way for both servers.
const WayVar = "POSTRIDER_TEST_PROVIDER"

// Choose returns the way to run a server whose container image is image: what
// the environment fixes, else a container if an engine answers and has the
// image or can get it, else a local process.
func Choose(ctx context.Context, image string) (Way, error) {
	switch way := Way(os.Getenv(WayVar)); way {
	case Process:
		return way, nil
	case Docker:
		if err := haveImage(ctx, image); err != nil {
			return "", fmt.Errorf("%s=docker: %w", WayVar, err)
		}
		return way, nil
	case "":
		if haveImage(ctx, image) == nil {
			return Docker, nil
		}
		return Process, nil
	default:
		return "", fmt.Errorf("%s=%q: want %q, %q or nothing", WayVar, way, Process, Docker)
	}
}
