package api

import (
	"context"

	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// TimingsOut are the steps of an attempt in milliseconds. Those of the connection are 0 on one that was kept from before.
type TimingsOut struct {
	QueueMs     float64 `json:"queueMs" doc:"From when the delivery could be tried to the start of the attempt."`
	DNSMs       float64 `json:"dnsMs" doc:"Looking up the name."`
	ConnectMs   float64 `json:"connectMs" doc:"Making the connection."`
	TLSMs       float64 `json:"tlsMs" doc:"The TLS handshake."`
	FirstByteMs float64 `json:"firstByteMs" doc:"From the start of the attempt to the first byte of the response; 0 without one."`
	DurationMs  float64 `json:"durationMs" doc:"From the start of the attempt to the last byte of the response."`
}

// AttemptDetailOut is all that is known of an attempt, with its endpoint and how long its steps took.
type AttemptDetailOut struct {
	AttemptDetail
	EndpointID               string     `json:"endpointId" example:"ep_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	Timings                  TimingsOut `json:"timings"`
	ResponseHeadersTruncated bool       `json:"responseHeadersTruncated,omitempty" doc:"Some of the response's headers are not there, as they are many or long."`
}

func (a *API) attemptDetails() {
	register(a, viewed("/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/detail", "postrider.message-attempt.detail", tagAttempt,
		"Get all that is known of an attempt", "Why it came to what it did, what follows, how long its steps took and what was answered. "+
			"Of the request's headers none are kept."), a.getAttemptDetail)
}

func (a *API) getAttemptDetail(ctx context.Context, in *AttemptPath) (*answer[AttemptDetailOut], error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	o, err := a.attempt(ctx, in)
	if err != nil {
		return nil, err
	}
	at := view.Attempt{Time: o.At.UTC(), Status: o.Status, Result: o.Result, Verdict: o.Verdict, Reason: o.Reason}
	out := AttemptDetailOut{
		AttemptDetail: attemptDetail(at, o), EndpointID: o.Subscription.Base62(subscription.SubscriptionPrefix), Timings: timingsOut(o),
		ResponseHeadersTruncated: o.ResponseHeadersTruncated,
	}
	return viewAnswer(ctx, a, out, 0), nil
}

func timingsOut(o *outcome.Outcome) TimingsOut {
	return TimingsOut{
		QueueMs: o.QueueMS, DNSMs: o.DNSMS, ConnectMs: o.ConnectMS, TLSMs: o.TLSMS, FirstByteMs: o.FirstByteMS, DurationMs: o.DurationMS,
	}
}
