// Package subscription holds what tenants want to receive and where: tenants, subscriptions and their policies, with
// the rules that make them valid. It does no I/O.
package subscription

import (
	"time"

	"github.com/postrider/postrider/pkg/ident"
)

// Prefixes of the base62 form of identifiers, as in the HTTP API.
const (
	TenantPrefix       = "app_"
	SubscriptionPrefix = "ep_"
)

// Subscription is what a tenant wants to receive and where.
type Subscription struct {
	ID     ident.ID `json:"id" yaml:"id"`
	Tenant ident.ID `json:"tenant" yaml:"tenant"`
	UID    string   `json:"uid,omitempty" yaml:"uid"`
	// Name and Description are for people.
	Name        string `json:"name,omitempty" yaml:"name"`
	Description string `json:"description,omitempty" yaml:"description"`
	// Metadata is the owner's, for whatever they like; nothing here reads it.
	Metadata map[string]string `json:"metadata,omitempty" yaml:"metadata"`
	// URL is the endpoint. https, unless the configuration allows http.
	URL string `json:"url" yaml:"url"`
	// EventTypes are exact names or patterns with * for one segment ("contact.*"); empty means all.
	EventTypes []string `json:"eventTypes,omitempty" yaml:"eventTypes"`
	// Channels narrow it further: without any it receives all events, with some only those that share one.
	Channels []string `json:"channels,omitempty" yaml:"channels"`
	// Filter is a CEL expression over the event, see package filter; empty lets every event through.
	Filter   string `json:"filter,omitempty" yaml:"filter"`
	Disabled bool   `json:"disabled,omitempty" yaml:"disabled"`
	// Locked is set by failures under a policy that says so: only an operator enables it again.
	Locked bool `json:"locked,omitempty" yaml:"-"`
	// DisabledReason is why Postrider disabled it: an outcome's reason, gone or failing. Empty if a person did.
	DisabledReason string `json:"disabledReason,omitempty" yaml:"-"`
	// Generation rises whenever the subscription is enabled; a disabling of a lower generation has no effect.
	Generation int64 `json:"generation" yaml:"-"`
	// Profile names the profile; empty takes the tenant's.
	Profile string `json:"profile,omitempty" yaml:"profile"`
	// Secrets are the signing secrets, newest first, in the form of the profile's signature scheme. Retired are those
	// that were rotated out, newest first, and sign as well until they expire.
	Secrets []string        `json:"secrets,omitempty" yaml:"secrets"`
	Retired []RetiredSecret `json:"retired,omitempty" yaml:"-"`
	// Headers are sent with every attempt. The values of those named in SensitiveHeaders can be written, not read.
	Headers          map[string]string `json:"headers,omitempty" yaml:"headers"`
	SensitiveHeaders []string          `json:"sensitiveHeaders,omitempty" yaml:"sensitiveHeaders"`
	// Authorization is sent as the Authorization header unless OAuth is set, whose token is.
	Authorization *Authorization `json:"authorization,omitempty" yaml:"authorization"`
	OAuth         *OAuth         `json:"oauth,omitempty" yaml:"-"`
	// ClientIdentity is the client certificate for TLS and its key, PEM; CA are the certificates that the endpoint's
	// must come from, PEM, in place of the system's. Empty for none.
	ClientIdentity string `json:"clientIdentity,omitempty" yaml:"-"`
	CA             string `json:"ca,omitempty" yaml:"-"`
	// Transformation and Encryption change what is sent, in this order; nil for neither.
	Transformation *Transformation `json:"transformation,omitempty" yaml:"-"`
	Encryption     *Encryption     `json:"encryption,omitempty" yaml:"-"`
	// ThrottleRate is the most attempts per second; 0 is no limit.
	ThrottleRate int `json:"throttleRate,omitempty" yaml:"throttleRate"`
	// Timeout bounds a whole attempt, from DNS to the last byte read; 0 takes the profile's.
	Timeout Duration `json:"timeout,omitempty" yaml:"timeout"`
	// Retry replaces the profile's retry policy if set.
	Retry *RetryPolicy `json:"retry,omitempty" yaml:"retry"`
	// Failure replaces the profile's failure policy if set.
	Failure *FailurePolicy `json:"failure,omitempty" yaml:"failure"`
	// RedactResponses leaves the bodies and headers of responses out of the outcomes.
	RedactResponses bool `json:"redactResponses,omitempty" yaml:"redactResponses"`
	// Created and Updated are when it was first and last written.
	Created time.Time `json:"created,omitzero" yaml:"-"`
	Updated time.Time `json:"updated,omitzero" yaml:"-"`
	// Version is the registry version that wrote it; 0 before.
	Version int64 `json:"-" yaml:"-"`
}

// RetiredSecret is a signing secret that was rotated out.
type RetiredSecret struct {
	Secret string `json:"secret"`
	// Expires is when it stops to sign.
	Expires time.Time `json:"expires"`
}

// RetryKind is the shape of a retry schedule.
type RetryKind string

// Retry kinds.
const (
	// RetryFixed waits Interval before each further try.
	RetryFixed RetryKind = "fixed"
	// RetryList waits List[n] before further try n; after the last entry it ends.
	RetryList RetryKind = "list"
	// RetryExponential waits Interval × Factor^n, at most MaxInterval.
	RetryExponential RetryKind = "exponential"
)

// Jitter says how a delay is spread. All kinds stay inside the delay's cap.
type Jitter string

// Jitters.
const (
	// JitterNone keeps the schedule exact.
	JitterNone Jitter = "none"
	// JitterFull draws from [0, delay].
	JitterFull Jitter = "full"
	// JitterProportional draws from delay ± 20 %, not above the cap.
	JitterProportional Jitter = "proportional"
)

// RetryPolicy says when a failed delivery is tried again and when it is given up. MaxTries counts all tries, the
// first included; 0 leaves the number to MaxAge or, for lists, to the list's length.
type RetryPolicy struct {
	Kind        RetryKind  `json:"kind" yaml:"kind"`
	Interval    Duration   `json:"interval,omitempty" yaml:"interval"`
	List        []Duration `json:"list,omitempty" yaml:"list"`
	Factor      float64    `json:"factor,omitempty" yaml:"factor"`
	MaxInterval Duration   `json:"maxInterval,omitempty" yaml:"maxInterval"`
	Jitter      Jitter     `json:"jitter,omitempty" yaml:"jitter"`
	MaxTries    int        `json:"maxTries,omitempty" yaml:"maxTries"`
	// MaxAge is the longest time from the first try to the last.
	MaxAge Duration `json:"maxAge,omitempty" yaml:"maxAge"`
}

// Duration is a time.Duration that is written as text ("1m30s") in JSON and YAML.
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes d as [time.Duration] does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes d as [time.Duration] does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [time.ParseDuration] reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(parsed)
	return nil
}
