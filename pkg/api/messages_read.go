package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/view"
)

// EventIndex finds events; [view.Redis] is one. An error says that it is away. All methods may be called concurrently.
type EventIndex interface {
	// Event returns the entry of an event by its message id, EventByEventID by the id that it was published with.
	Event(ctx context.Context, tenant, message ident.ID) (view.EventEntry, bool, error)
	EventByEventID(ctx context.Context, tenant ident.ID, eventID string) (view.EventEntry, bool, error)
	// ListEvents returns a page of a list, which may be short and not the last one.
	ListEvents(ctx context.Context, q view.EventQuery) (view.EventPage, error)
}

// EventReader reads events at the places where the index has found them; [pipeline.EventReader] is one.
type EventReader interface {
	// Read returns the events of entries, in their order, or says that they are gone, or that it had read enough.
	Read(ctx context.Context, entries []view.EventEntry) ([]pipeline.ReadEvent, error)
}

// There is no such line for [view.Redis]: to name that type where it is not used makes the compiler take on the whole of its
// client's library, for as long as the rest of this package takes. Where it is handed over it is checked all the same.
var _ EventReader = (*pipeline.EventReader)(nil)

// MessageList narrows a list of events.
type MessageList struct {
	AppPath
	ContentInput
	Limit      int       `query:"limit" minimum:"1" maximum:"250" default:"50" doc:"How many to return at most."`
	Iterator   string    `query:"iterator" pattern:"^-?msg_[A-Za-z0-9]{27}$" doc:"The iterator or prevIterator of an earlier answer."`
	Channel    string    `query:"channel" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$" doc:"Only events of this channel."`
	Tag        string    `query:"tag" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_./\\\\#]+$" doc:"Only events with this tag."`
	Before     time.Time `query:"before" doc:"Only events published before it, RFC 3339."`
	After      time.Time `query:"after" doc:"Only events published after it, RFC 3339."`
	EventTypes []string  `query:"event_types,explode" maxItems:"250" doc:"Only events of these types; repeated, or separated by commas."`
}

// MessagePath names an event.
type MessagePath struct {
	AppPath
	ContentInput
	Message string `path:"msg_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The event's id or eventId."`
}

func (a *API) listMessages(ctx context.Context, in *MessageList) (*answer[List[MessageOut]], error) {
	q, err := in.query(called(ctx).tenant.ID)
	if err != nil {
		return nil, err
	}
	found, err := a.opts.Events.ListEvents(ctx, q)
	if err != nil {
		return nil, a.away(ctx, "listing events", err)
	}
	events, err := a.read(ctx, found.Events, in.WithContent.wanted())
	if err != nil {
		return nil, a.away(ctx, "reading events", err)
	}
	if cut := len(events) < len(found.Events); cut {
		found.Iterator, found.Done = found.Events[len(events)-1].Iterator(), false
	}
	out := List[MessageOut]{Data: make([]MessageOut, 0, len(events)), Done: found.Done}
	for _, e := range events {
		out.Data = append(out.Data, messageOut(e, in.WithContent.wanted()))
	}
	turn(&out, q, found)
	return &answer[List[MessageOut]]{Body: out}, nil
}

// turn fills in the iterators. A page that was read backwards is turned round.
func turn(l *List[MessageOut], q view.EventQuery, found view.EventPage) {
	if found.Iterator.IsZero() {
		found.Iterator = q.Iterator
	}
	next, prev := found.Iterator, q.Iterator
	if len(l.Data) > 0 && len(found.Events) > 0 {
		prev = found.Events[0].Iterator()
	}
	if q.OldestFirst {
		slices.Reverse(l.Data)
		next, prev = prev, next
		l.Done = false // where it came from
	}
	if !next.IsZero() {
		l.Iterator = new(next.Base62(messagePrefix))
	}
	if !prev.IsZero() {
		l.PrevIterator = new("-" + prev.Base62(messagePrefix))
	}
}

func (in *MessageList) query(tenant ident.ID) (view.EventQuery, error) {
	q := view.EventQuery{
		Tenant: tenant, After: in.After, Before: in.Before, Channel: in.Channel, Tag: in.Tag, Limit: in.Limit,
	}
	if q.Limit == 0 {
		q.Limit = defaultLimit
	}
	name, backwards := strings.CutPrefix(in.Iterator, "-")
	if name != "" {
		var ok bool
		if q.Iterator, ok = messageID(name); !ok {
			return q, &ValidationError{Detail: []Problem{problem("query", "iterator", "want the iterator of an earlier answer of this list")}}
		}
	}
	q.OldestFirst = backwards
	var err error
	q.Types, err = eventTypeNames(in.EventTypes)
	return q, err
}

