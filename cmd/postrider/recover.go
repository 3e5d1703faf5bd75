package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// againInput says what is to be sent again.
type againInput struct {
	since, until            string
	eventTypes              []string
	verdicts, reasons       []string
	channel, tag            string
	perSecond               int
	missing, dryRun, detach bool
}

func (in *againInput) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&in.since, "since", "", "from then on: a time (RFC 3339), or how long ago (24h)")
	f.StringVar(&in.until, "until", "", "up to then, in the same form (default now)")
	f.StringSliceVar(&in.eventTypes, "event-type", nil, "only events of this type, may be repeated")
	f.StringVar(&in.channel, "channel", "", "only events of this channel")
	f.StringVar(&in.tag, "tag", "", "only events with this tag")
	f.StringSliceVar(&in.reasons, "reason", nil, "only where the last outcome has this reason, for example exhausted, may be repeated")
	f.IntVar(&in.perSecond, "rate", 0, "deliveries handed over per second at most (default 500)")
	f.BoolVar(&in.dryRun, "dry-run", false, "count, and send nothing")
	f.BoolVar(&in.detach, "detach", false, "return when the task has started; see postrider task watch")
	_ = cmd.MarkFlagRequired("since")
}

// newRecoverCmd returns the command that sends again what failed.
func newRecoverCmd() *cobra.Command {
	f, in := &apiFlags{}, &againInput{}
	cmd := &cobra.Command{
		Use: "recover APP ENDPOINT --since TIME", Short: "Send again what failed at an endpoint", Args: cobra.ExactArgs(2),
		Long: `Send again every delivery to an endpoint whose last attempt is of that time, and whose failure is final. It is a background
task of the API: it goes on when the command is stopped, see "postrider task". The ids of the deliveries stay what they were.` + apiHelp,
		Example: `  postrider recover acme ep_… --since 24h --dry-run
  postrider recover acme orders --since 2026-03-01T08:00:00Z --until 2026-03-01T10:00:00Z --rate 50`,
		RunE: f.managing(func(m *manager, args []string) error { return in.start(m, args, "endpoint.recover") }),
	}
	f.add(cmd)
	in.add(cmd)
	return cmd
}

// newReplayCmd returns the command that sends again whatever is asked for.
func newReplayCmd() *cobra.Command {
	f, in := &apiFlags{}, &againInput{}
	cmd := &cobra.Command{
		Use: "replay APP ENDPOINT --since TIME", Short: "Send again what was sent to an endpoint, or what was not", Args: cobra.ExactArgs(2),
		Long: `Send again the deliveries to an endpoint whose last attempt is of that time and that the other flags let through, also those
that arrived. With --missing, send the events published in that time that the endpoint would receive now and that were never
attempted for it, for example because it is new. It is a background task of the API: it goes on when the command is stopped,
see "postrider task". The ids of the deliveries stay what they were.` + apiHelp,
		Example: `  postrider replay acme ep_… --since 1h --event-type contact.updated --verdict delivered
  postrider replay acme orders --since 72h --missing`,
		RunE: f.managing(func(m *manager, args []string) error {
			switch {
			case in.missing && len(in.verdicts)+len(in.reasons) > 0:
				return errors.New("--missing: want no --verdict and no --reason: what was never attempted has none")
			case in.missing:
				return in.start(m, args, "endpoint.replay")
			}
			return in.start(m, args, "endpoint.bulk-replay")
		}),
	}
	f.add(cmd)
	in.add(cmd)
	cmd.Flags().BoolVar(&in.missing, "missing", false, "what was never attempted")
	cmd.Flags().StringSliceVar(&in.verdicts, "verdict", nil, "what became of it: delivered, dead or cancelled, may be repeated (default delivered and dead)")
	return cmd
}

// start starts the task and, unless it is to go on alone, watches it.
func (in *againInput) start(m *manager, args []string, kind string) error {
	body := fields{"task": kind, "dryRun": in.dryRun}
	for flag, text := range map[string]string{"since": in.since, "until": in.until} {
		if text == "" {
			continue
		}
		at, err := timeOf(text, time.Now())
		if err != nil {
			return fmt.Errorf("--%s: %w", flag, err)
		}
		body[flag] = at
	}
	body.set(m.cmd, "event-type", "eventTypes", in.eventTypes)
	body.set(m.cmd, "verdict", "verdicts", in.verdicts)
	body.set(m.cmd, "reason", "reasons", in.reasons)
	body.set(m.cmd, "channel", "channel", in.channel)
	body.set(m.cmd, "tag", "tag", in.tag)
	body.set(m.cmd, "rate", "perSecond", in.perSecond)
	call := client.Call{Method: http.MethodPost, Path: endpointAt(args, "background-task"), Body: body}
	if in.detach {
		return do(m, call, (*shownTask).text)
	}
	var t shownTask
	if _, err := m.call(call, &t); err != nil {
		return err
	}
	return m.watch(t.ID)
}

// timeOf reads a time, or how long before now it is.
func timeOf(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q: want a time such as 2026-03-01T08:00:00Z, or how long ago it is, such as 24h", text)
	}
	return at.UTC(), nil
}

// newResendCmd returns the command that sends one event once more.
func newResendCmd() *cobra.Command {
	f := &apiFlags{}
	cmd := &cobra.Command{
		Use: "resend APP EVENT ENDPOINT", Short: "Send an event to an endpoint once more, whatever became of it", Args: cobra.ExactArgs(3),
		Long: `Send an event to an endpoint once more, whatever became of it. The event is named by its id (msg_…) or the id that it was
published with. The delivery id stays what it is; asking twice sends twice. For many of them see "postrider replay".` + apiHelp,
		Example: `  postrider resend acme msg_0001X… orders`,
		RunE: f.managing(func(m *manager, args []string) error {
			path := client.Path("app", args[0], "msg", args[1], "endpoint", args[2], "resend")
			return m.quietly(client.Call{Method: http.MethodPost, Path: path}, "%s is sent to %s once more", args[1], args[2])
		}),
	}
	f.add(cmd)
	return cmd
}
