package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/task"
)

// letterBroker is Kafka for letters: topics of one partition in memory.
type letterBroker struct {
	mu     sync.Mutex
	topics map[string][]*kafka.Record
	audit  []audit.Entry
	// away is what reading records returns.
	away error
}

func (b *letterBroker) Produce(_ context.Context, r *kafka.Record, promise func(*kafka.Record, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.Offset = int64(len(b.topics[r.Topic]))
	b.topics[r.Topic] = append(b.topics[r.Topic], r)
	go promise(r, nil)
}

func (b *letterBroker) records(topic string) []*kafka.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.topics[topic]
}

func (b *letterBroker) Fetch(_ context.Context, places []kafka.Place, _ int) (map[kafka.Place]*kafka.Record, []kafka.Place, error) {
	found := map[kafka.Place]*kafka.Record{}
	for _, p := range places {
		found[p] = b.records(p.Topic)[p.Offset]
	}
	return found, nil, b.away
}

func (b *letterBroker) Write(_ context.Context, entries ...audit.Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.audit = append(b.audit, entries...)
	return nil
}

// Of implements History: one row.
func (b *letterBroker) Of(_ context.Context, d *delivery.Delivery, _, to time.Time) ([]outcome.Outcome, bool, error) {
	return []outcome.Outcome{{Attempt: d.Attempts, Verdict: outcome.Dead, Reason: outcome.ReasonExhausted, Result: outcome.ResultServerError, Status: 503, At: to}}, true, nil
}

// letterTail follows a topic of a letterBroker.
type letterTail struct {
	b     *letterBroker
	topic string
	next  int
}

func (l *letterTail) Poll(ctx context.Context, fn func(*kafka.Record)) error {
	records := l.b.records(l.topic)[l.next:]
	if len(records) == 0 {
		<-ctx.Done()
	}
	for _, r := range records {
		fn(r)
	}
	l.next += len(records)
	return ctx.Err()
}

func (l *letterTail) Left(ends map[int32]kafka.Ends) int64 { return max(0, ends[0].End-int64(l.next)) }

func (l *letterTail) Ends(context.Context) (map[int32]kafka.Ends, error) {
	return map[int32]kafka.Ends{0: {End: int64(len(l.b.records(l.topic)))}}, nil
}

func (l *letterTail) Close() {}

// withLetters gives the API the letters of a broker; follow waits until they are read.
func withLetters(t *testing.T, b *letterBroker) (set func(*Options), follow func()) {
	t.Helper()
	var dead *pipeline.DeadLetters
	var rejected *pipeline.RejectedRecords
	tail := func(topic string) func() (pipeline.TopicTail, error) {
		return func() (pipeline.TopicTail, error) { return &letterTail{b: b, topic: topic}, nil }
	}
	decoder, err := event.NewDecoder(event.Source{Name: "shop", Format: event.FormatJSON, Mapping: event.Mapping{Type: "type", Tenant: "org"}})
	require.NoError(t, err)
	set = func(o *Options) {
		dead = pipeline.NewDeadLetters(pipeline.DeadLettersOptions{Tail: tail("deadletters"), From: b, Out: b, Registry: snapshots{o.Store}})
		rejected = pipeline.NewRejectedRecords(pipeline.RejectedRecordsOptions{
			Tail: tail("rejected"), From: b, Out: b, Decoder: func(string) *event.Decoder { return decoder },
		})
		o.DeadLetters, o.Rejected, o.History, o.AuditWriter = dead, rejected, b, b
	}
	follow = func() {
		t.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = dead.Run(ctx) })
		running.Go(func() { _ = rejected.Run(ctx) })
		t.Cleanup(func() { cancel(); running.Wait() })
		require.Eventually(t, func() bool {
			_, err := dead.Open()
			_, err2 := rejected.Open()
			return err == nil && err2 == nil
		}, time.Minute, time.Millisecond)
	}
	return set, follow
}

// snapshots is a Registry of a store.
type snapshots struct{ Store }

