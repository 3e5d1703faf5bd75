package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownSystem is how an installation does, as the API has it.
type shownSystem struct {
	State    string `json:"state"`
	Problems []struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"problems"`
	At              time.Time   `json:"at"`
	RegistryVersion int64       `json:"registryVersion"`
	Roles           []shownRole `json:"roles"`
	OpenBreakers    int         `json:"openBreakers"`
	EgressStopped   bool        `json:"egressStopped"`
	Pauses          struct {
		Roles         int          `json:"roles"`
		Tenants       int          `json:"tenants"`
		Subscriptions int          `json:"subscriptions"`
		List          []shownPause `json:"list"`
	} `json:"pauses"`
	Tasks struct {
		Running int `json:"running"`
	} `json:"tasks"`
	Rejected    shownLetters `json:"rejected"`
	DeadLetters shownLetters `json:"deadLetters"`
}

type shownRole struct {
	Role       string `json:"role"`
	Live       int    `json:"live"`
	Paused     bool   `json:"paused"`
	Lag        *int64 `json:"lag"`
	Unfinished int    `json:"unfinished"`
	OldestMS   int64  `json:"oldestUnfinishedMs"`
	Instances  []struct {
		Instance        string    `json:"instance"`
		RegistryVersion int64     `json:"registryVersion"`
		Since           time.Time `json:"since"`
		Paused          bool      `json:"paused"`
		Partitions      int       `json:"partitions"`
		Unfinished      int       `json:"unfinished"`
		OldestMS        int64     `json:"oldestUnfinishedMs"`
		OpenBreakers    int       `json:"openBreakers"`
	} `json:"instances"`
}

type shownLetters struct {
	Known  bool `json:"known"`
	Open   int  `json:"open"`
	Causes []struct {
		Cause string `json:"cause"`
		Where string `json:"where"`
		Count int    `json:"count"`
	} `json:"causes"`
}

const (
	// exitAttention and exitPaused say what state an installation is in.
	exitAttention = exitCode(3)
	exitPaused    = exitCode(4)

	statusPaused    = "paused"
	statusAttention = "attention"
)

func newStatusCmd() *cobra.Command {
	f := &apiFlags{}
	var endpoints bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show how an installation does", Args: cobra.NoArgs,
		Long: `Show how an installation does: roles and their processes, lag and oldest unfinished record, open breakers, what is paused,
background tasks, rejected records and dead letters by cause. It needs an operator's key, or a reading one of all tenants.

The lag of a retrier is what waits for its time, and no reason to worry. OLDEST is the age of the oldest record that a role has read
and not finished.

--endpoints adds the open breakers of all tenants, those that have been open longest first, and the endpoints with the most attempts and
the most failed attempts of the last hour. With -o json it is those alone.

Exit codes: 0 all is well; 1 the API did not say; 3 something wants attention, the output says what; 4 nothing does, but egress is
stopped or a role is paused.` + apiHelp,
		Example: "  postrider status\n  postrider status --endpoints\n  postrider status -o json | jq .problems",
		RunE: f.managing(func(m *manager, _ []string) error {
			s, raw, err := m.status()
			if err != nil {
				return err
			}
			text := s.text(time.Now())
			if endpoints {
				more, rawMore, err := m.statusEndpoints()
				if err != nil {
					return err
				}
				raw, text = rawMore, text+more.text()
			}
			if m.json {
				err = m.printJSON(raw)
			} else {
				_, err = fmt.Fprint(m.out, text)
			}
			if err != nil {
				return err
			}
			return s.exit()
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&endpoints, "endpoints", false, "show open breakers, and the busiest and sickest endpoints, of all tenants")
	return cmd
}

func (m *manager) status() (*shownSystem, json.RawMessage, error) {
	var s shownSystem
	answer, err := m.call(client.Call{Method: http.MethodGet, Path: client.Path("status")}, &s)
	if err != nil {
		return nil, nil, err
	}
	return &s, answer.Body, nil
}

func (s *shownSystem) exit() error {
	switch s.State {
	case statusAttention:
		return exitAttention
	case statusPaused:
		return exitPaused
	}
	return nil
}

// role returns a role; one that is not there has nothing.
func (s *shownSystem) role(name string) shownRole {
	for _, r := range s.Roles {
		if r.Role == name {
			return r
		}
	}
	return shownRole{Role: name}
}

func (s *shownSystem) text(now time.Time) string {
	var b strings.Builder
	for _, p := range s.Problems {
		fmt.Fprintf(&b, "! %s\n", p.Detail)
	}
	for _, p := range s.Pauses.List {
		fmt.Fprintf(&b, "%s since %s by %s: %s\n", p.stopped(), stamp(p.Since), p.By, p.Reason)
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE\tINSTANCE\tUP\tPARTITIONS\tLAG\tUNFINISHED\tOLDEST\tREGISTRY\tSTATE")
	for _, r := range s.Roles {
		lag := "unknown"
		if r.Lag != nil {
			lag = strconv.FormatInt(*r.Lag, 10)
		}
		fmt.Fprintf(w, "%s\t%d live\t\t\t%s\t%d\t%s\t\t%s\n", r.Role, r.Live, lag, r.Unfinished, age(r.OldestMS), held(r.Paused))
		for _, i := range r.Instances {
			fmt.Fprintf(w, "\t%s\t%s\t%d\t\t%d\t%s\t%d\t%s\n", i.Instance, now.Sub(i.Since).Round(time.Second), i.Partitions, i.Unfinished,
				age(i.OldestMS), i.RegistryVersion, held(i.Paused))
		}
	}
	_ = w.Flush() // a Builder takes everything
	fmt.Fprintf(&b, "\nRegistry version %d, %d open breakers, %d background tasks running, %s rejected, %s dead letters, %d tenants and %d subscriptions paused\n",
		s.RegistryVersion, s.OpenBreakers, s.Tasks.Running, s.Rejected.count(), s.DeadLetters.count(), s.Pauses.Tenants, s.Pauses.Subscriptions)
	for _, c := range s.Rejected.Causes {
		fmt.Fprintf(&b, "  rejected: %d of %s: %s\n", c.Count, c.Where, c.Cause)
	}
	return b.String()
}

// stopped says what a pause stops.
func (p *shownPause) stopped() string {
	if p.Scope == "egress" {
		return "EGRESS IS STOPPED"
	}
	return p.Scope + " " + p.what() + " paused"
}

func (l *shownLetters) count() string {
	if !l.Known {
		return "unknown"
	}
	return strconv.Itoa(l.Open)
}

func held(paused bool) string {
	if paused {
		return "paused"
	}
	return ""
}

func age(ms int64) string { return (time.Duration(ms) * time.Millisecond).Round(time.Second).String() }
