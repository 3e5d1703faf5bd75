// Package rig is what the programs share that run the product as real processes on a real Apache Kafka and Redis
// (test/verify, test/bench): the servers, the binary, an authority for the endpoints, installations of the product, each
// with a topic prefix of its own, and their processes.
//
// The broker and the Redis are those of POSTRIDER_TEST_KAFKA and POSTRIDER_TEST_REDIS, else such as are started.
// Whatever was started ends with [Rig.Close], or with the program, however that ends.
package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/test/redistest"
)

// Rig is what all installations share.
type Rig struct {
	// Program is the name of the program: it stands in the names of directories and topics.
	Program string
	// Binary is the postrider to run; [Rig.Open] builds one if it is empty.
	Binary string
	// Keep leaves topics, logs and configuration where they are.
	Keep bool
	// Measured gives the broker that [Rig.Open] starts the memory of one in production, see [kafkatest.Options].
	Measured bool

	// Brokers and Redis are what all installations use; [Rig.Open] provides those that are empty.
	Brokers []string
	Redis   string
	// What [Rig.Open] provides.
	Cluster *kafkatest.Cluster // nil if the brokers were given
	Dir     string
	CA      *Authority // of the endpoints; the product's processes trust it

	server *redistest.Server // nil if Redis was given
}

// Open makes the directory, the authority and the binary, and starts the servers that the environment does not give.
func (r *Rig) Open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.Dir, err = os.MkdirTemp("", "postrider-"+r.Program+"-"); err != nil {
		return fmt.Errorf("making directory: %w", err)
	}
	if r.CA, err = newAuthority(r.Dir, r.Program); err != nil {
		return err
	}
	if r.Binary == "" {
		r.Binary = filepath.Join(r.Dir, "postrider")
		if err := build(ctx, ".", r.Binary); err != nil {
			return err
		}
	}
	return r.launch(ctx)
}

func (r *Rig) launch(ctx context.Context) (err error) {
	if given := os.Getenv(kafkatest.AddrVar); given != "" && len(r.Brokers) == 0 {
		r.Brokers = strings.Split(given, ",")
	}
	if len(r.Brokers) == 0 {
		options := kafkatest.SharedOptions()
		options.Measured = r.Measured
		if r.Cluster, err = kafkatest.Launch(ctx, options); err != nil {
			return fmt.Errorf("starting Kafka: %w", err)
		}
		r.Brokers = r.Cluster.Brokers()
	}
	if r.Redis == "" {
		r.Redis = os.Getenv(redistest.AddrVar)
	}
	if r.Redis == "" {
		if r.server, err = redistest.Launch(ctx); err != nil {
			return fmt.Errorf("starting Redis: %w", err)
		}
		r.Redis = r.server.Addr
	}
	return nil
}

// Servers returns the process ids of the servers that were started as processes, by name.
func (r *Rig) Servers() map[string]int {
	out := map[string]int{}
	if r.Cluster != nil && r.Cluster.PID(0) != 0 {
		out["Kafka"] = r.Cluster.PID(0)
	}
	if r.server != nil && r.server.PID() != 0 {
		out["Redis"] = r.server.PID()
	}
	return out
}

// Close ends the servers that were started and removes the directory.
func (r *Rig) Close() (err error) {
	if r.Cluster != nil {
		err = r.Cluster.Close()
	}
	if r.server != nil {
		err = errors.Join(err, r.server.Close())
	}
	if r.Keep {
		fmt.Fprintf(os.Stderr, "%s: kept %s\n", r.Program, r.Dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(r.Dir))
}

// build makes the binary at path from the source in a directory.
func build(ctx context.Context, source, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/postrider/postrider/cmd/postrider")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building postrider: %w\n%s", err, out)
	}
	return nil
}

// Orphaned calls cancel when the parent of this process is gone: "go run" does not pass signals on. It returns when ctx
// has ended.
func Orphaned(ctx context.Context, cancel func()) {
	parent := os.Getppid()
	for Pause(ctx, time.Second) == nil {
		if os.Getppid() != parent {
			cancel()
		}
	}
}

// pollEvery is how often a condition is looked at.
const pollEvery = 20 * time.Millisecond

// Await returns nil once done says so, or an error after limit.
func Await(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not so within %s", limit))
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Pause waits, or returns the end of ctx.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
