package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownDeadLetter is a dead letter as the API has it.
type shownDeadLetter struct {
	ID         string    `json:"id"`
	AppID      string    `json:"appId"`
	EndpointID string    `json:"endpointId"`
	MessageID  string    `json:"msgId"`
	EventID    string    `json:"eventId"`
	EventType  string    `json:"eventType"`
	Trigger    string    `json:"trigger"`
	Reason     string    `json:"reason"`
	Result     string    `json:"result"`
	Status     int       `json:"status"`
	Detail     string    `json:"detail"`
	Attempts   int       `json:"attempts"`
	Timestamp  time.Time `json:"timestamp"`

	Payload json.RawMessage `json:"payload"`
	History []struct {
		Timestamp time.Time `json:"timestamp"`
		Attempt   int       `json:"attempt"`
		Trigger   string    `json:"trigger"`
		Verdict   string    `json:"verdict"`
		Reason    string    `json:"reason"`
		Result    string    `json:"result"`
		Status    int       `json:"status"`
		Detail    string    `json:"detail"`
	} `json:"history"`
	HistoryComplete bool `json:"historyComplete"`
}

// text is all of it, for people.
func (d *shownDeadLetter) text() string {
	var b strings.Builder
	b.WriteString(lines("Delivery", d.ID, "App", d.AppID, "Endpoint", d.EndpointID, "Message", d.MessageID, "Event", d.EventID,
		"Event type", d.EventType, "Trigger", d.Trigger, "Reason", d.Reason, "Result", d.Result, "Status", number(d.Status),
		"Detail", d.Detail, "Attempts", number(d.Attempts), "Given up", stamp(d.Timestamp)))
	b.WriteString("\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AT\tATTEMPT\tTRIGGER\tVERDICT\tREASON\tRESULT\tSTATUS\tDETAIL")
	for _, h := range d.History {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", stamp(h.Timestamp), h.Attempt, h.Trigger, h.Verdict, h.Reason, h.Result,
			number(h.Status), h.Detail)
	}
	_ = w.Flush() // a Builder takes everything
	if !d.HistoryComplete {
		b.WriteString("(the history is not complete: outcomes are kept for 9 days)\n")
	}
	fmt.Fprintf(&b, "\n%s\n", d.Payload)
	return b.String()
}

func newDeadLettersCmd() *cobra.Command {
	f, app := &apiFlags{}, ""
	cmd := group("deadletters", "Look at dead letters, redrive or discard them",
		`Looks at the deliveries that are not attempted any more, and puts them back into delivery or gives them up for good. One is listed
until it is redriven, discarded or delivered in another way, for 30 days at the most.`, f,
		newDeadLettersListCmd(f, &app), newDeadLettersCausesCmd(f, &app), newDeadLettersShowCmd(f, &app), newDeadLettersExportCmd(f, &app),
		newDeadLettersActCmd(f, &app, redriveVerb), newDeadLettersActCmd(f, &app, discardVerb))
	cmd.PersistentFlags().StringVar(&app, "app", "", "only those of this application; with a key for all, all if left out")
	return cmd
}

// deadLettersAt is the path of dead letters, of one application or all, and of a resource below it.
func deadLettersAt(app string, below ...string) string {
	names := []string{"dead-letter"}
	if app != "" {
		names = []string{"app", app, "dead-letter"}
	}
	return client.Path(append(names, below...)...)
}

// deadLetterFlags narrow down which dead letters are meant.
type deadLetterFlags struct {
	lists    map[string]*[]string // by the API's name in queries
	statuses []int
	ageFlags
}

// ageFlags narrow down by time.
type ageFlags struct{ since, until time.Duration }

func (f *ageFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.since, "since", 0, "only those of this last time, for example 24h")
	cmd.Flags().DurationVar(&f.until, "until", 0, "only those that are older than this, for example 1h")
}

// bounds are the times that the flags mean; empty for none.
func (f *ageFlags) bounds(now time.Time) (after, before string) {
	if f.since > 0 {
		after = now.Add(-f.since).UTC().Format(time.RFC3339Nano)
	}
	if f.until > 0 {
		before = now.Add(-f.until).UTC().Format(time.RFC3339Nano)
	}
	return after, before
}

// deadLetterLists are the lists among the flags: flag, the API's name in queries, its name in bodies, help.
var deadLetterLists = [][4]string{
	{"endpoint", "endpoint", "endpoints", "only those of this endpoint: id or, with --app, uid"},
	{"type", "event_types", "eventTypes", "only those of events of this type"},
	{"reason", "reason", "reasons", "only those with this reason, for example exhausted"},
	{"result", "result", "results", "only those whose last attempt came to this, for example timeout"},
}

func (f *deadLetterFlags) add(cmd *cobra.Command) {
	f.lists = map[string]*[]string{}
	for _, l := range deadLetterLists {
		f.lists[l[1]] = cmd.Flags().StringSlice(l[0], nil, l[3]+"; may be repeated")
	}
	cmd.Flags().IntSliceVar(&f.statuses, "status", nil, "only those whose last response had this status; may be repeated")
	f.ageFlags.add(cmd)
}

