package portal

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/api"
)

// transformationPage is what the page of a transformation shows.
type transformationPage struct {
	Code, Variables string
	Enabled         bool
	ETag            string
	Types           []choice
	Payload         string
	Wrong           []string
}

// showTransformation shows the program of an endpoint.
func (v *visit) showTransformation() error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	var now api.EndpointTransformationOut
	out := transformationPage{}
	if out.ETag, err = v.calls.do(http.MethodGet, v.endpointPath("transformation"), nil, &now); err != nil {
		return err
	}
	out.Code, out.Enabled, out.Variables = value(now.Code), now.Enabled, variablesText(now.Variables)
	return v.transformation(http.StatusOK, e, out)
}

func (v *visit) transformation(status int, e endpointPage, out transformationPage) error {
	types, err := v.eventTypes()
	if err != nil {
		return err
	}
	first := ""
	if len(types) > 0 {
		first = firstCovered(e.EventTypes, types)
	}
	for _, t := range types {
		out.Types = append(out.Types, choice{t.Name, t.Name, t.Name == first})
	}
	if out.Payload, err = v.example(first); err != nil {
		return err
	}
	e.More = out
	v.show(status, "transformation", &page{Title: "Transformation", Data: e, Done: v.r.URL.Query().Get("done")})
	return nil
}

// saveTransformation changes the program to what the form says; no code is no program.
func (v *visit) saveTransformation() error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	form := v.r.PostForm
	out := transformationPage{
		Code: strings.ReplaceAll(form.Get("code"), "\r\n", "\n"), Variables: form.Get("variables"), Enabled: form.Get("enabled") != "", ETag: form.Get("etag"),
	}
	variables, wrong := readVariables(out.Variables)
	out.Wrong = wrong
	if len(wrong) == 0 {
		body := map[string]any{"code": optional(strings.TrimSpace(out.Code)), "enabled": out.Enabled, "variables": variables}
		if _, err = v.calls.do(http.MethodPatch, v.endpointPath("transformation"), body, nil, "If-Match", out.ETag); err == nil {
			return v.redirect(v.appPath("endpoint", e.ID, "transformation") + "?done=saved")
		}
		if out.Wrong, err = complaints(err); err != nil {
			return err
		}
	}
	return v.transformation(http.StatusUnprocessableEntity, e, out)
}

// complaints are what the API has against what somebody typed; other errors are returned.
func complaints(err error) ([]string, error) {
	refused, ok := errors.AsType[*Refusal](err)
	switch {
	case ok && refused.Status == http.StatusPreconditionFailed:
		return []string{"Somebody else changed this endpoint meanwhile. Load the page again to see how it is now; what you typed is still here."}, nil
	case !ok || refused.Status != http.StatusUnprocessableEntity:
		return nil, err
	}
	var out []string
	for _, p := range refused.Problems {
		out = append(out, strings.Join(p.Loc[1:], ".")+": "+p.Msg)
	}
	return out, nil
}

// simulation is what a program made of an example.
type simulation struct {
	api.TransformationSimulateOut
	Wrong []string
}

// tryTransformation runs the program of the form on the example beside it.
func (v *visit) tryTransformation() error {
	form := v.r.PostForm
	var out simulation
	variables, wrong := readVariables(form.Get("variables"))
	payload := form.Get("filter_payload")
	switch {
	case len(wrong) > 0:
		out.Wrong = wrong
	case strings.TrimSpace(form.Get("code")) == "":
		out.Wrong = []string{"There is no program: events are sent as they are."}
	case !json.Valid([]byte(payload)):
		out.Wrong = []string{"The example is not JSON."}
	default:
		_, err := v.calls.do(http.MethodPost, v.endpointPath("transformation", "simulate"), map[string]any{
			"code": form.Get("code"), "eventType": strings.TrimSpace(form.Get("filter_type")), "payload": json.RawMessage(payload), "variables": variables,
		}, &out.TransformationSimulateOut)
		if err != nil {
			if out.Wrong, err = complaints(err); err != nil {
				return err
			}
		}
	}
	return v.piece("simulated", "Trial of the transformation", out)
}

// variablesText writes variables as lines of name=value.
func variablesText(m map[string]string) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, name+"="+m[name])
	}
	return strings.Join(lines, "\n")
}

// readVariables reads what [variablesText] wrote, or says which lines it cannot.
func readVariables(text string) (out map[string]string, wrong []string) {
	out = map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		name, v, ok := strings.Cut(line, "=")
		switch name = strings.TrimSpace(name); {
		case strings.TrimSpace(line) == "":
		case !ok || name == "":
			wrong = append(wrong, "Variables: want name=value in every line.")
		default:
			out[name] = v
		}
	}
	return out, wrong
}
