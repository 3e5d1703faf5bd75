package portal

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/pkg/api"
)

// endpointForm is an endpoint as the form that creates and changes it shows it, in the texts that were typed.
type endpointForm struct {
	// ID is empty for a new one, and ETag the version that was shown.
	ID, ETag string
	// Values are the fields by name; what may be there more than once stands below.
	Values map[string]string
	// Types are the event types that are ticked.
	Types   []string
	Headers []headerRow

	Groups   []typeGroup
	Profiles []api.ProfileOut
	Errors   map[string][]string
	// Identity says that there is a client certificate.
	Identity bool
	// General is what is wrong with the whole.
	General string
}

// headerRow is a header of the form.
type headerRow struct {
	Name, Value string
	Sensitive   bool
	// Kept is of a header whose value is not shown: it stays unless another one is typed.
	Kept bool
}

// blankHeaders are the rows to type more headers into; without a script that is all there are at a time.
const blankHeaders = 2

// Is reports whether a field has the value.
func (f *endpointForm) Is(field, value string) bool { return f.Values[field] == value }

// Ticked reports whether an event type is.
func (f *endpointForm) Ticked(name string) bool { return slices.Contains(f.Types, name) }

// Wrong are the problems of a field.
func (f *endpointForm) Wrong(field string) []string { return f.Errors[field] }

// formFields are the fields with one value.
//
//nolint:gochecknoglobals // a table
var formFields = []string{
	"name", "url", "description", "which", "patterns", "channels", "filter", "auth", "username", "password", "token", "profile",
	"timeout", "rate", "enabled", "retry", "retry_interval", "retry_list", "retry_factor", "retry_max_interval", "retry_jitter",
	"retry_max_tries", "retry_max_age", "failure", "failure_failures", "failure_percent", "failure_attempts", "failure_within",
	"failure_apart", "failure_for", "failure_effect", "uid", "metadata", "credentials", "oauth_grant", "oauth_method", "oauth_client", "oauth_secret",
	"oauth_url", "oauth_scopes", "oauth_refresh", "oauth_key", "identity", "identity_away", "server_ca", "encryption", "encryption_key",
}

// typed reads the form as it was sent.
func typed(form url.Values) *endpointForm {
	f := &endpointForm{Values: map[string]string{}, Types: form["types"], ETag: form.Get("etag"), Errors: map[string][]string{}}
	for _, name := range formFields {
		f.Values[name] = strings.TrimSpace(strings.ReplaceAll(form.Get(name), "\r\n", "\n"))
	}
	names, values := form["header_name"], form["header_value"]
	for i := range min(len(names), len(values)) {
		if name := strings.TrimSpace(names[i]); name != "" {
			f.Headers = append(f.Headers, headerRow{
				Name: name, Value: strings.TrimSpace(values[i]), Sensitive: slices.Contains(form["header_sensitive"], strconv.Itoa(i)),
				Kept: slices.Contains(form["header_kept"], name),
			})
		}
	}
	return f
}

// filled is the form of an endpoint that exists.
func filled(id, etag string, s api.SettingsOut) *endpointForm {
	f := &endpointForm{ID: id, ETag: etag, Errors: map[string][]string{}, Values: map[string]string{
		"name": s.Name, "url": s.URL, "description": s.Description, "channels": strings.Join(s.Channels, ", "), "filter": s.Filter,
		"auth": "keep", "profile": value(s.Profile), "timeout": number(s.TimeoutSeconds), "rate": number(s.ThrottleRate), "which": "all",
	}}
	if !s.Disabled {
		f.Values["enabled"] = "on"
	}
	if len(s.EventTypes) > 0 {
		f.Values["which"], f.Types = "some", s.EventTypes
	}
	if r := s.Retry; r != nil {
		f.set("retry", r.Kind, "retry_interval", r.Interval, "retry_list", strings.Join(r.List, ", "), "retry_factor", decimal(r.Factor),
			"retry_max_interval", r.MaxInterval, "retry_jitter", r.Jitter, "retry_max_tries", count(r.MaxTries), "retry_max_age", r.MaxAge)
	}
	if p := s.Failure; p != nil {
		f.set("failure", p.Kind, "failure_failures", count(p.Failures), "failure_percent", count(p.Percent), "failure_attempts", count(p.Attempts),
			"failure_within", p.Within, "failure_apart", p.Apart, "failure_for", p.For, "failure_effect", p.Effect)
	}
	f.set("uid", value(s.UID), "metadata", metadataLines(s.Metadata))
	f.showCredentials(s)
	for _, name := range sortedNames(s.Headers) {
		f.Headers = append(f.Headers, headerRow{Name: name, Value: s.Headers[name]})
	}
	for _, name := range s.SensitiveHeaders {
		f.Headers = append(f.Headers, headerRow{Name: name, Sensitive: true, Kept: true})
	}
	return f
}

// set sets fields, names and values in turn.
func (f *endpointForm) set(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Values[pairs[i]] = pairs[i+1]
	}
}
