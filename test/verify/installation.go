package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/verify/history"
)

// installation is one Postrider with a topic prefix, endpoints and processes of its own.
type installation struct {
	bench  *bench
	report *report
	name   string
	prefix string
	dir    string
	config string
	short  bool

	client    *kgo.Client
	admin     *kadm.Client
	endpoints *receiver
	processes []*process
	started   int
	history   history.History
}

// partitions of deliveries: enough for two owners, few enough for one small broker.
const partitions = 8

// sessionTimeout is the shortest that the configuration allows.
const sessionTimeout = 6 * time.Second

func newInstallation(ctx context.Context, b *bench, name string, report *report) (_ *installation, err error) {
	in := &installation{
		bench: b, report: report, name: name, short: b.options.short,
		prefix: fmt.Sprintf("verify-%s-%d.", name, time.Now().UnixMilli()), dir: filepath.Join(b.dir, name),
	}
	in.history.Resends, in.history.Redrives = map[history.Pair]int{}, map[history.Pair]int{}
	defer func() { //nolint:contextcheck // what was made has to go, also when ctx has ended
		if err != nil {
			err = errors.Join(err, in.close())
		}
	}()
	if err := os.MkdirAll(in.dir, 0o755); err != nil {
		return nil, fmt.Errorf("making directory: %w", err)
	}
	if in.endpoints, err = newReceiver(ctx, b.ca); err != nil {
		return nil, err
	}
	in.client, err = kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(50_000), kgo.ProducerBatchMaxBytes(1<<20+128<<10))
	if err != nil {
		return nil, fmt.Errorf("making client: %w", err)
	}
	in.admin = kadm.NewClient(in.client)
	if err := in.configure(""); err != nil {
		return nil, err
	}
	if _, err = in.run(ctx, "keys", "generate", in.keyset()); err != nil {
		return nil, err
	}
	_, err = in.run(ctx, "topics", "apply", "--partitions", fmt.Sprint(partitions))
	return in, err
}

// keyset is the file of the encryption keys.
func (in *installation) keyset() string { return filepath.Join(in.dir, "keyset.json") }

// configure writes the configuration of all processes; extra is YAML of further sections.
func (in *installation) configure(extra string) error {
	in.config = filepath.Join(in.dir, "postrider.yaml")
	text := fmt.Sprintf(`kafka:
  brokers: [%s]
  prefix: %s
  session_timeout: %s
redis: {addresses: ["%s"]}
log: {level: warn}
encryption: {keyset_file: %s}
egress: {allow_networks: [127.0.0.0/8], any_port: true}
%s`, strings.Join(in.bench.brokers, ", "), in.prefix, sessionTimeout, in.bench.redis, in.keyset(), extra)
	if err := os.WriteFile(in.config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing configuration: %w", err)
	}
	return nil
}

// env is the environment of the product's processes: nothing of it but what they are given here configures them.
func (in *installation) env() []string {
	env := []string{"SSL_CERT_FILE=" + in.bench.ca.file}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "POSTRIDER_") && !strings.HasPrefix(v, "SSL_CERT_") {
			env = append(env, v)
		}
	}
	return env
}

// run runs a command of the product and returns what it printed.
func (in *installation) run(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, in.bench.binary, append(args, "--config", in.config)...)
	cmd.Env = in.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("postrider %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (in *installation) topic(name string) string { return in.prefix + name }

// close ends all processes and deletes the topics.
func (in *installation) close() error {
	for _, p := range in.processes {
		if p.alive() {
			p.kill()
		}
	}
	if in.endpoints != nil {
		_ = in.endpoints.server.Close()
	}
	if in.client == nil {
		return nil
	}
	defer in.client.Close()
	if in.bench.options.keep {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := in.admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	var own []string
	for name := range all {
		if strings.HasPrefix(name, in.prefix) {
			own = append(own, name)
		}
	}
	if _, err := in.admin.DeleteTopics(ctx, own...); err != nil {
		return fmt.Errorf("deleting topics: %w", err)
	}
	return nil
}

// logs returns the ends of all processes' logs.
func (in *installation) logs() string {
	var b strings.Builder
	for _, p := range in.processes {
		fmt.Fprintf(&b, "--- %s ---\n%s\n", p.name, tail(p.log))
	}
	return b.String()
}

// scale shortens a number for --short.
func (in *installation) scale(n int) int {
	if in.short {
		return max(1, n/10)
	}
	return n
}

func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// pollEvery is how often a condition is looked at.
const pollEvery = 20 * time.Millisecond

// await returns nil once done says so, or an error after limit.
func await(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
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

// pause waits, or returns the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
