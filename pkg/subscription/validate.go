package subscription

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits of tenants and subscriptions.
const (
	MaxName        = 256  // bytes of a name
	MaxUID         = 256  // bytes of a uid
	MaxEventType   = 256  // bytes of an event type or pattern, as Svix has it
	MaxEventTypes  = 128  // patterns of a subscription
	MaxHeaders     = 50   // headers of a subscription
	MaxHeaderName  = 128  // bytes
	MaxHeaderValue = 4096 // bytes, as Svix allows
	MaxSecrets     = 11   // the current one and ten that are being rotated out, as Svix has it
	MaxDescription = 4096 // bytes
	MaxChannels    = 10   // channels of a subscription, or of an event, as Svix has it
	MaxChannel     = 128  // bytes of a channel, as Svix has it
	MaxMetadata    = 50   // entries of metadata
	MaxMetadataKey = 256  // bytes of a key of metadata
	MaxMetadataVal = 4096 // bytes of a value of metadata
	MaxThrottle    = 65535
	MaxPEM         = 64 << 10
	MinTimeout     = time.Second
	MaxTimeout     = 60 * time.Second
)

// DefaultProfile is the profile of subscriptions of which neither they nor their tenant name one.
const DefaultProfile = "standard"

// FieldError says what is wrong with one field and what is allowed. It never holds a secret or a header's value.
type FieldError struct {
	// Field is the path of the field as it is written in JSON and YAML, for example "eventTypes[3]".
	Field string
	// Detail says what is wrong and what is allowed.
	Detail string
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

// Rules are what the packages that know about URLs, signatures and profiles have to say. A nil function allows all.
type Rules struct {
	// CheckURL says what is wrong with the URL of an endpoint.
	CheckURL func(url string) error
	// CheckSecret says what is wrong with a signing secret under a profile. Its error must not hold the secret.
	CheckSecret func(profile, secret string) error
	// ReservedHeader reports whether a profile sets or reserves a header, in any case of its name.
	ReservedHeader func(profile, name string) bool
	// CheckFilter says what is wrong with a filter.
	CheckFilter func(expression string) error
	// CheckTransformation says what is wrong with a program.
	CheckTransformation func(code string) error
	// CheckEncryption says what is wrong with an encryption. Its error names the parameter, scheme or key, and must not
	// hold the key.
	CheckEncryption func(scheme, key string) error
	// Profiles are the names of the profiles there are; none are checked if it is empty.
	Profiles []string
}

// ProfileOf returns the name of the profile that s, which belongs to t, is delivered under. t may be nil.
func ProfileOf(s *Subscription, t *Tenant) string {
	switch {
	case s.Profile != "":
		return s.Profile
	case t != nil && t.Profile != "":
		return t.Profile
	}
	return DefaultProfile
}

// problems collects the errors of one object.
type problems []error

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, &FieldError{Field: field, Detail: fmt.Sprintf(format, args...)})
}

// check adds err, which may or may not name the field itself.
func (p *problems) check(field string, err error) {
	if err != nil {
		p.add(field, "%s", strings.TrimPrefix(err.Error(), field+": "))
	}
}

// ValidateTenant returns a [*FieldError] for everything that is wrong with t, joined.
func ValidateTenant(t *Tenant, rules Rules) error {
	var p problems
	if t.UID != "" {
		p.uid(t.UID, TenantPrefix)
	}
	if t.Name == "" {
		p.add("name", "missing: want 1 to %d bytes", MaxName)
	}
	p.name(t.Name)
	p.metadata(t.Metadata)
	p.profile(t.Profile, rules)
	p.eventTypes(t.EventTypes)
	p.throttle(t.ThrottleRate)
	p.notices(t.Notices, rules)
	return errors.Join(p...)
}

// ValidateSubscription returns a [*FieldError] for everything that is wrong with s, which belongs to t, joined.
func ValidateSubscription(s *Subscription, t *Tenant, rules Rules) error {
	var p problems
	if s.UID != "" {
		p.uid(s.UID, SubscriptionPrefix)
	}
	p.name(s.Name)
	p.text("description", s.Description, MaxDescription)
	p.metadata(s.Metadata)
	p.profile(s.Profile, rules)
	p.url(s.URL, rules)
	p.eventTypes(s.EventTypes)
	p.check("channels", ValidateChannels(s.Channels))
	if s.Filter != "" && rules.CheckFilter != nil {
		p.check("filter", rules.CheckFilter(s.Filter))
	}
	p.throttle(s.ThrottleRate)
	if d := s.Timeout.Std(); d != 0 && (d < MinTimeout || d > MaxTimeout) {
		p.add("timeout", "%s: want %s to %s, or none for the profile's", d, MinTimeout, MaxTimeout)
	}
	if s.Retry != nil {
		p.policy("retry", s.Retry.Validate())
	}
	profile := ProfileOf(s, t)
	p.secrets(s.Secrets, profile, rules)
	p.headers(s.Headers, profile, rules)
	p.sensitive(s)
	p.credentials(s, rules)
	p.transformation(s.Transformation, rules)
	p.encryption(s.Encryption, rules)
	if s.Failure != nil {
		p.policy("failure", s.Failure.Validate())
	}
	return errors.Join(p...)
}