func (snapshots) ConfirmedAt() time.Time            { return time.Now() }
func (snapshots) Wait(context.Context, int64) error { return nil }

var letterStart = time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC)

// bury adds the dead letters of a subscription, a minute after each other.
func (b *letterBroker) bury(sub *subscription.Subscription, n int, status string) {
	for range n {
		at := len(b.topics["deadletters"])
		msg := delivery.MessageID(sub.Tenant, "test", fmt.Sprint(at))
		d := &delivery.Delivery{
			ID: delivery.ID(msg, sub.ID), Message: msg, Subscription: sub.ID, Tenant: sub.Tenant, EventID: fmt.Sprint("e-", at),
			EventType: "contact.created", EventTime: letterStart, Trigger: delivery.Trigger{Kind: delivery.TriggerEvent}, Attempts: 3,
			First: letterStart, Reason: "exhausted",
		}
		r := &kafka.Record{
			Topic: "deadletters", Offset: int64(at), Key: []byte(sub.ID.UUID()), Value: fmt.Appendf(nil, `{"n":%d}`, at),
			Timestamp: letterStart.Add(time.Duration(at) * time.Minute),
		}
		for name, v := range d.Headers() {
			r.Headers = append(r.Headers, kafka.Header{Key: name, Value: []byte(v)})
		}
		r.Headers = append(r.Headers, kafka.Header{Key: "pr-result", Value: []byte("server_error")}, kafka.Header{Key: "pr-status", Value: []byte(status)})
		b.topics["deadletters"] = append(b.topics["deadletters"], r)
	}
}

// letterScene is an API with letters of two tenants: acme has seven of crm and two of erp, globex one.
type letterScene struct {
	*harness
	b                *letterBroker
	acme, globex     *subscription.Tenant
	crm, erp, theirs *subscription.Subscription
	follow           func()
}

func newLetterScene(t *testing.T, change ...func(*Options)) *letterScene {
	t.Helper()
	s := &letterScene{b: &letterBroker{topics: map[string][]*kafka.Record{}}}
	set, follow := withLetters(t, s.b)
	s.harness, s.follow = newHarness(t, append(change, set)...), follow
	s.acme, s.globex = s.tenant("acme"), s.tenant("globex")
	endpoint := func(tenant *subscription.Tenant, uid string, change ...func(*subscription.Subscription)) *subscription.Subscription {
		sub := &subscription.Subscription{ID: ident.New(), UID: uid, Tenant: tenant.ID, URL: "https://example.com", Generation: 1}
		for _, c := range change {
			c(sub)
		}
		s.apply(registry.PutSubscription(sub))
		return sub
	}
	s.crm, s.erp, s.theirs = endpoint(s.acme, "crm"), endpoint(s.acme, "erp"), endpoint(s.globex, "crm")
	s.b.bury(s.crm, 5, "503")
	s.b.bury(s.erp, 2, "404")
	s.b.bury(s.theirs, 1, "503")
	s.b.bury(s.crm, 2, "500")
	return s
}

func (s *letterScene) ids(got reply) (ids []string) {
	s.t.Helper()
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	for _, e := range got.json(s.t)["data"].([]any) {
		ids = append(ids, e.(map[string]any)["id"].(string))
	}
	return ids
}

