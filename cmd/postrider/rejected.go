package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownRejected is a rejected record as the API has it.
type shownRejected struct {
	ID         string    `json:"id"`
	Topic      string    `json:"topic"`
	Source     string    `json:"source"`
	Reason     string    `json:"reason"`
	Field      string    `json:"field"`
	Bytes      int       `json:"bytes"`
	Reingested int       `json:"reingested"`
	Timestamp  time.Time `json:"timestamp"`
	Detail     string    `json:"detail"`
	Today      string    `json:"today"`
	Expired    bool      `json:"expired"`
	Key        string    `json:"key"`
	Headers    []struct{ Name, Value string }
	Value      string `json:"value"`
}

// text is all of it, for people.
func (r *shownRejected) text() string {
	var b strings.Builder
	today := r.Today
	if today == "" && !r.Expired {
		today = "would be read"
	}
	b.WriteString(lines("Record", r.ID, "Source", r.Source, "Reason", r.Reason, "Field", r.Field, "Detail", r.Detail, "Today", today,
		"Put back", number(r.Reingested), "Rejected", stamp(r.Timestamp), "Bytes", strconv.Itoa(r.Bytes), "Key", r.Key))
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "  %s: %s\n", h.Name, h.Value)
	}
	if r.Expired {
		b.WriteString("\n(Kafka does not have the record any more)\n")
	} else {
		fmt.Fprintf(&b, "\n%s\n", r.Value)
	}
	return b.String()
}

func newRejectedCmd() *cobra.Command {
	f := &apiFlags{}
	return group("rejected", "Look at source records that could not be read, and put them back",
		`Looks at the source records that could not be read as events, and puts them back once their mapping is mended. It wants the key of an
operator. One is listed until it is put back, for 30 days at the most.`, f,
		newRejectedListCmd(f), newRejectedCausesCmd(f), newRejectedShowCmd(f), newRejectedExportCmd(f), newRejectedReingestCmd(f))
}

// rejectedFlags narrow down which rejected records are meant.
type rejectedFlags struct {
	topics, reasons, names []string
	ageFlags
}

func (f *rejectedFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.topics, "topic", nil, "only those of this source topic; may be repeated")
	cmd.Flags().StringSliceVar(&f.reasons, "reason", nil, "only those with this reason, for example no_tenant; may be repeated")
	cmd.Flags().StringSliceVar(&f.names, "field", nil, "only those of which this field is wrong; may be repeated")
	f.ageFlags.add(cmd)
}

func (f *rejectedFlags) query() url.Values {
	q := url.Values{}
	for name, list := range map[string][]string{"topic": f.topics, "reason": f.reasons, "field": f.names} {
		if len(list) > 0 {
			q[name] = list
		}
	}
	f.setAge(q, time.Now())
	return q
}

func (f *rejectedFlags) body(ids []string, now time.Time) fields {
	body := fields{}
	for name, list := range map[string][]string{"ids": ids, "topics": f.topics, "reasons": f.reasons, "fields": f.names} {
		if len(list) > 0 {
			body[name] = list
		}
	}
	return f.bodyAge(body, now)
}

func newRejectedListCmd(f *apiFlags) *cobra.Command {
	var in rejectedFlags
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List rejected records, newest first", Args: cobra.NoArgs,
		RunE: f.managing(func(m *manager, _ []string) error {
			return list(m, client.Path("rejected"), in.query(), limit, "REJECTED\tRECORD\tSOURCE\tREASON\tFIELD\tBYTES\tPUT BACK",
				func(r *shownRejected) []string {
					return []string{stamp(r.Timestamp), r.ID, r.Source, r.Reason, r.Field, strconv.Itoa(r.Bytes), number(r.Reingested)}
				})
		}),
	}
	in.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	return cmd
}

func newRejectedCausesCmd(f *apiFlags) *cobra.Command {
	var in rejectedFlags
	type cause struct {
		Topic, Reason, Field string
		Count                int
		First, Last          time.Time
		Example              shownRejected
	}
	cmd := &cobra.Command{
		Use: "causes", Short: "Group rejected records by source topic, reason and field", Args: cobra.NoArgs,
		RunE: f.managing(func(m *manager, _ []string) error {
			q := in.query()
			q.Set("limit", "250")
			return do(m, client.Call{Method: http.MethodGet, Path: client.Path("rejected", "cause"), Query: q}, func(c *shownCauses[cause]) string {
				return c.text("COUNT\tTOPIC\tREASON\tFIELD\tFIRST\tLAST\tEXAMPLE", func(c *cause) []string {
					return []string{strconv.Itoa(c.Count), c.Topic, c.Reason, c.Field, stamp(c.First), stamp(c.Last), c.Example.ID}
				})
			})
		}),
	}
	in.add(cmd)
	return cmd
}

func newRejectedShowCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "show RECORD", Short: "Show a rejected record as it came, and why it was rejected", Args: cobra.ExactArgs(1),
		RunE: f.managing(func(m *manager, args []string) error {
			return do(m, client.Call{Method: http.MethodGet, Path: client.Path("rejected", args[0])}, (*shownRejected).text)
		}),
	}
}

func newRejectedExportCmd(f *apiFlags) *cobra.Command {
	var in rejectedFlags
	cmd := &cobra.Command{
		Use: "export", Short: "Write rejected records as they came, one JSON object a line", Args: cobra.NoArgs,
		RunE: f.managing(func(m *manager, _ []string) error {
			return m.export(client.Path("rejected", "export"), in.query(), "records")
		}),
	}
	in.add(cmd)
	return cmd
}

func newRejectedReingestCmd(f *apiFlags) *cobra.Command {
	var in rejectedFlags
	var flags actFlags
	var unchecked bool
	cmd := &cobra.Command{
		Use: "reingest [RECORD…]", Short: reingestVerb.short, Long: reingestVerb.long + apiHelp,
		Example: `  postrider rejected reingest --topic shop.orders --reason no_tenant --dry-run`,
		RunE: f.managing(func(m *manager, args []string) error {
			body := in.body(args, time.Now())
			if len(body) == 0 && !flags.all {
				return fmt.Errorf("want a RECORD, a filter such as --topic, or --all")
			}
			if body["before"] == nil {
				body["before"] = time.Now().UTC().Format(time.RFC3339Nano)
			}
			if unchecked {
				body["unchecked"] = true
			}
			return m.act(client.Path("rejected", "reingest"), body, reingestVerb, flags, false)
		}),
	}
	in.add(cmd)
	flags.add(cmd)
	cmd.Flags().BoolVar(&unchecked, "unchecked", false, "put back also what the API would reject again")
	return cmd
}
