package envelope_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

func sample(data string) *delivery.Delivery {
	return &delivery.Delivery{
		Message: ident.Derive("message"), Subscription: ident.Derive("subscription"), EventSource: "/crm",
		EventID: "0be2bd61-7e28-4620-87f0-74952725d960", EventType: "CONVERSATION_CREATED",
		EventTime: time.Date(2022, 5, 10, 9, 46, 44, 877654321, time.FixedZone("CEST", 2*3600)),
		Data:      []byte(data),
	}
}

var dixaTenant = &subscription.Tenant{UID: "2757a2cf-614e-47ac-8b28-56828bae39bf", Name: "Dixa"}

// input is the try at 19:36:02.938 on 8 April 2021.
func input(d *delivery.Delivery, tenant *subscription.Tenant) *envelope.Input {
	return &envelope.Input{Delivery: d, Tenant: tenant, Attempt: ident.Derive("attempt"), At: time.UnixMilli(1617910562938)}
}

func render(t testing.TB, name string, d *delivery.Delivery, tenant *subscription.Tenant) ([]byte, error) {
	t.Helper()
	e, ok := envelope.Lookup(name)
	require.True(t, ok, name)
	return e.Append(nil, input(d, tenant))
}

func TestEnvelopes(t *testing.T) {
	data := `{"b": 1.0, "a" :[1e3,"\u00e6/<>&"], "b":2}` // spaces, order, escapes, numbers and doubles are kept
	for _, tc := range []struct{ name, want string }{
		{"raw", data},
		{"standard", `{"type":"CONVERSATION_CREATED","timestamp":"2022-05-10T07:46:44.877Z","data":` + data + `}`},
		{"dixa", `{"event_id":"0be2bd61-7e28-4620-87f0-74952725d960","event_fqn":"CONVERSATION_CREATED",` +
			`"event_version":"1","event_timestamp":"2022-05-10T07:46:44.877Z",` +
			`"organization":{"id":"2757a2cf-614e-47ac-8b28-56828bae39bf","name":"Dixa"},"data":` + data + `}`},
		{"voyado", `{"eventId":"0be2bd61-7e28-4620-87f0-74952725d960","eventType":"CONVERSATION_CREATED","isEncrypted":false,` +
			`"payload":` + data + `,"tenant":"2757a2cf-614e-47ac-8b28-56828bae39bf"}`},
		{"cloudevents", `{"specversion":"1.0","id":"0be2bd61-7e28-4620-87f0-74952725d960","source":"/crm","type":"CONVERSATION_CREATED",` +
			`"time":"2022-05-10T07:46:44.877654321Z","datacontenttype":"application/json","data":` + data + `}`},
		{"cloudevents-binary", data},
	} {
		got, err := render(t, tc.name, sample(data), dixaTenant)
		require.NoError(t, err)
		require.Equal(t, tc.want, string(got))
	}
	require.Equal(t, []string{"cloudevents", "cloudevents-binary", "dixa", "flexengage", "raw", "standard", "voyado"}, envelope.Names())
	_, ok := envelope.Lookup("soap")
	require.False(t, ok)
}

func TestEveryTryHasTheSameBytes(t *testing.T) {
	for _, name := range envelope.Names() {
		d := sample(`{"x":1}`)
		e, _ := envelope.Lookup(name)
		first, err := render(t, name, d, dixaTenant)
		require.NoError(t, err)
		d.Attempts, d.Pass, d.Parks = 3, 7, 2
		d.Due, d.First, d.Reason = time.Now(), time.Now(), "failed"
		d.Trigger = delivery.Trigger{Kind: delivery.TriggerResend, ID: "1"}
		in := input(d, dixaTenant)
		in.Attempt, in.At = ident.Derive("another"), time.Now()
		again, err := e.Append(nil, in)
		require.NoError(t, err)
		require.Equal(t, e.Scope() != envelope.PerAttempt, string(first) == string(again), name)
		d.Subscription = ident.Derive("another")
		again, err = render(t, name, d, dixaTenant)
		require.NoError(t, err)
		require.Equal(t, e.Scope() == envelope.PerEvent, string(first) == string(again), name)
	}
}

func TestAppendsToWhatIsThere(t *testing.T) {
	for _, name := range envelope.Names() {
		e, _ := envelope.Lookup(name)
		got, err := e.Append([]byte("before"), input(sample("{}"), dixaTenant))
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(got), "before"))
	}
	d := sample("<a/>")
	d.ContentType = "text/xml"
	for _, name := range []string{"dixa", "flexengage", "standard", "voyado"} {
		e, _ := envelope.Lookup(name)
		got, err := e.Append([]byte("before"), input(d, dixaTenant))
		require.ErrorIs(t, err, envelope.ErrNotJSON)
		require.Equal(t, "before", string(got), "a refusal leaves the buffer alone")
	}
}

