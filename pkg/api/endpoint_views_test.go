package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// Green with the code, red with the code, grey for what was never sent, each with the time of the last attempt.
func TestStatusByEventType(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme", func(t *subscription.Tenant) { t.EventTypes = []string{"call.*", "contact.*"} })
	for name, archived := range map[string]bool{
		"call.started": false, "call.failed": false, "call.old": true, "contact.created": false, "order.paid": false, "call.ended": false,
	} {
		got := p.call(p.operator, "POST", "/event-type", map[string]any{"name": name, "description": "", "archived": archived})
		require.Equal(t, http.StatusCreated, got.status, got.body)
	}
	s := p.endpoint("acme", "crm", `"eventTypes":["call.*"]`)
	now := time.Now().Add(-time.Hour).Truncate(time.Millisecond).UTC()
	started, failing := p.published("acme", "call.started", "e-1"), p.published("acme", "call.failed", "e-2")
	p.tried(s, started, now.Add(-time.Minute), answered(500, ""))
	p.tried(s, started, now, again(2, 1), answered(204, ""))
	p.tried(s, failing, now, answered(200, ""))
	p.tried(s, failing, now.Add(time.Second), failed(outcome.ResultTimeout, ""))
	p.tried(s, failing, now.Add(2*time.Second), again(2, 1), without(outcome.Parked, outcome.ReasonBreakerOpen))
	p.tried(s, p.published("acme", "contact.created", "e-3"), now, answered(500, "")) // it was subscribed to then

	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339Nano) }
	assert.Equal(t, map[string]any{"eventTypes": []any{
		map[string]any{"eventType": "call.ended", "lastAttempt": nil},
		map[string]any{"eventType": "call.failed", "lastAttempt": map[string]any{
			"at": at(time.Second), "success": false, "statusCode": nil, "result": "timeout", "verdict": "dead", "reason": "exhausted",
		}},
		map[string]any{"eventType": "call.started", "lastAttempt": map[string]any{
			"at": at(0), "success": true, "statusCode": 204.0, "result": "success", "verdict": "delivered", "reason": "delivered",
		}},
		map[string]any{"eventType": "contact.created", "lastAttempt": map[string]any{
			"at": at(0), "success": false, "statusCode": 500.0, "result": "server_error", "verdict": "retry", "reason": "failed",
		}},
	}}, p.get("/app/acme/endpoint/crm/status").json(t))
	p.endpoint("acme", "new", `"eventTypes":["contact.created"]`)
	assert.JSONEq(t, `{"eventTypes":[{"eventType":"contact.created","lastAttempt":null}]}`, p.get("/app/acme/endpoint/new/status").body)
}