// uidPattern is that of the Svix API, so that its clients can use their ids.
var uidPattern = regexp.MustCompile(`^[a-zA-Z0-9\-_.]+$`)

func (p *problems) uid(uid, prefix string) {
	switch {
	case len(uid) > MaxUID:
		p.add("uid", "%d bytes: want at most %d", len(uid), MaxUID)
	case !uidPattern.MatchString(uid):
		p.add("uid", "%q: want letters, digits and - _ . only", uid)
	case strings.HasPrefix(uid, prefix):
		p.add("uid", "%q: want none that starts with %s, which begins our own ids", uid, prefix)
	}
}

func (p *problems) name(name string) {
	if len(name) > MaxName {
		p.add("name", "%d bytes: want at most %d", len(name), MaxName)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		p.add("name", "%q: want text without control characters", name)
	}
}

func (p *problems) profile(name string, rules Rules) {
	if name != "" && len(rules.Profiles) > 0 && !slices.Contains(rules.Profiles, name) {
		p.add("profile", "%q: want %s", name, strings.Join(rules.Profiles, ", "))
	}
}

func (p *problems) url(url string, rules Rules) {
	if url == "" {
		p.add("url", "missing: want https://host/path")
		return
	}
	if rules.CheckURL != nil {
		p.check("url", rules.CheckURL(url))
	}
}

func (p *problems) eventTypes(patterns []string) {
	if len(patterns) > MaxEventTypes {
		p.add("eventTypes", "%d: want at most %d", len(patterns), MaxEventTypes)
		return
	}
	for i, pattern := range patterns {
		field := fmt.Sprintf("eventTypes[%d]", i)
		p.check(field, ValidatePattern(pattern))
		if slices.Contains(patterns[:i], pattern) {
			p.add(field, "%q: is there twice", pattern)
		}
	}
}

// policy splits the name of the policy's field off its error, for the line of a file to be found.
func (p *problems) policy(name string, err error) {
	if err != nil {
		field, detail, _ := strings.Cut(err.Error(), ": ")
		p.add(name+"."+field, "%s", detail)
	}
}

func (p *problems) secrets(secrets []string, profile string, rules Rules) {
	if len(secrets) > MaxSecrets {
		p.add("secrets", "%d: want at most %d", len(secrets), MaxSecrets)
		return
	}
	if rules.CheckSecret == nil {
		return
	}
	for i, secret := range secrets {
		p.check(fmt.Sprintf("secrets[%d]", i), rules.CheckSecret(profile, secret))
	}
}

func (p *problems) headers(headers map[string]string, profile string, rules Rules) {
	if len(headers) > MaxHeaders {
		p.add("headers", "%d: want at most %d", len(headers), MaxHeaders)
		return
	}
	seen := make(map[string]string, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		field := "headers." + name
		if other, twice := seen[strings.ToLower(name)]; twice {
			p.add(field, "is the same header as %s", other)
		}
		seen[strings.ToLower(name)] = name
		if err := CheckHeader(name, headers[name]); err != nil {
			p.check(field, err)
		} else if rules.ReservedHeader != nil && rules.ReservedHeader(profile, name) {
			p.add(field, "is not a subscription's to set under profile %s", profile)
		}
	}
}

// text refuses what is too long or not for people to read. Line ends are allowed.
func (p *problems) text(field, text string, limit int) {
	if len(text) > limit {
		p.add(field, "%d bytes: want at most %d", len(text), limit)
	}
	control := func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f || r == '\uFFFD' }
	if strings.ContainsFunc(text, control) {
		p.add(field, "want text without control characters")
	}
}

func (p *problems) metadata(metadata map[string]string) {
	if len(metadata) > MaxMetadata {
		p.add("metadata", "%d entries: want at most %d", len(metadata), MaxMetadata)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if key == "" || len(key) > MaxMetadataKey {
			p.add("metadata", "a key of %d bytes: want 1 to %d", len(key), MaxMetadataKey)
		}
		p.text("metadata."+key, metadata[key], MaxMetadataVal)
	}
}

func (p *problems) throttle(rate int) {
	if rate < 0 || rate > MaxThrottle {
		p.add("throttleRate", "%d: want 1 to %d a second, or none", rate, MaxThrottle)
	}
}
