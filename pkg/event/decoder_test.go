package event

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
)

var received = time.Date(2026, 2, 1, 8, 30, 1, 0, time.UTC)

// headers yields pairs of name and value.
func headers(pairs ...string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for p := range slices.Chunk(pairs, 2) {
			if !yield(p[0], []byte(p[1])) {
				return
			}
		}
	}
}

func record(value string, pairs ...string) Record {
	return Record{
		Value: []byte(value), Headers: headers(pairs...), Timestamp: received,
		Position: delivery.Position{Topic: "t", Partition: 3, Offset: 42},
	}
}

func decode(t *testing.T, s Source, rec Record) (*Event, error) {
	t.Helper()
	d, err := NewDecoder(s)
	require.NoError(t, err)
	return d.Decode(rec)
}

var dixa = Source{Name: "dixa", Format: FormatJSON, Mapping: Mapping{
	ID: "event_id", Type: "event_fqn", Tenant: "organization.id", Time: "event_timestamp", Data: "data",
}}

const dixaRecord = `{"event_id":"5f1c1a36-2a9e-4b7c-8d51-9f2b7f0f7a11","event_fqn":"CONVERSATION_CREATED","event_version":"1",
 "event_timestamp":"2026-02-01T08:30:00.123Z","organization":{"id":"7d2f7f0e-1111-4c3b-9f0e-0a1b2c3d4e5f","name":"Acme \u00e9"},
 "data": {"conversation" : {"csid":42, "tags":[ ], "subject":"a\u0062c"}} }`

