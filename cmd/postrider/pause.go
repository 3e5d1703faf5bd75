package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownPause is something that is paused, as the API has it.
type shownPause struct {
	ID         string    `json:"id"`
	Scope      string    `json:"scope"`
	Role       string    `json:"role"`
	AppID      string    `json:"appId"`
	EndpointID string    `json:"endpointId"`
	Reason     string    `json:"reason"`
	By         string    `json:"by"`
	Since      time.Time `json:"since"`
}

// what names what is paused.
func (p *shownPause) what() string {
	switch {
	case p.Role != "":
		return p.Role
	case p.EndpointID != "":
		return p.EndpointID
	}
	return p.AppID
}

const pauseHelp = `Deliveries of a paused subscription or tenant are kept and not tried; nothing counts as failed, and no age limit ends them. They come
back some minutes after the end at the latest (a quarter of the pause's length, ten seconds at least, five minutes at most), in
order, at the rate of a breaker's ramp (deliverer.breaker.ramp_rate). A paused role stays in its group, is ready, and reads nothing
more; what it has read it finishes, and its lag grows. Roles are router, deliverer, retrier and recorder.

Who paused what, why and since when is in "postrider pause list", in "postrider status", in the portal and in the audit log. The
owner of a paused endpoint reads the reason.`

// pausables are what pause and resume know: the word, its arguments, and where the API has it.
func pausables() []struct {
	use, short string
	args       int
	at         func(args []string) string
} {
	return []struct {
		use, short string
		args       int
		at         func(args []string) string
	}{
		{"subscription APP ENDPOINT", "one endpoint's deliveries", 2, func(args []string) string { return endpointAt(args, "pause") }},
		{"tenant APP", "the deliveries to all of a tenant's endpoints", 1, func(args []string) string { return client.Path("app", args[0], "pause") }},
		{"role ROLE", "a role", 1, func(args []string) string { return client.Path("pause", "role", args[0]) }},
	}
}

func newPauseCmd() *cobra.Command {
	f := &apiFlags{}
	subs := []*cobra.Command{newPauseListCmd(f)}
	for _, p := range pausables() {
		var reason string
		cmd := &cobra.Command{
			Use: p.use, Short: "Pause " + p.short, Args: cobra.ExactArgs(p.args),
			RunE: f.managing(func(m *manager, args []string) error {
				call := client.Call{Method: http.MethodPut, Path: p.at(args), Body: fields{"reason": reason}}
				return do(m, call, func(s *shownPause) string { return fmt.Sprintf("%s paused since %s\n", s.what(), stamp(s.Since)) })
			}),
		}
		reasonFlag(cmd, &reason)
		f.addWait(cmd)
		subs = append(subs, cmd)
	}
	cmd := group("pause", "Pause a subscription, a tenant or a role", "Pause a subscription, a tenant or a role.\n\n"+pauseHelp, f, subs...)
	cmd.Example = `  postrider pause subscription acme orders --reason "their receiver is being moved" --wait
  postrider pause role router --reason "topics are being moved"
  postrider resume subscription acme orders`
	return cmd
}

func newResumeCmd() *cobra.Command {
	f := &apiFlags{}
	var subs []*cobra.Command
	for _, p := range pausables() {
		cmd := &cobra.Command{
			Use: p.use, Short: "Resume " + p.short, Args: cobra.ExactArgs(p.args),
			RunE: f.managing(func(m *manager, args []string) error {
				return m.quietly(client.Call{Method: http.MethodDelete, Path: p.at(args)}, "%s resumed", args[len(args)-1])
			}),
		}
		f.addWait(cmd)
		subs = append(subs, cmd)
	}
	return group("resume", "End the pause of a subscription, a tenant or a role", "End the pause of a subscription, a tenant or a role.\n\n"+pauseHelp, f, subs...)
}

func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "why, for whoever finds it paused")
	_ = cmd.MarkFlagRequired("reason")
}

func newPauseListCmd(f *apiFlags) *cobra.Command {
	var scope string
	cmd := &cobra.Command{
		Use: "list", Short: "List what is paused", Args: cobra.NoArgs,
		RunE: f.managing(func(m *manager, _ []string) error {
			query := url.Values{}
			if scope != "" {
				query.Set("scope", scope)
			}
			return list(m, client.Path("pause"), query, 0, "SCOPE\tWHAT\tTENANT\tSINCE\tBY\tREASON", func(p *shownPause) []string {
				return []string{p.Scope, p.what(), p.AppID, stamp(p.Since), p.By, p.Reason}
			})
		}),
	}
	cmd.Flags().StringVar(&scope, "scope", "", "only of this scope: egress, role, tenant or subscription")
	return cmd
}

const egressHelp = `Stop everything that leaves, or let it leave again. A second after "postrider egress stop" deliverers and retriers send nothing to
anybody, test events are refused and endpoints are not probed. Attempts that are under way end. Everything waits in Kafka, where it
is: nothing is lost as long as the topics keep it (retention: 9 days of deliveries, 10 of retries), and nothing counts as failed.
After "postrider egress start" it goes on by itself.

Exit codes: 0 every live role has it; 1 it failed; 3 it is written, and not every live role is known to have it: see "postrider status".`

// exitUnsure says that a change is made and not known to have reached all roles.
const exitUnsure = exitCode(3)

func newEgressCmd() *cobra.Command {
	f := &apiFlags{}
	var reason string
	var direct bool
	stop := &cobra.Command{
		Use: "stop", Short: "Stop everything that leaves", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if direct {
				return stopDirectly(cmd, reason)
			}
			return f.managing(func(m *manager, _ []string) error {
				return m.switchEgress(http.MethodPut, fields{"reason": reason}, "nothing leaves any more")
			})(cmd, args)
		},
	}
	reasonFlag(stop, &reason)
	start := &cobra.Command{
		Use: "start", Short: "Let everything leave again", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if direct {
				return startDirectly(cmd)
			}
			return f.managing(func(m *manager, _ []string) error {
				return m.switchEgress(http.MethodDelete, nil, "everything leaves again")
			})(cmd, args)
		},
	}
	for _, cmd := range []*cobra.Command{stop, start} {
		cmd.Flags().BoolVar(&direct, "direct", false, "write the registry itself, with the configuration of the roles: for when the API is away")
	}
	return group("egress", "Stop everything that leaves, or let it leave again", egressHelp, f, stop, start)
}

// switchEgress waits whether it was told to or not: who stops everything wants to know that it has stopped.
func (m *manager) switchEgress(method string, body any, done string) error {
	call := client.Call{Method: method, Path: client.Path("pause", "egress"), Query: url.Values{"wait": {"applied"}}}
	if body != nil {
		call.Body = body
	}
	answer, err := m.call(call, nil)
	if err != nil {
		return err
	}
	applied := answer.Header.Get("Postrider-Applied")
	if m.json {
		if len(answer.Body) > 0 {
			err = m.printJSON(answer.Body)
		}
	} else {
		_, err = fmt.Fprintf(m.out, "%s; live roles that have it: %s\n", done, applied)
	}
	if err == nil && applied != "all" {
		return exitUnsure
	}
	return err
}
