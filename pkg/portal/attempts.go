package portal

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/api"
)

// attemptsPage is what the list of an endpoint's attempts shows.
type attemptsPage struct {
	Rows                       []attemptRow
	Statuses, Classes, Windows []choice
	Type, Channel              string
	Next, Prev                 string
	Narrowed, Continues, Away  bool
	// Live has new attempts put on top of the list; Here is the query of what it is narrowed to, and Stream where they come from.
	Live         bool
	Here, Stream string
}

// attemptRow is an attempt in a list.
type attemptRow struct {
	api.MessageAttemptOut
	EventType string
}

// Badge is what became of it, as a colour and a word or two.
func (r attemptRow) Badge() badge { return badgeOf(r.StatusText, r.ResponseStatusCode) }

// Again reports whether somebody asked for it.
func (r attemptRow) Again() bool { return r.TriggerType != 0 }

// listAttempts shows a page of the attempts of an endpoint, newest first.
func (v *visit) listAttempts() error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	q := v.r.URL.Query()
	out := attemptsPage{Type: strings.TrimSpace(q.Get("type")), Channel: strings.TrimSpace(q.Get("channel"))}
	status, class, window := q.Get("status"), q.Get("class"), q.Get("window")
	out.Statuses = choices(status, "", "All", "0", "Succeeded", "2", "Failed", "4", "Not sent")
	out.Classes = choices(class, "", "All", "200", "2xx", "300", "3xx", "400", "4xx", "500", "5xx", "0", "No response")
	out.Windows = choices(window, "hour", "Last hour", "day", "Last 24 hours", "", "Last 7 days")
	back, ok := windows[window]
	if !ok {
		back = windows["week"]
	}
	narrowing := []string{"status", status, "channel", out.Channel}
	var list api.List[api.MessageAttemptOut]
	out.Away, err = v.look(query(v.appPath("attempt", "endpoint", e.ID), append(narrowing, "event_types", out.Type, "status_code_class", class,
		"after", v.p.opts.Now().Add(-back).UTC().Format(time.RFC3339), "with_msg", "true", "with_content", "false", "expanded_statuses", "true",
		"iterator", q.Get("iterator"))...), &list)
	if err != nil {
		return err
	}
	here := func(iterator *string) string {
		return v.p.base + query(v.appPath("endpoint", e.ID, "attempt"), append(narrowing, "type", out.Type, "class", class, "window", window,
			"iterator", *iterator)...)
	}
	for _, a := range list.Data {
		row := attemptRow{MessageAttemptOut: a}
		if a.Msg != nil {
			row.EventType = a.Msg.EventType
		}
		out.Rows = append(out.Rows, row)
	}
	if !list.Done && list.Iterator != nil {
		out.Next = here(list.Iterator)
	}
	if q.Get("iterator") != "" && list.PrevIterator != nil && len(list.Data) > 0 {
		out.Prev = here(list.PrevIterator)
	}
	out.Narrowed = status+class+window+out.Type+out.Channel != ""
	out.Continues = len(list.Data) == 0 && out.Next != ""
	out.Live = q.Get("live") != "" && q.Get("iterator") == ""
	narrowing = append(narrowing, "type", out.Type, "class", class)
	out.Here = query("", append(narrowing, "window", window)...)
	if out.Live {
		out.Stream = v.p.base + query(v.appPath("endpoint", e.ID, "attempt", "live"), append(narrowing, "iterator", newest(&list))...)
	}
	e.More = out
	v.show(http.StatusOK, "attempts", &page{Title: "Attempts", Data: e, Done: q.Get("done")})
	return nil
}

// newest is the iterator of the first row of a list, behind which is what comes; empty if the list is.
func newest(list *api.List[api.MessageAttemptOut]) string {
	if len(list.Data) == 0 {
		return ""
	}
	return strings.TrimPrefix(value(list.PrevIterator), "-")
}

// attemptPage is what the page of an attempt shows.
type attemptPage struct {
	api.AttemptDetailOut
	Endpoint endpointPage
	// Deleted says that the endpoint is not there any more.
	Deleted bool
	Badge   badge
	Says    advice
	Headers []header
	Payload string
	Expired bool
	Fall    waterfall
	// Preview is the request as this endpoint would get it now; nil if it cannot be told.
	Preview *page
}

