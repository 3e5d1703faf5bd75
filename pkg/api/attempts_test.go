package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// keysOf are the names of an object's members, sorted.
func keysOf(v any) (names []string) {
	for name := range v.(map[string]any) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// attemptMembers are all that an attempt has in the Svix API; strict clients refuse any other.
var attemptMembers = []string{
	"endpointId", "id", "msgId", "response", "responseDurationMs", "responseStatusCode", "status", "statusText", "timestamp",
	"triggerType", "url",
}

// A customer sees each attempt with its code and message, the newest first, and finds those that failed.
func TestAttemptsOfAnEndpoint(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s, other := p.endpoint("acme", "crm"), p.endpoint("acme", "erp")
	now := time.Now().Add(-3 * time.Hour).Truncate(time.Millisecond)
	first := p.published("acme", "order.paid", "e-1", `"channels":["eu"]`, `"tags":["t/1"]`)
	second := p.published("acme", "contact.created", "e-2")
	at := func(n int) time.Time { return now.Add(time.Duration(n) * 10 * time.Minute) }
	p.tried(s, first, at(0), answered(503, "busy"))
	p.tried(other, first, at(0), answered(200, "other"))
	ok := p.tried(s, first, at(1), again(2, 1), answered(200, "fine"))
	p.tried(s, second, at(2), failed(outcome.ResultTimeout, "no response in 15s"))
	p.tried(s, second, at(3), again(2, 1), without(outcome.Parked, outcome.ReasonBreakerOpen))
	p.tried(s, second, at(4), again(3, 2), without(outcome.Delivered, outcome.ReasonNotSent))
	p.tried(s, second, at(5), again(1, 0), by(delivery.TriggerResend, "r-1"), without(outcome.Cancelled, outcome.ReasonDisabled))
	p.tried(s, second, at(6), again(2, 0), without(outcome.Dead, outcome.ReasonRetriesSuspended))
	p.tried(s, second, at(7), by(delivery.TriggerResend, "r-2"), answered(404, "who?"), func(o *outcome.Outcome) {
		o.Result, o.Verdict, o.Due = outcome.ResultClientError, outcome.Dead, nil
	})

	got := p.get("/app/acme/attempt/endpoint/crm")
	assert.Equal(t, "complete", got.header.Get(viewsHeader))
	list := got.json(t)["data"].([]any)
	for _, a := range list {
		assert.Equal(t, attemptMembers, keysOf(a))
	}
	assert.Equal(t, []any{404.0, 0.0, 0.0, 200.0, 503.0}, members(t, got, "responseStatusCode"))
	assert.Equal(t, []any{"who?", "not_sent", "no response in 15s", "fine", "busy"}, members(t, got, "response"))
	assert.Equal(t, []any{2.0, 0.0, 2.0, 0.0, 2.0}, members(t, got, "status"))
	assert.Equal(t, []any{"fail", "success", "fail", "success", "fail"}, members(t, got, "statusText"))
	assert.Equal(t, []any{1.0, 0.0, 0.0, 0.0, 0.0}, members(t, got, "triggerType"))
	assert.Equal(t, map[string]any{
		"id": attemptID(ok).Base62(attemptPrefix), "msgId": ok.Message, "endpointId": endpointID(s), "url": "https://shown.example/hook",
		"response": "fine", "responseStatusCode": 200.0, "responseDurationMs": 12.0, "status": 0.0, "statusText": "success",
		"triggerType": 0.0, "timestamp": ok.At.Format(time.RFC3339Nano),
	}, list[3])

	for query, want := range map[string][]any{
		"status=0":                            {0.0, 200.0},
		"status=2":                            {404.0, 0.0, 503.0},
		"status=1":                            {},
		"status=3":                            {},
		"status=4":                            {0.0, 0.0},
		"expanded_statuses=true":              {404.0, 0.0, 0.0, 0.0, 200.0, 503.0},
		"status_code_class=500":               {503.0},
		"status_code_class=0&status=2":        {0.0},
		"status_code_class=400":               {404.0},
		"event_types=order.paid":              {200.0, 503.0},
		"event_types=order.paid,none&limit=1": {200.0},
		"channel=eu":                          {200.0, 503.0},
		"channel=us":                          {},
		"tag=t%2F1":                           {200.0, 503.0},
		"tag=other":                           {},
		"before=" + url.QueryEscape(at(2).Format(time.RFC3339Nano)): {200.0, 503.0},
		"after=" + url.QueryEscape(at(2).Format(time.RFC3339Nano)):  {404.0, 0.0},
		"limit=2": {404.0, 0.0},
	} {
		assert.Equal(t, want, members(t, p.get("/app/acme/attempt/endpoint/crm?"+query), "responseStatusCode"), query)
	}
	expanded := p.get("/app/acme/attempt/endpoint/crm?status=4")
	assert.Equal(t, []any{"canceled", "canceled"}, members(t, expanded, "statusText"))
	bare := p.get("/app/acme/attempt/endpoint/crm?with_content=false")
	assert.Equal(t, []any{"", "", "", "", ""}, members(t, bare, "response"))
	assert.Equal(t, []any{"other"}, members(t, p.get("/app/acme/attempt/endpoint/"+endpointID(other)), "response"))
	for _, limit := range []int{1, 2, 3, 250} {
		assert.Len(t, p.walk("/app/acme/attempt/endpoint/crm", "id", limit), 5)
		assert.Len(t, p.walk("/app/acme/attempt/endpoint/crm?event_types=contact.created", "id", limit), 3)
	}
}

// The events of attempts come with them, and what Kafka has lost is said.
func TestAttemptsWithTheirEvents(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s := p.endpoint("acme", "crm")
	now := time.Now().Add(-time.Hour)
	var rows []*outcome.Outcome
	var entries []view.EventEntry
	for i := range 4 {
		e := p.published("acme", "order.paid", fmt.Sprint("e-", i), `"tags":["t"]`, `"channels":["eu"]`)
		entries, rows = append(entries, e), append(rows, p.tried(s, e, now.Add(time.Duration(i)*time.Second), answered(200, "")))
	}
	p.forget(entries[1].Position) // of the source alone: the delivery has it
	p.forget(entries[2].Position)
	p.forget(rows[2].Record)
	const path = "/app/acme/attempt/endpoint/crm?with_msg=true"
	messages := members(t, p.get(path), "msg")
	require.Len(t, messages, 4)
	want := map[string]any{
		"id": rows[0].Message, "eventId": "e-0", "eventType": "order.paid", "payload": map[string]any{"n": "e-0"}, "channels": []any{"eu"},
		"tags": []any{"t"}, "timestamp": entries[0].Time.Format(time.RFC3339Nano),
	}
	assert.Equal(t, want, messages[3])
	assert.Equal(t, map[string]any{"n": "e-1"}, messages[2].(map[string]any)["payload"])
	assert.Equal(t, map[string]any{"expired": true}, messages[1].(map[string]any)["payload"])
	fetched := p.fetched
	bare := members(t, p.get(path+"&with_content=false"), "msg")
	assert.Equal(t, map[string]any{}, bare[3].(map[string]any)["payload"])
	assert.Equal(t, fetched+4, p.fetched, "the rows, and no payload")

	p.forget(delivery.Position{Topic: "outcomes", Partition: historyPartition, Offset: 3})
	got := p.get(path)
	assert.Len(t, members(t, got, "id"), 3)
	assert.Equal(t, "complete; expired=1", got.header.Get(viewsHeader))
}

func TestAttemptsOfAMessage(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	crm, erp := p.endpoint("acme", "crm"), p.endpoint("acme", "erp")
	gone := p.endpoint("acme", "gone")
	now := time.Now().Add(-2 * time.Hour)
	e, unrelated := p.published("acme", "order.paid", "e-1", `"channels":["eu"]`), p.published("acme", "order.paid", "e-2")
	a := p.tried(crm, e, now, answered(503, "busy"), func(o *outcome.Outcome) { o.DNSMS, o.ConnectMS, o.FirstByteMS = 1.5, 2.5, 9 })
	b := p.tried(erp, e, now.Add(time.Minute), answered(200, "fine"))
	c := p.tried(crm, e, now.Add(2*time.Minute), again(2, 1), failed(outcome.ResultRefused, "connection refused"))
	p.tried(gone, e, now.Add(3*time.Minute), answered(200, "gone"))
	p.tried(crm, unrelated, now, answered(200, "unrelated"))
	require.Equal(t, http.StatusNoContent, p.call(p.operator, "DELETE", "/app/acme/endpoint/gone", nil).status)

	for _, name := range []string{e.Message.Base62(messagePrefix), "e-1"} {
		got := p.get("/app/acme/attempt/msg/" + name)
		assert.Equal(t, []any{"gone", "connection refused", "fine", "busy"}, members(t, got, "response"))
	}
	for query, want := range map[string][]any{
		"endpoint_id=crm":                         {"connection refused", "busy"},
		"endpoint_id=" + endpointID(erp):          {"fine"},
		"status=0":                                {"gone", "fine"},
		"status_code_class=500":                   {"busy"},
		"channel=us":                              {},
		"tag=x":                                   {},
		"event_types=x.y":                         {},
		"after=" + a.At.Format(time.RFC3339Nano):  {"gone", "connection refused", "fine"},
		"before=" + c.At.Format(time.RFC3339Nano): {"fine", "busy"},
	} {
		assert.Equal(t, want, members(t, p.get("/app/acme/attempt/msg/e-1?"+query), "response"), query)
	}
	for limit := 1; limit < 5; limit++ {
		assert.Equal(t, []any{"gone", "connection refused", "fine", "busy"}, p.walk("/app/acme/attempt/msg/e-1", "response", limit))
		assert.Len(t, p.walk("/app/acme/msg/e-1/endpoint", "id", limit), 2)
	}

	one := p.get("/app/acme/msg/e-1/attempt/" + attemptID(c).Base62(attemptPrefix)).json(t)
	assert.Equal(t, attemptMembers, keysOf(one))
	assert.Equal(t, "connection refused", one["response"])
	assert.Equal(t, c.At.UTC().Format(time.RFC3339Nano), one["timestamp"])
	headers := p.get("/app/acme/msg/e-1/attempt/" + attemptID(b).Base62(attemptPrefix) + "/headers").json(t)
	assert.Equal(t, map[string]any{
		"sentHeaders": map[string]any{}, "sensitive": []any{"set-cookie"},
		"responseHeaders": []any{[]any{"content-type", "text/plain"}, []any{"set-cookie", outcome.RedactedValue}},
	}, headers)
	detail := p.get("/app/acme/msg/e-1/attempt/" + attemptID(a).Base62(attemptPrefix) + "/detail").json(t)
	for name, want := range map[string]any{
		"endpointId": endpointID(crm), "eventType": "order.paid", "reason": "failed", "verdict": "retry", "result": "server_error", "statusCode": 503.0,
		"response": "busy", "nextAttempt": a.Due.UTC().Format(time.RFC3339Nano), "attempt": 1.0,
		"timings": map[string]any{"queueMs": 0.0, "dnsMs": 1.5, "connectMs": 2.5, "tlsMs": 0.0, "firstByteMs": 9.0, "durationMs": 12.4},
	} {
		assert.Equal(t, want, detail[name], name)
	}
	none := p.get("/app/acme/msg/e-1/attempt/" + attemptID(c).Base62(attemptPrefix) + "/headers").json(t)
	assert.Equal(t, map[string]any{"sentHeaders": map[string]any{}, "sensitive": []any{}, "responseHeaders": nil}, none)

	endpoints := p.get("/app/acme/msg/e-1/endpoint")
	assert.Equal(t, []any{endpointID(crm), endpointID(erp)}, members(t, endpoints, "id"))
	assert.Equal(t, []any{"fail", "success"}, members(t, endpoints, "statusText"))
	assert.Equal(t, []string{
		"createdAt", "description", "disabled", "id", "status", "statusText", "uid", "updatedAt", "url",
	}, keysOf(endpoints.json(t)["data"].([]any)[0]))
}

// Each event is in the list once, whatever happened since, with its last status and when it is tried again.
func TestAttemptedMessages(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s, other := p.endpoint("acme", "crm"), p.endpoint("acme", "erp")
	now := time.Now().Add(-4 * time.Hour)
	at := func(n int) time.Time { return now.Add(time.Duration(n) * time.Minute) }
	e := make([]view.EventEntry, 6)
	for i := range e {
		e[i] = p.published("acme", []string{"a.b", "a.c"}[i%2], fmt.Sprint("e-", i), fmt.Sprintf(`"tags":["t%d"]`, i))
		p.tried(other, e[i], at(i), answered(200, ""))
	}
	p.tried(s, e[0], at(10), answered(503, ""))
	p.tried(s, e[1], at(11), again(1, 0), without(outcome.Parked, outcome.ReasonBreakerOpen))
	p.tried(s, e[0], at(12), again(2, 1), failed(outcome.ResultTimeout, ""))
	p.tried(s, e[2], at(13), without(outcome.Cancelled, outcome.ReasonDisabled))
	p.tried(s, e[1], at(14), again(1, 1), answered(200, ""))
	p.tried(s, e[3], at(15), by(delivery.TriggerReplay, "task"), answered(200, "")) // was never sent before
	p.tried(s, e[0], at(16), by(delivery.TriggerResend, "again"), answered(200, ""))
	pending := p.tried(s, e[4], at(17), answered(503, ""))
	p.tried(s, e[5], at(18), without(outcome.Delivered, outcome.ReasonNotSent))

	const path = "/app/acme/endpoint/crm/msg"
	got := p.get(path)
	assert.Equal(t, []any{"e-5", "e-4", "e-3", "e-2", "e-1", "e-0"}, members(t, got, "eventId"))
	assert.Equal(t, []any{"success", "pending", "success", "fail", "success", "success"}, members(t, got, "statusText"))
	assert.Equal(t, []any{nil, pending.Due.UTC().Format(time.RFC3339Nano), nil, nil, nil, nil}, members(t, got, "nextAttempt"))
	assert.Equal(t, map[string]any{"n": "e-0"}, members(t, got, "payload")[5])
	assert.Equal(t, []any{"t0"}, members(t, got, "tags")[5])
	assert.Equal(t, []string{
		"eventId", "eventType", "id", "nextAttempt", "payload", "status", "statusText", "tags", "timestamp",
	}, keysOf(got.json(t)["data"].([]any)[1]))
	expanded := members(t, p.get(path+"?expanded_statuses=true"), "statusText")
	assert.Equal(t, []any{"canceled", "pending", "success", "canceled", "success", "success"}, expanded)
	for query, want := range map[string][]any{
		"status=1": {"e-4"}, "status=2": {"e-2"}, "status=4": {"e-5", "e-2"}, "tag=t3": {"e-3"}, "event_types=a.c": {"e-5", "e-3", "e-1"},
		"status=3": {}, "channel=x": {},
	} {
		assert.Equal(t, want, members(t, p.get(path+"?"+query), "eventId"), query)
	}
	for _, limit := range []int{1, 2, 4} {
		assert.Len(t, p.walk(path, "id", limit), 6)
	}
	assert.Empty(t, members(t, p.get(path+"?with_content=false"), "payload")[0])
}

// An event that went to many endpoints is found at each of them, although their rows stand together.
func TestMessageOfManyEndpoints(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s := p.endpoint("acme", "crm")
	now := time.Now().Add(-time.Hour)
	e := p.published("acme", "a.b", "e-1")
	p.tried(s, e, now, answered(503, ""))
	for range 600 {
		p.tried(&subscription.Subscription{ID: ident.New()}, e, now, answered(200, ""))
	}
	p.tried(s, e, now.Add(time.Minute), again(2, 1), answered(200, ""))
	assert.Equal(t, []any{"success"}, members(t, p.get("/app/acme/endpoint/crm/msg"), "statusText"))
	assert.Len(t, p.walk("/app/acme/attempt/msg/e-1", "id", 250), 602)
	assert.Equal(t, []any{"success"}, members(t, p.get("/app/acme/msg/e-1/endpoint"), "statusText"))
}

// What a test event came to is there as of every other: status, code and message.
func TestResultOfATest(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s := p.endpoint("acme", "crm")
	e := p.published("acme", "order.paid", "example")
	row := p.tried(s, e, time.Now().Add(-time.Second), by(delivery.TriggerTest, "t-1"), answered(500, "no such table"))
	got := p.get("/app/acme/attempt/msg/" + e.Message.Base62(messagePrefix)).json(t)["data"].([]any)
	require.Len(t, got, 1)
	attempt := got[0].(map[string]any)
	assert.Equal(t, []any{attemptID(row).Base62(attemptPrefix), "fail", 500.0, "no such table", 1.0},
		[]any{attempt["id"], attempt["statusText"], attempt["responseStatusCode"], attempt["response"], attempt["triggerType"]})
}

// What belongs to another tenant is as if it were not there, whoever knows its ids; also where a record that is another one
// stands in the place that the views have.
func TestNothingOfAnotherTenantIsShown(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	evil := p.tenant("evil")
	theirs, ours := p.endpoint("acme", "crm"), p.endpoint("evil", "mine")
	now := time.Now().Add(-time.Minute)
	secret := p.published("acme", "order.paid", "e-1")
	row := p.tried(theirs, secret, now, answered(200, "SECRET"))
	token := p.key(access.RoleTenant, evil.ID)
	id, attempt := secret.Message.Base62(messagePrefix), attemptID(row).Base62(attemptPrefix)
	for _, path := range []string{
		"/app/evil/attempt/msg/" + id, "/app/evil/attempt/msg/e-1", "/app/evil/msg/" + id + "/attempt/" + attempt,
		"/app/evil/msg/" + id + "/attempt/" + attempt + "/headers", "/app/evil/msg/" + id + "/attempt/" + attempt + "/detail", "/app/evil/msg/" + id + "/endpoint",
		"/app/evil/attempt/endpoint/" + endpointID(theirs), "/app/evil/attempt/endpoint/crm", "/app/evil/endpoint/" + theirs.ID.UUID() + "/msg",
		"/app/evil/endpoint/crm/status", "/app/evil/endpoint/crm/last-attempts", "/app/evil/endpoint/crm/health", "/app/evil/endpoint/crm/stats",
		"/app/evil/endpoint/" + theirs.ID.UUID() + "/events", "/app/acme/attempt/endpoint/crm", "/app/acme/endpoint/crm/events",
		"/app/acme/endpoint/crm/last-attempts", "/app/acme/attempt/msg/" + id,
	} {
		got := p.call(token, http.MethodGet, path, nil)
		assert.Equal(t, http.StatusNotFound, got.status, "%s: %s", path, got.body)
	}
	for _, path := range []string{"/v1/evil/webhooks/" + theirs.ID.UUID() + "/events", "/v1/acme/webhooks/" + theirs.ID.UUID() + "/events"} {
		assert.Equal(t, http.StatusNotFound, p.callAt(token, http.MethodGet, path, nil).status, path)
	}

	// The views of evil's endpoint lead to a record of acme's, as after a topic was made anew.
	own := p.published("evil", "order.paid", "e-2")
	p.tried(ours, own, now, answered(200, "OWN"))
	p.mu.Lock()
	for at, r := range p.records {
		if at.Topic == "outcomes" && strings.Contains(string(r.Value), "OWN") {
			forged := *row
			forged.At, forged.Subscription = now.UTC(), ours.ID
			p.records[at] = &kafka.Record{Topic: at.Topic, Partition: at.Partition, Offset: at.Offset, Value: forged.AppendJSON(nil)}
		}
		if at.Topic == "deliveries" {
			p.records[at].Value = []byte(`{"n":"SECRET"}`)
		}
	}
	p.mu.Unlock()
	for _, path := range []string{
		"/app/evil/attempt/endpoint/mine?with_msg=true", "/app/evil/endpoint/mine/msg", "/app/evil/endpoint/mine/last-attempts?with_payload=true",
		"/app/evil/endpoint/mine/events", "/app/evil/attempt/msg/e-2",
	} {
		got := p.call(token, http.MethodGet, path, nil)
		require.Equal(t, http.StatusOK, got.status, got.body)
		assert.NotContains(t, got.body, "SECRET", path)
		assert.Equal(t, "complete; expired=1", got.header.Get(viewsHeader), path)
	}
}

func TestAttemptInputIsChecked(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	p.endpoint("acme", "crm")
	p.published("acme", "a.b", "e-1")
	for _, bad := range []string{
		"limit=0", "limit=251", "limit=x", "iterator=atmpt_x", "iterator=-", "iterator=--atmpt_000000000000000000000000000",
		"iterator=" + strings.Repeat("a", 600), "iterator=msg_000000000000000000000000000x", "status=5", "status=-1", "status=success",
		"channel=a%20b", "tag=" + strings.Repeat("t", 200), "before=yesterday", "after=1", "event_types=a%20b", "with_content=maybe",
		"event_types=" + strings.Repeat("a,", 300) + "a%00", "expanded_statuses=2",
	} {
		for _, path := range []string{"/app/acme/attempt/endpoint/crm", "/app/acme/endpoint/crm/msg", "/app/acme/attempt/msg/e-1"} {
			got := p.call(p.reader, http.MethodGet, path+"?"+bad, nil)
			if bad == "iterator=-" {
				assert.Equal(t, http.StatusOK, got.status, "%s: %s", bad, got.body) // the list backwards
				continue
			}
			assert.Equal(t, http.StatusUnprocessableEntity, got.status, "%s?%s: %s", path, bad, got.body)
		}
	}
	for path, want := range map[string]int{
		"/app/acme/attempt/endpoint/crm?status_code_class=600":                                            422,
		"/app/acme/attempt/endpoint/crm?status_code_class=404":                                            422,
		"/app/acme/attempt/endpoint/nobody":                                                               404,
		"/app/acme/attempt/msg/nothing":                                                                   404,
		"/app/acme/attempt/msg/e-1?endpoint_id=nobody":                                                    404,
		"/app/acme/msg/e-1/attempt/atmpt_000000000000000000000000000":                                     404,
		"/app/acme/msg/e-1/attempt/nothing":                                                               422,
		"/app/acme/msg/e-1/endpoint?iterator=atmpt_000000000000000000000000000":                           422,
		"/app/acme/endpoint/crm/health?step=day":                                                          422,
		"/app/acme/endpoint/crm/health?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z":             422,
		"/app/acme/endpoint/crm/health?since=2026-01-01T00:00:00Z&until=2026-01-03T00:00:00Z&step=minute": 422,
		"/app/acme/endpoint/crm/stats?since=0001-01-01T00:00:01Z":                                         422,
		"/app/acme/endpoint/crm/last-attempts?limit=51":                                                   422,
		"/app/acme/endpoint/crm/events?order=sideways":                                                    422,
		"/app/acme/endpoint/crm/events?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z":                 200,
		"/app/acme/attempt/endpoint/crm?after=9999-12-31T23:59:59Z":                                       200,
		"/app/acme/attempt/endpoint/crm?before=0001-01-01T00:00:01Z":                                      200,
		"/app/acme/attempt/endpoint/crm?iterator=atmpt_000000000000000000000000000":                       200,
	} {
		got := p.call(p.reader, http.MethodGet, path, nil)
		assert.Equal(t, want, got.status, "%s: %s", path, got.body)
	}
}

// Whoever wants something deleted learns that it is not.
func TestNothingIsExpunged(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	for _, path := range []string{"/app/acme/msg/e-1/content", "/app/acme/msg/e-1/attempt/atmpt_000000000000000000000000000/content"} {
		got := p.call(p.operator, http.MethodDelete, path, nil)
		assert.Equal(t, http.StatusConflict, got.status, got.body)
		assert.Equal(t, "not_supported", got.json(t)["code"])
	}
}

// How far the views are is in a header, so that bodies stay as they are.
func TestViewsSayHowFarTheyAre(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*past, *subscription.Subscription)
		want   string
	}{
		"all":  {func(*past, *subscription.Subscription) {}, "^complete$"},
		"some": {func(p *past, _ *subscription.Subscription) { p.ends["outcomes"] += 7 }, `^behind; records=7; to=20\d\d-\d\d-\d\dT[\d:]+\.\d{3}Z$`},
		"lost": {func(p *past, _ *subscription.Subscription) { p.redis.FlushAll() }, "^behind; records=1$"},
		"not from": {func(p *past, s *subscription.Subscription) {
			p.redis.FlushAll()
			p.tried(s, p.published("acme", "a.b", "e-2"), time.Now(), answered(200, ""))
		}, "^incomplete$"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPast(t)
			p.tenant("acme")
			s := p.endpoint("acme", "crm")
			p.tried(s, p.published("acme", "a.b", "e-1"), time.Now(), answered(200, ""))
			c.change(p, s)
			for _, path := range []string{"/app/acme/attempt/endpoint/crm", "/app/acme/endpoint/crm/status", "/app/acme/endpoint/crm/health"} {
				assert.Regexp(t, c.want, p.get(path).header.Get(viewsHeader), path)
			}
		})
	}
}

