package portal

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// body is what the API gets. What is no number where one is wanted is among the form's errors.
func (f *endpointForm) body() map[string]any {
	v := f.Values
	out := map[string]any{
		"name": v["name"], "url": v["url"], "description": v["description"], "disabled": v["enabled"] == "", "filter": v["filter"],
		"profile": optional(v["profile"]), "timeoutSeconds": f.integer("timeout"), "throttleRate": f.integer("rate"),
	}
	if types := f.eventTypes(); v["which"] != "all" {
		out["eventTypes"] = types
		if len(types) == 0 {
			f.wrong("eventTypes", "Choose at least one event type, or all.")
		}
	}
	if channels := words(v["channels"]); len(channels) > 0 {
		out["channels"] = channels
	}
	out["headers"], out["sensitiveHeaders"] = f.headers()
	if kind := v["retry"]; kind != "" {
		out["retry"] = f.policy("retry", map[string]any{
			"kind": kind, "interval": v["retry_interval"], "list": words(v["retry_list"]), "factor": f.decimal("retry_factor"),
			"maxInterval": v["retry_max_interval"], "jitter": v["retry_jitter"], "maxTries": f.integer("retry_max_tries"), "maxAge": v["retry_max_age"],
		})
	}
	if kind := v["failure"]; kind != "" {
		out["failure"] = f.policy("failure", map[string]any{
			"kind": kind, "failures": f.integer("failure_failures"), "percent": f.integer("failure_percent"), "attempts": f.integer("failure_attempts"),
			"within": v["failure_within"], "apart": v["failure_apart"], "for": v["failure_for"], "effect": v["failure_effect"],
		})
	}
	if v["uid"] != "" {
		out["uid"] = v["uid"]
	}
	out["metadata"] = f.metadata()
	f.credentials(out)
	return out
}

// policyFields are those that each kind of policy has; a field of another kind that was left in the form is not meant.
//
//nolint:gochecknoglobals // a table
var policyFields = map[string][]string{
	"retry fixed":         {"kind", "interval", "maxInterval", "jitter", "maxTries", "maxAge"},
	"retry exponential":   {"kind", "interval", "factor", "maxInterval", "jitter", "maxTries", "maxAge"},
	"retry list":          {"kind", "list", "maxInterval", "jitter", "maxTries", "maxAge"},
	"failure never":       {"kind"},
	"failure consecutive": {"kind", "failures", "within", "effect"},
	"failure rate":        {"kind", "percent", "attempts", "within", "effect"},
	"failure lasting":     {"kind", "failures", "apart", "for", "effect"},
}

// policy is a policy without what was left empty or is of another kind.
func (f *endpointForm) policy(which string, fields map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range fields {
		if list, ok := v.([]string); !slices.Contains(policyFields[which+" "+f.Values[which]], name) || v == "" || v == nil || ok && len(list) == 0 {
			continue
		}
		out[name] = v
	}
	if out["kind"] == nil {
		out["kind"] = f.Values[which] // which the API refuses
	}
	return out
}

// eventTypes are the ticked ones and the patterns that were typed.
func (f *endpointForm) eventTypes() []string {
	var out []string
	for _, name := range append(slices.Clone(f.Types), words(f.Values["patterns"])...) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// headers are those of the rows, null where the value is kept, and the names to be marked.
func (f *endpointForm) headers() (map[string]*string, []string) {
	out, sensitive := map[string]*string{}, []string{}
	for _, h := range f.Headers {
		if h.Kept && h.Value == "" {
			out[h.Name] = nil
		} else {
			out[h.Name] = &h.Value
		}
		if h.Sensitive {
			sensitive = append(sensitive, h.Name)
		}
	}
	return out, sensitive
}

// integer is a number that was typed, nil for none.
func (f *endpointForm) integer(field string) any {
	text := f.Values[field]
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		f.wrong(fieldOf(field), "Type a whole number.")
		return nil
	}
	return n
}

func (f *endpointForm) decimal(field string) any {
	text := f.Values[field]
	if text == "" {
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		f.wrong(fieldOf(field), "Type a number, such as 2 or 1.5.")
		return nil
	}
	return n
}

func (f *endpointForm) wrong(field, text string) { f.Errors[field] = append(f.Errors[field], text) }

// fieldOf is the part of the form that shows the problems of a field.
func fieldOf(field string) string {
	first, _, _ := strings.Cut(field, "_")
	return cmp.Or(map[string]string{"timeout": "timeoutSeconds", "rate": "throttleRate"}[first], first)
}

// label is what the form calls a field of the API.
func label(field string) string {
	return cmp.Or(map[string]string{
		"url": "URL", "eventTypes": "Events", "channels": "Channels", "filter": "Filter", "headers": "Headers", "authorization": "Authorization",
		"profile": "Profile", "timeoutSeconds": "Seconds to answer", "throttleRate": "Requests a second", "retry": "Retries",
		"failure": "Failures", "uid": "Own id", "metadata": "Metadata", "oauth": "OAuth", "clientIdentity": "Client certificate",
		"serverCa": "Authorities", "encryption": "Encryption", "name": "Name", "description": "Description", "enabled": "Enabled",
	}[field], field)
}

// complain shows what the API refused, beside the fields that it is about.
func (f *endpointForm) complain(r *Refusal) {
	for _, p := range r.Problems {
		field, text := "", p.Msg
		if len(p.Loc) > 1 {
			field = p.Loc[1]
			if rest := strings.Join(p.Loc[2:], "."); rest != "" {
				text = rest + ": " + text
			}
		}
		f.wrong(cmp.Or(map[string]string{"sensitiveHeaders": "headers", "disabled": "enabled"}[field], field), text)
	}
	switch {
	case r.Status == http.StatusPreconditionFailed:
		f.General = "Somebody else changed this endpoint meanwhile. Load the page again to see how it is now; what you typed is still here."
	case len(r.Problems) == 0:
		f.General = r.Detail
	}
}
