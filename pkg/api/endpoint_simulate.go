package api

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/transform"
)

// TransformationSimulateIn is a program and an event to try it on.
type TransformationSimulateIn struct {
	Code      string            `json:"code" minLength:"1" maxLength:"16384" doc:"In jq." example:".payload |= {id, total}"`
	EventType string            `json:"eventType" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Channels  *[]string         `json:"channels,omitempty" nullable:"true" maxItems:"10" uniqueItems:"true" doc:"Without effect: programs do not see them."`
	Payload   jsonObject        `json:"payload" doc:"The event's data, an object of at most 1 MiB."`
	Variables map[string]string `json:"variables,omitempty" nullable:"true" doc:"What the program has as $variables. Not those of the endpoint: they may be secret."`
}

// TransformationSimulateOut is what would be sent.
type TransformationSimulateOut struct {
	URL     string  `json:"url"`
	Payload string  `json:"payload" doc:"The payload as it would be before encryption and envelope; the event's own if nothing would be sent."`
	Method  *string `json:"method,omitempty" nullable:"true" enum:"POST,PUT"`
	Cancel  bool    `json:"cancel" doc:"Nothing would be sent."`
}

const (
	// simulateWait is how long somebody who tries a program waits for a place. A run takes 0.4 s at most.
	simulateWait = 2 * time.Second
	// simulatedEvent is the event id that all tried events have.
	simulatedEvent = "simulated"
)

// newSimulations returns the places for programs that are tried: half the processors, since trying is open to every tenant and
// deliveries may be made by the same process.
func newSimulations() chan struct{} { return make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)) }

func (a *API) simulate(ctx context.Context, in *EndpointBody, body *TransformationSimulateIn) (*answer[TransformationSimulateOut], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	with := *s
	with.Encryption = nil
	with.Transformation = &subscription.Transformation{Code: body.Code, Enabled: true, Variables: body.Variables}
	if err := problemsOfProgram(&with); err != nil {
		return nil, err
	}
	p, ok := a.opts.Profiles.Get(subscription.ProfileOf(s, called(ctx).tenant))
	if !ok {
		return nil, invalid("", "the endpoint's profile does not exist: want another")
	}
	m, err := a.tryOut(ctx, p, &with, a.simulated(s, body))
	if err != nil {
		return nil, programError(err)
	}
	if a.opts.Rules.CheckURL != nil && m.URL != s.URL {
		if err := a.opts.Rules.CheckURL(m.URL); err != nil {
			return nil, invalid("code", "url: %s", strings.TrimPrefix(err.Error(), "url: "))
		}
	}
	return &answer[TransformationSimulateOut]{Body: TransformationSimulateOut{
		URL: m.URL, Payload: string(m.Delivery.Data), Method: optional(m.Method), Cancel: m.Cancelled,
	}}, nil
}

// problemsOfProgram says what is wrong with the transformation of s alone, before it is compiled.
func problemsOfProgram(s *subscription.Subscription) error {
	var found []error
	for _, err := range unjoin(subscription.ValidateSubscription(s, nil, subscription.Rules{})) {
		if field, ok := errors.AsType[*subscription.FieldError](err); ok && strings.HasPrefix(field.Field, "transformation.") {
			found = append(found, err)
		}
	}
	return fieldErrors(errors.Join(found...), programNames)
}

// simulated is the delivery of the event that body describes.
func (a *API) simulated(s *subscription.Subscription, body *TransformationSimulateIn) *delivery.Delivery {
	message := delivery.MessageID(s.Tenant, simulatedEvent, simulatedEvent)
	return &delivery.Delivery{
		ID: delivery.ID(message, s.ID), Message: message, Subscription: s.ID, Tenant: s.Tenant, EventID: simulatedEvent,
		EventType: body.EventType, EventTime: a.opts.Now().UTC(), Data: body.Payload,
	}
}

// tryOut compiles and runs the program of s when there is a place for it.
func (a *API) tryOut(
	ctx context.Context, p *profile.Profile, s *subscription.Subscription, d *delivery.Delivery,
) (profile.Message, error) {
	waiting, cancel := context.WithTimeout(ctx, simulateWait)
	defer cancel()
	select {
	case a.simulations <- struct{}{}:
		defer func() { <-a.simulations }()
		maker, err := p.Maker(s)
		if err != nil {
			return profile.Message{}, err
		}
		return maker.Message(ctx, d)
	case <-waiting.Done():
		return profile.Message{}, refuse(http.StatusServiceUnavailable, "busy", "too many transformations are being tried: try again in a moment")
	}
}

// programError is 422 for what a program is, does or makes wrongly, and err otherwise.
func programError(err error) error {
	if syntax, ok := errors.AsType[*transform.SyntaxError](err); ok {
		return invalid("code", "%s", strings.TrimPrefix(syntax.Error(), "transformation: "))
	}
	failed, ok := errors.AsType[*transform.Error](err)
	switch {
	case !ok:
		return err
	case failed.Kind == transform.KindInput:
		return invalid("payload", "%s", failed.Detail)
	}
	return invalid("code", "%s", strings.TrimPrefix(failed.Error(), "transformation: "))
}
