package api

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// optInt is a number in the query that may be left out, which is not the same as 0.
type optInt struct {
	Value int
	set   bool
}

// Receiver implements [huma.ParamWrapper].
func (p *optInt) Receiver() reflect.Value { return reflect.ValueOf(p).Elem().Field(0) }

// OnParamSet implements [huma.ParamReactor].
func (p *optInt) OnParamSet(isSet bool, _ any) { p.set = isSet }

func oneOfInts(numbers ...int64) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeInteger}
	for _, n := range numbers {
		s.Enum = append(s.Enum, n)
	}
	return s
}

type (
	// statusParam is a status in the numbers of the Svix API; see [messageStatus].
	statusParam struct{ optInt }
	// classParam is a class of status codes.
	classParam struct{ optInt }
)

// Schema implements [huma.SchemaProvider].
func (statusParam) Schema(huma.Registry) *huma.Schema { return oneOfInts(0, 1, 2, 3, 4) }

// Schema implements [huma.SchemaProvider].
func (classParam) Schema(huma.Registry) *huma.Schema { return oneOfInts(0, 100, 200, 300, 400, 500) }

// AttemptInput narrows lists of attempts.
type AttemptInput struct {
	PageInput
	ContentInput
	Status     statusParam `query:"status" doc:"Only those of this status: 0 success, 1 pending, 2 fail, 3 sending, 4 canceled. An attempt is made or not, so that none is 1 or 3."`
	Channel    string      `query:"channel" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$" doc:"Only of events of this channel."`
	Tag        string      `query:"tag" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_./\\\\#]+$" doc:"Only of events with this tag."`
	Before     time.Time   `query:"before" doc:"Only attempts that started before it, RFC 3339."`
	After      time.Time   `query:"after" doc:"Only attempts that started after it, RFC 3339."`
	EventTypes []string    `query:"event_types,explode" maxItems:"250" doc:"Only of these event types; repeated, or separated by commas."`
	Expanded   bool        `query:"expanded_statuses" doc:"Also status 4, canceled. Without it, what a transformation cancelled counts as sent, and what nobody wants any more as failed."`
}

// CodeClassInput narrows lists of attempts by what was answered.
type CodeClassInput struct {
	CodeClass classParam `query:"status_code_class" doc:"Only where the status code is of this class; 0 for no response."`
}

type (
	// EndpointAttemptList narrows the attempts of an endpoint.
	EndpointAttemptList struct {
		EndpointPath
		AttemptInput
		CodeClassInput
		WithMsg bool `query:"with_msg" doc:"With the events."`
	}
	// EndpointMessageList narrows the events of an endpoint.
	EndpointMessageList struct {
		EndpointPath
		AttemptInput
	}
	// MessageAttemptList narrows the attempts of an event.
	MessageAttemptList struct {
		AppPath
		MessageName
		AttemptInput
		CodeClassInput
		Endpoint string `query:"endpoint_id" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]*$" doc:"Only those of this endpoint, its id or uid."`
	}
	// MessageEndpointList is a page of the endpoints of an event.
	MessageEndpointList struct {
		AppPath
		MessageName
		PageInput
	}
)

// MessageName is in the path of what belongs to an event.
type MessageName struct {
	Message string `path:"msg_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The event's id or eventId."`
}

// AttemptPath names an attempt.
type AttemptPath struct {
	AppPath
	MessageName
	Attempt  string `path:"attempt_id" minLength:"33" maxLength:"33" pattern:"^atmpt_[A-Za-z0-9]{27}$" doc:"The attempt's id."`
	Expanded bool   `query:"expanded_statuses" doc:"Also status 4, canceled."`
}

// parsePage reads the limit and the iterator of a list whose iterators have a prefix.
func (in *PageInput) parse(prefix string) (limit int, at ident.ID, backwards bool, err error) {
	if limit = in.Limit; limit == 0 {
		limit = defaultLimit
	}
	name, backwards := strings.CutPrefix(in.Iterator, "-")
	if name != "" {
		if at, err = ident.ParseBase62(prefix, name); err != nil {
			err = &ValidationError{Detail: []Problem{problem("query", "iterator", "want the iterator of an earlier answer of this list")}}
		}
	}
	return limit, at, backwards, err
}

// query asks for the rows that the input is about. Iterators have the prefix.
func (in *AttemptInput) query(sub ident.ID, prefix string) (q rowQuery, err error) {
	q.Subscription, q.After, q.Before, q.AllRows = sub, in.After, in.Before, true
	q.Verdicts = []outcome.Verdict{outcome.Delivered, outcome.Retry, outcome.Dead, outcome.Cancelled} // not parked
	if q.Limit, q.Iterator, q.backwards, err = in.parse(prefix); err != nil {
		return q, err
	}
	q.OldestFirst = q.backwards
	q.EventTypes, err = eventTypeNames(in.EventTypes)
	return q, err
}

// expanded reports whether what was cancelled is a status of its own: also if it is asked for.
func (in *AttemptInput) expanded() bool {
	return in.Expanded || in.Status.set && in.Status.Value == int(statusCanceled)
}

// has reports whether a row is an attempt of the status that is asked for.
func (in *AttemptInput) has(a view.Attempt) bool {
	status, ok := attemptStatus(a.Result, a.Verdict, a.Reason, in.expanded())
	return ok && (!in.Status.set || in.Status.Value == int(status))
}

func (in *CodeClassInput) has(a view.Attempt) bool {
	return !in.CodeClass.set || a.Status/100 == in.CodeClass.Value/100
}

// of reports whether a row is of an event that is asked for.
func (in *AttemptInput) of(o *outcome.Outcome, types []string) bool {
	return (in.Channel == "" || slices.Contains(o.Channels, in.Channel)) && (len(types) == 0 || slices.Contains(types, o.EventType))
}
