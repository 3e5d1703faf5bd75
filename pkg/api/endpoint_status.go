package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/view"
)

// viewedBelow is a resource below an endpoint that is made of the views of attempts.
func viewedBelow(resource, id, summary, doc string) route {
	r := below(http.MethodGet, resource, id, summary, access.ViewTenant, doc)
	r.versioned, r.views = false, true
	return r
}

func (a *API) endpointStatuses() {
	register(a, viewedBelow("/status", "postrider.endpoint.status", "Get the status of an endpoint by event type",
		"Whether its deliveries wait because it failed too often just now, and the last attempt of every event type that was ever sent to it, and of every event type of the catalogue that it subscribed to: "+
			"null if nothing of that was sent yet."), a.endpointStatus)
	register(a, viewedBelow("/last-attempts", "postrider.endpoint.last-attempts", "Get the last attempts at an endpoint",
		"The last 50 of an event type, or of all, newest first, with the payloads if they are asked for. There are no pages: for "+
			"more there is the list of attempts."), a.lastAttempts)
	register(a, viewedBelow("/health", "postrider.endpoint.health", "Get how an endpoint does",
		"Success rate and response times of a time, the last 24 hours if left out, and of its minutes or hours. Minutes are kept for a "+
			"day, hours for a week unless the installation keeps more. Quantiles are read from a histogram and right to a factor of 1.4, "+
			"usually much better."), a.endpointHealth)
	register(a, viewedBelow("/stats", "v1.endpoint.get-stats", "Get the numbers of an endpoint's attempts",
		"Of the last 7 days, or of the hours from since to until, 60 days at most. fail has every attempt that failed, also if a later "+
			"one succeeded; canceled what was not sent because nobody wants it any more or a transformation cancelled it. pending and sending are always 0: "+
			"the views do not know what waits."), a.endpointStats)
}

// AttemptResult is what an attempt came to.
type AttemptResult struct {
	At         time.Time       `json:"at" doc:"When it started."`
	Success    bool            `json:"success"`
	StatusCode *int            `json:"statusCode" nullable:"true" doc:"null without a response."`
	Result     outcome.Result  `json:"result" doc:"Why there is no response, or the kind of response." example:"server_error"`
	Verdict    outcome.Verdict `json:"verdict" enum:"delivered,retry,dead,cancelled,parked" doc:"What followed."`
	Reason     outcome.Reason  `json:"reason" example:"exhausted"`
}

func attemptResult(at view.Attempt) AttemptResult {
	return AttemptResult{
		At: at.Time, Success: at.Result == outcome.ResultSuccess, StatusCode: optional(at.Status), Result: at.Result,
		Verdict: at.Verdict, Reason: at.Reason,
	}
}

// TypeStatusOut is how an endpoint does with one event type.
type TypeStatusOut struct {
	EventType   string                `json:"eventType" example:"contact.created"`
	LastAttempt orNull[AttemptResult] `json:"lastAttempt" doc:"null if none was made yet."`
}

// EndpointStatusOut is how an endpoint does, by event type.
type EndpointStatusOut struct {
	EventTypes []TypeStatusOut `json:"eventTypes" nullable:"false" doc:"Sorted by name."`
	Breaker    *BreakerOut     `json:"breaker,omitempty" doc:"Left out while deliveries are tried as they come."`
}

func (a *API) endpointStatus(ctx context.Context, in *EndpointPath) (*answer[EndpointStatusOut], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	c := called(ctx)
	known, err := a.opts.EndpointViews.Statuses(ctx, s.ID)
	if err != nil {
		return nil, a.away(ctx, "reading statuses", err)
	}
	breakers, err := a.breakersOf(ctx, s)
	if err != nil {
		return nil, a.away(ctx, "reading breakers", err)
	}
	out := EndpointStatusOut{EventTypes: []TypeStatusOut{}, Breaker: breakers[s.ID]}
	sent := map[string]bool{}
	for _, t := range known {
		sent[t.EventType] = true
		out.EventTypes = append(out.EventTypes, TypeStatusOut{t.EventType, orNull[AttemptResult]{new(attemptResult(t.Attempt))}})
	}
	for et := range c.snap.EventTypes() {
		if !sent[et.Name] && !et.Archived && match.Covers(s.EventTypes, et.Name) && match.Covers(c.tenant.EventTypes, et.Name) {
			out.EventTypes = append(out.EventTypes, TypeStatusOut{EventType: et.Name})
		}
	}
	slices.SortFunc(out.EventTypes, func(a, b TypeStatusOut) int { return strings.Compare(a.EventType, b.EventType) })
	return viewAnswer(ctx, a, out, 0), nil
}

