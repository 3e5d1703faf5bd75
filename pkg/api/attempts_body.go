package api

import (
	"cmp"
	"math"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// messageStatus is what became of an attempt, or of an event at an endpoint, in the numbers of the Svix API.
type messageStatus int

const (
	statusSuccess messageStatus = iota
	statusPending
	statusFail
	statusSending
	statusCanceled
)

// Text is the status in a word.
func (s messageStatus) text() string {
	return [...]string{"success", "pending", "fail", "sending", "canceled"}[s]
}

// attemptStatus is the status of a row; false if it is none that a list of attempts has: one that says that a delivery waits,
// or ended without another attempt.
func attemptStatus(result outcome.Result, v outcome.Verdict, reason outcome.Reason, expanded bool) (messageStatus, bool) {
	switch {
	case result == outcome.ResultSuccess:
		return statusSuccess, true
	case result != outcome.ResultNone:
		return statusFail, true
	case reason == outcome.ReasonNotSent && !expanded:
		return statusSuccess, true
	case reason == outcome.ReasonNotSent, v == outcome.Cancelled && expanded:
		return statusCanceled, true
	}
	return statusFail, false
}

// endpointStatus is what became of an event at an endpoint, by the last row of it.
func endpointStatus(o *outcome.Outcome, expanded bool) messageStatus {
	switch o.Verdict {
	case outcome.Delivered:
		if o.Reason == outcome.ReasonNotSent && expanded {
			return statusCanceled
		}
		return statusSuccess
	case outcome.Retry, outcome.Parked:
		return statusPending
	case outcome.Cancelled:
		if expanded {
			return statusCanceled
		}
	case outcome.Dead:
	}
	return statusFail
}

// StatusOut is a status, as a number and in a word.
type StatusOut struct {
	Status     messageStatus `json:"status" enum:"0,1,2,3,4"`
	StatusText string        `json:"statusText" enum:"success,pending,fail,sending,canceled"`
}

func statusOut(s messageStatus) StatusOut { return StatusOut{s, s.text()} }

// MessageAttemptOut is an attempt.
type MessageAttemptOut struct {
	ID                 string `json:"id" example:"atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	MsgID              string `json:"msgId" example:"msg_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	EndpointID         string `json:"endpointId" example:"ep_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	URL                string `json:"url" doc:"Where it went, without what may be secret in it."`
	Response           string `json:"response" doc:"The start of the response's body, or why there is no response."`
	ResponseStatusCode int    `json:"responseStatusCode" doc:"0 without a response."`
	ResponseDurationMs int64  `json:"responseDurationMs"`
	StatusOut
	TriggerType int         `json:"triggerType" enum:"0,1" doc:"0 for what the event itself led to, 1 for what somebody asked for."`
	Timestamp   time.Time   `json:"timestamp" doc:"When it started."`
	Msg         *MessageOut `json:"msg,omitempty"`
}

// attemptID is the id of a row: of one that is no attempt, that of the attempt that was not made.
func attemptID(o *outcome.Outcome) ident.ID {
	id, _ := ident.ParseBase62(delivery.IDPrefix, o.Delivery) // a row that has none is found by no id
	n := o.Attempt
	if !o.Attempted() {
		n++
	}
	return delivery.AttemptID(id, delivery.Trigger{Kind: o.Trigger, ID: o.TriggerID}, n)
}

// attemptOut shows a row. fallback is the URL of one that has none.
func attemptOut(o *outcome.Outcome, fallback string, content, expanded bool) MessageAttemptOut {
	status, _ := attemptStatus(o.Result, o.Verdict, o.Reason, expanded)
	out := MessageAttemptOut{
		ID: attemptID(o).Base62(attemptPrefix), MsgID: o.Message, EndpointID: o.Subscription.Base62(subscription.SubscriptionPrefix),
		URL: cmp.Or(o.URL, fallback), ResponseStatusCode: o.Status, ResponseDurationMs: int64(math.Round(o.DurationMS)),
		StatusOut: statusOut(status), Timestamp: o.At.UTC(),
	}
	if o.Trigger != delivery.TriggerEvent {
		out.TriggerType = 1
	}
	if content {
		out.Response = o.ResponseBody
		if o.Status == 0 {
			out.Response = cmp.Or(o.Detail, string(o.Reason))
		}
	}
	return out
}

// HeadersOut are the headers of an attempt.
type HeadersOut struct {
	SentHeaders     map[string]string `json:"sentHeaders" nullable:"false" doc:"Always empty: they are not kept."`
	ResponseHeaders [][]string        `json:"responseHeaders" nullable:"true" doc:"Pairs of name and value; null without a response, or if they are not kept."`
	Sensitive       []string          `json:"sensitive" nullable:"false" doc:"Names of those whose values are not kept."`
}

func headersOut(o *outcome.Outcome) HeadersOut {
	out := HeadersOut{SentHeaders: map[string]string{}, Sensitive: []string{}}
	for name, v := range o.ResponseHeaders.All() {
		out.ResponseHeaders = append(out.ResponseHeaders, []string{name, v})
		if v == outcome.RedactedValue {
			out.Sensitive = append(out.Sensitive, name)
		}
	}
	return out
}

// EndpointMessageOut is an event and what became of it at an endpoint.
type EndpointMessageOut struct {
	MessageOut
	StatusOut
	NextAttempt *time.Time `json:"nextAttempt,omitempty" doc:"When it is tried again."`
}

// MessageEndpointOut is an endpoint and what became of an event there.
type MessageEndpointOut struct {
	ID           string     `json:"id" example:"ep_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	UID          *string    `json:"uid,omitempty"`
	URL          string     `json:"url"`
	Description  string     `json:"description"`
	Disabled     bool       `json:"disabled"`
	ThrottleRate *int       `json:"throttleRate,omitempty"`
	EventTypes   []string   `json:"eventTypes,omitempty"`
	Channels     []string   `json:"channels,omitempty"`
	CreatedAt    time.Time  `json:"createdAt"`
	UpdatedAt    time.Time  `json:"updatedAt"`
	NextAttempt  *time.Time `json:"nextAttempt,omitempty" doc:"When it is tried again."`
	StatusOut
}

func messageEndpointOut(s *subscription.Subscription, last *outcome.Outcome) MessageEndpointOut {
	return MessageEndpointOut{
		ID: endpointID(s), UID: optional(s.UID), URL: s.URL, Description: s.Description, Disabled: s.Disabled,
		ThrottleRate: optional(s.ThrottleRate), EventTypes: s.EventTypes, Channels: s.Channels, CreatedAt: s.Created,
		UpdatedAt: s.Updated, NextAttempt: last.Due, StatusOut: statusOut(endpointStatus(last, false)),
	}
}
