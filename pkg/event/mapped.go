package event

import (
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/pkg/subscription"
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
	if m.Channels != "" {
		var bad *Error
		if e.Channels, bad = mappedChannels(m.Channels, gjson.Get(text, m.Channels)); bad != nil {
			return nil, bad
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
		var own trace
		for name, v := range rec.Headers {
			own.set(name, v)
		}
		own.of(e)
	}
	return e, nil
}

// mappedChannels reads one text or a list of texts; absent and null are no channels.
func mappedChannels(path string, r gjson.Result) (channels []string, bad *Error) {
	switch {
	case r.Type == gjson.Null:
		return nil, nil
	case r.Type == gjson.String:
		return []string{strings.Clone(r.Str)}, nil
	case !r.IsArray():
		return nil, &Error{ReasonBadChannels, path, "want a text or a list of texts"}
	}
	r.ForEach(func(_, v gjson.Result) bool {
		if v.Type != gjson.String {
			bad = &Error{ReasonBadChannels, path, "want a text or a list of texts"}
			return false
		}
		channels = append(channels, strings.Clone(v.Str))
		return len(channels) <= subscription.MaxChannels // one more is enough to be refused
	})
	return channels, bad
}
