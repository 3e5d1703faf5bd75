package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
)

// Sender sends events to one subscription alone: [pipeline.Publisher] is one.
type Sender interface {
	// SendTo returns when the delivery cannot be lost any more. The subscription need not want events of that type.
	SendTo(
		ctx context.Context, tenant *subscription.Tenant, sub *subscription.Subscription, eventType string, payload json.RawMessage,
	) (pipeline.Published, error)
}

var _ Sender = (*pipeline.Publisher)(nil)

// EventExampleIn says which example is to be sent.
type EventExampleIn struct {
	EventType    string `json:"eventType" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	ExampleIndex int    `json:"exampleIndex,omitempty" minimum:"0" doc:"Which of the schema's examples."`
}

func (a *API) endpointExamples() {
	r := below(http.MethodPost, "/send-example", "v1.endpoint.send-example", "Send an example to an endpoint", access.SendExample,
		"The example is that of the event type's schema or, if it has none, made from it. It goes to this endpoint alone, whatever "+
			"that subscribed to, signed as every event; what came of it is among the endpoint's attempts. 409 for an endpoint that is disabled or paused, and while egress is stopped.")
	r.status, r.versioned = http.StatusAccepted, false
	registerBody(a, r, a.sendExample)
}

func (a *API) sendExample(ctx context.Context, in *EndpointBody, body *EventExampleIn) (*answer[MessageOut], error) {
	et, ok := called(ctx).snap.EventType(body.EventType)
	if !ok {
		return nil, invalid("eventType", "%s", unknownEventType(called(ctx).snap, body.EventType))
	}
	payload, err := catalogue.Example(et, body.ExampleIndex)
	if err != nil {
		return nil, fieldErrors(err, nil)
	}
	return a.sendAlone(ctx, in.Endpoint, et.Name, payload)
}

// sendAlone sends an event to the endpoint of that name and to no other.
func (a *API) sendAlone(ctx context.Context, name, eventType string, payload []byte) (*answer[MessageOut], error) {
	s, err := endpointNamed(ctx, name)
	if err != nil {
		return nil, err
	}
	if s.Disabled {
		return nil, endpointDisabled()
	}
	if err := unpaused(called(ctx), s); err != nil {
		return nil, err
	}
	sent, err := a.opts.Sender.SendTo(ctx, called(ctx).tenant, s, eventType, payload)
	if err != nil {
		return nil, publishError(err)
	}
	return &answer[MessageOut]{Body: MessageOut{
		ID: sent.Message.Base62(messagePrefix), EventID: optional(sent.EventID), EventType: eventType, Payload: jsonObject(payload),
		Timestamp: sent.Time,
	}}, nil
}
