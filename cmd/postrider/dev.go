package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/demo"
	"github.com/postrider/postrider/cmd/postrider/internal/embedded"
)

// devOptions are the flags of dev, and what tests plant.
type devOptions struct {
	duration     time.Duration
	rate         float64
	dir          string
	fresh        bool
	noDemo       bool
	ports        embedded.Ports
	receiverPort int
	// settle bounds the wait for what is due at the end.
	settle time.Duration

	// wrap stands between the endpoints and the deliverer; nil is nothing.
	wrap func(http.Handler) http.Handler
	// lose says which events never reach Kafka although they were sent, counting from 1; nil is none.
	lose func(n int) bool
}

// newDevCmd returns the command that runs everything in one process:
//
//	stream of sample events ──▶ dixa.conversation-events, … ──▶ router, deliverer, retrier ──HTTP──▶ receiver
//	                                                                     └──▶ outcomes ──▶ board, tally ──▶ console, summary
func newDevCmd() *cobra.Command {
	opts := devOptions{settle: settleFor}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process, with a demo",
		Long: `Runs every role in one process, on an embedded Kafka that keeps its data and an embedded Redis. Nothing else has to be
installed.

The demo sends the examples of four catalogues (configs/catalogues), as a conversation platform, a receipt service, a loyalty
platform and a voice platform would, for a tenant with seven endpoints: one gets everything, four get one system's each and
in its manner, one fails four times in ten, and one is dead. Its receiver verifies every signature, of five profiles.

Ctrl-C or --for ends it with a summary; the exit code is 1 if a delivery was lost or a signature was not good. What is
undelivered then goes on with the next start.`,
		Example: `  postrider dev
  postrider dev --for 30s --rate 50
  postrider dev --no-demo --kafka-port 19092`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDev(cmd, opts) },
	}
	flags := cmd.Flags()
	flags.DurationVar(&opts.duration, "for", 0, "end by itself after this time and what is due then (default: at Ctrl-C)")
	flags.Float64Var(&opts.rate, "rate", 5, "events per second")
	flags.StringVar(&opts.dir, "data-dir", "", "where the broker keeps its data, and the log (default: postrider/dev in the user's cache directory)")
	flags.BoolVar(&opts.fresh, "fresh", false, "remove the data of earlier starts")
	flags.BoolVar(&opts.noDemo, "no-demo", false, "only the system: no subscriptions, no events, no receiver")
	flags.IntVar(&opts.ports.Kafka, "kafka-port", 9092, "port of Kafka; another one if it is taken")
	flags.IntVar(&opts.ports.Redis, "redis-port", 6379, "port of Redis; another one if it is taken")
	flags.IntVar(&opts.receiverPort, "receiver-port", demoReceiverPort, "port of the demo's endpoints; another one if it is taken")
	return cmd
}

// demoReceiverPort is that of the endpoints in configs/demo/subscriptions.yaml.
const demoReceiverPort = 8899

func (o devOptions) check() error {
	if o.rate <= 0 || o.rate > maxDevRate {
		return fmt.Errorf("--rate: %g: want more than 0, and at most %d", o.rate, maxDevRate)
	}
	if o.duration < 0 {
		return fmt.Errorf("--for: %s: want a time to come", o.duration)
	}
	return nil
}

// maxDevRate is in events per second: more than the embedded broker is good for.
const maxDevRate = 2000

// dataDir returns the directory, which is made later.
func (o devOptions) dataDir() (string, error) {
	if o.dir != "" {
		return o.dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("--data-dir: missing, and there is no cache directory: %w", err)
	}
	return filepath.Join(cache, "postrider", "dev"), nil
}

func runDev(cmd *cobra.Command, opts devOptions) (err error) {
	if err := opts.check(); err != nil {
		return err
	}
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	path, err := opts.dataDir()
	if err != nil {
		return err
	}
	dir, err := embedded.OpenDir(path, opts.fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	system, err := embedded.Start(cmd.Context(), dir, opts.ports)
	if err != nil {
		return err
	}
	defer system.Close()
	d := &dev{
		opts: opts, conf: conf, dir: dir, system: system, out: cmd.OutOrStdout(), log: newLogger(conf.Log, dir.Log),
		console: demo.NewConsole(cmd.OutOrStdout()),
	}
	redirectLogs(d.log) // nothing may write over the console
	if err := d.configure(cmd.Context()); err != nil {
		return err
	}
	return d.run(cmd.Context())
}

// run is the life of a dev process. Everything but the sending of events outlives ctx, so that what is in flight ends well
// and can be accounted for.
func (d *dev) run(ctx context.Context) error {
	lasting := context.WithoutCancel(ctx)
	d.start = time.Now()
	if err := d.prepare(lasting); err != nil {
		return err
	}
	stopReceiver, err := d.receive()
	if err != nil {
		return err
	}
	defer stopReceiver()
	roles, err := d.startRoles(lasting)
	if err != nil {
		return err
	}
	d.view, err = roles.app.View(lasting)
	if err := errors.Join(err, roles.ready(ctx)); err != nil {
		return errors.Join(err, roles.stop())
	}
	stopWatching := d.watch(lasting)
	worked := d.work(ctx, roles)
	d.settle(ctx, roles)
	d.say("ending")
	stopped := roles.stop()
	stopWatching()
	if err := errors.Join(worked, stopped); err != nil {
		return err
	}
	return d.summarize(lasting)
}
