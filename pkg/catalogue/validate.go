package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/postrider/postrider/pkg/subscription"
)

// Validate returns a [*subscription.FieldError] for everything that is wrong with et, joined. Every schema is compiled.
func Validate(et *EventType) error {
	_, err := validate(et)
	return err
}

// validate is [Validate] and returns the current schema, ready to use, if it is a good one.
func validate(et *EventType) (*compiled, error) {
	var p problems
	p.word("name", et.Name)
	if n := len(et.Description); n > MaxDescription {
		p.add("description", "%d bytes: want at most %d", n, MaxDescription)
	}
	if et.GroupName != "" {
		p.word("groupName", et.GroupName)
	}
	p.featureFlags(et.FeatureFlags)
	schemas := p.schemas(et.Schemas)
	current, _, _ := et.Current()
	return schemas[current], errors.Join(p...)
}

// problems collects the errors of one event type.
type problems []error

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, &subscription.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)})
}

// word checks a name, group or feature flag.
func (p *problems) word(field, s string) {
	if why := badWord(s); why != "" {
		p.add(field, "%s", why)
	}
}

// badWord says what is wrong with a name, or "".
func badWord(s string) string {
	if s == "" {
		return fmt.Sprintf("missing: want 1 to %d of a-z, A-Z, 0-9, -, _ and .", MaxName)
	}
	if len(s) > MaxName {
		return fmt.Sprintf("%d bytes: want at most %d", len(s), MaxName)
	}
	for i := range len(s) {
		if c := s[i]; !wordByte(c) {
			return fmt.Sprintf("%q: want only a-z, A-Z, 0-9, -, _ and .", s)
		}
	}
	return ""
}

func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}

func (p *problems) featureFlags(flags []string) {
	if n := len(flags); n > MaxFeatureFlags {
		p.add("featureFlags", "%d: want at most %d", n, MaxFeatureFlags)
		return
	}
	for i, f := range flags {
		field := fmt.Sprintf("featureFlags[%d]", i)
		p.word(field, f)
		if slices.Contains(flags[:i], f) {
			p.add(field, "%q: is there twice", f)
		}
	}
}

// schemas returns the schemas that compile, by version.
func (p *problems) schemas(schemas map[string]json.RawMessage) map[string]*compiled {
	if n := len(schemas); n > MaxVersions {
		p.add("schemas", "%d versions: want at most %d", n, MaxVersions)
		return nil
	}
	size := 0
	for _, raw := range schemas {
		size += len(raw)
	}
	if size > MaxSchemas {
		p.add("schemas", "%d bytes in all: want at most %d", size, MaxSchemas)
		return nil
	}
	out := make(map[string]*compiled, len(schemas))
	for _, version := range slices.Sorted(maps.Keys(schemas)) {
		field := "schemas." + version
		if versionNumber(version) == 0 {
			p.add(field, "%q is no version: want 1, 2, 3, …", version)
			continue
		}
		c, err := compile(schemas[version])
		if err != nil {
			p.add(field, "%s", err)
			continue
		}
		out[version] = c
	}
	return out
}