func TestDecodeMapped(t *testing.T) {
	e, err := decode(t, dixa, record(dixaRecord, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	require.NoError(t, err)
	require.Equal(t, &Event{
		Tenant: "7d2f7f0e-1111-4c3b-9f0e-0a1b2c3d4e5f", Source: "dixa", ID: "5f1c1a36-2a9e-4b7c-8d51-9f2b7f0f7a11",
		Type: "CONVERSATION_CREATED", Time: time.Date(2026, 2, 1, 8, 30, 0, 123e6, time.UTC), ContentType: "application/json",
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		Data:        []byte(`{"conversation" : {"csid":42, "tags":[ ], "subject":"a\u0062c"}}`),
	}, e)
}

func TestDecodeMappedDefaults(t *testing.T) {
	s := Source{Name: "loyalty", Format: FormatJSON, Tenant: "acme", Mapping: Mapping{Type: `meta.type\.name`, Time: "at"}}
	const value = ` {"meta":{"type.name":"points.added"},"at":null,"tenant":"other"}`
	e, err := decode(t, s, record(value))
	require.NoError(t, err)
	require.Equal(t, &Event{
		Tenant: "acme", Source: "loyalty", ID: "t/3/42", Type: "points.added", Time: received, ContentType: "application/json",
		Data: []byte(value),
	}, e)

	e, err = decode(t, Source{Name: "n", Format: FormatJSON, Mapping: Mapping{ID: "id", Type: "t", Tenant: "org"}},
		record(`{"id":12345678901234567890,"t":"a","org":7,"t":"b"}`))
	require.NoError(t, err)
	require.Equal(t, "12345678901234567890", e.ID, "numbers keep their digits")
	require.Equal(t, "7", e.Tenant)
	require.Equal(t, "a", e.Type, "the first of two members counts")
}

var binaryHeaders = []string{
	"ce_specversion", "1.0", "ce_id", "A234-1234-1234", "ce_source", "https://example.com/cloudevents/pull", "ce_type",
	"com.example.pull", "ce_time", "2018-04-05T17:31:00+02:00", "ce_tenant", "acme", "content-type", "application/json; charset=utf-8",
}

func TestDecodeBinary(t *testing.T) {
	e, err := decode(t, Source{Name: "s"}, record(`{"a": 1 }`, binaryHeaders...))
	require.NoError(t, err)
	require.Equal(t, &Event{
		Tenant: "acme", Source: "https://example.com/cloudevents/pull", ID: "A234-1234-1234", Type: "com.example.pull",
		Time: time.Date(2018, 4, 5, 15, 31, 0, 0, time.UTC), ContentType: "application/json; charset=utf-8", Data: []byte(`{"a": 1 }`),
	}, e)

	e, err = decode(t, Source{Name: "s"}, record("\xff\x00", append(slices.Clone(binaryHeaders[:12]), "Content-Type", "image/png")...))
	require.NoError(t, err)
	require.Equal(t, []byte("\xff\x00"), e.Data, "data that is no JSON is forwarded as it is")

	e, err = decode(t, Source{Name: "s"}, record("", binaryHeaders...))
	require.NoError(t, err)
	require.JSONEq(t, `null`, string(e.Data), "no data is null")
}

const structuredRecord = `{"specversion":"1.0","type":"com.example.pull","source":"https://example.com/cloudevents/pull",
 "id":"A234-1234-1234","time":"2018-04-05T17:31:00Z","brandid":77,"comexampleothervalue":5,"subject":null,
 "traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","datacontenttype":"application/json","data" : { "a":[1 ,2]} }`

func TestDecodeStructured(t *testing.T) {
	for _, contentType := range []string{"application/cloudevents", "Application/CloudEvents+JSON; charset=UTF-8"} {
		e, err := decode(t, Source{Name: "s", TenantExtension: "brandid"}, record(structuredRecord, "content-type", contentType))
		require.NoError(t, err)
		require.Equal(t, &Event{
			Tenant: "77", Source: "https://example.com/cloudevents/pull", ID: "A234-1234-1234", Type: "com.example.pull",
			Time: time.Date(2018, 4, 5, 17, 31, 0, 0, time.UTC), ContentType: "application/json",
			TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Data: []byte(`{ "a":[1 ,2]}`),
		}, e)
	}
}

func TestDecodeStructuredData(t *testing.T) {
	const head = `{"specversion":"1.0","type":"t","source":"s","id":"i","tenant":"a",`
	for _, tt := range []struct{ name, rest, want string }{
		{"absent", `"subject":"x"}`, "null"},
		{"null", `"data":null}`, "null"},
		{"text as JSON", `"data":"a\nb"}`, `"a\nb"`},
		{"text as text", `"datacontenttype":"text/plain","data":"a\nb"}`, "a\nb"},
		{"base64", `"datacontenttype":"image/png","data_base64":"/wA="}`, "\xff\x00"},
		{"base64 of JSON", `"data_base64":"eyAiYSI6MX0="}`, `{ "a":1}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := decode(t, Source{Name: "s"}, record(head+tt.rest, "content-type", "application/cloudevents+json"))
			require.NoError(t, err)
			require.Equal(t, tt.want, string(e.Data))
		})
	}
}

func TestFixedTenantWins(t *testing.T) {
	e, err := decode(t, Source{Name: "s", Tenant: "fixed"}, record(`1`, binaryHeaders...))
	require.NoError(t, err)
	require.Equal(t, "fixed", e.Tenant)
}

func TestTraceContextOfTheRecordIsCloser(t *testing.T) {
	const event, producer = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-aaaaaaaaaaaaaaaa-01"
	long := strings.Repeat("a", maxTraceState+1)
	for _, tt := range []struct{ parent, state, wantParent, wantState string }{
		{producer, "p=1", producer, "p=1"},
		{producer, "", producer, ""}, // the event's state is of another span
		{producer, "p=\n", producer, ""},
		{producer, long, producer, ""},
		{producer, long[1:], producer, long[1:]},
		{"", "p=1", event, "e=1"},
		{"nonsense", "p=1", event, "e=1"},
	} {
		pairs := append(slices.Clone(binaryHeaders), "ce_traceparent", event, "ce_tracestate", "e=1", "traceparent", tt.parent, "tracestate", tt.state)
		e, err := decode(t, Source{Name: "s"}, record(`1`, pairs...))
		require.NoError(t, err)
		require.Equal(t, tt.wantParent, e.TraceParent)
		require.Equal(t, tt.wantState, e.TraceState)
	}
	e, err := decode(t, dixa, record(dixaRecord, "tracestate", "p=1"))
	require.NoError(t, err)
	require.Empty(t, e.TraceState, "a state without its parent")
	e, err = decode(t, dixa, record(dixaRecord, "tracestate", "p=1", "traceparent", producer))
	require.NoError(t, err)
	require.Equal(t, []string{producer, "p=1"}, []string{e.TraceParent, e.TraceState})
}

// with returns the binary headers with one replaced, or left out if v is "-".
func with(name, v string) []string {
	var pairs []string
	for p := range slices.Chunk(binaryHeaders, 2) {
		if p[0] != name {
			pairs = append(pairs, p...)
		} else if v != "-" {
			pairs = append(pairs, name, v)
		}
	}
	return pairs
}

func TestDecodeRefuses(t *testing.T) {
	structured := []string{"content-type", "application/cloudevents+json"}
	cloud := Source{Name: "s"}
	for _, tt := range []struct {
		name   string
		source Source
		rec    Record
		reason Reason
		field  string
	}{
		{"too large", cloud, record(strings.Repeat(" ", MaxBytes) + "1"), ReasonTooLarge, ""},
		{"no CloudEvent", cloud, record(`{}`), ReasonUndecodable, ""},
		{"batch", cloud, record(`[]`, "content-type", "application/cloudevents-batch+json"), ReasonUndecodable, "content-type"},
		{"avro", cloud, record(`x`, "content-type", "application/cloudevents+avro"), ReasonUndecodable, "content-type"},
		{"version", cloud, record(`1`, with("ce_specversion", "0.3")...), ReasonUndecodable, "specversion"},
		{"no source", cloud, record(`1`, with("ce_source", "")...), ReasonUndecodable, "source"},
		{"no id", cloud, record(`1`, with("ce_id", "-")...), ReasonNoID, "id"},
		{"long id", cloud, record(`1`, with("ce_id", strings.Repeat("i", 257))...), ReasonNoID, "id"},
		{"no type", cloud, record(`1`, with("ce_type", "-")...), ReasonNoType, "type"},
		{"bad type", cloud, record(`1`, with("ce_type", "a/b")...), ReasonBadType, "type"},
		{"long type", cloud, record(`1`, with("ce_type", strings.Repeat("t", 257))...), ReasonBadType, "type"},
		{"bad channel", cloud, record(`1`, append(slices.Clone(binaryHeaders), "ce_channels", "a,b c")...), ReasonBadChannels, "channels"},
		{"empty channel", cloud, record(`1`, append(slices.Clone(binaryHeaders), "ce_channels", "a,,b")...), ReasonBadChannels, "channels"},
		{"a channel twice", cloud, record(`1`, append(slices.Clone(binaryHeaders), "ce_channels", "a, a")...), ReasonBadChannels, "channels"},
		{"many channels", cloud, record(`1`, append(slices.Clone(binaryHeaders), "ce_channels", "a,b,c,d,e,f,g,h,i,j,k")...), ReasonBadChannels, "channels"},
		{"long channel", cloud, record(`1`, append(slices.Clone(binaryHeaders), "ce_channels", strings.Repeat("c", 129))...), ReasonBadChannels, "channels"},
		{"bad time", cloud, record(`1`, with("ce_time", "yesterday")...), ReasonBadTime, "time"},
		{"empty time", cloud, record(`1`, with("ce_time", "")...), ReasonBadTime, "time"},
		{"no tenant", cloud, record(`1`, with("ce_tenant", "-")...), ReasonNoTenant, "tenant"},
		{"content type", cloud, record(`1`, with("content-type", "text/plain\r\nX: y")...), ReasonUndecodable, "content-type"},
		{"data is no JSON", cloud, record(`{"a":}`, binaryHeaders...), ReasonUndecodable, "data"},
		{"data is no UTF-8", cloud, record("\"\xff\"", binaryHeaders...), ReasonUndecodable, "data"},
		{"two values", cloud, record(`1 2`, binaryHeaders...), ReasonUndecodable, "data"},
		{"too deep", cloud, record(strings.Repeat("[", 500_000)+strings.Repeat("]", 500_000), binaryHeaders...), ReasonUndecodable, "data"},
		{"structured: no object", cloud, record(`[]`, structured...), ReasonUndecodable, ""},
		{"structured: no JSON", cloud, record(`{`, structured...), ReasonUndecodable, ""},
		{"structured: id is a number", cloud, record(`{"specversion":"1.0","id":1}`, structured...), ReasonUndecodable, "id"},
		{"structured: both data", cloud, record(`{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":""}`, structured...), ReasonUndecodable, "data_base64"},
		{"structured: base64", cloud, record(`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}`, structured...), ReasonUndecodable, "data_base64"},
		{"mapped: no JSON", dixa, record(`{"event_id":`), ReasonUndecodable, ""},
		{"mapped: no object", dixa, record(`"text"`), ReasonNoData, "data"},
		{"mapped: no id", dixa, record(`{"event_fqn":"A","organization":{"id":"o"},"data":1}`), ReasonNoID, "event_id"},
		{"mapped: no type", dixa, record(`{"event_id":"1","organization":{"id":"o"},"data":1}`), ReasonNoType, "event_fqn"},
		{"mapped: type is an object", dixa, record(`{"event_id":"1","event_fqn":{},"organization":{"id":"o"},"data":1}`), ReasonNoType, "event_fqn"},
		{"mapped: no tenant", dixa, record(`{"event_id":"1","event_fqn":"A","organization":"o","data":1}`), ReasonNoTenant, "organization.id"},
		{"mapped: no data", dixa, record(`{"event_id":"1","event_fqn":"A","organization":{"id":"o"}}`), ReasonNoData, "data"},
		{"mapped: bad time", dixa, record(`{"event_timestamp":1700000000}`), ReasonBadTime, "event_timestamp"},
		{"mapped: bad time text", dixa, record(`{"event_timestamp":"2026-13-01T00:00:00Z"}`), ReasonBadTime, "event_timestamp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := decode(t, tt.source, tt.rec)
			var bad *Error
			require.ErrorAs(t, err, &bad)
			require.Equal(t, tt.reason, bad.Reason, "%v", err)
			require.Equal(t, tt.field, bad.Field)
			require.NotEmpty(t, bad.Detail)
		})
	}
}

func TestDeepJSONWithinTheLimit(t *testing.T) {
	flat := "[" + strings.Repeat(`{},"[[[\"[",`, 20_000) + "1]"
	_, err := decode(t, Source{Name: "s"}, record(flat, binaryHeaders...))
	require.NoError(t, err, "many brackets are not deep")
}

func TestSourceRefusesPaths(t *testing.T) {
	for _, path := range []string{"a.#", "@this", "a|b", "*", "a.?", ".a", "a.", "a..b", `a\b`, "!1", "{a}"} {
		s := dixa
		s.Mapping.Data = path
		_, err := NewDecoder(s)
		require.ErrorContains(t, err, "mapping.data: ", path)
	}
}

// TestOfficialSDK reads what the CloudEvents project's own library writes.
func TestOfficialSDK(t *testing.T) {
	for _, data := range []any{map[string]any{"a": 1.5}, "text", []byte(`{"raw": true}`), nil} {
		sdk := ce.New()
		sdk.SetID("id-1")
		sdk.SetSource("/orders")
		sdk.SetType("order.created")
		sdk.SetTime(received)
		sdk.SetExtension("tenant", "acme")
		if data != nil {
			require.NoError(t, sdk.SetData("application/json", data))
		}
		require.NoError(t, sdk.Validate())
		value, err := json.Marshal(sdk)
		require.NoError(t, err)
		e, err := decode(t, Source{Name: "s"}, record(string(value), "content-type", ce.ApplicationCloudEventsJSON))
		require.NoError(t, err)
		want := sdk.Data()
		if data == nil {
			want = []byte("null")
		}
		require.Equal(t, string(want), string(e.Data))
		require.Equal(t, []any{"id-1", "/orders", "order.created", received, "acme"}, []any{e.ID, e.Source, e.Type, e.Time, e.Tenant})
	}
}

func TestHeadersRoundTrip(t *testing.T) {
	want := &Event{
		Tenant: "acme", Source: "/api", ID: "1", Type: "order.created", Time: received.Add(123456), ContentType: "application/json",
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", TraceState: "acme=1", Data: []byte(`{"a":1}`),
	}
	var pairs []string
	for name, v := range want.Headers() {
		pairs = append(pairs, name, v)
	}
	got, err := decode(t, Source{Name: "s"}, record(string(want.Data), pairs...))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// within reports whether part shares the memory of whole.
func within(part, whole []byte) bool {
	p, w := uintptr(unsafe.Pointer(unsafe.SliceData(part))), uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	return p >= w && p+uintptr(len(part)) <= w+uintptr(len(whole))
}

func FuzzMapped(f *testing.F) {
	f.Add([]byte(dixaRecord))
	f.Add([]byte(`{"event_id":"1","event_fqn":"A","organization":{"id":"o"},"data":"\ud800"}`))
	f.Add([]byte(`{"\u0065vent_id":"1","event_fqn":"A","organization":[{"id":"o"}],"data":[[]]}`))
	d, err := NewDecoder(dixa)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		before := bytes.Clone(value)
		e, err := d.Decode(Record{Value: value, Timestamp: received})
		if err != nil {
			if !errors.As(err, new(*Error)) {
				t.Fatalf("%T is no *Error", err)
			}
			return
		}
		if !within(e.Data, value) || !json.Valid(e.Data) || !bytes.Equal(before, value) {
			t.Fatalf("data %q is no JSON part of %q", e.Data, value)
		}
		var oracle struct {
			Data json.RawMessage `json:"data"`
		}
		if json.Unmarshal(value, &oracle) == nil && bytes.Count(value, []byte("ata")) == 1 && !bytes.ContainsRune(value, '\\') &&
			!bytes.Equal(oracle.Data, e.Data) {
			t.Fatalf("data %q: encoding/json reads %q", e.Data, oracle.Data)
		}
	})
}

// FuzzModesAgree reads an event in binary and in structured mode and wants the same.
func FuzzModesAgree(f *testing.F) {
	f.Add("1", "s", "t", "2026-02-01T08:30:00Z", "acme", "application/json", []byte(`{"a": 1}`), false)
	f.Add("1", "s", "t", "2026-02-01T08:30:00.5+02:00", "acme", "image/png", []byte("\xff"), true)
	f.Add("1", "s", "t", "", "", "text/plain", []byte("a\nb"), true)
	d, err := NewDecoder(Source{Name: "s"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, source, kind, at, tenant, contentType string, data []byte, encode bool) {
		attributes := map[string]any{
			"specversion": "1.0", "id": id, "source": source, "type": kind, "time": at, "tenant": tenant, "datacontenttype": contentType,
		}
		for _, v := range attributes {
			if s, _ := v.(string); strings.ToValidUTF8(s, "") != s {
				t.Skip("JSON cannot hold it")
			}
		}
		if encode || !json.Valid(data) || !isJSON(contentType) {
			attributes["data_base64"] = base64.StdEncoding.EncodeToString(data)
		} else {
			attributes["data"] = json.RawMessage(data)
		}
		value, err := json.Marshal(attributes)
		if err != nil || len(value) > MaxBytes || strings.HasPrefix(strings.ToLower(contentType), structuredType) {
			t.Skip("no such structured event")
		}
		binary, binaryErr := d.Decode(record(string(data), "ce_specversion", "1.0", "ce_id", id, "ce_source", source, "ce_type", kind,
			"ce_time", at, "ce_tenant", tenant, "content-type", contentType))
		structured, structuredErr := d.Decode(record(string(value), "content-type", "application/cloudevents+json"))
		if (binaryErr == nil) != (structuredErr == nil) {
			t.Fatalf("binary: %v, structured: %v", binaryErr, structuredErr)
		}
		if binaryErr != nil {
			return
		}
		if isJSON(binary.ContentType) { // Marshal compacts
			binary.Data, structured.Data = compact(t, binary.Data), compact(t, structured.Data)
		}
		require.Equal(t, binary, structured)
	})
}

func compact(t *testing.T, data []byte) []byte {
	t.Helper()
	var v any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&v))
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return out
}

func BenchmarkDecodeMapped(b *testing.B) {
	d, err := NewDecoder(dixa)
	require.NoError(b, err)
	rec := record(dixaRecord)
	b.ReportAllocs()
	b.SetBytes(int64(len(rec.Value)))
	for b.Loop() {
		if _, err := d.Decode(rec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeBinary(b *testing.B) {
	d, err := NewDecoder(Source{Name: "s"})
	require.NoError(b, err)
	rec := record(dixaRecord, binaryHeaders...)
	b.ReportAllocs()
	b.SetBytes(int64(len(rec.Value)))
	for b.Loop() {
		if _, err := d.Decode(rec); err != nil {
			b.Fatal(err)
		}
	}
}

func TestChannels(t *testing.T) {
	structured := []string{"content-type", "application/cloudevents+json"}
	const event = `{"specversion":"1.0","id":"1","source":"s","type":"t","tenant":"acme","channels":%s}`
	mapping := dixa
	mapping.Mapping = Mapping{ID: "id", Type: "t", Tenant: "org", Channels: "meta.channels"}
	plain := `{"id":"1","t":"a","org":"acme","meta":{"channels":%s}}`
	for _, c := range []struct {
		name   string
		source Source
		record Record
		want   []string
		bad    string
	}{
		{"binary", Source{Name: "s"}, record(`1`, append(slices.Clone(binaryHeaders), "ce_channels", "a, b:1+c")...), []string{"a", "b:1+c"}, ""},
		{"binary, empty", Source{Name: "s"}, record(`1`, append(slices.Clone(binaryHeaders), "ce_channels", " ")...), nil, ""},
		{"structured", Source{Name: "s"}, record(fmt.Sprintf(event, `"a,b"`), structured...), []string{"a", "b"}, ""},
		{"structured, null", Source{Name: "s"}, record(fmt.Sprintf(event, `null`), structured...), nil, ""},
		{"structured, list", Source{Name: "s"}, record(fmt.Sprintf(event, `["a"]`), structured...), nil, "channels"},
		{"mapped list", mapping, record(fmt.Sprintf(plain, `["a","b"]`)), []string{"a", "b"}, ""},
		{"mapped text", mapping, record(fmt.Sprintf(plain, `"a"`)), []string{"a"}, ""},
		{"mapped null", mapping, record(fmt.Sprintf(plain, `null`)), nil, ""},
		{"mapped, empty list", mapping, record(fmt.Sprintf(plain, `[]`)), nil, ""},
		{"mapped, absent", mapping, record(`{"id":"1","t":"a","org":"acme"}`), nil, ""},
		{"mapped number", mapping, record(fmt.Sprintf(plain, `3`)), nil, "meta.channels"},
		{"mapped list of numbers", mapping, record(fmt.Sprintf(plain, `["a",3]`)), nil, "meta.channels"},
		{"mapped, two in a text", mapping, record(fmt.Sprintf(plain, `"a,b"`)), nil, "meta.channels"},
		{"mapped, many", mapping, record(fmt.Sprintf(plain, `["a","b","c","d","e","f","g","h","i","j","k","l"]`)), nil, "meta.channels"},
	} {
		e, err := decode(t, c.source, c.record)
		if c.bad != "" {
			bad, ok := errors.AsType[*Error](err)
			require.True(t, ok, c.name)
			require.Equal(t, ReasonBadChannels, bad.Reason, c.name)
			require.Equal(t, c.bad, bad.Field, c.name)
			continue
		}
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, e.Channels, c.name)
		again := []string{}
		for name, v := range e.Headers() {
			again = append(again, name, v)
		}
		back, err := decode(t, Source{Name: "s"}, record(string(e.Data), again...))
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, back.Channels, c.name)
	}
}
