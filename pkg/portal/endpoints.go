package portal

import (
	"net/http"
	"strconv"

	"github.com/postrider/postrider/pkg/api"
)

// endpointsPage is what the list of endpoints shows.
type endpointsPage struct {
	Rows            []endpointRow
	Search, State   string
	Next, Prev      string // addresses of the neighbouring pages; empty if there is none
	States          []choice
	Narrowed, Empty bool
	// Away says that what became of deliveries cannot be told.
	Away bool
}

// endpointRow is an endpoint in the list.
type endpointRow struct {
	api.SettingsOut
	// Health is that of the last 24 hours; nil if it cannot be told.
	Health *healthChart
}

// choice is an option of a list to choose from.
type choice struct {
	Value, Text string
	Chosen      bool
}

// choices makes options of values and texts in turn.
func choices(chosen string, pairs ...string) []choice {
	var out []choice
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, choice{pairs[i], pairs[i+1], pairs[i] == chosen})
	}
	return out
}

// pageSize is how many endpoints a page shows.
const pageSize = 50

// listEndpoints shows a page of the endpoints, each with its settings.
func (v *visit) listEndpoints() error {
	q := v.r.URL.Query()
	data := endpointsPage{Search: q.Get("search"), State: q.Get("state")}
	data.States = choices(data.State, "", "All", "active", "Active", "disabled", "Disabled")
	disabled := map[string]string{"active": "false", "disabled": "true"}[data.State]
	var list api.List[api.EndpointOut]
	err := v.calls.get(query(v.appPath("endpoint"), "limit", strconv.Itoa(pageSize), "iterator", q.Get("iterator"),
		"order", "descending", "search", data.Search, "disabled", disabled), &list)
	if err != nil {
		return err
	}
	for _, e := range list.Data {
		var s api.SettingsOut
		if err := v.calls.get(v.appPath("endpoint", e.ID, "settings"), &s); err != nil {
			continue // deleted since
		}
		row := endpointRow{SettingsOut: s}
		if !data.Away {
			var chart healthChart
			if chart, data.Away, err = v.health(e.ID, "day"); err != nil {
				continue // likewise
			}
			if !data.Away {
				row.Health = &chart
			}
		}
		data.Rows = append(data.Rows, row)
	}
	here := func(iterator *string) string {
		return v.p.base + query(v.appPath("endpoint"), "iterator", *iterator, "search", data.Search, "state", data.State)
	}
	if !list.Done && list.Iterator != nil {
		data.Next = here(list.Iterator)
	}
	if q.Get("iterator") != "" && list.PrevIterator != nil && len(data.Rows) > 0 {
		data.Prev = here(list.PrevIterator)
	}
	data.Narrowed = data.Search != "" || data.State != ""
	data.Empty = len(data.Rows) == 0 && !data.Narrowed && q.Get("iterator") == ""
	v.show(http.StatusOK, "endpoints", &page{Title: "Endpoints", Data: data, Done: q.Get("done")})
	return nil
}

// endpointPage is what the pages about one endpoint show.
type endpointPage struct {
	api.SettingsOut
	ETag string
	// More is what the page shows beside the settings.
	More any
}

// DisplayName is what people call the endpoint.
func (e endpointPage) DisplayName() string { return displayName(e.SettingsOut) }

func displayName(s api.SettingsOut) string {
	if s.Name != "" {
		return s.Name
	}
	if s.Description != "" {
		return s.Description
	}
	return s.URL
}

// endpoint reads the endpoint of the path.
func (v *visit) endpoint() (endpointPage, error) {
	out := endpointPage{}
	var err error
	out.ETag, err = v.calls.do(http.MethodGet, v.endpointPath("settings"), nil, &out.SettingsOut)
	return out, err
}

// endpointPath is a path below the endpoint that the page is about.
func (v *visit) endpointPath(segments ...string) string {
	return v.appPath(append([]string{"endpoint", v.r.PathValue("endpoint")}, segments...)...)
}

// showEndpoint shows how an endpoint does, and all its settings.
func (v *visit) showEndpoint() error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	if e.More, err = v.watch(); err != nil {
		return err
	}
	v.show(http.StatusOK, "endpoint", &page{Title: e.DisplayName(), Data: e, Done: v.r.URL.Query().Get("done")})
	return nil
}