func TestListDeadLetters(t *testing.T) {
	t.Parallel()
	s := newLetterScene(t)
	loading := s.call(s.operator, "GET", "/dead-letter", nil)
	require.Equal(t, http.StatusServiceUnavailable, loading.status)
	require.Contains(t, loading.body, "loading")
	s.follow()
	for query, want := range map[string]int{
		"/app/acme/dead-letter": 9, "/dead-letter": 10, "/app/globex/dead-letter": 1,
		"/app/acme/dead-letter?endpoint=crm":                         7,
		"/app/acme/dead-letter?endpoint=crm,erp&status=404":          2,
		"/app/acme/dead-letter?status=500&status=404":                4,
		"/app/acme/dead-letter?reason=exhausted&result=server_error": 9,
		"/app/acme/dead-letter?reason=expired":                       0,
		"/app/acme/dead-letter?event_types=contact.created,x":        9,
		"/app/acme/dead-letter?after=2026-02-01T08:05:00Z":           4,
		"/app/acme/dead-letter?before=2026-02-01T08:05:00Z":          5,
		"/dead-letter?endpoint=" + s.theirs.ID.Base62("ep_"):         1,
	} {
		require.Len(t, s.ids(s.call(s.operator, "GET", query, nil)), want, query)
	}
	for query, says := range map[string]string{
		"endpoint=other": "there is no endpoint", "reason=nonsense": "want some of", "result=nonsense": "want some of", "iterator=x": "iterator", "status=x": "status",
	} {
		got := s.call(s.operator, "GET", "/app/acme/dead-letter?"+query, nil)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, query)
		require.Contains(t, got.body, says)
	}
	// Newest first, page by page, and back.
	var all []string
	iterator := ""
	for range 10 {
		got := s.call(s.reader, "GET", "/app/acme/dead-letter?limit=4&iterator="+iterator, nil)
		all = append(all, s.ids(got)...)
		if iterator, _ = got.json(t)["iterator"].(string); got.json(t)["done"] == true {
			back := s.call(s.reader, "GET", "/app/acme/dead-letter?limit=4&iterator="+got.json(t)["prevIterator"].(string), nil)
			require.Equal(t, all[4:8], s.ids(back))
			break
		}
	}
	require.Len(t, all, 9)
	require.Equal(t, s.ids(s.call(s.reader, "GET", "/app/acme/dead-letter", nil)), all)
}

func TestDeadLetterCausesAndDetail(t *testing.T) {
	t.Parallel()
	s := newLetterScene(t)
	s.follow()
	got := s.call(s.operator, "GET", "/app/acme/dead-letter/cause", nil)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var causes Causes[DeadLetterCauseOut]
	require.NoError(t, json.Unmarshal([]byte(got.body), &causes))
	require.Equal(t, 9, causes.Count)
	require.True(t, causes.Done)
	require.Len(t, causes.Data, 3)
	require.Equal(t, 5, causes.Data[0].Count)
	require.Equal(t, 503, *causes.Data[0].Status)
	require.Equal(t, s.crm.ID.Base62("ep_"), *causes.Data[0].EndpointID)
	require.Equal(t, letterStart, causes.Data[0].First)
	require.Equal(t, letterStart.Add(4*time.Minute), causes.Data[0].Last)
	require.Contains(t, s.call(s.operator, "GET", "/dead-letter/cause?limit=2", nil).body, `"done":false,"count":10`)

	id := causes.Data[0].Example.ID
	shown := s.call(s.reader, "GET", "/app/acme/dead-letter/"+id, nil)
	require.Equal(t, http.StatusOK, shown.status, shown.body)
	require.Equal(t, map[string]any{"n": 4.0}, shown.json(t)["payload"])
	require.Equal(t, "e-4", shown.json(t)["eventId"])
	require.Len(t, shown.json(t)["history"], 1)
	require.Equal(t, true, shown.json(t)["historyComplete"])
	require.Equal(t, http.StatusOK, s.call(s.reader, "GET", "/dead-letter/"+id, nil).status)
	require.Equal(t, http.StatusNotFound, s.call(s.operator, "GET", "/app/globex/dead-letter/"+id, nil).status, "another tenant's")
	s.b.away = errors.New("no broker")
	away := s.call(s.reader, "GET", "/dead-letter/"+id, nil)
	require.Equal(t, http.StatusServiceUnavailable, away.status)
	require.NotContains(t, away.body, "no broker")
}