// eventTypeNames reads names of event types, each by itself or separated by commas.
func eventTypeNames(lists []string) (names []string, err error) {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if len(name) > 256 || !isWord(name[:min(len(name), maxWord)], "-_.") {
				return nil, &ValidationError{Detail: []Problem{problem("query", "event_types", "want names of event types")}}
			}
			names = append(names, name)
		}
	}
	return names, nil
}

func (a *API) getMessage(ctx context.Context, in *MessagePath) (*answer[MessageOut], error) {
	entry, ok, err := a.findEvent(ctx, called(ctx).tenant.ID, in.Message)
	if err != nil {
		return nil, a.away(ctx, "finding an event", err)
	}
	if !ok {
		return nil, notFound("message")
	}
	events, err := a.read(ctx, []view.EventEntry{entry}, true)
	if err != nil {
		return nil, a.away(ctx, "reading an event", err)
	}
	return &answer[MessageOut]{Body: messageOut(events[0], in.WithContent.wanted())}, nil
}

// findEvent finds an event by its message id or the id that it was published with.
func (a *API) findEvent(ctx context.Context, tenant ident.ID, name string) (view.EventEntry, bool, error) {
	if id, ok := messageID(name); ok {
		if entry, found, err := a.opts.Events.Event(ctx, tenant, id); found || err != nil {
			return entry, found, err
		}
	}
	return a.opts.Events.EventByEventID(ctx, tenant, name)
}

// read reads the events of entries, or the first of them if all would be too much. Without content nothing is read: what the
// index does not know, an event's own id, is left out then.
func (a *API) read(ctx context.Context, entries []view.EventEntry, content bool) ([]pipeline.ReadEvent, error) {
	if !content {
		out := make([]pipeline.ReadEvent, len(entries))
		for i, e := range entries {
			out[i].Entry = e
		}
		return out, nil
	}
	for {
		events, err := a.opts.EventReader.Read(ctx, entries)
		if err != nil {
			return nil, err
		}
		left := slices.IndexFunc(events, func(e pipeline.ReadEvent) bool { return e.State == pipeline.ReadLeft })
		if left < 0 {
			return events, nil
		}
		if left > 0 {
			return events[:left], nil
		}
		if len(entries) == 1 {
			return nil, errors.New("the reader did not get to the one event it was asked for")
		}
		entries = entries[:1] // the first one was not among what it got to
	}
}

// away answers for Redis or Kafka, which did not, and tells the log.
func (a *API) away(ctx context.Context, doing string, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(cause, context.DeadlineExceeded) { // that is a limit of our own
		return cause
	}
	a.opts.Log.WarnContext(ctx, "events are unavailable", "doing", doing, "request", requestID(ctx), "error", err)
	return &comeAgain{&Error{http.StatusServiceUnavailable, "unavailable", "events cannot be looked up at this moment: try again"}}
}

func messageOut(e pipeline.ReadEvent, content bool) MessageOut {
	out := MessageOut{
		ID: e.Entry.Message.Base62(messagePrefix), EventType: e.Entry.Type, Payload: emptyObject(), Channels: e.Entry.Channels,
		Tags: e.Entry.Tags, Timestamp: e.Entry.Time,
	}
	if e.Event != nil {
		out.EventID = optional(e.Event.EventID)
	}
	if !content {
		return out
	}
	out.Payload = jsonObject(`{"expired":true}`)
	if e.Event != nil {
		out.Payload = asObject(e.Event.Payload)
	}
	return out
}

// asObject is a payload as this API shows it. It has room for objects only; other sources may have others, which are
// shown under the names that CloudEvents has for data.
func asObject(payload []byte) jsonObject {
	trimmed := bytes.TrimSpace(payload)
	switch {
	case !json.Valid(payload):
		text, _ := json.Marshal(base64.StdEncoding.EncodeToString(payload)) // a string always encodes
		return jsonObject(`{"data_base64":` + string(text) + `}`)
	case trimmed[0] != '{':
		return jsonObject(`{"data":` + string(trimmed) + `}`)
	}
	return jsonObject(payload)
}

func emptyObject() jsonObject { return jsonObject(`{}`) }
