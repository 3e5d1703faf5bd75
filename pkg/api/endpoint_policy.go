package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// DeliveryPolicyIn replaces how a subscription is delivered.
type DeliveryPolicyIn struct {
	Name           string         `json:"name,omitempty" doc:"For people."`
	Profile        *string        `json:"profile,omitempty" nullable:"true" doc:"The app's if left out."`
	TimeoutSeconds *int           `json:"timeoutSeconds,omitempty" minimum:"1" maximum:"60" nullable:"true" doc:"Of a whole attempt; the profile's if left out."`
	Retry          *RetryPolicy   `json:"retry,omitempty" doc:"In place of the profile's."`
	Failure        *FailurePolicy `json:"failure,omitempty" doc:"In place of the profile's."`
	Ordering       string         `json:"ordering,omitempty" doc:"none: in any order. Other values are reserved."`
	Redact         bool           `json:"redactResponses,omitempty" doc:"Leave the bodies and headers of responses out of the outcomes of attempts."`
	Secret         *string        `json:"secret,omitempty" nullable:"true" maxLength:"256" doc:"A new signing secret, where the new profile needs one of another form. The old one signs for a day more if its form is that of the profile."`
}

// DeliveryPolicyPatch changes some of how a subscription is delivered; null takes a member back.
type DeliveryPolicyPatch struct {
	Name           Opt[string]        `json:"name,omitzero"`
	Profile        Opt[string]        `json:"profile,omitzero"`
	TimeoutSeconds Opt[int]           `json:"timeoutSeconds,omitzero"`
	Retry          Opt[RetryPolicy]   `json:"retry,omitzero"`
	Failure        Opt[FailurePolicy] `json:"failure,omitzero"`
	Ordering       Opt[string]        `json:"ordering,omitzero"`
	Redact         Opt[bool]          `json:"redactResponses,omitzero"`
	Secret         Opt[string]        `json:"secret,omitzero"`
}

// DeliveryPolicyOut is how a subscription is delivered: what is its own, and what is in effect.
type DeliveryPolicyOut struct {
	Name           string          `json:"name"`
	Profile        *string         `json:"profile" nullable:"true"`
	TimeoutSeconds *int            `json:"timeoutSeconds" nullable:"true"`
	Retry          *RetryPolicy    `json:"retry"`
	Failure        *FailurePolicy  `json:"failure"`
	Ordering       string          `json:"ordering"`
	Redact         bool            `json:"redactResponses"`
	Effective      EffectivePolicy `json:"effective"`
}

// EffectivePolicy is what a delivery policy comes to with what the profile says.
type EffectivePolicy struct {
	Profile        string        `json:"profile"`
	TimeoutSeconds int           `json:"timeoutSeconds"`
	Retry          RetryPolicy   `json:"retry"`
	Failure        FailurePolicy `json:"failure"`
}

// orderingNone is the one ordering there is.
const orderingNone = "none"

// policyNames are the names of fields in delivery policies.
var policyNames = map[string]string{"timeout": "timeoutSeconds", "secrets[0]": "secret"} //nolint:gochecknoglobals // a table

func (a *API) endpointPolicies() {
	const doc = "Where the signing secret has not the form of another profile, the change is refused unless it brings a new secret."
	const resource = "/delivery-policy"
	register(a, below(http.MethodGet, resource, "postrider.endpoint.get-delivery-policy", "Get how an endpoint is delivered to",
		access.ViewTenant, ""), a.getPolicy)
	registerBody(a, below(http.MethodPut, resource, "postrider.endpoint.set-delivery-policy", "Set how an endpoint is delivered to",
		access.ManageEndpoints, doc), a.putPolicy)
	registerBody(a, below(http.MethodPatch, resource, "postrider.endpoint.patch-delivery-policy", "Change how an endpoint is delivered to",
		access.ManageEndpoints, doc), a.patchPolicy)
	register(a, below(http.MethodDelete, resource, "postrider.endpoint.delete-delivery-policy",
		"Deliver to an endpoint as its app's profile says", access.ManageEndpoints, "The name stays.").quietly(), a.deletePolicy)
}

func (a *API) getPolicy(ctx context.Context, in *EndpointPath) (*answer[DeliveryPolicyOut], error) {
	return shown(ctx, in.Endpoint, func(e *edit) (DeliveryPolicyOut, error) { return a.policyOut(e), nil })
}

func (a *API) putPolicy(ctx context.Context, in *EndpointWriteBody, body *DeliveryPolicyIn) (*answer[DeliveryPolicyOut], error) {
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, policyNames, func(e *edit) error {
		s, b := e.sub, *body
		s.Name, s.Profile, s.RedactResponses = b.Name, value(b.Profile), b.Redact
		s.Timeout = subscription.Duration(time.Duration(value(b.TimeoutSeconds)) * time.Second)
		if err := errors.Join(setRetry(s, b.Retry), setFailure(s, b.Failure)); err != nil {
			return err
		}
		return a.reform(ctx, e, b.Ordering, b.Secret)
	})
	return resource(e, applied, err, a.policyOut)
}

