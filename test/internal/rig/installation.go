package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/node"
)

// Installation is one Postrider with a topic prefix, a configuration and processes of its own.
type Installation struct {
	Rig    *Rig
	Name   string
	Prefix string
	Dir    string
	Client *kgo.Client
	Admin  *kadm.Client
	// Binary is the postrider of all commands and processes that start from now on: at first the rig's.
	Binary string

	config    string
	processes []*Process
	helpers   []*node.Child
	started   int
}

// SessionTimeout of the consumer groups is the shortest that the configuration allows.
const SessionTimeout = 6 * time.Second

// Install makes an installation whose deliveries have so many partitions. [Installation.Close] ends it.
func (r *Rig) Install(ctx context.Context, name string, partitions int) (*Installation, error) {
	in := &Installation{
		Rig: r, Name: name, Binary: r.Binary, Prefix: fmt.Sprintf("%s-%s-%d.", r.Program, name, time.Now().UnixMilli()),
	}
	in.Dir = filepath.Join(r.Dir, strings.TrimSuffix(in.Prefix, ".")) // a program may have several of a name
	in.config = filepath.Join(in.Dir, "postrider.yaml")
	if err := os.MkdirAll(in.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("making directory: %w", err)
	}
	var err error
	in.Client, err = kgo.NewClient(kgo.SeedBrokers(r.Brokers...), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(50_000), kgo.ProducerBatchMaxBytes(1<<20+128<<10))
	if err != nil {
		return nil, fmt.Errorf("making client: %w", err)
	}
	in.Admin = kadm.NewClient(in.Client)
	if err := in.prepare(ctx, partitions); err != nil {
		in.Client.Close()
		return nil, err
	}
	return in, nil
}

func (in *Installation) prepare(ctx context.Context, partitions int) error {
	if err := in.Configure(""); err != nil {
		return err
	}
	if _, err := in.Run(ctx, "keys", "generate", in.keyset()); err != nil {
		return err
	}
	_, err := in.Run(ctx, "topics", "apply", "--partitions", fmt.Sprint(partitions))
	return err
}

// keyset is the file of the encryption keys.
func (in *Installation) keyset() string { return filepath.Join(in.Dir, "keyset.json") }

// Configure writes the configuration of all processes that start from now on; extra is YAML of further sections.
func (in *Installation) Configure(extra string) error {
	text := fmt.Sprintf(`kafka:
  brokers: [%s]
  prefix: %s
  session_timeout: %s
redis: {addresses: ["%s"]}
log: {level: warn}
encryption: {keyset_file: %s}
egress: {allow_networks: [127.0.0.0/8], any_port: true}
%s`, strings.Join(in.Rig.Brokers, ", "), in.Prefix, SessionTimeout, in.Rig.Redis, in.keyset(), extra)
	if err := os.WriteFile(in.config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing configuration: %w", err)
	}
	return nil
}

// env is the environment of the product's processes: nothing of it but what they are given here configures them.
func (in *Installation) env() []string {
	env := []string{"SSL_CERT_FILE=" + in.Rig.CA.File}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "POSTRIDER_") && !strings.HasPrefix(v, "SSL_CERT_") {
			env = append(env, v)
		}
	}
	return env
}

// Run runs a command of the product and returns what it printed, also with an error.
func (in *Installation) Run(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, in.Binary, append(args, "--config", in.config)...)
	cmd.Env = in.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("postrider %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// StartHelper starts a process that is none of the product's. It ends with the installation.
func (in *Installation) StartHelper(ctx context.Context, c *node.Child) error {
	if err := c.Start(ctx); err != nil {
		return err
	}
	in.helpers = append(in.helpers, c)
	return nil
}

// Topic returns the full name of one of the product's topics or groups.
func (in *Installation) Topic(name string) string { return in.Prefix + name }

// Close kills all processes and deletes the topics. It is called when the caller's context may have ended.
func (in *Installation) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, p := range in.processes {
		p.Kill(ctx)
	}
	for _, c := range in.helpers {
		_ = c.Kill(ctx)
	}
	defer in.Client.Close()
	if in.Rig.Keep {
		return nil
	}
	all, err := in.Admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	var own []string
	for name := range all {
		if strings.HasPrefix(name, in.Prefix) {
			own = append(own, name)
		}
	}
	if _, err := in.Admin.DeleteTopics(ctx, own...); err != nil {
		return fmt.Errorf("deleting topics: %w", err)
	}
	return nil
}

// Logs returns the ends of all processes' logs.
func (in *Installation) Logs() string {
	var b strings.Builder
	for _, p := range in.processes {
		fmt.Fprintf(&b, "--- %s ---\n%s\n", p.Name, p.child.Log())
	}
	return b.String()
}
