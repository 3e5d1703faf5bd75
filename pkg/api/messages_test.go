package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// fakeEvents takes events and finds them again. Its list is in the order of publishing.
type fakeEvents struct {
	mu        sync.Mutex
	published []pipeline.Publication
	entries   []view.EventEntry
	// refusal is what Publish returns, away what everything else does.
	refusal, away error
	unchecked     bool
	// hold is waited for by Publish.
	hold chan struct{}
	// expired events are gone from Kafka; left is how many a Read returns at most, if not 0.
	expired bool
	left    int
}

func (f *fakeEvents) Publish(_ context.Context, pub pipeline.Publication) (pipeline.Published, error) {
	if f.hold != nil {
		<-f.hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusal != nil {
		return pipeline.Published{}, f.refusal
	}
	id := ident.New()
	if pub.EventID != "" {
		id = delivery.MessageID(pub.Tenant.ID, delivery.PublishedSource, pub.EventID)
	}
	pub.Payload = bytes.Clone(pub.Payload)
	f.published = append(f.published, pub)
	at := time.UnixMilli(1_700_000_000_000 + int64(len(f.published))).UTC()
	f.entries = append(f.entries, view.EventEntry{
		Tenant: pub.Tenant.ID, Message: id, Time: at, Type: pub.EventType, Channels: pub.Channels, Tags: pub.Tags,
		Position: delivery.Position{Topic: "events", Offset: int64(len(f.published) - 1)},
	})
	return pipeline.Published{Message: id, EventID: pub.EventID, Time: at, Unchecked: f.unchecked}, nil
}

func (f *fakeEvents) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.published)
}

func (f *fakeEvents) Event(_ context.Context, tenant, message ident.ID) (view.EventEntry, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.entries {
		if e.Tenant == tenant && e.Message == message {
			return e, true, f.away
		}
	}
	return view.EventEntry{}, false, f.away
}

func (f *fakeEvents) EventByEventID(ctx context.Context, tenant ident.ID, eventID string) (view.EventEntry, bool, error) {
	return f.Event(ctx, tenant, delivery.MessageID(tenant, delivery.PublishedSource, eventID))
}

func (f *fakeEvents) ListEvents(_ context.Context, q view.EventQuery) (view.EventPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	page := view.EventPage{Done: true}
	for i := range f.entries {
		e := f.entries[len(f.entries)-1-i]
		if q.OldestFirst {
			e = f.entries[i]
		}
		at := e.Iterator()
		past := q.Iterator.IsZero() || bytes.Compare(at[:], q.Iterator[:]) < 0 != q.OldestFirst && at != q.Iterator
		if !past || len(q.Types) > 0 && !strings.Contains(strings.Join(q.Types, " "), e.Type) {
			continue
		}
		if len(page.Events) == q.Limit {
			page.Done = false
			break
		}
		page.Events, page.Iterator = append(page.Events, e), at
	}
	return page, f.away
}

func (f *fakeEvents) Read(_ context.Context, entries []view.EventEntry) ([]pipeline.ReadEvent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]pipeline.ReadEvent, len(entries))
	for i, e := range entries {
		out[i] = pipeline.ReadEvent{Entry: e, State: pipeline.ReadExpired}
		switch pub := f.published[e.Position.Offset]; {
		case f.left > 0 && i >= f.left:
			out[i].State = pipeline.ReadLeft
		case !f.expired:
			out[i].State = pipeline.ReadFound
			out[i].Event = &pipeline.StoredEvent{Message: e.Message, EventID: pub.EventID, Payload: pub.Payload}
		}
	}
	return out, f.away
}

func withEvents(f *fakeEvents) func(*Options) {
	return func(o *Options) { o.Publisher, o.Events, o.EventReader = f, f, f }
}

// What is published is what was sent, byte for byte: the order of names, the form of numbers, escapes, spaces.
func TestPayloadIsForwardedUntouched(t *testing.T) {
	t.Parallel()
	f := &fakeEvents{}
	h := newHarness(t, withEvents(f))
	h.tenant("acme")
	for _, payload := range []string{
		`{"z":1,"a":2}`, `{"n":1.0,"big":12345678901234567890,"e":1E+2}`, `{ "spaced" :  [ 1 ,2 ] }`,
		`{"escaped":"\u00e9\/<&>","raw":"é"}`, `{"twice":1,"twice":2}`, `{}`,
	} {
		got := h.call(h.operator, "POST", "/app/acme/msg", `{"eventType":"a.b","payload":`+payload+`}`)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		assert.Equal(t, payload, string(f.published[len(f.published)-1].Payload))
	}
	got := h.call(h.operator, "POST", "/app/acme/msg", `{"eventType":"a.b","payload":{"z":1.0,"a":"<"}}`)
	assert.Contains(t, got.body, `"payload":{"z":1.0,"a":"<"}`)
}