// The last 50 of an event type, with their payloads.
func TestLastDeliveriesOfAnEventType(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s := p.endpoint("acme", "crm")
	start := time.Now().Add(-2 * time.Hour).Truncate(time.Millisecond).UTC()
	var rows []*outcome.Outcome
	for i := range 60 {
		e := p.published("acme", "call.started", fmt.Sprint("e-", i))
		kinds := []kind{answered(200, "ok")}
		if i%2 == 1 {
			kinds = []kind{answered(503, "busy")}
		}
		rows = append(rows, p.tried(s, e, start.Add(time.Duration(i)*time.Minute), kinds...))
	}
	p.tried(s, p.published("acme", "call.failed", "other"), start.Add(2*time.Minute), failed(outcome.ResultDNS, "no such host"))
	p.forget(rows[58].Record)
	p.forget(delivery.Position{Topic: "outcomes", Partition: historyPartition, Offset: 57})

	const path = "/app/acme/endpoint/crm/last-attempts?event_type=call.started"
	got := p.get(path + "&with_payload=true")
	assert.Equal(t, "complete; expired=1", got.header.Get(viewsHeader))
	list := got.json(t)["attempts"].([]any)
	require.Len(t, list, 50)
	for i, e := range list {
		row, have := rows[59-i], e.(map[string]any)
		assert.Equal(t, row.At.Format(time.RFC3339Nano), have["at"])
		assert.InDelta(t, row.Status, have["statusCode"], 0)
		switch 59 - i {
		case 58:
			assert.Equal(t, map[string]any{"expired": true}, have["payload"])
		case 57:
			assert.Equal(t, true, have["expired"])
			assert.NotContains(t, have, "payload")
		default:
			assert.Equal(t, map[string]any{"n": fmt.Sprint("e-", 59-i)}, have["payload"])
			assert.Equal(t, row.ResponseBody, have["response"])
		}
	}
	assert.Equal(t, map[string]any{
		"at": rows[59].At.Format(time.RFC3339Nano), "success": false, "statusCode": 503.0, "result": "server_error", "verdict": "retry",
		"reason": "failed", "id": attemptID(rows[59]).Base62(attemptPrefix), "deliveryId": rows[59].Delivery, "messageId": rows[59].Message,
		"eventId": rows[59].EventID, "eventType": "call.started", "eventTime": rows[59].EventTime.Format(time.RFC3339Nano), "trigger": "event",
		"attempt": 1.0, "url": rows[59].URL, "durationMs": 12.4, "nextAttempt": rows[59].Due.Format(time.RFC3339Nano), "response": "busy",
		"responseHeaders": map[string]any{"content-type": "text/plain", "set-cookie": "[redacted]"}, "payload": map[string]any{"n": "e-59"},
	}, list[0])

	bare := p.get(path + "&limit=3").json(t)["attempts"].([]any)
	require.Len(t, bare, 3)
	assert.NotContains(t, bare[0], "payload")
	all := p.get("/app/acme/endpoint/crm/last-attempts").json(t)["attempts"].([]any)
	require.Len(t, all, 50)
	assert.Equal(t, "no such host", all[0].(map[string]any)["detail"], "the one that was written last")
	assert.JSONEq(t, `{"attempts":[]}`, p.get("/app/acme/endpoint/crm/last-attempts?event_type=none").body)
}

func TestEndpointHealth(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s := p.endpoint("acme", "crm")
	p.endpoint("acme", "new")
	hour := time.Now().Add(-3 * time.Hour).Truncate(time.Hour).UTC()
	e := p.published("acme", "a.b", "e-1")
	took := func(ms float64) kind { return func(o *outcome.Outcome) { o.DurationMS = ms } }
	n := 0
	try := func(times int, at time.Time, kinds ...kind) {
		for range times {
			n++
			p.tried(s, e, at, append([]kind{again(n, n)}, kinds...)...)
		}
	}
	try(18, hour.Add(time.Minute), answered(200, ""), took(10))
	try(1, hour.Add(2*time.Minute), answered(503, ""), took(1000))
	try(1, hour.Add(2*time.Minute), failed(outcome.ResultTimeout, ""), took(15_000))
	try(1, hour.Add(time.Hour), answered(200, ""), took(20))
	try(2, hour.Add(time.Hour), without(outcome.Parked, outcome.ReasonBreakerOpen))
	try(1, hour.Add(time.Hour), without(outcome.Cancelled, outcome.ReasonDisabled))
	try(1, hour.Add(time.Hour), without(outcome.Delivered, outcome.ReasonNotSent))
	try(1, hour.Add(time.Hour), without(outcome.Dead, outcome.ReasonRetriesSuspended))

	health := p.get("/app/acme/endpoint/crm/health").json(t)
	total := health["total"].(map[string]any)
	assert.InDelta(t, 19.0/21, total["successRate"], 1e-9)
	assert.InDelta(t, 21, total["attempts"], 0)
	assert.Equal(t, map[string]any{"success": 19.0, "server_error": 1.0, "timeout": 1.0}, total["results"])
	assert.Equal(t, map[string]any{"success": 19.0, "redirect": 0.0, "clientError": 0.0, "serverError": 1.0, "noResponse": 1.0}, total["classes"])
	assert.Equal(t, []any{2.0, 1.0, 1.0, 1.0}, []any{total["parked"], total["cancelled"], total["notSent"], total["dead"]})
	duration := total["duration"].(map[string]any)
	assert.InEpsilon(t, (18*10+1000+15_000+20)/21.0, duration["averageMs"], 0.003)
	for name, want := range map[string]float64{"p50Ms": 10, "p95Ms": 1000, "p99Ms": 15_000} {
		assert.Greater(t, duration[name], want/1.42, name)
		assert.Less(t, duration[name], want*1.42, name)
	}
	series := health["series"].([]any)
	require.Len(t, series, 2)
	assert.Equal(t, hour.Format(time.RFC3339), series[0].(map[string]any)["start"])
	assert.InDelta(t, 0.9, series[0].(map[string]any)["successRate"], 1e-9)

	window := "since=" + hour.Format(time.RFC3339) + "&until=" + hour.Add(2*time.Minute).Format(time.RFC3339)
	minutes := p.get("/app/acme/endpoint/crm/health?step=minute&" + window).json(t)
	require.Len(t, minutes["series"], 1)
	assert.InDelta(t, 18, minutes["total"].(map[string]any)["attempts"], 0)
	none := p.get("/app/acme/endpoint/new/health").json(t)
	assert.Empty(t, none["series"])
	assert.Nil(t, none["total"].(map[string]any)["successRate"])
	assert.Equal(t, map[string]any{"averageMs": nil, "p50Ms": nil, "p95Ms": nil, "p99Ms": nil}, none["total"].(map[string]any)["duration"])

	assert.JSONEq(t, `{"success":19,"pending":0,"sending":0,"fail":2,"canceled":2}`, p.get("/app/acme/endpoint/crm/stats").body)
	assert.JSONEq(t, `{"success":18,"pending":0,"sending":0,"fail":2,"canceled":0}`, p.get("/app/acme/endpoint/crm/stats?"+window).body)
}