func TestActOnDeadLetters(t *testing.T) {
	t.Parallel()
	s := newLetterScene(t)
	s.follow()
	administrator := s.key(access.RoleTenant, s.acme.ID)
	act := func(path, body string) map[string]any {
		got := s.call(administrator, "POST", path, body)
		require.Equal(t, http.StatusOK, got.status, got.body)
		return got.json(t)
	}
	for body, says := range map[string]string{
		`{}`: "really all", `{"ids":["x"]}`: "dlv_", `{"endpoints":["x"]}`: "there is no endpoint", `{"all":true,"iterator":"x"}`: "iterator",
		`{"all":true,"limit":1001}`: "limit",
	} {
		got := s.call(administrator, "POST", "/app/acme/dead-letter/redrive", body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, body)
		require.Contains(t, got.body, says)
	}
	dry := act("/app/acme/dead-letter/redrive", `{"all":true,"dryRun":true}`)
	require.EqualValues(t, 9, dry["count"])
	require.Equal(t, true, dry["dryRun"])
	require.Empty(t, s.b.records("deliveries"))
	require.Empty(t, s.b.audit)

	first := act("/app/acme/dead-letter/redrive", `{"endpoints":["crm"],"statuses":[503],"limit":2}`)
	require.EqualValues(t, 2, first["count"])
	require.Equal(t, false, first["done"])
	second := act("/app/acme/dead-letter/redrive", `{"endpoints":["crm"],"statuses":[503],"iterator":"`+first["iterator"].(string)+`"}`)
	require.EqualValues(t, 3, second["count"])
	require.Equal(t, true, second["done"])
	require.Len(t, s.b.records("deliveries"), 5)

	stored, _ := s.store.Snapshot().Subscription(s.erp.ID)
	off := *stored
	off.Disabled = true
	s.apply(registry.PutSubscription(&off))
	skipped := act("/app/acme/dead-letter/redrive", `{"endpoints":["erp"]}`)
	require.EqualValues(t, 0, skipped["count"])
	require.Equal(t, map[string]any{"endpoint_disabled": 2.0}, skipped["skipped"])
	require.EqualValues(t, 2, act("/app/acme/dead-letter/discard", `{"endpoints":["erp"]}`)["count"])
	one := s.ids(s.call(s.operator, "GET", "/app/acme/dead-letter?limit=1", nil))[0]
	require.EqualValues(t, 1, act("/app/acme/dead-letter/discard", `{"ids":["`+one+`"]}`)["count"])
	require.EqualValues(t, 0, act("/app/acme/dead-letter/discard", `{"ids":["`+one+`"]}`)["count"], "it is closed")

	all := s.call(s.operator, "POST", "/dead-letter/discard", `{"all":true}`)
	require.EqualValues(t, 2, all.json(t)["count"], all.body)
	require.Empty(t, s.ids(s.call(s.operator, "GET", "/dead-letter", nil)))

	var told []string
	for _, e := range s.b.audit {
		require.NotEmpty(t, e.Actor.ID)
		require.Positive(t, e.RegistryVersion)
		var after struct{ Count int }
		require.NoError(t, json.Unmarshal(e.After, &after))
		object := map[string]string{one: "one", s.acme.ID.Base62("app_"): "acme", s.globex.ID.Base62("app_"): "globex"}[e.Object]
		told = append(told, fmt.Sprintf("%s %s %s %d", e.Action, e.Kind, object, after.Count))
	}
	require.ElementsMatch(t, []string{
		"redriven dead-letter acme 2", "redriven dead-letter acme 3", "discarded dead-letter acme 2", "discarded dead-letter one 1",
		"discarded dead-letter acme 1", "discarded dead-letter globex 1",
	}, told)
}