// Without Redis or Kafka there is no answer, and it is not the caller's fault.
func TestViewsAreAway(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s := p.endpoint("acme", "crm")
	p.tried(s, p.published("acme", "a.b", "e-1"), time.Now(), answered(200, ""))
	p.away = errAway
	const status, health = "/app/acme/endpoint/crm/status", "/app/acme/endpoint/crm/health"
	ofRecords := []string{
		"/app/acme/attempt/endpoint/crm", "/app/acme/attempt/msg/e-1", "/app/acme/endpoint/crm/msg", "/app/acme/msg/e-1/endpoint",
		"/app/acme/endpoint/crm/events", "/app/acme/endpoint/crm/last-attempts", "/app/acme/msg/e-1/attempt/atmpt_000000000000000000000000000",
	}
	away := func(paths ...string) {
		for _, path := range paths {
			got := p.call(p.reader, http.MethodGet, path, nil)
			assert.Equal(t, http.StatusServiceUnavailable, got.status, "%s: %s", path, got.body)
			assert.NotEmpty(t, got.header.Get("Retry-After"), path)
			assert.NotContains(t, got.body, "secret address")
		}
	}
	away(ofRecords...)
	for _, path := range []string{status, health} { // they need no record
		assert.Equal(t, "unknown", p.get(path).header.Get(viewsHeader))
	}
	p.away = nil
	p.redis.SetError("LOADING secret address")
	away(append(ofRecords, status, health, "/app/acme/endpoint/crm/stats")...)
}

