package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/outcome"
)

// WebhookEventList narrows the events of a webhook.
type WebhookEventList struct {
	Brand    string `path:"brandId" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The uid or id of the app."`
	Endpoint string `path:"id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The webhook's id."`
	WindowInput
}

// WebhookEventOut is an event as flexEngage's webhooks deliver it, but for what is of an attempt.
type WebhookEventOut struct {
	ID        string    `json:"id" doc:"As deliveries carry it." example:"01F2SFVYVD0H873S2VRT8VQSPM"`
	BrandID   string    `json:"brandId"`
	WebhookID string    `json:"webhookId" format:"uuid"`
	Created   time.Time `json:"created"`
	Type      string    `json:"type" example:"NOTIFICATION.SMS.RECEIPT"`
	Data      anyJSON   `json:"data" doc:"As deliveries carry it; null, and expired is true, if Kafka does not have it any more."`
	Expired   bool      `json:"expired,omitempty"`
}

// anyJSON is JSON that is passed on as it is, but for white space.
type anyJSON []byte

// MarshalJSON implements [json.Marshaler].
func (v anyJSON) MarshalJSON() ([]byte, error) { return json.RawMessage(v).MarshalJSON() }

// Schema implements [huma.SchemaProvider].
func (anyJSON) Schema(huma.Registry) *huma.Schema { return &huma.Schema{} }

func (a *API) listWebhookEvents(ctx context.Context, in *WebhookEventList) (*answer[List[WebhookEventOut]], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	t := called(ctx).tenant
	q, err := in.query(a, t.ID, s.ID, attemptPrefix)
	if err != nil {
		return nil, err
	}
	page, read, err := a.window(ctx, t.ID, q, true)
	if err != nil {
		return nil, err
	}
	out := make([]WebhookEventOut, len(page.rows))
	for i, r := range page.rows {
		out[i] = WebhookEventOut{
			ID: webhookEventID(r.row), BrandID: brandOf(t), WebhookID: s.ID.UUID(), Created: r.row.EventTime, Type: r.row.EventType,
			Expired: read[i].Event == nil,
		}
		if e := read[i].Event; e != nil {
			out[i].Data = anyData(e.Payload)
		}
	}
	return viewAnswer(ctx, a, rowList(attemptPrefix, &q, &page, out), page.expired), nil
}

// webhookEventID is the id that the row's event has in flexEngage's deliveries.
func webhookEventID(o *outcome.Outcome) string {
	id, _ := messageID(o.Message) // it is one that we made
	return envelope.FlexEngageID(&delivery.Delivery{EventID: o.EventID, EventTime: o.EventTime, Message: id})
}

// anyData is data in a member of JSON: what is no JSON is a text, and nothing at all null.
func anyData(data []byte) anyJSON {
	switch {
	case len(data) == 0:
		return nil
	case json.Valid(data):
		return anyJSON(data)
	}
	text, _ := json.Marshal(string(data)) // a text always encodes
	return text
}
