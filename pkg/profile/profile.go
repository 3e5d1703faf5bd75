// Package profile holds profiles: the bundles of envelope, headers, signature, success rule, retry and failure policy that make
// deliveries look and act like those of one system. A profile is data, a YAML file that names building blocks:
//
//	name: dixa                      # the file's name
//	envelope: dixa                  # see envelope.Names
//	signature: dixa                 # see sign.Names, or template
//	template: {headers: …}          # for signature: template, see sign.Template
//	userAgent: Acme/2               # optional, wins over the installation's
//	headers:                        # optional, sent as written; ${subscription_id} is replaced
//	  X-DIXA-SUBSCRIPTION-ID: ${subscription_id}
//	reserved: [x-amz-*]             # optional, further names subscriptions may not set; * ends a prefix
//	success: ["200-299"]            # statuses that are success
//	notRetried: [client_error]      # outcome results that end a delivery; all other failures are retried
//	throttle: [429, 502, 504]       # optional, statuses that also slow the lane down
//	disableOnGone: true             # optional, 410 disables the subscription
//	recordDisabled: true            # optional, events of while a subscription is disabled are recorded, and can be listed
//	traceContext: true              # optional, endpoints get the W3C trace context: traceparent and tracestate
//	timeout: 15s                    # of a whole attempt, 1s to 60s
//	minTLS: "1.2"                   # optional, lowest TLS version of endpoints, 1.0 to 1.3
//	retry: {kind: fixed, interval: 1m, maxTries: 4}
//	failure: {kind: consecutive, failures: 25, within: 3h, effect: disable} # optional, see subscription.FailurePolicy
//
// A field that is none of these is an error, so a typing mistake cannot pass as a default.
package profile

import (
	"crypto/tls"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
)

// DefaultUserAgent is sent where neither the profile nor the installation names a user agent.
const DefaultUserAgent = "Postrider/1"

// TLSVersion is a version of TLS by its number on the wire, as in crypto/tls; written "1.2". 0 is none, which leaves the
// choice to the transport: 1.2.
type TLSVersion uint16

// UnmarshalText reads "1.0" to "1.3". In YAML 1.0 is a number, 1, so the error shows the quotes.
func (v *TLSVersion) UnmarshalText(text []byte) error {
	switch string(text) {
	case "1.0":
		*v = tls.VersionTLS10
	case "1.1":
		*v = tls.VersionTLS11
	case "1.2":
		*v = tls.VersionTLS12
	case "1.3":
		*v = tls.VersionTLS13
	default:
		return fmt.Errorf("minTLS: %q is no version of TLS: want \"1.0\", \"1.1\", \"1.2\" or \"1.3\"", text)
	}
	return nil
}

// Profile is one system's way of delivering. It is read-only after [Load] and safe for concurrent use.
type Profile struct {
	Name          string            `yaml:"name"`
	Envelope      string            `yaml:"envelope"`
	Signature     string            `yaml:"signature"`
	Template      *sign.Template    `yaml:"template"`
	UserAgent     string            `yaml:"userAgent"`
	Headers       map[string]string `yaml:"headers"`
	Reserved      []string          `yaml:"reserved"`
	Success       []StatusRange     `yaml:"success"`
	NotRetried    []outcome.Result  `yaml:"notRetried"`
	Throttle      []int             `yaml:"throttle"`
	DisableOnGone bool              `yaml:"disableOnGone"`
	// RecordDisabled has deliveries made for disabled subscriptions, too. They end as cancelled.
	RecordDisabled bool `yaml:"recordDisabled"`
	// TraceContext has attempts carry traceparent and tracestate, which no subscription may set then.
	TraceContext bool                     `yaml:"traceContext"`
	Timeout      subscription.Duration    `yaml:"timeout"`
	MinTLS       TLSVersion               `yaml:"minTLS"`
	Retry        subscription.RetryPolicy `yaml:"retry"`

	Failure *subscription.FailurePolicy `yaml:"failure"`

	envelope *envelope.Envelope
	scheme   sign.Scheme
}

// Scheme returns the signature scheme, for making and checking secrets.
func (p *Profile) Scheme() sign.Scheme { return p.scheme }

// TimeoutFor returns how long a whole attempt for sub may take.
func (p *Profile) TimeoutFor(sub *subscription.Subscription) time.Duration {
	if sub.Timeout > 0 {
		return sub.Timeout.Std()
	}
	return p.Timeout.Std()
}

// RetryFor returns the retry policy of sub: its own or the profile's.
func (p *Profile) RetryFor(sub *subscription.Subscription) subscription.RetryPolicy {
	if sub.Retry != nil {
		return *sub.Retry
	}
	return p.Retry
}

// FailureFor returns the failure policy of sub: its own or the profile's; nil for none.
func (p *Profile) FailureFor(sub *subscription.Subscription) *subscription.FailurePolicy {
	if sub.Failure != nil {
		return sub.Failure
	}
	return p.Failure
}

// notJudged are the results about which a profile has nothing to say: [Profile.Judge] does not see them as failures.
var notJudged = []outcome.Result{outcome.ResultNone, outcome.ResultSuccess, outcome.ResultTransformation} //nolint:gochecknoglobals // a table

// resolve checks p and looks its building blocks up.
func (p *Profile) resolve() error {
	var ok bool
	if p.envelope, ok = envelope.Lookup(p.Envelope); !ok {
		return fmt.Errorf("envelope: %q, want one of %v", p.Envelope, envelope.Names())
	}
	if err := p.resolveScheme(); err != nil {
		return err
	}
	if len(p.Success) == 0 {
		return fmt.Errorf("success: missing, want at least one range of statuses, such as \"200-299\"")
	}
	for i, r := range p.NotRetried {
		if !slices.Contains(outcome.Results(), r) || slices.Contains(notJudged, r) {
			return fmt.Errorf("notRetried[%d]: %q is no result of a failed attempt", i, r)
		}
	}
	for i, s := range p.Throttle {
		if s < minStatus || s > maxStatus {
			return fmt.Errorf("throttle[%d]: %d, want %d to %d", i, s, minStatus, maxStatus)
		}
	}
	if d := p.Timeout.Std(); d < subscription.MinTimeout || d > subscription.MaxTimeout {
		return fmt.Errorf("timeout: %s, want %s to %s", d, subscription.MinTimeout, subscription.MaxTimeout)
	}
	if err := p.Retry.Validate(); err != nil {
		return fmt.Errorf("retry: %w", err)
	}
	if p.Failure != nil {
		if err := p.Failure.Validate(); err != nil {
			return fmt.Errorf("failure: %w", err)
		}
	}
	return p.checkOwnHeaders()
}

// resolveScheme finds or makes the signature scheme.
func (p *Profile) resolveScheme() error {
	const template = "template"
	switch known, ok := sign.Lookup(p.Signature); {
	case p.Template != nil && p.Signature != template:
		return fmt.Errorf("template: want none with signature %q", p.Signature)
	case p.Template != nil:
		p.scheme = p.Template
		if err := p.Template.Resolve(); err != nil {
			return fmt.Errorf("template: %w", err)
		}
		return p.checkSchemeHeaders()
	case p.Signature == template:
		return fmt.Errorf("template: missing, want the header that carries the signature and what it signs")
	case !ok:
		return fmt.Errorf("signature: %q, want one of %v or %s", p.Signature, sign.Names(), template)
	default:
		p.scheme = known
		return nil
	}
}
