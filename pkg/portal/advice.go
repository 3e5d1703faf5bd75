package portal

import (
	"fmt"
	"strconv"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/outcome"
)

// badge is what became of an attempt: a colour, which is a class of the style sheet, and a text, which says it without.
type badge struct{ Class, Text string }

// badgeOf is that of a status in the words of the API, and of a status code, 0 without a response.
func badgeOf(status string, code int) badge {
	text := "No response"
	if code > 0 {
		text = strconv.Itoa(code)
	}
	switch status {
	case "success":
		if code == 0 {
			return badge{"off", "Not sent"}
		}
		return badge{"good", "Succeeded, " + text}
	case "canceled":
		return badge{"off", "Not sent"}
	}
	if code > 0 {
		return badge{"bad", "Failed, " + text}
	}
	return badge{"bad", "Failed, no response"}
}

// resultBadge is that of what the views know of an attempt.
func resultBadge(a *api.AttemptResult) badge {
	status, code := "fail", 0
	if a.StatusCode != nil {
		code = *a.StatusCode
	}
	switch {
	case a.Result == outcome.ResultNone:
		status = "canceled"
	case a.Success:
		status = "success"
	}
	return badgeOf(status, code)
}

func detailBadge(a *api.AttemptDetail) badge { return resultBadge(&a.AttemptResult) }

// advice is what happened in plain words, what follows from it, and what the reader can do.
type advice struct{ What, Next, Do string }

// adviceFor is that of an attempt.
func adviceFor(a *api.AttemptDetail) advice {
	out := advice{What: resultWords(a.Result).What, Do: resultWords(a.Result).Do}
	if a.Result == outcome.ResultNone {
		out = reasonAdvice[a.Reason]
	}
	if out.What == "" {
		out.What = fmt.Sprintf("The attempt came to %q.", string(a.Result))
	}
	if a.StatusCode != nil {
		out = codeAdvice(out, *a.StatusCode)
	}
	if next, ok := reasonAdvice[a.Reason]; ok {
		out.Next = next.Next
	}
	return out
}

// codeAdvice is more precise where a status code says more than its class.
func codeAdvice(a advice, code int) advice {
	switch code {
	case 401, 403:
		a.What = fmt.Sprintf("The endpoint answered %d: it did not let this request in.", code)
		a.Do = "Check the authorization and the headers of this endpoint, and whether your receiver verifies the signature with the current secret."
	case 404:
		a.What = "The endpoint answered 404: there is nothing at this address."
		a.Do = "Check the path of the URL, and whether your receiver is deployed there. Then send it again."
	case 405:
		a.What = "The endpoint answered 405: it does not take POST requests."
		a.Do = "Let your receiver take POST requests at this address. Then send it again."
	case 413:
		a.What = "The endpoint answered 413: the request is too large for it."
		a.Do = "Raise the limit of the size of requests in your receiver or its proxy. Then send it again."
	}
	return a
}

func resultWords(r outcome.Result) advice { return resultAdvice[r] }