// What is more than one request deals with is done in the background, in a task that says which; so is whatever is asked for so.
func TestManyDeadLettersAreATask(t *testing.T) {
	t.Parallel()
	f := &fakeTasks{}
	s := newLetterScene(t, withTasks(f))
	s.b.bury(s.crm, maxLetters, "502")
	s.follow()
	for _, c := range []struct {
		path, body string
		want       task.Task
		count      int
	}{
		{"/app/acme/dead-letter/redrive", `{"all":true}`, task.Task{
			Kind: task.RedriveLetters, Tenant: s.acme.ID, PerSecond: task.DefaultPerSecond, Letters: &letter.DeadFilter{},
		}, 1009},
		{"/dead-letter/discard", `{"statuses":[502],"perSecond":7,"background":true}`, task.Task{
			Kind: task.DiscardLetters, PerSecond: 7, Letters: &letter.DeadFilter{Statuses: []int{502}},
		}, maxLetters},
	} {
		told := len(s.b.audit)
		got := s.call(s.operator, "POST", c.path, c.body)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		started := f.tasks[len(f.tasks)-1]
		require.Contains(t, got.body, started.ID.Base62(task.IDPrefix))
		require.Equal(t, c.want, task.Task{
			Kind: started.Kind, Tenant: started.Tenant, PerSecond: started.PerSecond, Letters: started.Letters,
		})
		entries := s.b.audit
		require.Len(t, entries, told+1)
		require.Contains(t, string(entries[told].After), fmt.Sprintf(`{"count":%d,`, c.count))
		require.Contains(t, string(entries[told].After), started.ID.Base62(task.IDPrefix))
	}
	require.Empty(t, s.b.records("deliveries"))
	listed := func(query string) int {
		return len(s.call(s.operator, "GET", "/background-task"+query, nil).json(t)["data"].([]any))
	}
	require.Zero(t, listed(""), "clients of the Svix API know no such tasks")
	require.Equal(t, 2, listed("?all=true"))
	require.Equal(t, 1, listed("?task=dead-letter.discard"))
	got := s.call(s.operator, "POST", "/app/acme/dead-letter/redrive", `{"all":true,"background":true,"limit":5}`)
	require.Equal(t, http.StatusUnprocessableEntity, got.status, got.body)
	require.Contains(t, s.call(s.operator, "POST", "/app/acme/dead-letter/redrive", `{"all":true,"dryRun":true}`).body, `"count":1009`)
	require.Contains(t, s.call(s.operator, "POST", "/app/acme/dead-letter/redrive", `{"all":true,"limit":1000}`).body, `"count":1000`)
	require.Contains(t, s.call(s.operator, "POST", "/app/acme/dead-letter/redrive", `{"all":true}`).body, `"count":9`)
	require.Len(t, f.tasks, 2)
}

// An export is a line a letter, over a real connection; one that cannot go on breaks.
func TestExportDeadLetters(t *testing.T) {
	t.Parallel()
	s := newLetterScene(t)
	s.b.bury(s.crm, 3*exportBatch, "502")
	s.follow()
	server := httptest.NewServer(s.api.Handler())
	t.Cleanup(server.Close)
	export := func() (lines []DeadLetterDetailOut, err error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/app/acme/dead-letter/export?endpoint=crm", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+s.reader)
		answer, err := server.Client().Do(r)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		require.Equal(t, linesType, answer.Header.Get("Content-Type"))
		scanner := bufio.NewScanner(answer.Body)
		for scanner.Scan() {
			var l DeadLetterDetailOut
			require.NoError(t, json.Unmarshal(scanner.Bytes(), &l))
			lines = append(lines, l)
		}
		return lines, scanner.Err()
	}
	lines, err := export()
	require.NoError(t, err)
	require.Len(t, lines, 7+3*exportBatch)
	require.JSONEq(t, `{"n":0}`, string(lines[0].Payload))
	require.Equal(t, "e-309", *lines[len(lines)-1].EventID)
	s.b.away = errors.New("no broker")
	_, err = export()
	require.Error(t, err)
	require.Contains(t, s.log.String(), "breaking off an answer")
}

