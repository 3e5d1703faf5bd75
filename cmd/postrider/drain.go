package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// drainOptions say what is drained, and how long.
type drainOptions struct {
	role    string
	reason  string
	timeout time.Duration
	retries bool
	resume  bool
}

func newDrainCmd() *cobra.Command {
	f := &apiFlags{}
	o := drainOptions{}
	cmd := &cobra.Command{
		Use: "drain [ROLE]", Short: "Let everything that is under way end", Args: cobra.MaximumNArgs(1),
		ValidArgs: []string{"router", "deliverer", "retrier", "recorder"},
		Long: `Let everything that is under way end, and say when it has.

Without a role: pauses the router, so that no event becomes deliveries any more (they wait in their source topics), and waits until
every delivery there is was tried: the deliverer's lag is 0 and nothing in it is unfinished. What failed waits in the retry tiers;
--retries waits for that as well, which may take as long as a retry policy. What the API publishes to one endpoint, sends again or
replays is a delivery, too, and keeps the drain waiting.

With a role: pauses that role and waits until its processes have finished what they had read. Its lag stays. A retrier that is
paused leaves all where it is.

The pause stays when the command ends, or is ended, unless --resume is given: "postrider resume role ROLE" ends it. A single process
needs no command: SIGTERM makes it take nothing more, finish what is in flight within deliverer.drain, commit and leave its
group. It is then gone from "postrider status", and its exit code is 0.

Exit codes: 0 drained; 1 it failed; 3 not within --timeout.` + apiHelp,
		Example: "  postrider drain --timeout 30m\n  postrider drain deliverer --reason 'its nodes are being replaced' --resume",
		RunE: f.managing(func(m *manager, args []string) error {
			if len(args) == 1 {
				o.role = args[0]
			}
			return m.drain(o)
		}),
	}
	f.add(cmd)
	cmd.Flags().StringVar(&o.reason, "reason", "drained", "why, for whoever finds it paused")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long to wait at most")
	cmd.Flags().BoolVar(&o.retries, "retries", false, "wait until nothing waits for a retry either")
	cmd.Flags().BoolVar(&o.resume, "resume", false, "end the pause when it is drained")
	return cmd
}

// paused is the role that is paused.
func (o drainOptions) paused() string {
	if o.role != "" {
		return o.role
	}
	return "router"
}

const (
	// drainEvery is how often the status is asked for: it is made anew every three seconds.
	drainEvery = 3 * time.Second
	// drainedLooks is how often in a row nothing has to be left: what was read between two looks is in neither.
	drainedLooks = 2
)

func (m *manager) drain(o drainOptions) error {
	path := client.Path("pause", "role", o.paused())
	if _, err := m.call(client.Call{Method: http.MethodPut, Path: path, Body: fields{"reason": o.reason}}, nil); err != nil {
		return err
	}
	fmt.Fprintf(m.err, "%s is paused\n", o.paused())
	ctx, cancel := context.WithTimeout(m.ctx, o.timeout)
	defer cancel()
	if err := m.awaitDrained(ctx, o); err != nil {
		fmt.Fprintf(m.err, "it stays paused: postrider resume role %s\n", o.paused())
		return err
	}
	if o.resume {
		if _, err := m.call(client.Call{Method: http.MethodDelete, Path: path}, nil); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(m.out, "drained")
	return err
}

// awaitDrained looks at the status until nothing is left, twice in a row: the first look may be older than the pause.
func (m *manager) awaitDrained(ctx context.Context, o drainOptions) error {
	shown, looks := "", 0
	var at time.Time
	for {
		s, _, err := m.status()
		switch {
		case m.ctx.Err() != nil:
			return context.Cause(m.ctx) //nolint:contextcheck // it is what ctx comes from
		case err != nil:
			fmt.Fprintln(m.err, err) // it may be back in time
			looks = 0
		case s.At.After(at):
			at = s.At
			done, left := s.drained(o)
			if left != shown {
				fmt.Fprintln(m.err, left)
				shown = left
			}
			if looks++; !done {
				looks = 0
			}
			if looks == drainedLooks {
				return nil
			}
		}
		timer := time.NewTimer(drainEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if m.ctx.Err() != nil {
				return context.Cause(m.ctx) //nolint:contextcheck // it is what ctx comes from
			}
			fmt.Fprintf(m.err, "not drained within %s\n", o.timeout)
			return exitAttention
		}
	}
}

// drained reports whether nothing is left of what a drain waits for, and says what is.
func (s *shownSystem) drained(o drainOptions) (done bool, left string) {
	if o.role != "" {
		r := s.role(o.role)
		for _, i := range r.Instances {
			if !i.Paused {
				return false, fmt.Sprintf("%s %s has not heard of the pause", o.role, i.Instance)
			}
		}
		return r.Unfinished == 0 || o.role == "retrier", fmt.Sprintf("%s: %d unfinished in %d processes", o.role, r.Unfinished, r.Live)
	}
	for _, i := range s.role("router").Instances {
		if !i.Paused {
			return false, fmt.Sprintf("router %s has not heard of the pause", i.Instance)
		}
	}
	router, d, retrier := s.role("router"), s.role("deliverer"), s.role("retrier")
	if d.Lag == nil || retrier.Lag == nil {
		return false, "Kafka did not say how far the groups are"
	}
	left = fmt.Sprintf("router: %d unfinished; deliverer: lag %d, %d unfinished; waiting for a retry: %d", router.Unfinished, *d.Lag, d.Unfinished, *retrier.Lag)
	return router.Unfinished == 0 && *d.Lag == 0 && d.Unfinished == 0 && (!o.retries || *retrier.Lag == 0), left
}
