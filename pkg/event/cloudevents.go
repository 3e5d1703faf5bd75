package event

import (
	"encoding/base64"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/pkg/subscription"
)

// Headers of the Kafka protocol binding of CloudEvents 1.0.2, section 3.2, and of the W3C trace context.
const (
	headerPrefix      = "ce_"
	headerContentType = "content-type"
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
	// structuredType starts the content type of structured mode, in any case (section 3).
	structuredType = "application/cloudevents"
	specVersion    = "1.0"
)

// attributes are the parts of a CloudEvent as they were written.
type attributes struct {
	version, id, source, kind, time, contentType, tenant, channels string
	hasTime                                                        bool
	trace                                                          trace
}

// set notes an attribute by its CloudEvents name.
func (a *attributes) set(name, v, tenantExtension string) {
	switch name {
	case "specversion":
		a.version = v
	case "id":
		a.id = v
	case "source":
		a.source = v
	case "type":
		a.kind = v
	case "time":
		a.time, a.hasTime = v, true
	case "datacontenttype":
		a.contentType = v
	case "traceparent":
		a.trace.parent = v
	case "tracestate":
		a.trace.state = v
	case ChannelsExtension:
		a.channels = v
	}
	if name == tenantExtension { // not a case of its own: it may be "source" or "subject"
		a.tenant = v
	}
}

// event checks the attributes and returns the event without data.
func (a *attributes) event() (*Event, *Error) {
	e := &Event{
		Tenant: a.tenant, Source: a.source, ID: a.id, Type: a.kind, ContentType: a.contentType, Channels: splitChannels(a.channels),
	}
	a.trace.of(e)
	switch {
	case a.version != specVersion:
		return nil, &Error{ReasonUndecodable, "specversion", fmt.Sprintf("%.64q: want 1.0", a.version)}
	case a.source == "" || len(a.source) > maxSource:
		return nil, &Error{ReasonUndecodable, "source", "want a URI reference of 1 to 1024 bytes"}
	case a.hasTime:
		var bad *Error
		if e.Time, bad = instant("time", a.time); bad != nil {
			return nil, bad
		}
	}
	return e, nil
}

// splitChannels reads the extension attribute. Attributes of CloudEvents have no lists.
func splitChannels(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	// One more than there may be is enough to be refused.
	channels := strings.SplitN(s, ",", subscription.MaxChannels+1)
	for i, c := range channels {
		channels[i] = strings.TrimSpace(c)
	}
	return channels
}

// maxSource is the longest CloudEvents source, in bytes; the specification has no limit.
const maxSource = 1024

// cloudEvent reads a record in binary or structured mode, whichever it says it is.
func (d *Decoder) cloudEvent(rec Record) (*Event, *Error) {
	var a attributes
	contentType, own := "", trace{}
	if rec.Headers != nil {
		for name, v := range rec.Headers {
			switch attribute, ok := strings.CutPrefix(name, headerPrefix); {
			case ok:
				a.set(attribute, string(v), d.extension)
			case strings.EqualFold(name, headerContentType):
				contentType = string(v)
			default:
				own.set(name, v)
			}
		}
	}
	var e *Event
	var bad *Error
	switch {
	case len(contentType) >= len(structuredType) && strings.EqualFold(contentType[:len(structuredType)], structuredType):
		e, bad = d.structured(rec, contentType)
	case a.version == "":
		return nil, &Error{Reason: ReasonUndecodable, Detail: "is no CloudEvent: want the header ce_specversion, or a content-type" +
			" that starts with application/cloudevents"}
	default:
		a.contentType = contentType
		if e, bad = a.event(); bad == nil {
			e.Data, bad = rec.Value, checkData(contentType, rec.Value)
		}
	}
	if bad != nil {
		return nil, bad
	}
	own.of(e) // the producer's own span is closer than the one the event was made in
	return e, nil
}

