package event

import (
	"errors"
	"fmt"
	"strings"
)

// Format is the form of a source's events.
type Format string

// Formats.
const (
	// FormatCloudEvents is the Kafka protocol binding of CloudEvents 1.0, binary and structured; a record says which.
	FormatCloudEvents Format = "cloudevents"
	// FormatJSON is plain JSON, read through the source's [Mapping].
	FormatJSON Format = "json"
)

// DefaultTenantExtension is the CloudEvents extension attribute that names the tenant unless the source says otherwise.
const DefaultTenantExtension = "tenant"

// ChannelsExtension is the CloudEvents extension attribute that holds an event's channels, separated by commas.
const ChannelsExtension = "channels"

// Source says how to read the events of one source. The zero value of every field but Name works: CloudEvents whose
// extension "tenant" names the tenant.
type Source struct {
	// Name is the source of mapped events, part of their identity: renaming it gives every event a new identity.
	Name string `yaml:"name" koanf:"name"`
	// Format is cloudevents if empty.
	Format Format `yaml:"format" koanf:"format"`
	// Tenant is the tenant of every event of this source; empty if the events name it.
	Tenant string `yaml:"tenant" koanf:"tenant"`
	// TenantExtension is the CloudEvents attribute that names the tenant; [DefaultTenantExtension] if empty.
	TenantExtension string  `yaml:"tenant_extension" koanf:"tenant_extension"`
	Mapping         Mapping `yaml:"mapping" koanf:"mapping"`
}

// Mapping names where in plain JSON the parts of an event are: member names joined by dots, "organization.id". A dot that
// belongs to a name is escaped: "organization\.id".
type Mapping struct {
	// ID is empty for events without an id: the source position takes its place.
	ID   string `yaml:"id" koanf:"id"`
	Type string `yaml:"type" koanf:"type"`
	// Tenant is not needed if the source has a fixed one.
	Tenant string `yaml:"tenant" koanf:"tenant"`
	// Time is empty for events without a time: the record's timestamp takes its place.
	Time string `yaml:"time" koanf:"time"`
	// Channels is empty for events without channels. What it names is a text or a list of texts.
	Channels string `yaml:"channels" koanf:"channels"`
	// Data is what subscribers receive; empty for the whole value.
	Data string `yaml:"data" koanf:"data"`
}

// Validate returns an error for every field that is wrong, joined. Field names are relative to the source.
func (s Source) Validate() error {
	var errs []error
	if s.Name == "" {
		errs = append(errs, errors.New("name: missing: want a name for the source"))
	}
	switch s.Format {
	case "", FormatCloudEvents:
		if s.Mapping != (Mapping{}) {
			errs = append(errs, errors.New("mapping: only for format json"))
		}
		if ext := s.TenantExtension; ext != "" && strings.Trim(ext, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			errs = append(errs, fmt.Errorf("tenant_extension: %q: want lower-case letters and digits", ext))
		}
	case FormatJSON:
		if s.TenantExtension != "" {
			errs = append(errs, errors.New("tenant_extension: only for format cloudevents"))
		}
		errs = append(errs, s.Mapping.validate(s.Tenant != ""))
	default:
		errs = append(errs, fmt.Errorf("format: %q: want cloudevents or json", s.Format))
	}
	return errors.Join(errs...)
}

func (m Mapping) validate(fixedTenant bool) error {
	var errs []error
	if m.Type == "" {
		errs = append(errs, errors.New("mapping.type: missing: want the path of the event type"))
	}
	if m.Tenant == "" && !fixedTenant {
		errs = append(errs, errors.New("mapping.tenant: missing: want the path of the tenant, or a fixed tenant"))
	}
	for _, p := range []struct{ field, path string }{
		{"id", m.ID},
		{"type", m.Type},
		{"tenant", m.Tenant},
		{"time", m.Time},
		{"channels", m.Channels},
		{"data", m.Data},
	} {
		if err := validatePath(p.path); err != nil {
			errs = append(errs, fmt.Errorf("mapping.%s: %w", p.field, err))
		}
	}
	return errors.Join(errs...)
}

// validatePath refuses what the path library would take for a query, a modifier or a wildcard: a mapping names one
// member, at a cost that does not depend on the event.
func validatePath(path string) error {
	rest := strings.ReplaceAll(strings.ReplaceAll(path, `\\`, ""), `\.`, "")
	if i := strings.IndexAny(rest, `*?|#@!{}[]()\"`+"\x00"); i >= 0 {
		return fmt.Errorf(`%q: want member names joined by dots, a dot in a name written \.: %q is not allowed`,
			path, rest[i:i+1])
	}
	if strings.HasPrefix(rest, ".") || strings.HasSuffix(rest, ".") || strings.Contains(rest, "..") {
		return fmt.Errorf("%q: want member names joined by dots: one is empty", path)
	}
	return nil
}