// resultAdvice says what an attempt came to and what to do about it.
//
//nolint:gochecknoglobals // a table
var resultAdvice = map[outcome.Result]advice{
	outcome.ResultSuccess:       {What: "The endpoint accepted the event."},
	outcome.ResultRedirect:      {What: "The endpoint answered with a redirect, and redirects are not followed.", Do: "Change the URL of this endpoint to where it redirects to."},
	outcome.ResultClientError:   {What: "The endpoint refused the request.", Do: "The body of the response usually says why. Mend the receiver, then send it again."},
	outcome.ResultGone:          {What: "The endpoint answered 410 Gone: it wants no more events.", Do: "Enable the endpoint when it is there again, then recover what failed."},
	outcome.ResultThrottled:     {What: "The endpoint answered 429: it gets more requests than it takes.", Do: "Nothing, if it happens now and then. Otherwise set a rate limit in the settings of this endpoint."},
	outcome.ResultServerError:   {What: "The endpoint failed while it worked on the request.", Do: "Look into the log of your receiver at this time. When it is mended, send it again or recover what failed."},
	outcome.ResultTimeout:       {What: "The endpoint did not answer in time.", Do: "Answer at once and do the work afterwards, or raise the time to answer in the settings of this endpoint."},
	outcome.ResultDNS:           {What: "The name in the URL was not found.", Do: "Check the spelling of the host in the URL, and its DNS records."},
	outcome.ResultRefused:       {What: "Nothing listens at this address.", Do: "Start your receiver, or check the host and the port of the URL."},
	outcome.ResultUnreachable:   {What: "There is no way to this address.", Do: "Check that the host can be reached from the internet and that its firewall lets our addresses in."},
	outcome.ResultReset:         {What: "The connection broke before the response was complete.", Do: "Look whether your receiver or its proxy was restarted or closes connections early."},
	outcome.ResultTLS:           {What: "No secure connection could be made.", Do: "Check that the certificate is valid, is for this host, and comes with its intermediate certificates."},
	outcome.ResultProtocol:      {What: "The answer was not proper HTTP, or too large.", Do: "Check that the URL leads to an HTTP server and that its response headers are small."},
	outcome.ResultBlocked:       {What: "The address of this host is one that nothing may be sent to, such as one of a private network.", Do: "Use a host with a public address."},
	outcome.ResultRequest:       {What: "No request could be made of this event and the settings of this endpoint.", Do: "Check its URL, headers and secret."},
	outcome.ResultAuthorization: {What: "No access token could be had, so that nothing was sent.", Do: "Check the address and the credentials of the token service in the settings of this endpoint."},
	outcome.ResultProxy:         {What: "The request did not get out on our side. This says nothing about your endpoint.", Do: "Nothing: it is tried again. If it lasts, tell us."},
	outcome.ResultTransformation: {
		What: "The transformation of this endpoint failed on this event, so that nothing was sent.", Do: "Mend the transformation, then send it again.",
	},
}

// reasonAdvice says what follows; What and Do are of rows without an attempt.
//
//nolint:gochecknoglobals // a table
var reasonAdvice = map[outcome.Reason]advice{
	outcome.ReasonDelivered:    {Next: "It is delivered: nothing follows."},
	outcome.ReasonNotSent:      {What: "The transformation of this endpoint decided to send nothing.", Next: "Nothing follows."},
	outcome.ReasonFailed:       {Next: "It is tried again."},
	outcome.ReasonRetryAfter:   {Next: "It is tried again when the endpoint asked for it."},
	outcome.ReasonExhausted:    {Next: "It is not tried again: all tries are used up."},
	outcome.ReasonExpired:      {Next: "It is not tried again: it is too old by the retry policy of this endpoint."},
	outcome.ReasonNotRetryable: {Next: "It is not tried again: such a failure does not go away by itself."},
	outcome.ReasonGone:         {Next: "It is not tried again, and the endpoint was disabled."},
	outcome.ReasonAborted:      {Next: "It is not tried again, as the endpoint asked."},
	outcome.ReasonRetriesSuspended: {
		What: "It was not tried again, because this endpoint failed too often.", Next: "It is not tried again by itself.",
		Do: "When a delivery succeeds, retries begin again. Then recover what failed.",
	},
	outcome.ReasonUndecodable: {What: "The record of this delivery could not be read.", Next: "It is not tried again."},
	outcome.ReasonDeleted:     {What: "It was not sent: the endpoint was deleted.", Next: "Nothing follows."},
	outcome.ReasonDisabled: {
		What: "It was not sent: the endpoint was disabled.", Next: "Nothing follows.",
		Do: "Enable the endpoint, then send it again.",
	},
	outcome.ReasonBreakerOpen: {What: "It waits: the endpoint failed too often just now.", Next: "It is tried when the endpoint has had a rest."},
	outcome.ReasonPaused:      {What: "It waits: deliveries were paused by an operator.", Next: "It is tried some minutes after they are resumed, at the latest."},
	outcome.ReasonRateLimited: {What: "It waits for the rate limit of this endpoint.", Next: "It is tried as soon as the limit allows."},
}