func (a *API) patchPolicy(ctx context.Context, in *EndpointWriteBody, body *DeliveryPolicyPatch) (*answer[DeliveryPolicyOut], error) {
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, policyNames, func(e *edit) error { return a.applyPolicy(ctx, e, body) })
	return resource(e, applied, err, a.policyOut)
}

func (a *API) applyPolicy(ctx context.Context, e *edit, b *DeliveryPolicyPatch) error {
	s := e.sub
	b.Name.apply(&s.Name)
	b.Profile.apply(&s.Profile)
	b.Redact.apply(&s.RedactResponses)
	if b.TimeoutSeconds.Set {
		if !b.TimeoutSeconds.Null && (b.TimeoutSeconds.Value < 1 || b.TimeoutSeconds.Value > 60) {
			return invalid("timeoutSeconds", "%d: want 1 to 60, or null for the profile's", b.TimeoutSeconds.Value)
		}
		s.Timeout = subscription.Duration(time.Duration(b.TimeoutSeconds.Value) * time.Second)
	}
	if b.Failure.Set {
		if err := setFailure(s, b.Failure.pointer()); err != nil {
			return err
		}
	}
	if b.Retry.Set {
		if err := setRetry(s, b.Retry.pointer()); err != nil {
			return err
		}
	}
	return a.reform(ctx, e, b.Ordering.Value, b.Secret.pointer())
}

func (a *API) deletePolicy(ctx context.Context, in *EndpointWrite) (*answer[nothing], error) {
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, policyNames, func(e *edit) error {
		e.sub.Profile, e.sub.Timeout, e.sub.Retry, e.sub.Failure, e.sub.RedactResponses = "", 0, nil, nil, false
		return a.reform(ctx, e, "", nil)
	})
	return written(e, applied, err)
}

// reform ends a change of the policy of e: the secret has to be of the form of the profile that there is now.
func (a *API) reform(ctx context.Context, e *edit, ordering string, secret *string) error {
	if ordering != "" && ordering != orderingNone {
		return invalid("ordering", "%q: want %s; other orderings are reserved", ordering, orderingNone)
	}
	profile := subscription.ProfileOf(e.sub, e.tenant)
	if secret != nil {
		return a.renew(ctx, e.sub, profile, *secret)
	}
	if profile == subscription.ProfileOf(e.old, e.tenant) {
		return nil
	}
	if err := a.fits(profile, e.sub); err != nil {
		return invalid("secret", "missing: the signing secret is not of the form that profile %s wants (%s); give a new one here", profile, err)
	}
	return nil
}

// renew gives s a new secret together with a profile. What signed so far signs on for a day if it can under the profile.
func (a *API) renew(ctx context.Context, s *subscription.Subscription, profile, secret string) error {
	if c := called(ctx); !c.principal.May(access.ManageSecrets, c.tenantID()) {
		return forbidden()
	}
	if len(s.Secrets) == 1 && s.Secrets[0] == secret {
		return nil // a PUT that is repeated
	}
	grace := defaultGrace
	if a.fits(profile, s) != nil {
		grace = 0
	}
	return rotate(s, "secret", secret, grace, a.opts.Now().UTC().Truncate(time.Millisecond))
}

// fits says why the secrets of s are not good under a profile. A profile that does not exist is refused elsewhere.
func (a *API) fits(profile string, s *subscription.Subscription) error {
	p, ok := a.opts.Profiles.Get(profile)
	if !ok {
		return nil
	}
	for _, secret := range s.Secrets {
		if err := p.Scheme().ValidateSecret(secret); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) policyOut(e *edit) DeliveryPolicyOut {
	s := e.sub
	out := DeliveryPolicyOut{Name: s.Name, Profile: optional(s.Profile), Ordering: orderingNone, Redact: s.RedactResponses}
	if s.Timeout > 0 {
		seconds := int(s.Timeout.Std() / time.Second)
		out.TimeoutSeconds = &seconds
	}
	if s.Retry != nil {
		out.Retry = retryOut(*s.Retry)
	}
	if s.Failure != nil {
		out.Failure = failureOut(*s.Failure)
	}
	out.Effective.Profile = subscription.ProfileOf(s, e.tenant)
	if p, ok := a.opts.Profiles.Get(out.Effective.Profile); ok {
		out.Effective.TimeoutSeconds = int(p.TimeoutFor(s) / time.Second)
		out.Effective.Retry = *retryOut(p.RetryFor(s))
		out.Effective.Failure = FailurePolicy{Kind: string(subscription.FailureNever)}
		if f := p.FailureFor(s); f != nil {
			out.Effective.Failure = *failureOut(*f)
		}
	}
	return out
}

func setRetry(s *subscription.Subscription, in *RetryPolicy) error {
	if in == nil {
		s.Retry = nil
		return nil
	}
	var err error
	s.Retry, err = in.policy()
	return err
}

func setFailure(s *subscription.Subscription, in *FailurePolicy) error {
	if in == nil {
		s.Failure = nil
		return nil
	}
	var err error
	s.Failure, err = in.policy()
	return err
}
