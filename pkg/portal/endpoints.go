package portal

import (
	"net/http"
	"slices"
	"strconv"
	"time"

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
	// Paused is what operators put off.
	Paused api.AppPauseOut
}

// endpointRow is an endpoint in the list.
type endpointRow struct {
	api.EndpointOverviewOut
	// Health is that of the last 24 hours; nil if it cannot be told.
	Health *healthChart
	Paused bool
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

// listEndpoints shows a page of the endpoints, each with its settings and how it does.
func (v *visit) listEndpoints() error {
	q := v.r.URL.Query()
	data := endpointsPage{Search: q.Get("search"), State: q.Get("state")}
	data.States = choices(data.State, "", "All", "active", "Active", "disabled", "Disabled")
	disabled := map[string]string{"active": "false", "disabled": "true"}[data.State]
	var list api.List[api.EndpointOverviewOut]
	err := v.calls.get(query(v.appPath("endpoint-overview"), "limit", strconv.Itoa(pageSize), "iterator", q.Get("iterator"),
		"order", "descending", "search", data.Search, "disabled", disabled), &list)
	if err != nil {
		return err
	}
	if err := v.calls.get(v.appPath("pause"), &data.Paused); err != nil {
		return err
	}
	for _, e := range list.Data {
		row := endpointRow{EndpointOverviewOut: e, Paused: data.Paused.Paused || slices.Contains(data.Paused.EndpointIDs, e.ID)}
		if data.Away = e.Recent == nil; !data.Away {
			row.Health = new(chartOf(recentHealth(e.Recent), v.p.opts.Now(), windows["day"], time.Hour))
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

// recentHealth is what an overview says, in the form of health.
func recentHealth(r *api.RecentOut) *api.HealthOut {
	h := &api.HealthOut{Total: api.CountsOut{Attempts: r.Attempts, Successes: r.Successes}}
	if r.Attempts > 0 {
		h.Total.SuccessRate = new(float64(r.Successes) / float64(r.Attempts))
	}
	for _, hour := range r.Hours {
		h.Series = append(h.Series, api.HealthStepOut{Start: hour.Start, CountsOut: api.CountsOut{Attempts: hour.Attempts, Successes: hour.Successes}})
	}
	return h
}

// endpointPage is what the pages about one endpoint show.
type endpointPage struct {
	api.SettingsOut
	ETag string
	// Paused says whether deliveries are put off; nil on pages that do not show it.
	Paused *api.PauseStateOut
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
	e.Paused = &api.PauseStateOut{}
	if err := v.calls.get(v.endpointPath("pause"), e.Paused); err != nil {
		return err
	}
	v.show(http.StatusOK, "endpoint", &page{Title: e.DisplayName(), Data: e, Done: v.r.URL.Query().Get("done")})
	return nil
}
