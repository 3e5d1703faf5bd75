package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider/test/internal/node"
)

// Cluster is a running Kafka cluster. Brokers are named by index, from 0.
//
// Its methods are not safe for concurrent use, except Brokers, CAFile, User,
// Password and ClientOpts. Each ends within the cluster's start timeout.
type Cluster struct {
	options   Options
	id        string // cluster id, 16 bytes in base64
	way       node.Way
	image     string
	dir       string
	ownDir    bool // dir is temporary
	addresses []address
	ca        string // PEM
	certs     []brokerCert
	nodes     []node.Node
	up        []bool // started and neither stopped nor killed since
}

// Start runs a cluster for the test and closes it when the test ends. A cluster
// that does not come up fails the test at once and shows the brokers' logs.
func Start(tb testing.TB, options Options) *Cluster {
	tb.Helper()
	if options.Dir == "" {
		options.Dir = tb.TempDir()
	}
	c, err := Launch(tb.Context(), options)
	if err != nil {
		tb.Fatalf("starting Kafka: %v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("Kafka of the failed test:%s", c.logs())
		}
		if err := c.Close(); err != nil {
			tb.Errorf("closing Kafka: %v", err)
		}
	})
	return c
}

// Launch runs a cluster and returns when it serves. The context bounds the start
// alone; the cluster runs until Close, at the longest until this process ends.
func Launch(ctx context.Context, options Options) (_ *Cluster, err error) {
	options, err = options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("options of Kafka cluster: %w", err)
	}
	c := &Cluster{options: options, image: Image(), up: make([]bool, options.Brokers)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.way, err = node.Choose(ctx, c.image); err != nil {
		return nil, err
	}
	if err := c.prepare(ctx); err != nil {
		return nil, fmt.Errorf("preparing Kafka as %s: %w%s", c.way, err, c.hint())
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	for i, n := range c.nodes {
		if err := n.Start(ctx); err != nil {
			return nil, fmt.Errorf("starting broker %d: %w", i, err)
		}
		c.up[i] = true
	}
	if err := c.awaitReady(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// prepare does all that comes before the first start; fetching and installing
// are not bounded by the start timeout.
func (c *Cluster) prepare(ctx context.Context) error {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	// Without its top bit the id cannot begin with a hyphen, which Kafka's tools
	// would read as an option.
	id[0] &= 0x7f
	c.id = base64.RawURLEncoding.EncodeToString(id)
	if err := c.makeDir(); err != nil {
		return err
	}
	n := c.options.Brokers
	ports, err := node.FreePorts(ctx, 3*n)
	if err != nil {
		return err
	}
	for i := range n {
		c.addresses = append(c.addresses, address{ports[3*i], ports[3*i+1], ports[3*i+2]})
	}
	if c.options.TLS {
		if c.ca, c.certs, err = makeCerts(n); err != nil {
			return err
		}
		if err := os.WriteFile(c.CAFile(), []byte(c.ca), 0o600); err != nil {
			return fmt.Errorf("writing certificate of authority: %w", err)
		}
	}
	c.nodes = make([]node.Node, n)
	group, ctx := errgroup.WithContext(ctx)
	for i := range n {
		group.Go(func() (err error) {
			if c.way == node.Docker {
				c.nodes[i] = c.container(i)
				return nil
			}
			c.nodes[i], err = c.process(ctx, i)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		c.nodes = nil // some may be missing; none has started
		return err
	}
	return nil
}

func (c *Cluster) makeDir() error {
	if c.dir = c.options.Dir; c.dir != "" {
		if err := os.MkdirAll(c.dir, 0o755); err != nil {
			return fmt.Errorf("making directory: %w", err)
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "postrider-kafka-")
	if err != nil {
		return fmt.Errorf("making directory: %w", err)
	}
	c.dir, c.ownDir = dir, true
	return nil
}

// hint says what to do where Kafka cannot be had.
func (c *Cluster) hint() string {
	if c.way == node.Docker {
		return ""
	}
	return "\nKafka for tests needs one of: Java 17 and Maven in PATH; a Docker engine with the image " +
		c.image + "; the address of a broker in " + AddrVar
}

// Way tells how the cluster is provided: "process" or "docker".
func (c *Cluster) Way() string { return string(c.way) }

// Brokers returns the addresses for clients, one per broker.
func (c *Cluster) Brokers() []string {
	brokers := make([]string, len(c.addresses))
	for i, a := range c.addresses {
		brokers[i] = local(a.client)
	}
	return brokers
}

// PID is the process id of broker i; 0 if it is a container.
func (c *Cluster) PID(i int) int {
	if child, ok := c.nodes[i].(*node.Child); ok {
		return child.PID()
	}
	return 0
}

// CAFile is the path of the authority's certificate in PEM; without TLS there is
// no such file.
func (c *Cluster) CAFile() string { return filepath.Join(c.dir, "ca.pem") }

// Kill ends broker i with SIGKILL.
func (c *Cluster) Kill(i int) error {
	ctx, cancel := c.bound(context.Background())
	defer cancel()
	c.up[i] = false
	if err := c.nodes[i].Kill(ctx); err != nil {
		return fmt.Errorf("killing broker %d: %w", i, err)
	}
	return nil
}

// Stop ends broker i with SIGTERM: it hands over what it leads before it goes.
func (c *Cluster) Stop(i int) error {
	ctx, cancel := c.bound(context.Background())
	defer cancel()
	c.up[i] = false
	if err := c.nodes[i].Stop(ctx); err != nil {
		return fmt.Errorf("stopping broker %d: %w", i, err)
	}
	return nil
}

// Restart starts broker i again on its data and address, stopping it before if
// it runs, and returns when the cluster serves with it.
func (c *Cluster) Restart(i int) error {
	if c.up[i] {
		if err := c.Stop(i); err != nil {
			return err
		}
	}
	ctx, cancel := c.bound(context.Background())
	defer cancel()
	if err := c.nodes[i].Start(ctx); err != nil {
		return fmt.Errorf("restarting broker %d: %w", i, err)
	}
	c.up[i] = true
	if err := c.awaitReady(ctx); err != nil {
		return fmt.Errorf("restarting broker %d: %w", i, err)
	}
	return nil
}

// Pause freezes broker i: its connections stay open and nothing answers.
func (c *Cluster) Pause(i int) error {
	ctx, cancel := c.bound(context.Background())
	defer cancel()
	if err := c.nodes[i].Pause(ctx); err != nil {
		return fmt.Errorf("pausing broker %d: %w", i, err)
	}
	return nil
}

// Resume lets a paused broker go on; it returns before the broker has caught up.
func (c *Cluster) Resume(i int) error {
	ctx, cancel := c.bound(context.Background())
	defer cancel()
	if err := c.nodes[i].Resume(ctx); err != nil {
		return fmt.Errorf("resuming broker %d: %w", i, err)
	}
	return nil
}

// Close kills the brokers and removes their data, unless Options.Dir was given.
// It may be called again.
func (c *Cluster) Close() error {
	var errs []error
	for i, n := range c.nodes {
		c.up[i] = false
		errs = append(errs, n.Remove())
	}
	if c.ownDir {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}

func (c *Cluster) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.options.StartTimeout,
		fmt.Errorf("not done within %v", c.options.StartTimeout))
}

// logs returns the end of every broker's log, for the message of a failure.
func (c *Cluster) logs() string {
	var b strings.Builder
	for i, n := range c.nodes {
		fmt.Fprintf(&b, "\n--- broker %d ---\n%s", i, n.Log())
	}
	return b.String()
}
