package api

import (
	"context"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
)

// FilterSimulateIn is a filter and an event to try it on.
type FilterSimulateIn struct {
	Expression string     `json:"expression" minLength:"1" maxLength:"4096" doc:"In CEL." example:"data.amount > 100"`
	EventType  string     `json:"eventType" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Channels   []string   `json:"channels,omitempty" nullable:"true" maxItems:"10"`
	Payload    jsonObject `json:"payload" doc:"The event's data, an object of at most 1 MiB."`
}

// FilterSimulateOut says what became of the event.
type FilterSimulateOut struct {
	Matches bool   `json:"matches" doc:"It would be delivered."`
	Problem string `json:"problem,omitempty" doc:"Why the filter could not be evaluated: the event would not be delivered."`
}

func (a *API) filterSimulation() {
	registerBody(a, route{
		method: http.MethodPost, path: "/app/{app_id}/filter/simulate", id: "postrider.filter.simulate", tag: tagEndpoint,
		needs: access.ManageEndpoints, summary: "Try a filter", maxBody: maxMessageBody,
		doc: "Nothing is sent and nothing is kept. An expression that is none is a 422.",
	}, a.simulateFilter)
}

func (a *API) simulateFilter(ctx context.Context, _ *AppBody, body *FilterSimulateIn) (*answer[FilterSimulateOut], error) {
	if _, err := filter.Compile(body.Expression); err != nil {
		return nil, fieldErrors(err, map[string]string{"filter": "expression"})
	}
	now := a.opts.Now().UTC()
	ev := &event.Event{
		Tenant: called(ctx).tenant.UID, Source: simulatedEvent, ID: simulatedEvent, Type: body.EventType, Time: now,
		Channels: body.Channels, ContentType: jsonType, Data: body.Payload,
	}
	sub := &subscription.Subscription{Filter: body.Expression}
	selection, problem := pipeline.Select(sub, ev, filter.NewInput(ev), &filter.Cache{})
	return &answer[FilterSimulateOut]{Body: FilterSimulateOut{Matches: selection == pipeline.Selected, Problem: problem}}, nil
}