// newBrand is a brand with a webhook.
func newBrand(t *testing.T) (p *past, brand *subscription.Tenant, hook *subscription.Subscription) {
	t.Helper()
	p = newPast(t)
	brand = p.tenant("yourBrandId")
	got := p.callAt(p.operator, http.MethodPost, "/v1/yourBrandId/webhooks", `{"endpoint":"https://example.com/in","events":["**"]}`)
	require.Equal(t, http.StatusCreated, got.status, got.body)
	id, err := ident.ParseUUID(got.json(t)["id"].(string))
	require.NoError(t, err)
	hook, ok := p.store.Snapshot().Subscription(id)
	require.True(t, ok)
	return p, brand, hook
}

// All events of a webhook within a time frame, as it would have got them: those that failed, those that were retried (once),
// and those of while it was disabled.
func TestEventsOfAWebhook(t *testing.T) {
	t.Parallel()
	p, brand, hook := newBrand(t)
	now := time.Now().Add(-time.Hour).Truncate(time.Millisecond).UTC()
	at := func(n int) time.Time { return now.Add(time.Duration(n) * time.Minute) }
	var events []view.EventEntry
	for i := range 5 {
		events = append(events, p.published("yourBrandId", "NOTIFICATION.SMS.RECEIPT", fmt.Sprint("e-", i)))
	}
	rows := []*outcome.Outcome{
		p.tried(hook, events[0], at(0), answered(200, "")),
		p.tried(hook, events[1], at(1), answered(503, "")),
		p.tried(hook, events[2], at(2), without(outcome.Cancelled, outcome.ReasonDisabled)),
		p.tried(hook, events[3], at(3), without(outcome.Parked, outcome.ReasonBreakerOpen)),
	}
	p.tried(hook, events[1], at(4), again(2, 1), failed(outcome.ResultTimeout, ""))
	p.tried(hook, events[3], at(5), again(1, 1), answered(200, ""))
	p.tried(hook, events[0], at(6), by(delivery.TriggerResend, "r"), answered(200, ""))
	rows = append(rows, p.tried(hook, events[4], at(7), answered(200, "")))

	path := "/v1/yourBrandId/webhooks/" + hook.ID.UUID() + "/events"
	read := func(query string) reply {
		got := p.callAt(p.key(access.RoleReadOnly, brand.ID), http.MethodGet, path+"?"+query, nil)
		require.Equal(t, http.StatusOK, got.status, got.body)
		return got
	}
	got := read("")
	var want []any
	for i, row := range rows {
		want = append(want, map[string]any{
			"id": envelope.FlexEngageID(&delivery.Delivery{EventID: row.EventID, EventTime: row.EventTime, Message: events[i].Message}), "brandId": "yourBrandId",
			"webhookId": hook.ID.UUID(), "created": row.EventTime.Format(time.RFC3339Nano), "type": "NOTIFICATION.SMS.RECEIPT",
			"data": map[string]any{"n": fmt.Sprint("e-", i)},
		})
	}
	assert.Equal(t, want, got.json(t)["data"])
	from, to := url.QueryEscape(at(1).Format(time.RFC3339Nano)), url.QueryEscape(at(3).Format(time.RFC3339Nano))
	assert.Equal(t, want[1:3], read("from=" + from + "&to=" + to).json(t)["data"], "the first is in the frame, the end is not")
	assert.Equal(t, []any{want[4], want[3]}, read("order=descending&limit=2").json(t)["data"])
	assert.Empty(t, read("event_types=other").json(t)["data"])

	first := read("limit=2").json(t)
	second := read("limit=2&iterator=" + first["iterator"].(string)).json(t)
	assert.Equal(t, want[2:4], second["data"])
	assert.Equal(t, want[0:2], read("limit=2&iterator=" + second["prevIterator"].(string)).json(t)["data"])
	third := read("limit=2&iterator=" + second["iterator"].(string)).json(t)
	assert.Equal(t, want[4:], third["data"])
	assert.Equal(t, true, third["done"])

	p.forget(rows[0].Record)
	gone := read("limit=1").json(t)["data"].([]any)[0].(map[string]any)
	assert.Equal(t, []any{nil, true}, []any{gone["data"], gone["expired"]})
}