// checkData refuses data that is not what its content type says; without one it is JSON.
func checkData(contentType string, data []byte) *Error {
	if len(data) == 0 || contentType != "" && !isJSON(contentType) || validJSON(data) {
		return nil
	}
	return &Error{ReasonUndecodable, "data", "is no valid JSON: want one JSON value in UTF-8, or another content type"}
}

// structured reads the JSON event format (CloudEvents 1.0.2).
func (d *Decoder) structured(rec Record, contentType string) (*Event, *Error) {
	format, _, _ := strings.Cut(contentType[len(structuredType):], ";")
	if format = strings.TrimSpace(format); format != "" && !strings.EqualFold(format, "+json") {
		return nil, &Error{ReasonUndecodable, headerContentType, fmt.Sprintf("%.64q: want application/cloudevents+json", contentType)}
	}
	root := gjson.Result{}
	if validJSON(rec.Value) {
		root = gjson.Parse(view(rec.Value))
	}
	if !root.IsObject() {
		return nil, &Error{Reason: ReasonUndecodable, Detail: "is no CloudEvent: want one JSON object in UTF-8"}
	}
	var a attributes
	var data, encoded gjson.Result
	var bad *Error
	root.ForEach(func(name, v gjson.Result) bool {
		switch {
		case name.Str == "data":
			data = v
		case v.Type == gjson.Null: // an attribute that is null is absent
		case name.Str == "data_base64":
			encoded = v
		case v.Type == gjson.String || v.Type == gjson.Number && name.Str == d.extension:
			a.set(name.Str, scalar(v), d.extension)
		default:
			bad = notText(name.Str, bad)
		}
		return true
	})
	if bad != nil {
		return nil, bad
	}
	e, bad := a.event()
	if bad == nil {
		e.Data, bad = structuredData(e.ContentType, data, encoded)
	}
	return e, bad
}

// notText refuses attributes of the specification that are no text. Extensions may be numbers and truth values.
func notText(name string, bad *Error) *Error {
	switch name {
	case ChannelsExtension:
		return &Error{ReasonBadChannels, name, "want a text: channels separated by commas"}
	case "specversion", "id", "source", "type", "time", "datacontenttype":
		return &Error{ReasonUndecodable, name, "want a text"}
	}
	return bad
}

// structuredData returns the data of an event in the JSON format: the bytes of its member data as they came, the text if
// the content type is not JSON (section 3.1.1), or what data_base64 holds.
func structuredData(contentType string, data, encoded gjson.Result) ([]byte, *Error) {
	switch {
	case encoded.Exists() && data.Exists():
		return nil, &Error{ReasonUndecodable, "data_base64", "want data or data_base64, not both"}
	case encoded.Exists():
		decoded, err := base64.StdEncoding.Strict().DecodeString(encoded.Str)
		if err != nil || encoded.Type != gjson.String {
			return nil, &Error{ReasonUndecodable, "data_base64", "want a text in base64 with padding"}
		}
		return decoded, checkData(contentType, decoded)
	case data.Type == gjson.String && contentType != "" && !isJSON(contentType):
		return []byte(data.Str), nil
	case data.Exists():
		return raw(data), nil
	}
	return nil, nil
}

// Headers yields the headers of e as a CloudEvent in binary mode, for the record whose value is e.Data. A decoder whose
// source names no other tenant extension reads the same event from it.
func (e *Event) Headers() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		_ = yield("ce_specversion", specVersion) &&
			yield("ce_id", e.ID) &&
			yield("ce_source", e.Source) &&
			yield("ce_type", e.Type) &&
			yield("ce_time", e.Time.UTC().Format(time.RFC3339Nano)) &&
			yield(headerPrefix+DefaultTenantExtension, e.Tenant) &&
			yield(headerContentType, e.ContentType) &&
			(len(e.Channels) == 0 || yield(headerPrefix+ChannelsExtension, strings.Join(e.Channels, ","))) &&
			(e.TraceParent == "" || yield(headerTraceParent, e.TraceParent)) &&
			(e.TraceState == "" || yield(headerTraceState, e.TraceState))
	}
}
