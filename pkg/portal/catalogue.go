package portal

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/match"
)

// typeGroup are the event types of one group of the catalogue.
type typeGroup struct {
	Name  string
	Types []api.EventTypeOut
}

const (
	// typesPage is how many event types one call reads, maxTypes how many a page shows.
	typesPage = 250
	maxTypes  = 2000
)

// eventTypes reads the event types that the tenant may subscribe to. An operator sees all of them; of these, those that are
// activated for the tenant are its.
func (v *visit) eventTypes() ([]api.EventTypeOut, error) {
	var activated api.AppEventTypes
	if err := v.calls.get(v.appPath("event-types"), &activated); err != nil {
		return nil, err
	}
	var out []api.EventTypeOut
	for iterator := ""; len(out) < maxTypes; {
		var list api.List[api.EventTypeOut]
		err := v.calls.get(query("/event-type", "limit", strconv.Itoa(typesPage), "iterator", iterator), &list)
		if err != nil {
			return nil, err
		}
		for _, t := range list.Data {
			if activated.EventTypes == nil || match.Covers(*activated.EventTypes, t.Name) {
				out = append(out, t)
			}
		}
		if list.Done || list.Iterator == nil {
			break
		}
		iterator = *list.Iterator
	}
	return out, nil
}

// grouped puts event types into their groups, by name.
func grouped(types []api.EventTypeOut) []typeGroup {
	var out []typeGroup
	for _, t := range types {
		name := cmp.Or(value(t.GroupName), "Other")
		i := slices.IndexFunc(out, func(g typeGroup) bool { return g.Name == name })
		if i < 0 {
			out = append(out, typeGroup{Name: name})
			i = len(out) - 1
		}
		out[i].Types = append(out[i].Types, t)
	}
	slices.SortStableFunc(out, func(a, b typeGroup) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// firstCovered is the first event type that an endpoint receives, or the first of all.
func firstCovered(patterns []string, types []api.EventTypeOut) string {
	for _, t := range types {
		if match.Covers(patterns, t.Name) {
			return t.Name
		}
	}
	return types[0].Name
}

// example is the example of an event type, indented: that of its schema, or one made from it. It is an empty object where
// there is no schema.
func (v *visit) example(name string) (string, error) {
	const none = "{}"
	if name == "" {
		return none, nil
	}
	var t api.EventTypeOut
	if err := v.calls.get("/event-type"+path(name), &t); err != nil {
		return "", err
	}
	payload, err := catalogue.Example(entry(t), 0)
	if err != nil {
		return none, nil //nolint:nilerr // no schema to make one from
	}
	return prettyJSON(string(payload)), nil
}

// entry is an event type as package catalogue has it.
func entry(t api.EventTypeOut) *catalogue.EventType {
	return &catalogue.EventType{Name: t.Name, Schemas: t.Schemas}
}

// cataloguePage is what the list of event types shows.
type cataloguePage struct {
	Groups []typeGroup
	Search string
	Count  int
}

// listEventTypes shows the catalogue.
func (v *visit) listEventTypes() error {
	types, err := v.eventTypes()
	if err != nil {
		return err
	}
	out := cataloguePage{Search: v.r.URL.Query().Get("search")}
	search := strings.ToLower(out.Search)
	types = slices.DeleteFunc(types, func(t api.EventTypeOut) bool {
		return !strings.Contains(strings.ToLower(t.Name+" "+t.Description+" "+value(t.GroupName)), search)
	})
	out.Groups, out.Count = grouped(types), len(types)
	v.show(http.StatusOK, "catalogue", &page{Title: "Event types", Data: out})
	return nil
}

// typePage is what the page of an event type shows.
type typePage struct {
	api.EventTypeOut
	// SchemaVersion is that of the schema that is shown, of all that there are.
	SchemaVersion string
	Versions      []string
	Fields        []schemaField
	Example       string
	Endpoints     []choice
	Endpoint      string
	// Some says that there are more endpoints than were looked at.
	Some    bool
	Preview *previewOut
}

// showEventType shows an event type, and what an endpoint gets of it.
func (v *visit) showEventType() error {
	name, q := v.r.PathValue("type"), v.r.URL.Query()
	out := typePage{Endpoint: q.Get("endpoint")}
	if err := v.calls.get("/event-type"+path(name), &out.EventTypeOut); err != nil {
		return err
	}
	out.schema(q.Get("version"))
	payload, err := catalogue.Example(entry(out.EventTypeOut), 0)
	if err == nil {
		out.Example = prettyJSON(string(payload))
	}
	var list api.List[api.EndpointOut]
	if err := v.calls.get(query(v.appPath("endpoint"), "limit", "250"), &list); err != nil {
		return err
	}
	out.Some = !list.Done
	for _, e := range list.Data {
		if match.Covers(e.EventTypes, name) {
			out.Endpoints = append(out.Endpoints, choice{e.ID, cmp.Or(e.Description, e.URL), e.ID == out.Endpoint})
		}
	}
	if out.Endpoint != "" {
		if err := v.previewType(&out); err != nil {
			return err
		}
	}
	v.show(http.StatusOK, "eventtype", &page{Title: name, Data: out})
	return nil
}

// schema finds the schema of a version, of the current one if it is empty.
func (t *typePage) schema(version string) {
	for v := range t.Schemas {
		t.Versions = append(t.Versions, v)
	}
	slices.SortFunc(t.Versions, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(b, a)) }) // newest first
	if len(t.Versions) == 0 {
		return
	}
	if t.SchemaVersion = version; t.Schemas[version] == nil {
		t.SchemaVersion = t.Versions[0]
	}
	t.Fields = schemaFields(t.Schemas[t.SchemaVersion])
}

// previewType shows the example as the endpoint would get it.
func (v *visit) previewType(out *typePage) error {
	payload := out.Example
	if payload == "" {
		payload = "{}"
	}
	out.Preview = &previewOut{}
	_, err := v.calls.do(http.MethodPost, v.appPath("endpoint", out.Endpoint, "preview"),
		map[string]any{"eventType": out.Name, "payload": json.RawMessage(payload)}, &out.Preview.PreviewOut)
	if err == nil {
		return nil
	}
	var wrong tryoutPage
	err = wrong.complain(err)
	out.Preview.Wrong = wrong.Wrong
	return err
}
