package api

import (
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
)

// DeadLetterOut is a delivery that is not attempted any more unless someone redrives it.
type DeadLetterOut struct {
	ID         string    `json:"id" doc:"The delivery's." example:"dlv_000000PaRcqoJBzlIqAV396lCsH"`
	AppID      *string   `json:"appId,omitempty" doc:"Absent, as all that describes a delivery, from a record that is none: its reason is undecodable."`
	EndpointID *string   `json:"endpointId,omitempty"`
	MessageID  *string   `json:"msgId,omitempty"`
	EventType  *string   `json:"eventType,omitempty" example:"contact.created"`
	Reason     string    `json:"reason" doc:"Why it was given up." example:"exhausted"`
	Result     *string   `json:"result,omitempty" doc:"What the last attempt came to." example:"server_error"`
	Status     *int      `json:"status,omitempty" doc:"Of the last response; absent without one." example:"503"`
	Attempts   int       `json:"attempts" doc:"How many were made."`
	Timestamp  time.Time `json:"timestamp" doc:"When it was given up."`
}

// DeadLetterDetailOut is one with its event.
type DeadLetterDetailOut struct {
	DeadLetterOut
	Detail      *string    `json:"detail,omitempty" doc:"More about the failure, for people."`
	EventID     *string    `json:"eventId,omitempty"`
	EventTime   *time.Time `json:"eventTime,omitempty"`
	Trigger     *string    `json:"trigger,omitempty" doc:"Why it was sent: event, or resend, recover, replay or test, and an id."`
	ContentType *string    `json:"contentType,omitempty"`
	Payload     jsonObject `json:"payload" doc:"The event's data; {\"expired\":true} if Kafka does not have it any more. What is no object is shown as {\"data\": …}, what is no JSON as {\"data_base64\": …}."`
}

// DeadLetterHistoryOut is one with its event and what was tried.
type DeadLetterHistoryOut struct {
	DeadLetterDetailOut
	History         []DeadLetterAttemptOut `json:"history" nullable:"false" doc:"What was tried since the event, or since the last redrive, oldest first."`
	HistoryComplete bool                   `json:"historyComplete" doc:"False if outcomes of that time are gone, or too many to be looked through."`
}

// DeadLetterAttemptOut is an attempt, a park or a cancellation.
type DeadLetterAttemptOut struct {
	Timestamp    time.Time `json:"timestamp"`
	Attempt      int       `json:"attempt"`
	Trigger      string    `json:"trigger"`
	Verdict      string    `json:"verdict"`
	Reason       string    `json:"reason"`
	Result       string    `json:"result"`
	Status       *int      `json:"status,omitempty"`
	Detail       *string   `json:"detail,omitempty"`
	DurationMS   float64   `json:"durationMs"`
	ResponseBody *string   `json:"responseBody,omitempty" doc:"Its start."`
}

// DeadLetterCauseOut is a group of dead letters.
type DeadLetterCauseOut struct {
	AppID      *string       `json:"appId,omitempty"`
	EndpointID *string       `json:"endpointId,omitempty"`
	Reason     string        `json:"reason"`
	Result     *string       `json:"result,omitempty"`
	Status     *int          `json:"status,omitempty"`
	Count      int           `json:"count"`
	First      time.Time     `json:"first"`
	Last       time.Time     `json:"last"`
	Example    DeadLetterOut `json:"example" doc:"The newest."`
}

func deadLetterOut(l *letter.Dead) DeadLetterOut {
	return DeadLetterOut{
		ID: l.ID.Base62(delivery.IDPrefix), AppID: named(l.Tenant, subscription.TenantPrefix),
		EndpointID: named(l.Subscription, subscription.SubscriptionPrefix), MessageID: named(l.Message, delivery.MessagePrefix),
		EventType: optional(l.Type()), Reason: string(l.Reason()), Result: optional(string(l.Result())), Status: optional(int(l.Status)),
		Attempts: int(l.Attempts), Timestamp: l.Time(),
	}
}

// named is the written form of an id, nil for the zero one.
func named(id ident.ID, prefix string) *string {
	if id.IsZero() {
		return nil
	}
	return new(id.Base62(prefix))
}

func deadLetterDetail(l pipeline.DeadLetter) DeadLetterDetailOut {
	out := DeadLetterDetailOut{DeadLetterOut: deadLetterOut(l.Dead), Payload: jsonObject(`{"expired":true}`)}
	if l.Found {
		out.Payload, out.Detail = asObject(l.Value), optional(l.Detail)
	}
	if d := l.Delivery; d != nil {
		out.EventID, out.EventTime, out.Trigger = optional(d.EventID), optional(d.EventTime), optional(d.Trigger.String())
		out.ContentType = optional(d.ContentType)
	}
	return out
}

func deadLetterAttempt(o outcome.Outcome) DeadLetterAttemptOut {
	return DeadLetterAttemptOut{
		Timestamp: o.At, Attempt: o.Attempt, Trigger: string(o.Trigger), Verdict: string(o.Verdict), Reason: string(o.Reason),
		Result: string(o.Result), Status: optional(o.Status), Detail: optional(o.Detail), DurationMS: o.DurationMS,
		ResponseBody: optional(o.ResponseBody),
	}
}
