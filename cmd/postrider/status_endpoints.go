package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownEndpoints are endpoints of all tenants, as the API has them.
type shownEndpoints struct {
	Breakers struct {
		Count int `json:"count"`
		List  []struct {
			shownNamed
			Since     *time.Time `json:"since"`
			NextProbe time.Time  `json:"nextProbe"`
		} `json:"list"`
	} `json:"breakers"`
	Busiest []shownLoad `json:"busiest"`
	Sickest []shownLoad `json:"sickest"`
}

// shownNamed is an endpoint and its tenant.
type shownNamed struct {
	AppID      string `json:"appId"`
	EndpointID string `json:"endpointId"`
	URL        string `json:"url"`
}

type shownLoad struct {
	shownNamed
	Attempts    int64   `json:"attempts"`
	Failures    int64   `json:"failures"`
	SuccessRate float64 `json:"successRate"`
}

func (m *manager) statusEndpoints() (*shownEndpoints, json.RawMessage, error) {
	var s shownEndpoints
	answer, err := m.call(client.Call{Method: http.MethodGet, Path: client.Path("status", "endpoints")}, &s)
	if err != nil {
		return nil, nil, err
	}
	return &s, answer.Body, nil
}

func (s *shownEndpoints) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nOpen breakers of endpoints that are enabled: %d\n", s.Breakers.Count)
	if len(s.Breakers.List) > 0 {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "TENANT\tENDPOINT\tSINCE\tNEXT PROBE\tURL")
		for _, o := range s.Breakers.List {
			since := "unknown"
			if o.Since != nil {
				since = stamp(*o.Since)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", o.AppID, o.EndpointID, since, stamp(o.NextProbe), o.URL)
		}
		_ = w.Flush() // a Builder takes everything
	}
	loadTable(&b, "Sickest endpoints of the last hour", s.Sickest)
	loadTable(&b, "Busiest endpoints of the last hour", s.Busiest)
	return b.String()
}

func loadTable(b *strings.Builder, title string, rows []shownLoad) {
	if len(rows) == 0 {
		fmt.Fprintf(b, "\n%s: none\n", title)
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TENANT\tENDPOINT\tATTEMPTS\tFAILED\tSUCCESS\tURL")
	for _, l := range rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%.1f %%\t%s\n", l.AppID, l.EndpointID, l.Attempts, l.Failures, 100*l.SuccessRate, l.URL)
	}
	_ = w.Flush() // a Builder takes everything
}
