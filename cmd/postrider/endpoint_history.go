package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownStatus is how an endpoint does with each event type.
type shownStatus struct {
	EventTypes []struct {
		EventType   string       `json:"eventType"`
		LastAttempt *shownResult `json:"lastAttempt"`
	} `json:"eventTypes"`
}

// shownResult is what an attempt came to.
type shownResult struct {
	At         time.Time `json:"at"`
	Success    bool      `json:"success"`
	StatusCode *int      `json:"statusCode"`
	Result     string    `json:"result"`
	Verdict    string    `json:"verdict"`
	Reason     string    `json:"reason"`
}

// code is the status code, or why there is none.
func (r *shownResult) code() string {
	if r.StatusCode != nil {
		return strconv.Itoa(*r.StatusCode)
	}
	return r.Result
}

func (s *shownStatus) text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EVENT TYPE\tSTATE\tCODE\tVERDICT\tREASON\tLAST ATTEMPT")
	for _, t := range s.EventTypes {
		last := t.LastAttempt
		if last == nil {
			fmt.Fprintf(w, "%s\tnever sent\n", t.EventType)
			continue
		}
		state := map[bool]string{true: "ok", false: "failing"}[last.Success]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.EventType, state, last.code(), last.Verdict, last.Reason, stamp(last.At))
	}
	_ = w.Flush() // a Builder takes everything
	return b.String()
}

func newEndpointStatusCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "status APP ENDPOINT", Short: "Show what the last attempt of each event type came to", Args: cobra.ExactArgs(2),
		RunE: f.managing(func(m *manager, args []string) error {
			return do(m, client.Call{Method: http.MethodGet, Path: endpointAt(args, "status")}, (*shownStatus).text)
		}),
	}
}

// shownAttempt is an attempt in the form of the Svix API.
type shownAttempt struct {
	ID                 string    `json:"id"`
	MsgID              string    `json:"msgId"`
	Response           string    `json:"response"`
	ResponseStatusCode int       `json:"responseStatusCode"`
	ResponseDurationMs int64     `json:"responseDurationMs"`
	StatusText         string    `json:"statusText"`
	Timestamp          time.Time `json:"timestamp"`
}

// maxShownResponse is how much of a response stands in a table, in runes.
const maxShownResponse = 60

func (a *shownAttempt) cells() []string {
	return []string{
		stamp(a.Timestamp), a.StatusText, cmp.Or(number(a.ResponseStatusCode), "-"), strconv.FormatInt(a.ResponseDurationMs, 10), a.MsgID, a.ID,
		inLine(a.Response),
	}
}

// inLine makes one short line of what somebody's endpoint has answered, without what a terminal takes for orders.
func inLine(text string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
	if len(runes) > maxShownResponse {
		runes = append(runes[:maxShownResponse-1], '…')
	}
	return strings.TrimSpace(string(runes))
}

func newEndpointAttemptsCmd(f *apiFlags) *cobra.Command {
	var status, since string
	var types []string
	var limit int
	cmd := &cobra.Command{
		Use: "attempts APP ENDPOINT", Short: "List the attempts of an endpoint, newest first", Args: cobra.ExactArgs(2),
		Example: `  postrider endpoint attempts acme erp --status fail --since 24h`,
		RunE: f.managing(func(m *manager, args []string) error {
			query := url.Values{}
			switch status {
			case "":
			case "success":
				query.Set("status", "0")
			case "fail":
				query.Set("status", "2")
			default:
				return fmt.Errorf("--status: %q: want success or fail", status)
			}
			if since != "" {
				after, err := timeOf(since, time.Now())
				if err != nil {
					return fmt.Errorf("--since: %w", err)
				}
				query.Set("after", after.Format(time.RFC3339Nano))
			}
			if len(types) > 0 {
				query["event_types"] = types
			}
			return list(m, client.Path("app", args[0], "attempt", "endpoint", args[1]), query, limit,
				"TIME\tSTATUS\tCODE\tMS\tEVENT\tATTEMPT\tRESPONSE", (*shownAttempt).cells)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&status, "status", "", "only attempts that came to success or fail")
	flags.StringSliceVar(&types, "event-type", nil, "only attempts of these event types")
	flags.StringVar(&since, "since", "", "only attempts that started since then: a time, or how long ago, such as 24h")
	flags.IntVar(&limit, "limit", 50, "how many at most; 0 for all")
	return cmd
}

// shownHealth is how an endpoint did.
type shownHealth struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	Total struct {
		Attempts    int64            `json:"attempts"`
		Successes   int64            `json:"successes"`
		SuccessRate *float64         `json:"successRate"`
		Results     map[string]int64 `json:"results"`
		Duration    struct {
			Average *float64 `json:"averageMs"`
			P50     *float64 `json:"p50Ms"`
			P95     *float64 `json:"p95Ms"`
			P99     *float64 `json:"p99Ms"`
		} `json:"duration"`
		Parked, Cancelled, NotSent, Dead int64
	} `json:"total"`
}

func (h *shownHealth) text() string {
	t := &h.Total
	rate := ""
	if t.SuccessRate != nil {
		rate = fmt.Sprintf("%.2f %%", 100**t.SuccessRate)
	}
	results := make(map[string]string, len(t.Results))
	for name, n := range t.Results {
		results[name] = strconv.FormatInt(n, 10)
	}
	some := func(n int64) string { return number(int(n)) }
	return lines("Since", stamp(h.Since), "Until", stamp(h.Until), "Attempts", strconv.FormatInt(t.Attempts, 10), "Success rate", rate,
		"Results", pairs(results), "Average", shownMillis(t.Duration.Average), "Median", shownMillis(t.Duration.P50),
		"95 %", shownMillis(t.Duration.P95), "99 %", shownMillis(t.Duration.P99), "Parked", some(t.Parked), "Cancelled", some(t.Cancelled),
		"Not sent", some(t.NotSent), "Dead", some(t.Dead))
}

func shownMillis(ms *float64) string {
	if ms == nil {
		return ""
	}
	return strconv.FormatFloat(*ms, 'f', 1, 64) + " ms"
}

func newEndpointHealthCmd(f *apiFlags) *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use: "health APP ENDPOINT", Short: "Show success rate and response times of an endpoint", Args: cobra.ExactArgs(2),
		Long: `Show success rate and response times of an endpoint, of whole hours. With -o json there is a series of the hours.` + apiHelp,
		RunE: f.managing(func(m *manager, args []string) error {
			from, err := timeOf(since, time.Now())
			if err != nil {
				return fmt.Errorf("--since: %w", err)
			}
			query := url.Values{"since": {from.Format(time.RFC3339)}}
			return do(m, client.Call{Method: http.MethodGet, Path: endpointAt(args, "health"), Query: query}, (*shownHealth).text)
		}),
	}
	cmd.Flags().StringVar(&since, "since", "24h", "from then on: a time, or how long ago")
	return cmd
}
