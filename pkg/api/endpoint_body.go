package api

import (
	"errors"
	"maps"
	"time"

	"github.com/postrider/postrider/pkg/subscription"
)

// EndpointUpsertIn is a subscription as it is replaced.
type EndpointUpsertIn struct {
	URL          string            `json:"url" minLength:"1" maxLength:"65536"`
	Description  string            `json:"description,omitempty"`
	UID          *string           `json:"uid,omitempty" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" nullable:"true"`
	ThrottleRate *int              `json:"throttleRate,omitempty" minimum:"1" maximum:"65535" nullable:"true" doc:"The most attempts a second."`
	RateLimit    *int              `json:"rateLimit,omitempty" minimum:"1" maximum:"65535" nullable:"true" deprecated:"true" doc:"Older name of throttleRate."`
	Disabled     bool              `json:"disabled,omitempty"`
	EventTypes   []string          `json:"eventTypes,omitempty" minItems:"1" nullable:"true" doc:"Event types, or patterns such as contact.*; all if left out."`
	FilterTypes  []string          `json:"filterTypes,omitempty" minItems:"1" nullable:"true" deprecated:"true" doc:"Older name of eventTypes."`
	Channels     []string          `json:"channels,omitempty" minItems:"1" maxItems:"10" nullable:"true" doc:"Only events that share one of them; all if left out."`
	Metadata     map[string]string `json:"metadata,omitempty"`
	Version      *int              `json:"version,omitempty" nullable:"true" deprecated:"true" doc:"Older clients send it; it has no effect."`
}

// EndpointIn is a subscription as it is created.
type EndpointIn struct {
	EndpointUpsertIn
	Secret  *string           `json:"secret,omitempty" nullable:"true" maxLength:"256" doc:"The signing secret, in the form of the profile. Made if left out."`
	Headers map[string]string `json:"headers,omitempty" nullable:"true" doc:"Sent with every attempt."`
}

// EndpointOut is a subscription without what is secret.
type EndpointOut struct {
	ID           string            `json:"id" example:"ep_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	UID          *string           `json:"uid,omitempty"`
	URL          string            `json:"url"`
	Description  string            `json:"description"`
	Disabled     bool              `json:"disabled"`
	ThrottleRate *int              `json:"throttleRate,omitempty"`
	EventTypes   []string          `json:"eventTypes,omitempty"`
	Channels     []string          `json:"channels,omitempty"`
	Metadata     map[string]string `json:"metadata"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
}

// EndpointPatch changes some of a subscription.
type EndpointPatch struct {
	URL          Opt[string]            `json:"url,omitzero"`
	Description  Opt[string]            `json:"description,omitzero"`
	UID          Opt[string]            `json:"uid,omitzero"`
	ThrottleRate Opt[int]               `json:"throttleRate,omitzero"`
	RateLimit    Opt[int]               `json:"rateLimit,omitzero" deprecated:"true"`
	Disabled     Opt[bool]              `json:"disabled,omitzero"`
	EventTypes   Opt[[]string]          `json:"eventTypes,omitzero"`
	FilterTypes  Opt[[]string]          `json:"filterTypes,omitzero" deprecated:"true"`
	Channels     Opt[[]string]          `json:"channels,omitzero"`
	Metadata     Opt[map[string]string] `json:"metadata,omitzero"`
	Version      Opt[int]               `json:"version,omitzero" deprecated:"true"`
}

func (in *EndpointUpsertIn) apply(s *subscription.Subscription) error {
	rate, err := throttle(in.ThrottleRate, in.RateLimit)
	if err != nil {
		return err
	}
	types := in.EventTypes
	if in.FilterTypes != nil {
		if types != nil {
			return invalid("filterTypes", "is there, and so is eventTypes: want one of them")
		}
		types = in.FilterTypes
	}
	s.URL, s.Description, s.UID, s.ThrottleRate = in.URL, in.Description, value(in.UID), rate
	s.Disabled, s.EventTypes, s.Channels, s.Metadata = in.Disabled, types, in.Channels, maps.Clone(in.Metadata)
	return nil
}

func (in *EndpointPatch) apply(s *subscription.Subscription) error {
	if err := in.check(); err != nil {
		return err
	}
	in.URL.apply(&s.URL)
	in.Description.apply(&s.Description)
	in.UID.apply(&s.UID)
	in.RateLimit.apply(&s.ThrottleRate)
	in.ThrottleRate.apply(&s.ThrottleRate)
	in.Disabled.apply(&s.Disabled)
	in.FilterTypes.apply(&s.EventTypes)
	in.EventTypes.apply(&s.EventTypes)
	in.Channels.apply(&s.Channels)
	in.Metadata.apply(&s.Metadata)
	return nil
}

// check refuses what would say something else than it seems to: null where there is nothing to go back to, and an empty
// list, since no list at all stands for everything.
func (in *EndpointPatch) check() error {
	var errs []error
	add := func(wrong bool, field, detail string) {
		if wrong {
			errs = append(errs, &subscription.FieldError{Field: field, Detail: detail})
		}
	}
	const noNull = "is null: want a value, or leave it out"
	const none = "is empty: want at least one, or null for all"
	add(in.URL.Null, "url", noNull)
	add(in.Description.Null, "description", noNull)
	add(in.Disabled.Null, "disabled", noNull)
	add(in.Metadata.Null, "metadata", noNull)
	add(in.UID.Set && !in.UID.Null && in.UID.Value == "", "uid", "is empty: want 1 to 256 bytes, or null for none")
	add(empty(in.EventTypes), "eventTypes", none)
	add(empty(in.FilterTypes), "filterTypes", none)
	add(empty(in.Channels), "channels", none)
	add(in.FilterTypes.Set && in.EventTypes.Set, "filterTypes", "is there, and so is eventTypes: want one of them")
	add(in.RateLimit.Set && in.ThrottleRate.Set, "rateLimit", "is there, and so is throttleRate: want one of them")
	return fieldErrors(errors.Join(errs...), nil)
}

func endpointOut(s *subscription.Subscription) EndpointOut {
	return EndpointOut{
		ID: endpointID(s), UID: optional(s.UID), URL: s.URL, Description: s.Description, Disabled: s.Disabled,
		ThrottleRate: optional(s.ThrottleRate), EventTypes: s.EventTypes, Channels: s.Channels, Metadata: notNil(s.Metadata),
		CreatedAt: s.Created, UpdatedAt: s.Updated,
	}
}

// empty reports whether a list is there and has nothing in it.
func empty(o Opt[[]string]) bool { return o.Set && !o.Null && len(o.Value) == 0 }