func TestPublish(t *testing.T) {
	t.Parallel()
	f := &fakeEvents{unchecked: true}
	h := newHarness(t, withEvents(f))
	app := h.tenant("acme")
	got := h.call(h.key(access.RoleTenant, app.ID), "POST", "/app/acme/msg?with_content=false",
		`{"eventType":"a.b","payload":{"x":1},"eventId":"e-1","channels":["c:1"],"tags":["t/1"],"deliverAt":null,"transformationsParams":null,"payloadRetentionPeriod":30,"payloadRetentionHours":5}`,
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	assert.Equal(t, "unchecked", got.header.Get("Postrider-Idempotency"))
	out := got.json(t)
	assert.Regexp(t, "^msg_[A-Za-z0-9]{27}$", out["id"])
	assert.Equal(t, map[string]any{}, out["payload"])
	assert.Equal(t, "e-1", out["eventId"])
	pub := f.published[0]
	assert.Equal(t, app.ID, pub.Tenant.ID)
	assert.Equal(t, []string{"c:1"}, pub.Channels)
	assert.Equal(t, []string{"t/1"}, pub.Tags)
	assert.NotEmpty(t, pub.TraceParent)
	assert.Empty(t, pub.IdempotencyKey)

	made := h.call(h.operator, "POST", "/app/globex/msg", `{"eventType":"a.b","payload":{},"application":{"name":"Globex"}}`)
	require.Equal(t, http.StatusAccepted, made.status, made.body)
	_, ok := h.store.Snapshot().ResolveTenant("globex")
	assert.True(t, ok)
}

func TestPublishRefusals(t *testing.T) {
	t.Parallel()
	f := &fakeEvents{}
	h := newHarness(t, withEvents(f), func(o *Options) { o.ValidatePayloads = true })
	app := h.tenant("acme", func(t *subscription.Tenant) { t.EventTypes = []string{"contact.**", "old"} })
	h.call(h.operator, "POST", "/event-type", `{"name":"contact.created","description":"","schemas":{"1":`+contactSchema+`}}`)
	h.call(h.operator, "POST", "/event-type", `{"name":"old","description":"","archived":true}`)
	administrator := h.key(access.RoleTenant, app.ID)
	for _, c := range []struct {
		name, token, body string
		status            int
		says              string
	}{
		{"reader", h.reader, `{"eventType":"contact.x","payload":{}}`, 403, "insufficient_permissions"},
		{"portal", h.portalToken("acme"), `{"eventType":"contact.x","payload":{}}`, 403, "insufficient_permissions"},
		{"no type", administrator, `{"payload":{}}`, 422, "eventType"},
		{"no payload", administrator, `{"eventType":"contact.x"}`, 422, "payload"},
		{"null payload", administrator, `{"eventType":"contact.x","payload":null}`, 422, "payload"},
		{"list", administrator, `{"eventType":"contact.x","payload":[1]}`, 422, "payload"},
		{"archived", administrator, `{"eventType":"old","payload":{}}`, 422, "archived"},
		{"not activated", administrator, `{"eventType":"loyalty.x","payload":{}}`, 422, `"loyalty.x\" is not activated`},
		{"schema", administrator, `{"eventType":"contact.created","payload":{"id":7}}`, 422, `["body","payload","id"]`},
		{"deliverAt", administrator, `{"eventType":"contact.x","payload":{},"deliverAt":"2027-01-01T00:00:00Z"}`, 422, "not supported"},
		{"transformations", administrator, `{"eventType":"contact.x","payload":{},"transformationsParams":{}}`, 422, "not supported"},
		{"channels", administrator, `{"eventType":"contact.x","payload":{},"channels":["1","2","3","4","5","6","7","8","9","10","11"]}`, 422, "channels"},
		{"channel", administrator, `{"eventType":"contact.x","payload":{},"channels":["a,b"]}`, 422, `"channels","0"`},
		{"tags", administrator, `{"eventType":"contact.x","payload":{},"tags":["1","2","3","4","5","6"]}`, 422, "tags"},
		{"tag", administrator, `{"eventType":"contact.x","payload":{},"tags":["a,b"]}`, 422, `"tags","0"`},
		{"event id", administrator, `{"eventType":"contact.x","payload":{},"eventId":"a b"}`, 422, "eventId"},
		{"payload too large", administrator, `{"eventType":"contact.x","payload":{"x":"` + strings.Repeat("x", event.MaxBytes) + `"}}`, 413, "payload_too_large"},
		{"body too large", administrator, `{"eventType":"contact.x","payload":{"x":"` + strings.Repeat("x", maxMessageBody) + `"}}`, 413, "payload_too_large"},
		{"no JSON", administrator, `{"eventType"`, 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := h.call(c.token, "POST", "/app/acme/msg", c.body)
			assert.Equal(t, c.status, got.status, got.body)
			assert.Contains(t, got.body, c.says)
		})
	}
	none := h.call(h.operator, "POST", "/app/nobody/msg", `{"eventType":"a.b","payload":{}}`)
	assert.Equal(t, http.StatusNotFound, none.status)
	foreign := h.call(administrator, "POST", "/app/nobody/msg", `{"eventType":"a.b","payload":{},"application":{"name":"x"}}`)
	assert.Equal(t, http.StatusNotFound, foreign.status, "only operators make applications")
	t.Cleanup(func() { assert.Zero(t, f.count()) })
}

func TestPublisherRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		says   string
	}{
		{&pipeline.DuplicateError{EventID: "e"}, 409, "duplicate_event"},
		{&pipeline.DuplicateError{EventID: "e", InProgress: true}, 409, "in_progress"},
		{&pipeline.TooLargeError{Size: 2, Limit: 1}, 413, "payload_too_large"},
		{&event.Error{Field: "data", Detail: "is no JSON"}, 422, `["body","payload"]`},
		{errors.New("secret address"), 500, "server_error"},
	} {
		h := newHarness(t, withEvents(&fakeEvents{refusal: c.err}))
		h.tenant("acme")
		got := h.call(h.operator, "POST", "/app/acme/msg", `{"eventType":"a.b","payload":{}}`)
		assert.Equal(t, c.status, got.status, got.body)
		assert.Contains(t, got.body, c.says)
		assert.NotContains(t, got.body, "secret address")
	}
}

func TestReadMessages(t *testing.T) {
	t.Parallel()
	f := &fakeEvents{}
	h := newHarness(t, withEvents(f))
	h.tenant("acme")
	h.tenant("other")
	var ids []string
	for _, id := range []string{"e1", "e2", "e3", "e4", "e5"} {
		got := h.call(h.operator, "POST", "/app/acme/msg", `{"eventType":"a.b","eventId":"`+id+`","payload":{"id":"`+id+`"}}`)
		ids = append([]string{got.json(t)["id"].(string)}, ids...)
	}
	read := func(query string) (got []string, page map[string]any) {
		r := h.call(h.reader, "GET", "/app/acme/msg?"+query, nil)
		require.Equal(t, http.StatusOK, r.status, r.body)
		for _, m := range r.json(t)["data"].([]any) {
			got = append(got, m.(map[string]any)["id"].(string))
		}
		return got, r.json(t)
	}
	first, page := read("limit=2")
	assert.Equal(t, ids[:2], first)
	assert.Equal(t, false, page["done"])
	second, page := read("limit=2&iterator=" + page["iterator"].(string))
	assert.Equal(t, ids[2:4], second)
	back, _ := read("limit=2&iterator=" + page["prevIterator"].(string))
	assert.Equal(t, ids[:2], back)
	third, page := read("limit=2&iterator=" + page["iterator"].(string))
	assert.Equal(t, ids[4:], third)
	assert.Equal(t, true, page["done"])
	none, _ := read("event_types=x.y,x.z&event_types=x.w")
	assert.Empty(t, none)

	for _, name := range []string{ids[0], "e5"} {
		got := h.call(h.reader, "GET", "/app/acme/msg/"+name, nil)
		assert.Equal(t, ids[0], got.json(t)["id"], got.body)
		assert.Equal(t, "e5", got.json(t)["eventId"])
		assert.Contains(t, got.body, `"payload":{"id":"e5"}`)
		assert.Equal(t, http.StatusNotFound, h.call(h.reader, "GET", "/app/other/msg/"+name, nil).status)
	}
	f.left = 3
	cut, page := read("")
	assert.Equal(t, ids[:3], cut, "as much as was read")
	assert.Equal(t, false, page["done"])
	f.left, f.expired = 0, true
	assert.Contains(t, h.call(h.reader, "GET", "/app/acme/msg/e5", nil).body, `"payload":{"expired":true}`)
	bare := h.call(h.reader, "GET", "/app/acme/msg?with_content=false", nil)
	assert.NotContains(t, bare.body, "expired")

	for _, bad := range []string{"limit=0", "limit=251", "iterator=msg_x", "before=yesterday", "event_types=a%20b", "channel=a%20b"} {
		assert.Equal(t, http.StatusUnprocessableEntity, h.call(h.reader, "GET", "/app/acme/msg?"+bad, nil).status, bad)
	}
	f.away = errors.New("redis is away")
	for _, path := range []string{"/app/acme/msg", "/app/acme/msg/e5"} {
		got := h.call(h.reader, "GET", path, nil)
		assert.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
		assert.NotEmpty(t, got.header.Get("Retry-After"))
	}
}

func TestPayloadsThatAreNoObjects(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]string{
		`{"a":1}`: `{"a":1}`, ` [1]`: `{"data":[1]}`, `"x"`: `{"data":"x"}`, "\x01\x02": `{"data_base64":"AQI="}`, "": `{"data_base64":""}`, //nolint:gocritic // one starts with a space
	} {
		assert.Equal(t, want, string(asObject([]byte(payload))))
	}
}
