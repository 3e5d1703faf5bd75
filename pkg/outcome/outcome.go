// Package outcome holds the record of an attempt and its verdict, the closed sets of results and reasons that analysts
// group by, and the endpoint state that is folded from outcomes.
package outcome

import (
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
)

// Version is the version of the record's schema, in every record.
const Version = 1

// Verdict is what an attempt's result leads to.
type Verdict string

// Verdicts.
const (
	// Delivered: the endpoint accepted it. Final.
	Delivered Verdict = "delivered"
	// Retry: it will be tried again at Due.
	Retry Verdict = "retry"
	// Dead: it will not be attempted again unless someone redrives it.
	Dead Verdict = "dead"
	// Cancelled: nobody wants it any more. Final.
	Cancelled Verdict = "cancelled"
	// Parked: put back without an attempt; recorded for the first park after an attempt only.
	Parked Verdict = "parked"
)

// Result classifies what one HTTP request came to. It is a closed set: field of the outcome and metric label.
type Result string

// Results of an attempt. ResultNone is the result of a record without an attempt (parked, cancelled, not sent).
const (
	ResultNone        Result = "none"
	ResultSuccess     Result = "success"      // accepted by the profile's success rule
	ResultRedirect    Result = "redirect"     // 3xx, never followed
	ResultClientError Result = "client_error" // 4xx but 410 and 429
	ResultGone        Result = "gone"         // 410: the endpoint wants to be disabled
	ResultThrottled   Result = "throttled"    // 429
	ResultServerError Result = "server_error" // 5xx and every other status
	ResultTimeout     Result = "timeout"      // the total deadline passed, in whatever phase
	ResultDNS         Result = "dns"          // the name did not resolve
	ResultRefused     Result = "refused"      // nothing listens
	ResultUnreachable Result = "unreachable"  // no route, or another failure to connect
	ResultReset       Result = "reset"        // the connection broke before the response was complete
	ResultTLS         Result = "tls"          // handshake or certificate
	ResultProtocol    Result = "protocol"     // no HTTP, or a response over its limits
	ResultBlocked     Result = "blocked"      // the address guard refused every address of the host
	ResultRequest     Result = "request"      // no request could be made: bad URL, header, secret or envelope
	// ResultAuthorization: no access token could be had, so no request was made. Not a 401, which is a client error.
	ResultAuthorization Result = "authorization"
	// ResultProxy: the forward proxy could not be asked, or refused. It says nothing of the endpoint, so no failure policy
	// counts it. A proxy that could not get to the endpoint is [ResultUnreachable].
	ResultProxy Result = "proxy"
	// ResultTransformation: the subscription's transformation made no request of the event, so none was made. It is the
	// program's fault, not the endpoint's.
	ResultTransformation Result = "transformation"
)

// Unhealthy reports whether r says that the endpoint as a whole is not well, rather than that it refuses this delivery:
// what opens its breaker. A token endpoint that gives no token counts as a name server that gives no address does: it
// is not the endpoint's fault, but nothing can be delivered, and an open breaker keeps the deliveries' tries for later. So
// does a forward proxy that fails.
func (r Result) Unhealthy() bool {
	switch r {
	case ResultThrottled, ResultServerError, ResultTimeout, ResultDNS, ResultRefused, ResultUnreachable, ResultReset,
		ResultTLS, ResultProtocol, ResultBlocked, ResultAuthorization, ResultProxy:
		return true
	case ResultNone, ResultSuccess, ResultRedirect, ResultClientError, ResultGone, ResultRequest, ResultTransformation:
		return false
	}
	return false
}

// Results lists every Result, for metrics and schemas.
func Results() []Result {
	return []Result{
		ResultNone, ResultSuccess, ResultRedirect, ResultClientError, ResultGone, ResultThrottled, ResultServerError,
		ResultTimeout, ResultDNS, ResultRefused, ResultUnreachable, ResultReset, ResultTLS, ResultProtocol,
		ResultBlocked, ResultRequest, ResultAuthorization, ResultProxy, ResultTransformation,
	}
}