// The events of seven days are there.
func TestEventsOfSevenDays(t *testing.T) {
	t.Parallel()
	p, _, hook := newBrand(t)
	var want []any
	for day := 8; day >= 0; day-- {
		e := p.published("yourBrandId", "A.B", fmt.Sprint("day-", day))
		p.tried(hook, e, time.Now().Add(time.Minute).Add(-time.Duration(day)*24*time.Hour), answered(200, ""))
		if day < 8 {
			want = append(want, map[string]any{"n": fmt.Sprint("day-", day)})
		}
	}
	got := p.callAt(p.reader, http.MethodGet, "/v1/yourBrandId/webhooks/"+hook.ID.UUID()+"/events", nil)
	assert.Equal(t, want, members(t, got, "data"))
}

// Postrider's own form says what came first of each event.
func TestEventsOfAnEndpoint(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s := p.endpoint("acme", "crm")
	now := time.Now().Add(-time.Hour).Truncate(time.Millisecond).UTC()
	e, other := p.published("acme", "a.b", "e-1", `"channels":["eu"]`), p.published("acme", "a.c", "e-2")
	row := p.tried(s, e, now, answered(503, ""))
	p.tried(s, e, now.Add(time.Minute), again(2, 1), answered(200, ""))
	p.tried(s, other, now.Add(2*time.Minute), by(delivery.TriggerReplay, "r"), without(outcome.Cancelled, outcome.ReasonDisabled))
	const path = "/app/acme/endpoint/crm/events"
	got := p.get(path).json(t)["data"].([]any)
	require.Len(t, got, 2)
	assert.Equal(t, map[string]any{
		"id": row.Message, "eventId": row.EventID, "eventType": "a.b", "eventTime": row.EventTime.Format(time.RFC3339Nano), "channels": []any{"eu"},
		"deliveryId": row.Delivery, "payload": map[string]any{"n": "e-1"}, "first": map[string]any{
			"at": now.Format(time.RFC3339Nano), "verdict": "retry", "reason": "failed", "result": "server_error", "statusCode": 503.0,
		},
	}, got[0])
	assert.Equal(t, "disabled", got[1].(map[string]any)["first"].(map[string]any)["reason"])
	assert.NotContains(t, p.get(path+"?with_content=false").body, "payload")
	assert.Len(t, p.walk(path, "id", 1), 2)
	assert.Len(t, p.walk(path+"?order=descending", "id", 1), 2)
}