func (b *letterBroker) reject(reason, field, value string, headers ...string) {
	at := len(b.topics["rejected"])
	source := fmt.Sprintf("shop.orders/1/%d", at)
	r := &kafka.Record{Topic: "rejected", Offset: int64(at), Key: []byte(source), Value: []byte(value), Timestamp: letterStart.Add(time.Duration(at) * time.Minute)}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Headers = append(r.Headers, kafka.Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	for name, v := range map[string]string{
		letter.HeaderRejectReason: reason, letter.HeaderRejectField: field, letter.HeaderRejectDetail: "want it", letter.HeaderRejectSource: source, letter.HeaderRejectKey: "k",
	} {
		r.Headers = append(r.Headers, kafka.Header{Key: name, Value: []byte(v)})
	}
	b.topics["rejected"] = append(b.topics["rejected"], r)
}

func TestRejectedRecords(t *testing.T) {
	t.Parallel()
	s := newLetterScene(t)
	good := `{"type":"a.b","org":"acme"}`
	for range 3 {
		s.b.reject("no_tenant", "organization", good, "own", "1")
	}
	s.b.reject("undecodable", "", "\xff", "own", "\xff")
	s.follow()
	require.Len(t, s.ids(s.call(s.reader, "GET", "/rejected", nil)), 4)
	require.Len(t, s.ids(s.call(s.reader, "GET", "/rejected?reason=no_tenant&field=organization&topic=shop.orders", nil)), 3)
	require.Empty(t, s.ids(s.call(s.reader, "GET", "/rejected?topic=other", nil)))
	causes := s.call(s.reader, "GET", "/rejected/cause", nil)
	require.Contains(t, causes.body, `"topic":"shop.orders","reason":"no_tenant","field":"organization","count":3`)

	ids := s.ids(s.call(s.reader, "GET", "/rejected", nil))
	var broken, mended RejectedDetailOut
	require.NoError(t, json.Unmarshal([]byte(s.call(s.reader, "GET", "/rejected/"+ids[0], nil).body), &broken))
	require.True(t, broken.Base64)
	require.Equal(t, "/w==", broken.Value)
	require.Equal(t, []RejectedHeaderOut{{"own", "/w=="}}, broken.Headers)
	require.Contains(t, *broken.Today, "undecodable")
	require.NoError(t, json.Unmarshal([]byte(s.call(s.reader, "GET", "/rejected/"+ids[1], nil).body), &mended))
	require.Equal(t, good, mended.Value)
	require.Nil(t, mended.Today, "the mapping was mended")
	require.Equal(t, "want it", *mended.Detail)
	require.Equal(t, "k", *mended.Key)
	require.Len(t, strings.Split(strings.TrimSpace(s.call(s.reader, "GET", "/rejected/export", nil).body), "\n"), 4)

	require.Equal(t, http.StatusUnprocessableEntity, s.call(s.operator, "POST", "/rejected/reingest", `{}`).status)
	require.Equal(t, http.StatusUnprocessableEntity, s.call(s.operator, "POST", "/rejected/reingest", `{"ids":["dlv_1"]}`).status)
	dry := s.call(s.operator, "POST", "/rejected/reingest", `{"all":true,"dryRun":true}`)
	require.Contains(t, dry.body, `"count":3,"skipped":{"still_rejected":1},"dryRun":true`)
	require.Empty(t, s.b.records("shop.orders"))
	one := s.call(s.operator, "POST", "/rejected/reingest", `{"ids":["`+ids[1]+`"]}`)
	require.Contains(t, one.body, `"count":1,"skipped":{}`)
	rest := s.call(s.operator, "POST", "/rejected/reingest", `{"reasons":["no_tenant"]}`)
	require.Contains(t, rest.body, `"count":2,"skipped":{}`)
	require.Len(t, s.b.records("shop.orders"), 3)
	require.Equal(t, ids[:1], s.ids(s.call(s.reader, "GET", "/rejected", nil)))
	require.Contains(t, s.call(s.operator, "POST", "/rejected/reingest", `{"all":true,"unchecked":true}`).body, `"count":1`)
	require.Len(t, s.b.audit, 3)
	assert.Equal(t, ids[1], s.b.audit[0].Object)
	assert.Equal(t, "rejected", s.b.audit[1].Object)
	assert.Equal(t, audit.Reingested, s.b.audit[1].Action)
}
