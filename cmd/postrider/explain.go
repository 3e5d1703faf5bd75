package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/history"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// newExplainCmd returns the command that tells the whole life of an event.
func newExplainCmd() *cobra.Command {
	var tenant string
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "explain EVENT",
		Short: "Tell the whole life of an event: what it matched and why, every attempt, wait and verdict",
		Long: `Tell the whole life of an event, in the order of time: where it came from, which subscriptions it matched and why others it
did not, with the registry as it was when it was routed, every delivery, attempt, wait, verdict, dead letter and redrive.

EVENT is the event's own id, msg_…, dlv_…, or the position of its source record, topic/partition/offset. With --tenant the
index in Redis is asked first; what it does not have is looked for in the source topics, from --since ago on. Everything is read
from Kafka and nothing is written.`,
		Example: `  postrider explain order-4711 --tenant acme
  postrider explain msg_0000001UEyiCaBFCTZqAc1Wp3Da --since 72h
  postrider explain postrider.events/3/120443 -o json`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "only an event of this tenant: uid, UUID or app_ id")
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "how far back to look for it")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		q := history.Question{ID: args[0], Tenant: tenant, Since: time.Now().Add(-since)}
		lives, err := explainEvent(cmd, q)
		if err != nil {
			return err
		}
		if *output == "json" {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(lives)
		}
		for _, l := range lives {
			if err := printLife(cmd.OutOrStdout(), l); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

func explainEvent(cmd *cobra.Command, q history.Question) ([]*history.Life, error) {
	conf, err := loadReachable(cmd)
	if err != nil {
		return nil, err
	}
	opts, err := app.HistoryOptions(conf)
	if err != nil {
		return nil, err
	}
	if q.Tenant != "" && len(conf.Redis.Addresses) > 0 {
		views, err := app.OpenViews(conf, nil)
		if err != nil {
			return nil, err
		}
		defer func() { _ = views.Close() }() // nothing is buffered
		q.Index = views
	}
	progress := newReadProgress(cmd.ErrOrStderr())
	defer progress.end()
	opts.Progress = progress.tell
	return history.Explain(cmd.Context(), opts, q)
}

func printLife(out io.Writer, l *history.Life) error {
	places := make([]string, len(l.Places))
	for i, p := range l.Places {
		places[i] = p.String()
	}
	data := ""
	if len(places) > 0 {
		data = fmt.Sprintf("%d bytes", l.Bytes)
	}
	tenant := l.Tenant
	if id, err := ident.ParseUUID(l.TenantID); err == nil {
		tenant = displayName(l.Tenant, id.Base62(subscription.TenantPrefix))
	}
	fmt.Fprint(out, lines("event", l.EventID, "type", l.EventType, "source", l.Source, "tenant", tenant, "message", l.Message,
		"read at", strings.Join(places, ", "), "channels", strings.Join(l.Channels, ", "), "data", data,
		"rejected", l.Rejected))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	names := map[string]string{}
	if len(l.Choices) > 0 {
		fmt.Fprintf(w, "\nsubscriptions, at registry version %d\n", l.Registry)
	}
	for _, c := range l.Choices {
		name := displayName(c.UID, c.Subscription.Base62(subscription.SubscriptionPrefix))
		names[c.Subscription.UUID()] = name
		why := c.Why
		if c.Matched {
			why = "matches"
		}
		fmt.Fprintf(w, "  %s\t%s\n", name, why)
	}
	if l.More > 0 {
		fmt.Fprintf(w, "  and %d more that do not match\n", l.More)
	}
	fmt.Fprintln(w)
	for _, m := range l.Moments {
		who := m.Subscription
		if name, ok := names[who]; ok {
			who = name
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.At.Local().Format("2006-01-02 15:04:05.000"), who, told(m), m.Place)
	}
	if len(l.Ends) > 0 {
		fmt.Fprintln(w, "\ndeliveries")
	}
	for _, e := range l.Ends {
		who := e.Subscription.UUID()
		if name, ok := names[who]; ok {
			who = name
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", who, e.Delivery, e.State)
	}
	for _, n := range l.Notes {
		fmt.Fprintf(w, "Note: %s.\n", n)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// told says in words what happened.
func told(m history.Moment) string {
	by := ""
	if m.Trigger != "" && m.Trigger != "event" {
		by = " (" + m.Trigger + ")"
	}
	switch m.Kind {
	case history.MomentReceived:
		return "written to the source topic"
	case history.MomentRejected:
		return words("rejected:", m.Reason, m.Detail)
	case history.MomentRouted:
		return fmt.Sprintf("routed, at registry version %d", m.Registry)
	case history.MomentMade:
		return "to be delivered" + by
	case history.MomentRedriven:
		return "dead letter put back" + by
	case history.MomentDue:
		return "due again" + by
	case history.MomentWaits:
		return words("waits until", m.Due.Local().Format("2006-01-02 15:04:05.000")+":", m.Reason+by)
	case history.MomentBuried:
		return words("dead letter:", m.Reason+by, m.Detail)
	case history.MomentClosed:
		return words("closed:", m.Reason, m.Detail)
	case history.MomentOutcome:
		if m.Result == "none" {
			return words(m.Verdict+":", m.Reason+by, m.Detail)
		}
		answer := m.Result
		if m.Status != 0 {
			answer = fmt.Sprint(m.Status)
		}
		return words(fmt.Sprintf("attempt %d%s: %s after %.0f ms:", m.Attempt, by, answer, m.DurationMS), m.Verdict+",", m.Reason, m.Detail)
	}
	return string(m.Kind)
}

// words joins those that are not empty.
func words(all ...string) string {
	return strings.Join(strings.Fields(strings.Join(all, " ")), " ")
}