// Data comes as it was delivered, but for white space, whatever it is.
func TestDataOfAnyKind(t *testing.T) {
	t.Parallel()
	p, _, hook := newBrand(t)
	for data, want := range map[string]string{
		`{ "n": 1.0, "n": 2 }`: `"data":{"n":1.0,"n":2}`, `[1]`: `"data":[1]`, `"x"`: `"data":"x"`, "": `"data":null`, "<a/>": `"data":"\u003ca/\u003e"`,
	} {
		row := p.tried(hook, p.published("yourBrandId", "A.B", "e"+ident.New().UUID()), time.Now(), answered(200, ""))
		p.records[kafka.Place(row.Record)].Value = []byte(data)
		got := p.callAt(p.reader, http.MethodGet, "/v1/yourBrandId/webhooks/"+hook.ID.UUID()+"/events?limit=1&order=descending", nil)
		require.Equal(t, http.StatusOK, got.status)
		assert.Contains(t, got.body, want)
	}
}

// Endpoints are listed with how they do, in one call; a breaker that is open is said, unless nothing is sent anyway.
func TestOverviewOfEndpoints(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	p.tenant("other")
	tried, resting, off := p.endpoint("acme", "tried"), p.endpoint("acme", "resting"), p.endpoint("acme", "off", `"disabled":true`)
	p.endpoint("other", "theirs")
	hour := time.Now().Add(-2 * time.Hour).Truncate(time.Hour).UTC()
	e := p.published("acme", "order.paid", "e-1")
	p.tried(tried, e, hour, answered(500, ""))
	p.tried(tried, e, hour.Add(time.Minute), again(2, 1), answered(200, ""))
	p.tried(tried, e, hour.Add(time.Hour), by(delivery.TriggerResend, "r-1"), answered(200, ""))
	probe := time.Now().Add(time.Minute).Truncate(time.Millisecond).UTC()
	require.NoError(t, p.views.SetBreakers(t.Context(), []view.Breaker{{Subscription: resting.ID, Until: probe}, {Subscription: off.ID, Until: probe}}))

	got := p.get("/app/acme/endpoint-overview?order=ascending")
	require.Equal(t, "complete", got.header.Get(viewsHeader))
	var list List[EndpointOverviewOut]
	require.NoError(t, json.Unmarshal([]byte(got.body), &list))
	require.Len(t, list.Data, 3)
	byUID := map[string]EndpointOverviewOut{}
	for _, o := range list.Data {
		byUID[*o.UID] = o
	}
	assert.Equal(t, &RecentOut{Attempts: 3, Successes: 2, Hours: []RecentHourOut{{hour, 2, 1}, {hour.Add(time.Hour), 1, 1}}}, byUID["tried"].Recent)
	assert.Nil(t, byUID["tried"].Breaker)
	assert.Equal(t, &RecentOut{Hours: []RecentHourOut{}}, byUID["resting"].Recent)
	assert.Equal(t, &BreakerOut{probe}, byUID["resting"].Breaker)
	assert.Nil(t, byUID["off"].Breaker, "nothing waits for it")
	assert.JSONEq(t, fmt.Sprintf(`{"nextProbe":%q}`, probe.Format(time.RFC3339Nano)), asJSON(t, p.get("/app/acme/endpoint/resting/status").json(t)["breaker"]))
	assert.NotContains(t, p.get("/app/acme/endpoint/tried/status").json(t), "breaker")
	assert.Equal(t, p.get("/app/acme/endpoint/tried/settings").json(t)["effective"], members(t, p.get("/app/acme/endpoint-overview?search=tried"), "effective")[0])
	assert.Len(t, p.walk("/app/acme/endpoint-overview", "id", 1), 3)

	p.redis.SetError("LOADING")
	away := p.get("/app/acme/endpoint-overview?limit=2")
	assert.Equal(t, http.StatusOK, away.status)
	assert.Equal(t, viewsUnknown, away.header.Get(viewsHeader))
	assert.Len(t, members(t, away, "id"), 2)
	assert.NotContains(t, away.body, "recent")
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}
