package envelope

import (
	"encoding/base64"
	"iter"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
)

// cloudEvents is the JSON format of CloudEvents 1.0 (structured mode of its HTTP binding). Data that is not JSON is
// base64 in data_base64, unless it is an encrypted text: that is a string (section 3.1.1). An event without data has no member
// for it.
func cloudEvents(dst []byte, in *Input) ([]byte, error) {
	d := in.Delivery
	first := true
	for name, value := range attributes(d) {
		opening := byte(',')
		if first {
			opening, first = '{', false
		}
		dst = appendString(append(dst, opening), name)
		dst = appendString(append(dst, ':'), value)
	}
	switch {
	case len(d.Data) == 0:
	case checkJSON(d) == nil:
		dst = appendData(append(dst, `,"data":`...), d)
	default:
		dst = base64.StdEncoding.AppendEncode(append(dst, `,"data_base64":"`...), d.Data)
		dst = append(dst, '"')
	}
	return append(dst, '}'), nil
}

// cloudEventsHeaders are the header fields of the binary mode of the HTTP binding, whose body is the data. The content
// type is a field of its own there.
func cloudEventsHeaders(d *delivery.Delivery) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, value := range attributes(d) {
			if name != "datacontenttype" && !yield("ce-"+name, encodeHeader(value)) {
				return
			}
		}
	}
}

// attributes yields the attributes of an event in CloudEvents, specversion first; never none. The trace is the extension
// for distributed tracing.
func attributes(d *delivery.Delivery) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		_ = yield("specversion", "1.0") &&
			yield("id", d.EventID) &&
			yield("source", d.EventSource) &&
			yield("type", d.EventType) &&
			yield("time", d.EventTime.UTC().Format(time.RFC3339Nano)) &&
			(len(d.Data) == 0 || yield("datacontenttype", contentType(d))) &&
			(d.TraceParent == "" || yield("traceparent", d.TraceParent))
	}
}

// encodeHeader percent-encodes a value as the HTTP binding wants it (section 3.1.3.2): space, the double quote, the percent
// sign and everything but printable ASCII, byte by byte of UTF-8.
func encodeHeader(value string) string {
	plain := true
	for i := range len(value) {
		plain = plain && !encoded(value[i])
	}
	if plain {
		return value
	}
	out := make([]byte, 0, 3*len(value))
	for i := range len(value) {
		if c := value[i]; encoded(c) {
			out = append(out, '%', upperHex[c>>4], upperHex[c&0xf])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

const upperHex = "0123456789ABCDEF"

func encoded(c byte) bool { return c <= ' ' || c > '~' || c == '"' || c == '%' }