// LastAttemptsInput narrows the last attempts.
type LastAttemptsInput struct {
	EndpointPath
	EventType   string `query:"event_type" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]*$" doc:"Only of this event type."`
	Limit       int    `query:"limit" minimum:"1" maximum:"50" default:"50" doc:"How many to return at most."`
	WithPayload bool   `query:"with_payload" doc:"With the data of the events."`
}

// LastAttemptsOut are the last attempts.
type LastAttemptsOut struct {
	Attempts []AttemptDetail `json:"attempts" nullable:"false" doc:"Newest first."`
}

// AttemptDetail is all that is known of an attempt.
type AttemptDetail struct {
	AttemptResult
	Expired bool `json:"expired,omitempty" doc:"Kafka does not have the rest any more."`

	ID         string               `json:"id,omitempty" example:"atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	DeliveryID string               `json:"deliveryId,omitempty" example:"dlv_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	MessageID  string               `json:"messageId,omitempty" example:"msg_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	EventID    string               `json:"eventId,omitempty"`
	EventType  string               `json:"eventType,omitempty" example:"contact.created"`
	EventTime  *time.Time           `json:"eventTime,omitempty"`
	Trigger    delivery.TriggerKind `json:"trigger,omitempty" enum:"event,resend,recover,replay,test"`
	Attempt    int                  `json:"attempt,omitempty" doc:"Counted from 1, for each trigger."`
	URL        string               `json:"url,omitempty"`
	Detail     string               `json:"detail,omitempty" doc:"More about a failure."`
	DurationMs float64              `json:"durationMs" doc:"From the start to the last byte of the response."`

	NextAttempt       *time.Time          `json:"nextAttempt,omitempty"`
	Response          string              `json:"response,omitempty" doc:"The start of the response's body."`
	ResponseTruncated bool                `json:"responseTruncated,omitempty"`
	ResponseHeaders   map[string]string   `json:"responseHeaders,omitempty"`
	Redacted          []outcome.Redaction `json:"redacted,omitempty" doc:"What is not there, or not whole, on purpose."`
	Payload           jsonObject          `json:"payload,omitempty" doc:"The event's data; {\"expired\":true} if Kafka does not have it any more."`
}

func attemptDetail(at view.Attempt, o *outcome.Outcome) AttemptDetail {
	out := AttemptDetail{AttemptResult: attemptResult(at)}
	if out.Expired = o == nil; out.Expired {
		return out
	}
	out.ID, out.DeliveryID, out.MessageID, out.EventID = attemptID(o).Base62(attemptPrefix), o.Delivery, o.Message, o.EventID
	out.EventType, out.EventTime, out.Trigger, out.Attempt = o.EventType, &o.EventTime, o.Trigger, o.Attempt
	out.URL, out.Detail, out.DurationMs, out.NextAttempt = o.URL, o.Detail, o.DurationMS, o.Due
	out.Response, out.ResponseTruncated, out.Redacted = o.ResponseBody, o.ResponseTruncated, o.Redacted
	for name, v := range o.ResponseHeaders.All() {
		if out.ResponseHeaders == nil {
			out.ResponseHeaders = map[string]string{}
		}
		out.ResponseHeaders[name] = v
	}
	return out
}

func (a *API) lastAttempts(ctx context.Context, in *LastAttemptsInput) (*answer[LastAttemptsOut], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	tenant := called(ctx).tenant.ID
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	limit := in.Limit
	if limit == 0 {
		limit = view.KeptAttempts
	}
	listed, err := a.opts.EndpointViews.LastAttempts(ctx, s.ID, in.EventType, limit)
	if err != nil {
		return nil, a.away(ctx, "listing the last attempts", err)
	}
	rows, _, err := a.readRows(ctx, tenant, s.ID, listed)
	if err != nil {
		return nil, a.away(ctx, "reading the last attempts", err)
	}
	var read []pipeline.ReadEvent
	if in.WithPayload {
		if read, err = a.delivered(ctx, tenant, rows); err != nil {
			return nil, a.away(ctx, "reading the events of the last attempts", err)
		}
	}
	out := LastAttemptsOut{Attempts: make([]AttemptDetail, 0, len(listed))}
	n := 0 // rows that were found so far
	for _, at := range listed {
		if n == len(rows) || rows[n].at != at {
			out.Attempts = append(out.Attempts, attemptDetail(at, nil))
			continue
		}
		detail := attemptDetail(at, rows[n].row)
		if in.WithPayload {
			if n == len(read) {
				break // their payloads are too much
			}
			detail.Payload = payloadOf(&read[n])
		}
		out.Attempts = append(out.Attempts, detail)
		n++
	}
	return viewAnswer(ctx, a, out, len(listed)-len(rows)), nil
}