func (f *deadLetterFlags) query() url.Values {
	q := url.Values{}
	for name, list := range f.lists {
		if len(*list) > 0 {
			q[name] = *list
		}
	}
	for _, s := range f.statuses {
		q.Add("status", strconv.Itoa(s))
	}
	f.setAge(q, time.Now())
	return q
}

func (f *ageFlags) setAge(q url.Values, now time.Time) {
	after, before := f.bounds(now)
	for name, v := range map[string]string{"after": after, "before": before} {
		if v != "" {
			q.Set(name, v)
		}
	}
}

// body is the filter of an action. What comes later than now is not meant.
func (f *deadLetterFlags) body(ids []string, now time.Time) fields {
	body := fields{}
	for _, l := range deadLetterLists {
		if list := *f.lists[l[1]]; len(list) > 0 {
			body[l[2]] = list
		}
	}
	if len(f.statuses) > 0 {
		body["statuses"] = f.statuses
	}
	if len(ids) > 0 {
		body["ids"] = ids
	}
	return f.bodyAge(body, now)
}

func (f *ageFlags) bodyAge(body fields, now time.Time) fields {
	after, before := f.bounds(now)
	if after != "" {
		body["after"] = after
	}
	if before != "" {
		body["before"] = before
	}
	return body
}

func newDeadLettersListCmd(f *apiFlags, app *string) *cobra.Command {
	var in deadLetterFlags
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters, newest first", Args: cobra.NoArgs,
		Example: `  postrider deadletters list --app acme --endpoint crm --since 24h`,
		RunE: f.managing(func(m *manager, _ []string) error {
			return list(m, deadLettersAt(*app), in.query(), limit, "GIVEN UP\tDELIVERY\tENDPOINT\tTYPE\tREASON\tRESULT\tSTATUS\tATTEMPTS",
				func(d *shownDeadLetter) []string {
					return []string{stamp(d.Timestamp), d.ID, d.EndpointID, d.EventType, d.Reason, d.Result, number(d.Status), number(d.Attempts)}
				})
		}),
	}
	in.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	return cmd
}

// shownCauses are groups as the API has them.
type shownCauses[T any] struct {
	Data    []T  `json:"data"`
	Done    bool `json:"done"`
	Count   int  `json:"count"`
	LeftOut int  `json:"leftOut"`
}

// text is a table of the groups.
func (c *shownCauses[T]) text(heading string, cells func(*T) []string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	for i := range c.Data {
		fmt.Fprintln(w, strings.Join(cells(&c.Data[i]), "\t"))
	}
	_ = w.Flush() // a Builder takes everything
	fmt.Fprintf(&b, "%d in all", c.Count)
	if !c.Done {
		b.WriteString("; smaller groups are not shown")
	}
	if c.LeftOut > 0 {
		fmt.Fprintf(&b, "; the %d oldest are not counted", c.LeftOut)
	}
	b.WriteString("\n")
	return b.String()
}

func newDeadLettersCausesCmd(f *apiFlags, app *string) *cobra.Command {
	var in deadLetterFlags
	type cause struct {
		AppID, EndpointID, Reason, Result string
		Status, Count                     int
		First, Last                       time.Time
		Example                           shownDeadLetter
	}
	cmd := &cobra.Command{
		Use: "causes", Short: "Group dead letters by endpoint, reason, result and status", Args: cobra.NoArgs,
		RunE: f.managing(func(m *manager, _ []string) error {
			q := in.query()
			q.Set("limit", "250")
			return do(m, client.Call{Method: http.MethodGet, Path: deadLettersAt(*app, "cause"), Query: q}, func(c *shownCauses[cause]) string {
				return c.text("COUNT\tENDPOINT\tREASON\tRESULT\tSTATUS\tFIRST\tLAST\tEXAMPLE", func(c *cause) []string {
					return []string{strconv.Itoa(c.Count), c.EndpointID, c.Reason, c.Result, number(c.Status), stamp(c.First), stamp(c.Last), c.Example.ID}
				})
			})
		}),
	}
	in.add(cmd)
	return cmd
}

func newDeadLettersShowCmd(f *apiFlags, app *string) *cobra.Command {
	return &cobra.Command{
		Use: "show DELIVERY", Short: "Show a dead letter with its history and its event", Args: cobra.ExactArgs(1),
		RunE: f.managing(func(m *manager, args []string) error {
			return do(m, client.Call{Method: http.MethodGet, Path: deadLettersAt(*app, args[0])}, (*shownDeadLetter).text)
		}),
	}
}

func newDeadLettersExportCmd(f *apiFlags, app *string) *cobra.Command {
	var in deadLetterFlags
	cmd := &cobra.Command{
		Use: "export", Short: "Write dead letters with their events, one JSON object a line", Args: cobra.NoArgs,
		Example: `  postrider deadletters export --app acme --since 24h >dead.ndjson`,
		RunE: f.managing(func(m *manager, _ []string) error {
			return m.export(deadLettersAt(*app, "export"), in.query(), "dead letters")
		}),
	}
	in.add(cmd)
	return cmd
}