// header is a header of a response.
type header struct {
	Name, Value string
	Hidden      bool
}

// showAttempt shows all that is known of an attempt: what was sent, what came back, why, and what follows.
func (v *visit) showAttempt() error {
	event := v.r.PathValue("event")
	var out attemptPage
	if err := v.calls.get(v.appPath("msg", event, "attempt", v.r.PathValue("attempt"), "detail"), &out.AttemptDetailOut); err != nil {
		return err
	}
	out.Badge, out.Says, out.Fall = detailBadge(&out.AttemptDetail), adviceFor(&out.AttemptDetail), fallOf(out.Timings)
	for _, name := range sortedNames(out.ResponseHeaders) {
		text := out.ResponseHeaders[name]
		out.Headers = append(out.Headers, header{name, text, text == redactedHeader})
	}
	var message api.MessageOut
	if err := v.calls.get(v.appPath("msg", event), &message); err != nil {
		return err
	}
	out.Payload = string(message.Payload)
	out.Expired = out.Payload == expiredPayload
	_, err := v.calls.do(http.MethodGet, v.appPath("endpoint", out.EndpointID, "settings"), nil, &out.Endpoint.SettingsOut)
	out.Deleted = err != nil
	if !out.Deleted && !out.Expired && v.May("send-example") {
		out.Preview = v.previewOf(out.EndpointID, &message)
	}
	v.show(http.StatusOK, "attempt", &page{Title: "Attempt", Data: out, Done: v.r.URL.Query().Get("done")})
	return nil
}

// redactedHeader and expiredPayload are what the API has in place of what is not kept.
const (
	redactedHeader = "[redacted]"
	expiredPayload = `{"expired":true}`
)

// previewOf is the request that an event would be at an endpoint now; nil for one that there is no preview of.
func (v *visit) previewOf(endpoint string, m *api.MessageOut) *page {
	var out previewOut
	body := map[string]any{"eventType": m.EventType, "payload": m.Payload}
	if _, err := v.calls.do(http.MethodPost, v.appPath("endpoint", endpoint, "preview"), body, &out.PreviewOut); err != nil {
		return nil
	}
	return &page{Data: out, portal: v.p, visit: v}
}

// resend sends an event to an endpoint once more, and leads to where the new attempt will be.
func (v *visit) resend() error {
	endpoint := v.r.PostForm.Get("endpoint")
	if _, err := v.calls.do(http.MethodPost, v.appPath("msg", v.r.PathValue("event"), "endpoint", endpoint, "resend"), nil, nil); err != nil {
		return err
	}
	return v.redirect(v.appPath("endpoint", endpoint, "attempt") + "?done=resent")
}

// showLast shows the last deliveries of an event type at an endpoint with their payloads, as many as are kept.
func (v *visit) showLast() error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	out := lastPage{Type: v.r.URL.Query().Get("type")}
	var known statuses
	if out.Away, err = v.look(v.endpointPath("status"), &known); err != nil {
		return err
	}
	out.Types = choices(out.Type, "", "All event types")
	for _, t := range known.EventTypes {
		out.Types = append(out.Types, choice{t.EventType, t.EventType, t.EventType == out.Type})
	}
	var last api.LastAttemptsOut
	if !out.Away {
		if out.Away, err = v.look(v.endpointPath("last-attempts")+"?"+url.Values{"event_type": {out.Type}, "with_payload": {"true"}}.Encode(), &last); err != nil {
			return err
		}
	}
	for i := range last.Attempts {
		a := &last.Attempts[i]
		row := lastRow{AttemptDetail: *a, Badge: detailBadge(a), Payload: string(a.Payload)}
		row.Gone = row.Payload == expiredPayload || a.Expired
		out.Rows = append(out.Rows, row)
	}
	e.More = out
	v.show(http.StatusOK, "last", &page{Title: "Last deliveries", Data: e})
	return nil
}

// lastPage is what the page of the last deliveries shows.
type lastPage struct {
	Types []choice
	Type  string
	Rows  []lastRow
	Away  bool
}

// lastRow is one of them.
type lastRow struct {
	api.AttemptDetail
	Badge   badge
	Payload string
	Gone    bool // the payload is not kept any more
}