// A list of many that a filter lets hardly any of through comes to its end, page by page.
func TestFiltersOverManyAttempts(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.tenant("acme")
	s := p.endpoint("acme", "crm")
	rare, usual := p.published("acme", "a.b", "rare", `"channels":["eu"]`), p.published("acme", "a.b", "usual")
	// Shortly before they were published, by a clock that is late: on the day before, too, if it is past midnight now.
	start := time.Now().Add(-30 * time.Second)
	p.tried(s, p.published("acme", "a.b", "failed"), start.Add(-time.Second), answered(503, "failed"))
	for i := range 700 {
		e := usual
		if i%300 == 0 {
			e = rare
		}
		p.tried(s, e, start.Add(time.Duration(i)*10*time.Millisecond), again(i+1, i), answered(200, fmt.Sprint(i)))
	}
	assert.Equal(t, []any{"600", "300", "0"}, p.walk("/app/acme/attempt/endpoint/crm?channel=eu", "response", 10))
	assert.Len(t, p.walk("/app/acme/attempt/endpoint/crm", "id", 100), 701)
	// The index tells a status: one page has it, however far back it is.
	fetched := p.fetched
	assert.Equal(t, []any{"failed"}, members(t, p.get("/app/acme/attempt/endpoint/crm?status=2&limit=1"), "response"))
	assert.Equal(t, []any{}, members(t, p.get("/app/acme/attempt/endpoint/crm?status_code_class=300&limit=1"), "response"))
	assert.Equal(t, fetched+1, p.fetched, "no other row is read")
	assert.Equal(t, []any{"600", "300", "0"}, p.walk("/app/acme/attempt/msg/rare", "response", 2))
}
