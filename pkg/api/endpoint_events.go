package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// WindowInput says of which time the events are, and of which types.
type WindowInput struct {
	ListInput
	From       time.Time `query:"from" doc:"Only events that were first tried at this time or later, RFC 3339."`
	To         time.Time `query:"to" doc:"Only events that were first tried before it, RFC 3339."`
	EventTypes []string  `query:"event_types,explode" maxItems:"250" doc:"Only events of these types; repeated, or separated by commas."`
}

// EndpointEventList narrows the events of an endpoint.
type EndpointEventList struct {
	EndpointPath
	WindowInput
	ContentInput
}

// EndpointEventOut is an event that an endpoint was meant to get.
type EndpointEventOut struct {
	ID         string    `json:"id" example:"msg_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	EventID    string    `json:"eventId" doc:"The event's own id, or the one that was made for it."`
	EventType  string    `json:"eventType" example:"contact.created"`
	EventTime  time.Time `json:"eventTime" doc:"When it happened, as the event says."`
	Channels   []string  `json:"channels,omitempty"`
	DeliveryID string    `json:"deliveryId" example:"dlv_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	// First is what the endpoint's log begins with for it.
	First   FirstOut   `json:"first" doc:"What came first of it: its first attempt, or what there was instead of one."`
	Payload jsonObject `json:"payload,omitempty" doc:"The event's data, left out if it was not asked for; {\"expired\":true} if Kafka does not have it any more."`
}

// FirstOut is what came first of an event at an endpoint.
type FirstOut struct {
	At         time.Time       `json:"at" doc:"When the first attempt started, or it was decided that there is none."`
	Verdict    outcome.Verdict `json:"verdict" enum:"delivered,retry,dead,cancelled,parked" doc:"cancelled if it is not tried at all; the reason is disabled for one of while the endpoint was."`
	Reason     outcome.Reason  `json:"reason" example:"delivered"`
	Result     outcome.Result  `json:"result" example:"success"`
	StatusCode *int            `json:"statusCode,omitempty"`
}

func (a *API) endpointEvents() {
	register(a, viewedBelow("/events", "postrider.endpoint.list-events", "List all events of a time window", "Every event that was to be sent to the endpoint, each once, whatever became of it; where the profile records "+
		"them, as flexengage does, also those of while it was disabled. The oldest first, of the last 7 days unless the installation "+
		"keeps more. An attempt is listed when it has ended, up to a minute after it started: who asks window by window begins "+
		"the next one a few minutes before the end of the last."), a.listEndpointEvents)
}

// query asks for the first rows of the deliveries of a window.
func (in *WindowInput) query(a *API, tenant, sub ident.ID, prefix string) (q rowQuery, err error) {
	q.Subscription, q.Before, q.AllRows = sub, in.To, true
	if !in.From.IsZero() {
		q.After = in.From.Truncate(time.Millisecond).Add(-time.Millisecond) // rows are of a millisecond, and After is left out
	}
	if q.Limit, q.Iterator, q.backwards, err = in.parse(prefix); err != nil {
		return q, err
	}
	q.OldestFirst = in.descending() == q.backwards
	if q.EventTypes, err = eventTypeNames(in.EventTypes); err != nil {
		return q, err
	}
	types := q.EventTypes
	q.narrow = func(ctx context.Context, rows []foundRow) ([]foundRow, error) {
		rows = slices.DeleteFunc(rows, func(r foundRow) bool { return len(types) > 0 && !slices.Contains(types, r.row.EventType) })
		return a.firstRows(ctx, tenant, rows)
	}
	return q, nil
}

// window returns the first rows of a window and, if it is asked for, what was delivered: nil where it is not known any more.
func (a *API) window(ctx context.Context, tenant ident.ID, q rowQuery, content bool) (rowPage, []pipeline.ReadEvent, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	page, err := a.rows(ctx, tenant, q)
	if err != nil {
		return page, nil, a.away(ctx, "listing the events of an endpoint", err)
	}
	if !content {
		return page, nil, nil
	}
	read, err := a.delivered(ctx, tenant, page.rows)
	if err != nil {
		return page, nil, a.away(ctx, "reading the events of an endpoint", err)
	}
	page.cut(len(read))
	return page, read, nil
}

// delivered reads what rows are about, from the records that were tried, of as many of the first rows as one request may read.
func (a *API) delivered(ctx context.Context, tenant ident.ID, rows []foundRow) ([]pipeline.ReadEvent, error) {
	entries := make([]view.EventEntry, len(rows))
	for i, r := range rows {
		id, _ := messageID(r.row.Message) // no record is of the zero id
		entries[i] = view.EventEntry{Tenant: tenant, Message: id, Position: r.row.Record, Type: r.row.EventType}
	}
	return a.read(ctx, entries, true)
}

func (a *API) listEndpointEvents(ctx context.Context, in *EndpointEventList) (*answer[List[EndpointEventOut]], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	tenant := called(ctx).tenant.ID
	q, err := in.query(a, tenant, s.ID, attemptPrefix)
	if err != nil {
		return nil, err
	}
	page, read, err := a.window(ctx, tenant, q, in.WithContent.wanted())
	if err != nil {
		return nil, err
	}
	out := make([]EndpointEventOut, len(page.rows))
	for i, r := range page.rows {
		o := r.row
		out[i] = EndpointEventOut{
			ID: o.Message, EventID: o.EventID, EventType: o.EventType, EventTime: o.EventTime, Channels: o.Channels, DeliveryID: o.Delivery,
			First: FirstOut{At: o.At.UTC(), Verdict: o.Verdict, Reason: o.Reason, Result: o.Result, StatusCode: optional(o.Status)},
		}
		if read != nil {
			out[i].Payload = payloadOf(&read[i])
		}
	}
	return viewAnswer(ctx, a, rowList(attemptPrefix, &q, &page, out), page.expired), nil
}

// payloadOf is an event's data as this API shows it.
func payloadOf(e *pipeline.ReadEvent) jsonObject {
	if e.Event == nil {
		return jsonObject(`{"expired":true}`)
	}
	return asObject(e.Event.Payload)
}

// brandOf is a tenant's name in flexEngage's API.
func brandOf(t *subscription.Tenant) string { return cmp.Or(t.UID, t.ID.UUID()) }
