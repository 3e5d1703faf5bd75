package portal

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/api"
)

// eventsPage is what the list of events shows.
type eventsPage struct {
	Rows                []api.MessageOut
	ID                  string
	Type, Channel, Tag  string
	Windows             []choice
	Next, Prev          string
	Narrowed, Continues bool
}

// windows are how far back a list of events reaches, by the word in its address.
//
//nolint:gochecknoglobals // a table
var windows = map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour}

// listEvents shows a page of the tenant's events, newest first, or leads to the one whose id was typed.
func (v *visit) listEvents() error {
	q := v.r.URL.Query()
	if id := strings.TrimSpace(q.Get("id")); id != "" {
		return v.redirect(v.appPath("event", id))
	}
	out := eventsPage{Type: strings.TrimSpace(q.Get("type")), Channel: strings.TrimSpace(q.Get("channel")), Tag: strings.TrimSpace(q.Get("tag"))}
	window := q.Get("window")
	out.Windows = choices(window, "", "Any time", "hour", "Last hour", "day", "Last 24 hours", "week", "Last 7 days")
	var after string
	if back, ok := windows[window]; ok {
		after = v.p.opts.Now().Add(-back).UTC().Format(time.RFC3339)
	}
	narrowing := []string{"channel", out.Channel, "tag", out.Tag}
	var list api.List[api.MessageOut]
	if err := v.calls.get(query(v.appPath("msg"), append(narrowing, "event_types", out.Type, "after", after,
		"with_content", "false", "iterator", q.Get("iterator"))...), &list); err != nil {
		return err
	}
	here := func(iterator *string) string {
		return v.p.base + query(v.appPath("event"), append(narrowing, "type", out.Type, "window", window, "iterator", *iterator)...)
	}
	out.Rows = list.Data
	if !list.Done && list.Iterator != nil {
		out.Next = here(list.Iterator)
	}
	if q.Get("iterator") != "" && list.PrevIterator != nil && len(list.Data) > 0 {
		out.Prev = here(list.PrevIterator)
	}
	out.Narrowed = out.Type+out.Channel+out.Tag+window != ""
	out.Continues = len(list.Data) == 0 && out.Next != ""
	v.show(http.StatusOK, "events", &page{Title: "Events", Data: out})
	return nil
}

// eventPage is what the page of an event shows.
type eventPage struct {
	api.MessageOut
	Raw     string
	Expired bool
	// Attempts are the latest at all endpoints; Away says that they cannot be told.
	Attempts []attemptRow
	Away     bool
}

// showEvent shows an event with its payload.
func (v *visit) showEvent() error {
	var out eventPage
	if err := v.calls.get(v.appPath("msg", v.r.PathValue("event")), &out.MessageOut); err != nil {
		return err
	}
	out.Raw = string(out.Payload)
	out.Expired = out.Raw == expiredPayload
	var list api.List[api.MessageAttemptOut]
	away, err := v.look(query(v.appPath("attempt", "msg", out.ID), "with_content", "false", "expanded_statuses", "true"), &list)
	if refused, ok := errors.AsType[*Refusal](err); err != nil && (!ok || refused.Status != http.StatusConflict) { // of too many to be listed
		return err
	}
	out.Away = away || err != nil
	for _, a := range list.Data {
		out.Attempts = append(out.Attempts, attemptRow{MessageAttemptOut: a})
	}
	v.show(http.StatusOK, "event", &page{Title: out.EventType, Data: out})
	return nil
}
