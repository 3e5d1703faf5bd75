package event

import (
	"fmt"

	"github.com/tidwall/gjson"
)

// mapped reads plain JSON through the source's mapping.
func (d *Decoder) mapped(rec Record) (*Event, *Error) {
	if !validJSON(rec.Value) {
		return nil, &Error{Reason: ReasonUndecodable, Detail: "is no valid JSON: want one JSON value in UTF-8"}
	}
	m, text := d.source.Mapping, view(rec.Value)
	e := &Event{Source: d.source.Name, Type: scalar(gjson.Get(text, m.Type)), Data: rec.Value}
	if d.source.Tenant == "" {
		e.Tenant = scalar(gjson.Get(text, m.Tenant))
	}
	if e.ID = rec.Position.String(); m.ID != "" {
		e.ID = scalar(gjson.Get(text, m.ID))
	}
	if m.Time != "" {
		switch r := gjson.Get(text, m.Time); r.Type {
		case gjson.Null: // absent, or null: the record's timestamp
		case gjson.String:
			var bad *Error
			if e.Time, bad = instant(m.Time, r.Str); bad != nil {
				return nil, bad
			}
		default:
			return nil, &Error{ReasonBadTime, m.Time, fmt.Sprintf("%.64s: want a text in RFC 3339", r.Raw)}
		}
	}
	if m.Data != "" {
		r := gjson.Get(text, m.Data)
		if !r.Exists() {
			return nil, &Error{ReasonNoData, m.Data, "missing: want the data of the event"}
		}
		e.Data = raw(r)
	}
	if rec.Headers != nil {
		for name, v := range rec.Headers {
			if name == headerTraceParent {
				e.TraceParent = traceParent(string(v))
			}
		}
	}
	return e, nil
}
