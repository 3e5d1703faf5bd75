package profile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
)

// ReservedHeader reports whether the profile sets or reserves the header name, in any case, or it is framing. What no
// subscription may set under any profile is the business of [subscription.ValidateSubscription].
func (p *Profile) ReservedHeader(name string) bool {
	name = strings.ToLower(name)
	if subscription.FramingHeader(name) || sign.HasHeader(p.scheme, name) {
		return true
	}
	if p.TraceContext && (name == "traceparent" || name == "tracestate") {
		return true
	}
	for own := range p.Headers {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	return slices.ContainsFunc(p.Reserved, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(strings.ToLower(pattern), "*")
		return name == prefix || wild && strings.HasPrefix(name, prefix)
	})
}

// checkField is [subscription.CheckField] with an error that names the field.
func checkField(name, value string) error {
	if err := subscription.CheckField(name, value); err != nil {
		return fmt.Errorf("headers: %q: %w", name, err)
	}
	return nil
}

// checkOwnHeaders checks what the profile itself sends.
// checkSchemeHeaders checks the headers of a template.
func (p *Profile) checkSchemeHeaders() error {
	for _, name := range p.scheme.HeaderNames() {
		if err := checkField(name, p.Template.Headers[name]); err != nil {
			return fmt.Errorf("template: %w", err)
		}
		if subscription.FramingHeader(name) {
			return fmt.Errorf("template: headers: %s is not the profile's to set", name)
		}
	}
	return nil
}

func (p *Profile) checkOwnHeaders() error {
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		if err := checkField(name, p.Headers[name]); err != nil {
			return err
		}
		if subscription.FramingHeader(name) || sign.HasHeader(p.scheme, name) {
			return fmt.Errorf("headers: %s is not the profile's to set", name)
		}
		if rest := strings.ReplaceAll(p.Headers[name], subscriptionVar, ""); strings.Contains(rest, "${") {
			return fmt.Errorf("headers: the value of %s holds an unknown variable, want %s only", name, subscriptionVar)
		}
	}
	if err := checkField("User-Agent", p.UserAgent); err != nil {
		return fmt.Errorf("userAgent: %w", err)
	}
	return nil
}
