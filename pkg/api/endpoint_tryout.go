package api

import (
	"context"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
)

// TestEventIn is an event that is made up to try an endpoint.
type TestEventIn struct {
	EventType string     `json:"eventType" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Payload   jsonObject `json:"payload" doc:"The event's data, an object of at most 1 MiB."`
}

func (a *API) endpointTestEvents() {
	r := below(http.MethodPost, "/send-test", "postrider.endpoint.send-test", "Send a made-up event to an endpoint", access.SendExample,
		"As …/send-example, with a payload of the caller's. It is not checked against the schema of its event type.")
	r.status, r.versioned, r.maxBody = http.StatusAccepted, false, maxMessageBody
	registerBody(a, r, a.sendTest)
}

func (a *API) sendTest(ctx context.Context, in *EndpointBody, body *TestEventIn) (*answer[MessageOut], error) {
	et, ok := called(ctx).snap.EventType(body.EventType)
	if !ok {
		return nil, invalid("eventType", "%s", unknownEventType(called(ctx).snap, body.EventType))
	}
	return a.sendAlone(ctx, in.Endpoint, et.Name, body.Payload)
}