func TestContentTypes(t *testing.T) {
	for contentType, isJSON := range map[string]bool{
		"": true, "application/json": true, "Application/JSON; charset=utf-8": true, "text/json": true,
		"application/vnd.api+json": true, "application/problem+json;x=y": true,
		"text/plain": false, "application/xml": false, "application/avro": false, "json": false,
		"application/jsonl": false, "application/json/x": false, ";": false, "application/x-json-stream": false,
	} {
		require.Equal(t, isJSON, envelope.IsJSON(contentType), "%q", contentType)
		d := sample("{}")
		d.ContentType = contentType
		for _, name := range envelope.Names() {
			_, err := render(t, name, d, dixaTenant)
			if isJSON || name == "raw" || strings.HasPrefix(name, "cloudevents") {
				require.NoError(t, err, "%s %q", name, contentType)
				continue
			}
			require.ErrorIs(t, err, envelope.ErrNotJSON, "%s %q", name, contentType)
		}
	}
}

func TestNothingIsNull(t *testing.T) {
	got, err := render(t, "standard", sample(""), dixaTenant)
	require.NoError(t, err)
	require.True(t, json.Valid(got))
	require.Equal(t, gjson.Null, gjson.GetBytes(got, "data").Type)
}

func TestTenantWithoutUID(t *testing.T) {
	tenant := &subscription.Tenant{ID: ident.Derive("test"), Name: "No \"UID\"\n"}
	got, err := render(t, "dixa", sample("1"), tenant)
	require.NoError(t, err)
	require.Equal(t, tenant.ID.UUID(), gjson.GetBytes(got, "organization.id").String())
	require.Equal(t, tenant.Name, gjson.GetBytes(got, "organization.name").String())
}

// FuzzEnvelope: whatever the strings hold, an envelope around valid JSON is valid JSON, holds the data's bytes as they
// are and the strings as the standard library would write and read them.
func FuzzEnvelope(f *testing.F) {
	f.Add("id", "contact.updated", "name", []byte(`{"a":1}`))
	f.Add("\"\\\x00\x1f\x7f", "\xff\xfe", "æ\u2028😀\ud7ff", []byte(`null`))
	f.Add("\xed\xa0\x80", "\xf0\x9f", "</script>", []byte(` [1, 2] `))
	f.Fuzz(func(t *testing.T, id, eventType, name string, data []byte) {
		if !json.Valid(data) {
			return
		}
		d := sample(string(data))
		d.EventID, d.EventType = id, eventType
		tenant := &subscription.Tenant{UID: id, Name: name}
		for kind, holds := range map[string]string{
			"standard": `"data":` + string(data) + "}", "dixa": `"data":` + string(data) + "}", "cloudevents": `"data":` + string(data) + "}",
			"flexengage": `"data":` + string(data) + "}", "voyado": `"isEncrypted":false,"payload":` + string(data) + `,"tenant":`,
		} {
			got, err := render(t, kind, d, tenant)
			require.NoError(t, err)
			require.True(t, json.Valid(got), "%q", got)
			require.Contains(t, string(got), holds)
		}
		for name, value := range headers(t, "cloudevents-binary", d) {
			require.NoError(t, subscription.CheckField(name, value))
		}
		got, err := render(t, "dixa", d, tenant)
		require.NoError(t, err)
		var back struct {
			EventID      string `json:"event_id"`
			EventFQN     string `json:"event_fqn"`
			Organization struct{ ID, Name string }
		}
		require.NoError(t, json.Unmarshal(got, &back))
		valid := func(s string) string { return string([]rune(s)) } // every byte that is no UTF-8 becomes U+FFFD
		require.Equal(t, valid(id), back.EventID)
		require.Equal(t, valid(eventType), back.EventFQN)
		require.Equal(t, valid(id), back.Organization.ID)
		require.Equal(t, valid(name), back.Organization.Name)
	})
}

func BenchmarkDixa(b *testing.B) {
	d := sample(`{"x":"` + strings.Repeat("y", 1000) + `"}`)
	e, _ := envelope.Lookup("dixa")
	in := input(d, dixaTenant)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = e.Append(buf[:0], in); err != nil {
			b.Fatal(err)
		}
	}
}
