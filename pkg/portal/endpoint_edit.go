package portal

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/postrider/postrider/pkg/api"
)

// newEndpoint shows the empty form.
func (v *visit) newEndpoint() error {
	f := &endpointForm{Values: map[string]string{"which": "all", "auth": "none", "enabled": "on"}, Errors: map[string][]string{}}
	if chosen := v.r.URL.Query().Get("type"); chosen != "" { // the catalogue's link
		f.Values["which"], f.Types = "some", []string{chosen}
	}
	return v.showForm(http.StatusOK, f)
}

// createEndpoint creates what the form says and leads to its secret.
func (v *visit) createEndpoint() error {
	f := typed(v.r.PostForm)
	body := f.body()
	if len(f.Errors) > 0 {
		return v.showForm(http.StatusUnprocessableEntity, f)
	}
	var out api.SettingsOut
	_, err := v.calls.do(http.MethodPost, v.appPath("endpoint", "with-settings"), body, &out)
	if err != nil {
		return v.showRefused(f, err)
	}
	if !v.May("view-secrets") {
		return v.redirect(v.appPath("endpoint", out.ID) + "?done=created")
	}
	return v.redirect(v.appPath("endpoint", out.ID, "secret") + "?done=created")
}

// editEndpoint shows the form of an endpoint.
func (v *visit) editEndpoint() error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.showForm(http.StatusOK, filled(e.ID, e.ETag, e.SettingsOut))
}

// saveEndpoint changes an endpoint to what the form says, unless somebody else changed it since the form was shown.
func (v *visit) saveEndpoint() error {
	now, err := v.endpoint()
	if err != nil {
		return err
	}
	f := typed(v.r.PostForm)
	f.ID, f.Identity = now.ID, now.ClientIdentity
	body := f.body()
	if len(f.Errors) > 0 {
		return v.showForm(http.StatusUnprocessableEntity, f)
	}
	if _, err := v.calls.do(http.MethodPut, v.endpointPath("settings"), body, nil, "If-Match", f.ETag); err != nil {
		return v.showRefused(f, err)
	}
	return v.redirect(v.appPath("endpoint", now.ID) + "?done=saved")
}

// showRefused shows the form again, with what the API has against it.
func (v *visit) showRefused(f *endpointForm, err error) error {
	refused, ok := errors.AsType[*Refusal](err)
	if !ok || refused.Status == http.StatusUnauthorized || refused.Status >= http.StatusInternalServerError {
		return err
	}
	f.complain(refused)
	return v.showForm(refused.Status, f)
}

// showForm shows the form with what there is to choose from.
func (v *visit) showForm(status int, f *endpointForm) error {
	types, err := v.eventTypes()
	if err != nil {
		return err
	}
	var profiles api.ProfilesOut
	if err := v.calls.get("/profile", &profiles); err != nil {
		return err
	}
	f.Groups, f.Profiles = grouped(types), profiles.Data
	f.separate(types)
	for range blankHeaders {
		f.Headers = append(f.Headers, headerRow{})
	}
	heading := "Add endpoint"
	if f.ID != "" {
		heading = "Edit endpoint"
	}
	v.show(status, "form", &page{Title: heading, Data: f})
	return nil
}

// separate puts what is subscribed to and is no event type of the catalogue among the patterns.
func (f *endpointForm) separate(types []api.EventTypeOut) {
	known := map[string]bool{}
	for _, t := range types {
		known[t.Name] = true
	}
	var ticked, patterns []string
	for _, name := range f.Types {
		if known[name] {
			ticked = append(ticked, name)
		} else {
			patterns = append(patterns, name)
		}
	}
	f.Types = ticked
	if len(patterns) > 0 {
		f.Values["patterns"] = strings.TrimSpace(f.Values["patterns"] + "\n" + strings.Join(patterns, "\n"))
	}
}

// checkEndpoint tells whether the URL of the form can be reached, before it is saved.
func (v *visit) checkEndpoint() error {
	var out api.ValidationOut
	_, err := v.calls.do(http.MethodPost, v.appPath("endpoint", "validate"), map[string]any{"url": strings.TrimSpace(v.r.PostForm.Get("url"))}, &out)
	if refused, ok := errors.AsType[*Refusal](err); ok && refused.Status == http.StatusUnprocessableEntity {
		err = nil
		for _, p := range refused.Problems {
			out.Problems = append(out.Problems, api.EndpointProblem{Field: p.Loc[len(p.Loc)-1], Detail: p.Msg})
		}
	}
	if err != nil {
		return err
	}
	return v.piece("check", "Check of the URL", out)
}

// filterTrial is what became of an example under a filter.
type filterTrial struct {
	api.FilterSimulateOut
	// Wrong is why the filter could not be tried.
	Wrong []string
}

// tryFilter tries the filter of the form on the example beside it.
func (v *visit) tryFilter() error {
	var out filterTrial
	expression, payload := strings.TrimSpace(v.r.PostForm.Get("filter")), strings.TrimSpace(v.r.PostForm.Get("filter_payload"))
	switch {
	case expression == "":
		out.Wrong = []string{"There is no filter: every event is delivered."}
	case !json.Valid([]byte(payload)):
		out.Wrong = []string{"The example is not JSON."}
	default:
		_, err := v.calls.do(http.MethodPost, v.appPath("filter", "simulate"), map[string]any{
			"expression": expression, "eventType": strings.TrimSpace(v.r.PostForm.Get("filter_type")), "payload": json.RawMessage(payload),
			"channels": words(v.r.PostForm.Get("channels")),
		}, &out.FilterSimulateOut)
		refused, ok := errors.AsType[*Refusal](err)
		switch {
		case ok && refused.Status == http.StatusUnprocessableEntity:
			for _, p := range refused.Problems {
				out.Wrong = append(out.Wrong, p.Loc[len(p.Loc)-1]+": "+p.Msg)
			}
		case err != nil:
			return err
		}
	}
	return v.piece("trial", "Trial of the filter", out)
}

// filterExample is the example of an event type, to try a filter on.
func (v *visit) filterExample() error {
	payload, err := v.example(v.r.URL.Query().Get("filter_type"))
	if err != nil {
		return err
	}
	return v.piece("example", "Example", payload)
}
