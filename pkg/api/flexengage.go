package api

import (
	"context"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// What flexEngage's guide says of its API is one call, with its body and one refusal, and that there is another, for the events
// of a webhook. The first is another face of the creation of an endpoint: what it makes is an endpoint as every other one. What is [chosen] beyond the guide stands in
// configs/profiles/README.md.

// flexEngageProfile is the profile of what is created so.
const flexEngageProfile = "flexengage"

// BrandCreateBody makes something below a tenant that is called a brand.
type BrandCreateBody struct {
	Brand string `path:"brandId" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The uid or id of the app."`
	WaitInput
	JSONBody
}

// WebhookIn is a subscription as flexEngage's API creates it. The guide wants https whatever the installation allows.
type WebhookIn struct {
	Endpoint string   `json:"endpoint" maxLength:"65536" pattern:"^[hH][tT][tT][pP][sS]://" patternDescription:"an https:// URL" example:"https://example.com/my/webhook/endpoint"`
	Events   []string `json:"events" nullable:"false" minItems:"1" example:"[\"NOTIFICATION.SMS.RECEIPT\"]" doc:"Event types, or patterns such as NOTIFICATION.**."`
	Enabled  *bool    `json:"enabled,omitempty" default:"true"`
}

// WebhookOut is a subscription as flexEngage's API shows it.
type WebhookOut struct {
	ID       string    `json:"id" format:"uuid" doc:"What deliveries carry as webhookId. The endpoint's operations take it, too." example:"9e21c694-ee9e-48a7-b016-522fd8ef08c1"`
	BrandID  string    `json:"brandId" doc:"As deliveries carry it." example:"yourBrandId"`
	Endpoint string    `json:"endpoint"`
	Events   []string  `json:"events" nullable:"false"`
	Enabled  bool      `json:"enabled"`
	Created  time.Time `json:"created"`
}

// webhookNames are the names of fields in flexEngage's API.
var webhookNames = map[string]string{"url": "endpoint", "eventTypes": "events"} //nolint:gochecknoglobals // a table

func (a *API) flexEngage() {
	registerBody(a, route{
		method: http.MethodPost, base: "/v1", path: "/{brandId}/webhooks", id: "postrider.flexengage.create-webhook", versioned: true,
		tag: "flexEngage", needs: access.ManageEndpoints, summary: "Create a webhook as flexEngage's guide says", status: http.StatusCreated,
		doc: "Creates an endpoint with the profile flexengage; everything else is done to it below /api/v1/app/{app_id}/endpoint/{id}, " +
			"such as getting the signing secret that was made. An address that is not https is refused with 422, also where the " +
			"installation allows http.",
	}, a.createWebhook)
	events := viewed("/{brandId}/webhooks/{id}/events", "postrider.flexengage.list-events", "flexEngage", "List all events of a webhook",
		"Every event of a time window, each once, whatever became of it, also those of while the webhook was disabled. The oldest first; "+
			"they are there for 7 days.")
	events.base = "/v1"
	register(a, events, a.listWebhookEvents)
}

func (a *API) createWebhook(ctx context.Context, in *BrandCreateBody, body *WebhookIn) (*answer[WebhookOut], error) {
	c := called(ctx)
	e := &edit{snap: c.snap, tenant: c.tenant, sub: newSubscription(c.tenant)}
	if subscription.ProfileOf(e.sub, e.tenant) != flexEngageProfile {
		e.sub.Profile = flexEngageProfile
	}
	err := a.fill(e, &EndpointIn{EndpointUpsertIn: EndpointUpsertIn{
		URL: body.Endpoint, EventTypes: body.Events, Disabled: body.Enabled != nil && !*body.Enabled,
	}})
	if err != nil {
		return nil, err
	}
	applied, err := a.save(ctx, e, WriteInput{WaitInput: in.WaitInput}, webhookNames)
	if err != nil {
		return nil, err
	}
	return &answer[WebhookOut]{ETag: etag(e.sub.Version), Applied: applied, Body: webhookOut(e)}, nil
}

func webhookOut(e *edit) WebhookOut {
	s := e.sub
	return WebhookOut{
		ID: s.ID.UUID(), BrandID: brandOf(e.tenant), Endpoint: s.URL, Events: s.EventTypes, Enabled: !s.Disabled,
		Created: s.Created,
	}
}