// Reason says why the verdict is what it is. It is a closed set: field of the outcome, header of retry and dead-letter
// records and metric label.
type Reason string

// Reasons.
const (
	ReasonDelivered    Reason = "delivered"     // verdict delivered
	ReasonNotSent      Reason = "not_sent"      // delivered: the transformation cancelled it, so that nothing was sent
	ReasonFailed       Reason = "failed"        // retry: the attempt failed, the policy gives another
	ReasonRetryAfter   Reason = "retry_after"   // retry: as ReasonFailed, and the endpoint said when
	ReasonExhausted    Reason = "exhausted"     // dead: the policy's tries are used up
	ReasonExpired      Reason = "expired"       // dead: the next try would be after the policy's age limit
	ReasonNotRetryable Reason = "not_retryable" // dead: the profile does not retry such a result, or no try can help
	ReasonGone         Reason = "gone"          // dead: 410, the subscription was disabled
	ReasonAborted      Reason = "aborted"       // dead: the endpoint asked to stop trying this one
	// ReasonRetriesSuspended: dead, a retry while the failure policy suspends retries.
	ReasonRetriesSuspended Reason = "retries_suspended"
	ReasonUndecodable      Reason = "undecodable"  // dead: the internal record could not be read
	ReasonBreakerOpen      Reason = "breaker_open" // parked
	ReasonRateLimited      Reason = "rate_limited" // parked
	ReasonLaneFull         Reason = "lane_full"    // parked: diverted
	ReasonTenantShare      Reason = "tenant_share" // parked: diverted
	ReasonWindowFull       Reason = "window_full"  // parked: diverted, the commit metadata would overflow
	ReasonNoProfile        Reason = "no_profile"   // parked: this process does not have the subscription's profile
	ReasonNoKey            Reason = "no_key"       // parked: this process has not the key of the subscription's secrets
	ReasonPaused           Reason = "paused"       // parked: an operator paused the subscription or its tenant
	ReasonDeleted          Reason = "deleted"      // cancelled: subscription or tenant is gone
	ReasonDisabled         Reason = "disabled"     // cancelled: subscription is disabled
	ReasonRedrive          Reason = "redrive"      // header only: someone put a dead letter back
	// ReasonFailing is of no outcome, but of an automatic disabling: the failure policy's measure is full.
	ReasonFailing Reason = "failing"
)

// Reasons lists every Reason, for metrics and schemas.
func Reasons() []Reason {
	return []Reason{
		ReasonDelivered, ReasonNotSent, ReasonFailed, ReasonRetryAfter, ReasonExhausted, ReasonExpired, ReasonNotRetryable, ReasonGone,
		ReasonAborted, ReasonRetriesSuspended, ReasonUndecodable, ReasonBreakerOpen, ReasonRateLimited, ReasonLaneFull, ReasonTenantShare, ReasonWindowFull,
		ReasonNoProfile, ReasonNoKey, ReasonPaused,
		ReasonDeleted, ReasonDisabled, ReasonRedrive, ReasonFailing,
	}
}

// Redaction names a member of an outcome that does not hold all that there was. It is a closed set.
type Redaction string

// Redactions.
const (
	RedactedURL             Redaction = "url"              // there was a query or userinfo
	RedactedResponseBody    Redaction = "response_body"    // the installation or the subscription keeps none
	RedactedResponseHeaders Redaction = "response_headers" // none is kept, or the values of some are not
)

// Redactions lists every Redaction, for schemas.
func Redactions() []Redaction {
	return []Redaction{RedactedURL, RedactedResponseBody, RedactedResponseHeaders}
}

