package envelope_test

import (
	"bytes"
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/ident"
)

func headers(t testing.TB, name string, d *delivery.Delivery) map[string]string {
	t.Helper()
	e, ok := envelope.Lookup(name)
	require.True(t, ok)
	return maps.Collect(e.Headers(d))
}

// The members of its guide, in its order. The event's id is its own if that is a ULID.
func TestFlexEngage(t *testing.T) {
	d := sample(`{"phoneNumber":"+1"}`)
	d.EventID, d.EventType = "01F2SFVYVD0H873S2VRT8VQSPM", "NOTIFICATION.SMS.RECEIPT"
	got, err := render(t, "flexengage", d, dixaTenant)
	require.NoError(t, err)
	attempt := gjson.GetBytes(got, "attemptId").String()
	require.Equal(t, `{"id":"01F2SFVYVD0H873S2VRT8VQSPM","brandId":"2757a2cf-614e-47ac-8b28-56828bae39bf","webhookId":"`+
		d.Subscription.UUID()+`","attemptId":"`+attempt+`","created":"2022-05-10T07:46:44.877Z","type":"NOTIFICATION.SMS.RECEIPT",`+
		`"data":{"phoneNumber":"+1"}}`, string(got))
	read, err := ulid.ParseStrict(attempt)
	require.NoError(t, err)
	require.Equal(t, "2021-04-08T19:36:02.938Z", ulid.Time(read.Time()).UTC().Format("2006-01-02T15:04:05.000Z"), "a ULID tells the time of the try")

	d.EventID = "another id"
	first, err := render(t, "flexengage", d, dixaTenant)
	require.NoError(t, err)
	id, err := ulid.ParseStrict(gjson.GetBytes(first, "id").String())
	require.NoError(t, err)
	require.Equal(t, d.EventTime.UnixMilli(), ulid.Time(id.Time()).UnixMilli())
	in := input(d, dixaTenant)
	in.Attempt = ident.Derive("the next")
	next, err := lookup(t, "flexengage").Append(nil, in)
	require.NoError(t, err)
	require.Equal(t, id.String(), gjson.GetBytes(next, "id").String(), "the event's is the same on every try")
	require.NotEqual(t, gjson.GetBytes(first, "attemptId").String(), gjson.GetBytes(next, "attemptId").String())

	for _, at := range []time.Time{time.Unix(-1, 0), time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		in.At = at
		body, err := lookup(t, "flexengage").Append(nil, in)
		require.NoError(t, err)
		_, err = ulid.ParseStrict(gjson.GetBytes(body, "attemptId").String())
		require.NoError(t, err, at)
	}
}

func lookup(t testing.TB, name string) *envelope.Envelope {
	t.Helper()
	e, ok := envelope.Lookup(name)
	require.True(t, ok)
	return e
}

// The official SDK reads both modes as the event that it was, but for two things in which it does less than the
// specification wants: it does not decode header values, and takes no JSON of a vendor's type in structured mode.
func TestCloudEventsAreReadByTheSDK(t *testing.T) {
	for name, c := range map[string]struct{ data, contentType, id string }{
		"JSON":    {`{"a": 1}`, "", "1"},
		"vendor":  {`{"a": 1}`, "application/vnd.acme+json", "1"},
		"binary":  {"\x00\xff", "application/octet-stream", "1"},
		"text":    {"<a/>", "text/xml", `a "quoted" 100% näme`},
		"no data": {"", "", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := sample(c.data)
			d.ContentType, d.EventID, d.TraceParent = c.contentType, c.id, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
			for _, mode := range []string{"cloudevents", "cloudevents-binary"} {
				body, err := render(t, mode, d, dixaTenant)
				require.NoError(t, err)
				header := http.Header{"Content-Type": {lookup(t, mode).ContentType(d)}}
				for name, value := range headers(t, mode, d) {
					header.Set(name, value)
				}
				if mode == "cloudevents" && c.contentType == "application/vnd.acme+json" {
					require.Equal(t, c.data, gjson.GetBytes(body, "data").Raw)
					require.Equal(t, c.contentType, gjson.GetBytes(body, "datacontenttype").String())
					continue
				}
				got, err := cloudevents.NewEventFromHTTPRequest(requestWith(t, header, body))
				require.NoError(t, err, "%s %v %s", mode, header, body)
				require.NoError(t, got.Validate())
				id := got.ID()
				if mode == "cloudevents-binary" {
					id, err = url.PathUnescape(id)
					require.NoError(t, err)
				}
				require.Equal(t, c.id, id)
				require.Equal(t, "/crm", got.Source())
				require.Equal(t, d.EventType, got.Type())
				require.True(t, d.EventTime.Equal(got.Time()))
				require.Equal(t, c.data, string(got.Data()), mode)
				require.Equal(t, d.TraceParent, got.Extensions()["traceparent"])
				if c.contentType != "" {
					require.Equal(t, c.contentType, got.DataContentType())
				}
			}
		})
	}
	d := sample("\x00\xff")
	d.ContentType = "application/octet-stream"
	body, err := render(t, "cloudevents", d, dixaTenant)
	require.NoError(t, err)
	require.Equal(t, base64.StdEncoding.EncodeToString(d.Data), gjson.GetBytes(body, "data_base64").String())
}

func requestWith(t *testing.T, header http.Header, body []byte) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body))
	r.Header = header
	return r
}