// Outcome is the record of an attempt and its verdict. One is written per attempt, first park, cancellation and delivery that is
// not sent; its
// unique key is (Delivery, Trigger, TriggerID, Attempt, Pass). It holds no payload and no secret.
type Outcome struct {
	Version      int                  `json:"version"`
	Delivery     string               `json:"delivery"` // dlv_…
	Message      string               `json:"message"`  // msg_…, webhook-id on the wire
	EventID      string               `json:"event_id"`
	EventType    string               `json:"event_type"`
	EventTime    time.Time            `json:"event_time"`
	Channels     []string             `json:"channels,omitempty"` // of the event
	Tenant       ident.ID             `json:"tenant"`
	Subscription ident.ID             `json:"subscription"`
	Profile      string               `json:"profile,omitempty"`
	Trigger      delivery.TriggerKind `json:"trigger"`
	TriggerID    string               `json:"trigger_id,omitempty"`
	// Attempt counts from 1; for rows without an attempt it is the number of those made so far.
	Attempt int     `json:"attempt"`
	Pass    int     `json:"pass"`
	Verdict Verdict `json:"verdict"`
	Reason  Reason  `json:"reason"`
	Result  Result  `json:"result"`
	// Status is the HTTP status code, 0 without a response.
	Status int `json:"status,omitempty"`
	// Detail is a short text of the failure, without secrets.
	Detail string `json:"detail,omitempty"`
	// URL is the subscription's without userinfo and, unless the installation wants it, without query; also where a
	// transformation made another.
	URL string `json:"url,omitempty"`
	// At is when the attempt started, or when the row was decided.
	At time.Time `json:"at"`
	// DurationMS is from the start of the attempt to the last byte read, in milliseconds.
	DurationMS float64 `json:"duration_ms"`
	// QueueMS is from the record's readiness to the start of the attempt, in milliseconds.
	QueueMS float64 `json:"queue_ms"`
	// DNSMS, ConnectMS and TLSMS are how long the steps of opening the attempt's connection took, in milliseconds; 0 for
	// one that was not made or not finished, as on a kept connection. Through a forward proxy they are of the way to it.
	DNSMS     float64 `json:"dns_ms,omitempty"`
	ConnectMS float64 `json:"connect_ms,omitempty"`
	TLSMS     float64 `json:"tls_ms,omitempty"`
	// FirstByteMS is from the start of the attempt to the first byte of the response, in milliseconds; 0 without one.
	FirstByteMS float64 `json:"first_byte_ms,omitempty"`
	// Due is when the next attempt starts, for retry and parked.
	Due *time.Time `json:"due,omitempty"`
	// First is when the first attempt of the trigger started.
	First *time.Time `json:"first,omitempty"`
	// ResponseBody is the start of the response body, at most 1 KiB of valid UTF-8.
	ResponseBody      string `json:"response_body,omitempty"`
	ResponseTruncated bool   `json:"response_truncated,omitempty"`
	// ResponseHeaders is the response's header without what concerns one connection alone, and without the values of what
	// is likely to be a secret; see [AppendHeader].
	ResponseHeaders Headers `json:"response_headers,omitempty"`
	// ResponseHeadersTruncated means that some fields are not there, as they are many or long.
	ResponseHeadersTruncated bool `json:"response_headers_truncated,omitempty"`
	// Redacted lists what is not there, or not whole, on purpose.
	Redacted []Redaction       `json:"redacted,omitempty"`
	Source   delivery.Position `json:"source"`           // where the event was read
	Record   delivery.Position `json:"record"`           // the deliveries record that was tried
	Registry int64             `json:"registry_version"` // the version it was matched with
	// Generation is the subscription's generation at the attempt.
	Generation int64 `json:"generation"`
	// BodySHA256 is the hex SHA-256 of the request body, for attempts.
	BodySHA256 string `json:"body_sha256,omitempty"`
}

// Attempted reports whether o is the record of an attempt, not of a park or a cancellation.
func (o *Outcome) Attempted() bool { return o.Result != ResultNone }

// OfEndpoint reports whether o says how the endpoint does: an attempt, unless it ended in the subscription's own program. No
// breaker opens or closes for that, and no failure policy counts it.
func (o *Outcome) OfEndpoint() bool { return o.Attempted() && o.Result != ResultTransformation }

// Read reads a record of outcomes. One of a newer form is an error that wraps [form.ErrNewer].
func Read(value []byte) (*Outcome, error) {
	o := new(Outcome)
	return o, form.Read(value, o, &o.Version, Version)
}
