package topics_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/backoff"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/topics"
)

var who = []string{"api", "cli", "router", "deliverer", "retrier", "recorder", "upstream", "analysts", "sre"}

func TestDeclarations(t *testing.T) {
	seen := map[string]topics.Topic{}
	for _, topic := range topics.All() {
		t.Run(topic.Name, func(t *testing.T) {
			require.Empty(t, seen[topic.Name].Name, "declared twice")
			require.NotEmpty(t, topic.Description)
			require.NotEmpty(t, topic.Key)
			require.NotEmpty(t, topic.Value)
			require.NotEmpty(t, topic.Producers)
			require.NotEmpty(t, topic.Consumers)
			for _, w := range slices.Concat(topic.Producers, topic.Consumers) {
				require.Contains(t, who, w)
			}
			switch topic.Cleanup {
			case topics.Delete:
				require.GreaterOrEqual(t, topic.Retention, 9*24*time.Hour, "less than the history that is promised")
				require.Zero(t, topic.MinCompactionLag)
			case topics.Compact:
				require.Zero(t, topic.Retention)
				require.True(t, topic.Keyed)
			default:
				t.Fatalf("cleanup: %q", topic.Cleanup)
			}
			if topic.Partitions.Like != "" {
				require.Contains(t, seen, topic.Partitions.Like, "like a topic that is declared before")
			} else {
				require.Positive(t, topic.Partitions.Count)
			}
			if topic.Schema != "" {
				_, err := fs.Stat(topics.Schemas, topic.Schema)
				require.NoError(t, err)
			}
		})
		seen[topic.Name] = topic
	}
	names := []string{
		topics.Events, topics.Rejected, topics.Routed, topics.Registry, topics.Deliveries, topics.DeadLetters, topics.Outcomes,
		topics.EndpointStates, topics.Statuses, topics.Operational, topics.Audit, topics.Tasks,
	}
	for _, tier := range backoff.Tiers() {
		names = append(names, topics.Retry(tier))
	}
	for _, name := range names {
		require.Contains(t, seen, name)
	}
	require.Len(t, seen, len(names))
	for _, name := range []string{topics.Outcomes, topics.EndpointStates} {
		require.Equal(t, topics.Deliveries, seen[name].Partitions.Like, "%s goes with deliveries", name)
	}
}

func TestRetryTiersAreThoseOfBackoff(t *testing.T) {
	declared := map[string]topics.Topic{}
	var want []string
	for _, topic := range topics.All() {
		if strings.HasPrefix(topic.Name, "retry.") {
			declared[topic.Name] = topic
			want = append(want, topic.Name)
		}
	}
	var got []string
	for _, tier := range backoff.Tiers() {
		name := topics.Retry(tier)
		got = append(got, name)
		require.Equal(t, "retry."+backoff.TierName(tier), name)
		require.Greater(t, declared[name].Retention, tier, "%s outlives its tier", name)
	}
	require.Equal(t, want, got, "in the order of the flow")
}

func TestConfigs(t *testing.T) {
	for _, topic := range topics.All() {
		switch topic.Name {
		case topics.Deliveries:
			require.Equal(t, map[string]string{
				"cleanup.policy": "delete", "retention.ms": "777600000", "max.message.bytes": "1179648",
			}, topic.Configs())
		case topics.Registry:
			require.Equal(t, map[string]string{
				"cleanup.policy": "compact", "min.compaction.lag.ms": "777600000", "delete.retention.ms": "86400000",
				"max.message.bytes": "1179648",
			}, topic.Configs())
		}
	}
	require.Greater(t, topics.MaxMessageBytes, event.MaxBytes)
}

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	f, err := topics.Schemas.Open("schemas/" + name)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(f)
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(name, doc))
	schema, err := c.Compile(name)
	require.NoError(t, err)
	return schema
}

// check validates a value as it looks after encoding it.
func check(t *testing.T, schema *jsonschema.Schema, v any) error {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	require.NoError(t, err)
	return schema.Validate(doc)
}

var (
	at     = time.Date(2026, 2, 1, 8, 30, 0, 123e6, time.UTC)
	tenant = ident.Derive("test", "tenant")
	sub    = ident.Derive("test", "subscription")
	msg    = delivery.MessageID(tenant, "dixa", "e-1")
)

func fullOutcome() outcome.Outcome {
	due := at.Add(time.Minute)
	return outcome.Outcome{
		Version: outcome.Version, Delivery: delivery.ID(msg, sub).Base62(delivery.IDPrefix), Message: msg.Base62(delivery.MessagePrefix),
		EventID: "e-1", EventType: "CONVERSATION_CREATED", EventTime: at, Channels: []string{"vip"}, Tenant: tenant, Subscription: sub, Profile: "dixa",
		Trigger: delivery.TriggerResend, TriggerID: "r-1", Attempt: 1, Pass: 2, Verdict: outcome.Retry, Reason: outcome.ReasonFailed,
		Result: outcome.ResultServerError, Status: 503, Detail: "503", URL: "https://example.com/in", At: at, DurationMS: 12.5, QueueMS: 1,
		DNSMS: 1, ConnectMS: 1, TLSMS: 1, FirstByteMS: 12, ResponseHeaders: "server: x\n", ResponseHeadersTruncated: true, Redacted: outcome.Redactions(),
		Due: &due, First: &due, ResponseBody: "busy", ResponseTruncated: true, Source: delivery.Position{Topic: "dixa", Offset: 1},
		Record: delivery.Position{Topic: "postrider.deliveries", Partition: 3, Offset: 9}, Registry: 7, Generation: 2,
		BodySHA256: strings.Repeat("0a", 32),
	}
}

func TestOutcomeSchema(t *testing.T) {
	schema := compile(t, "outcome.json")
	full := fullOutcome()
	require.NoError(t, check(t, schema, full))
	least := full
	least.Profile, least.TriggerID, least.Detail, least.URL, least.ResponseBody, least.BodySHA256 = "", "", "", "", "", ""
	least.Channels, least.ResponseHeaders, least.ResponseHeadersTruncated, least.Redacted = nil, "", false, nil
	least.DNSMS, least.ConnectMS, least.TLSMS, least.FirstByteMS = 0, 0, 0, 0
	least.Status, least.Due, least.First, least.ResponseTruncated, least.Attempt = 0, nil, nil, false, 0
	require.NoError(t, check(t, schema, least))
	for _, r := range outcome.Results() {
		o := full
		o.Result = r
		require.NoError(t, check(t, schema, o))
	}
	for _, r := range outcome.Reasons() {
		o := full
		o.Reason = r
		require.NoError(t, check(t, schema, o))
	}
	for i, spoil := range []func(*outcome.Outcome){
		func(o *outcome.Outcome) { o.Version = 2 },
		func(o *outcome.Outcome) { o.Verdict = "maybe" },
		func(o *outcome.Outcome) { o.Reason = "" },
		func(o *outcome.Outcome) { o.Delivery = "dlv_1" },
		func(o *outcome.Outcome) { o.BodySHA256 = "x" },
	} {
		o := full
		spoil(&o)
		require.Error(t, check(t, schema, o), "case %d", i)
	}
}

// TestOutcomeSchemaHasEveryMember reads the schema as a document: a member that is missing there would pass unnoticed.
func TestOutcomeSchemaHasEveryMember(t *testing.T) {
	text, err := topics.Schemas.ReadFile("schemas/outcome.json")
	require.NoError(t, err)
	var doc struct {
		Required   []string
		Properties map[string]struct {
			Enum  []string
			Items struct{ Enum []string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &doc))
	var names []string
	for f := range reflect.TypeFor[outcome.Outcome]().Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		require.Contains(t, doc.Properties, name)
		require.Equal(t, options == "", slices.Contains(doc.Required, name), "%s is required unless it may be left out", name)
		names = append(names, name)
	}
	require.Len(t, doc.Properties, len(names))
	require.Equal(t, fmt.Sprint(outcome.Reasons()), fmt.Sprint(doc.Properties["reason"].Enum))
	require.Equal(t, fmt.Sprint(outcome.Results()), fmt.Sprint(doc.Properties["result"].Enum))
	require.Equal(t, fmt.Sprint(outcome.Redactions()), fmt.Sprint(doc.Properties["redacted"].Items.Enum))
}

func TestDeadLetterSchema(t *testing.T) {
	schema := compile(t, "dead-letter.json")
	d := delivery.Delivery{
		ID: delivery.ID(msg, sub), Message: msg, Subscription: sub, Tenant: tenant, EventID: "e-1", EventType: "CONVERSATION_CREATED",
		EventSource: "dixa", EventTime: at, Channels: []string{"vip"}, ContentType: "application/json", TraceParent: "00-x", TraceState: "a=b", Trace: "00-y", Span: "z", Trigger: delivery.Trigger{Kind: delivery.TriggerRecover, ID: "r"},
		Attempts: 4, Pass: 5, Parks: 1, Due: at, Ready: at, Slot: at, First: at, Reason: string(outcome.ReasonExhausted),
		Source: delivery.Position{Topic: "dixa.events", Partition: 1, Offset: 2}, Registry: 9,
	}
	object := func(d delivery.Delivery) map[string]any {
		headers := map[string]string{}
		for name, v := range d.Headers() {
			headers[name] = string(v)
		}
		return map[string]any{"key": d.Subscription, "headers": headers, "value": json.RawMessage(`{"a":1}`)}
	}
	require.NoError(t, check(t, schema, object(d)))
	text, err := topics.Schemas.ReadFile("schemas/dead-letter.json")
	require.NoError(t, err)
	for name := range d.Headers() {
		require.Contains(t, string(text), `"`+name+`"`)
	}
	stray := map[string]any{"key": sub, "headers": map[string]string{"pr-reason": "undecodable", "pr-detail": "no key"}, "value": 1}
	require.NoError(t, check(t, schema, stray))
	stray["headers"] = map[string]string{"pr-reason": "expired"}
	require.Error(t, check(t, schema, stray), "a delivery has its identity")
	d.Reason = string(outcome.ReasonFailed)
	require.Error(t, check(t, schema, object(d)), "a dead letter was not given up for this reason")
	for name, c := range map[string]struct {
		headers map[string]string
		value   any
		good    bool
	}{
		"a mark":             {map[string]string{"pr-mark": "redriven", "pr-mark-of": "deadletters/1/2", "pr-mark-by": "key:key_1", "pr-delivery": d.ID.Base62("dlv_"), "pr-tenant": tenant.UUID()}, nil, true},
		"of another kind":    {map[string]string{"pr-mark": "lost", "pr-delivery": d.ID.Base62("dlv_")}, nil, false},
		"of nothing":         {map[string]string{"pr-mark": "discarded"}, nil, false},
		"with a value":       {map[string]string{"pr-mark": "delivered", "pr-delivery": d.ID.Base62("dlv_")}, 1, false},
		"neither":            {map[string]string{"pr-delivery": d.ID.Base62("dlv_")}, nil, false},
		"no mark, no letter": {map[string]string{}, 1, false},
	} {
		err := check(t, schema, map[string]any{"key": sub, "headers": c.headers, "value": c.value})
		require.Equal(t, c.good, err == nil, "%s: %v", name, err)
	}
	var doc struct {
		Properties struct {
			Headers struct {
				Properties map[string]struct{ Enum []string }
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &doc))
	require.Equal(t, []string{string(letter.Redriven), string(letter.Discarded), string(letter.Delivered)}, doc.Properties.Headers.Properties["pr-mark"].Enum)
}

func TestSourceSchemasAgreeWithTheDecoder(t *testing.T) {
	dixa := event.Source{Name: "dixa", Format: event.FormatJSON, Mapping: event.Mapping{
		ID: "event_id", Type: "event_fqn", Tenant: "organization.id", Time: "event_timestamp", Data: "data",
	}}
	structured := func(yield func(string, []byte) bool) { yield("content-type", []byte("application/cloudevents+json")) }
	for _, tt := range []struct {
		schema, value string
		source        event.Source
		good          bool
	}{
		{"conversation-event.json", `{"event_id":"5f1c1a36-2a9e-4b7c-8d51-9f2b7f0f7a11","event_fqn":"CONVERSATION_TAG_ADDED","event_version":"1",
			"event_timestamp":"2026-02-01T08:30:00.123Z","organization":{"id":"7d2f7f0e-1111-4c3b-9f0e-0a1b2c3d4e5f","name":"Acme"},"data":{"tag":"vip"}}`, dixa, true},
		{"conversation-event.json", `{"event_id":"5f1c1a36-2a9e-4b7c-8d51-9f2b7f0f7a11","event_fqn":"A","event_version":"1",
			"event_timestamp":"2026-02-01T08:30:00.123Z","organization":{"name":"Acme"},"data":{}}`, dixa, false},
		{"conversation-event.json", `{"event_id":"5f1c1a36-2a9e-4b7c-8d51-9f2b7f0f7a11","event_fqn":"A","event_version":"1",
			"event_timestamp":"yesterday","organization":{"id":"7d2f7f0e-1111-4c3b-9f0e-0a1b2c3d4e5f","name":"Acme"},"data":{}}`, dixa, false},
		{"cloudevent.json", `{"specversion":"1.0","id":"1","source":"/orders","type":"order.created","tenant":"acme","time":"2026-02-01T08:30:00Z","data":[1]}`, event.Source{Name: "s"}, true},
		{"cloudevent.json", `{"specversion":"1.0","id":"1","source":"/orders","type":"order created","tenant":"acme"}`, event.Source{Name: "s"}, false},
		{"cloudevent.json", `{"specversion":"1.0","id":"1","source":"/orders","type":"t","tenant":"acme","data":1,"data_base64":"AA=="}`, event.Source{Name: "s"}, false},
		{"cloudevent.json", `{"specversion":"0.3","id":"1","source":"/orders","type":"t","tenant":"acme"}`, event.Source{Name: "s"}, false},
	} {
		err := check(t, compile(t, tt.schema), json.RawMessage(tt.value))
		require.Equal(t, tt.good, err == nil, "%s: %v", tt.value, err)
		d, err := event.NewDecoder(tt.source)
		require.NoError(t, err)
		_, err = d.Decode(event.Record{Value: []byte(tt.value), Headers: structured, Timestamp: at})
		require.Equal(t, tt.good, err == nil, "%s: %v", tt.value, err)
	}
}

func TestReadmeNamesEveryTopic(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, topic := range topics.All() {
		require.Contains(t, string(readme), "`"+topic.Name+"`")
	}
	d := delivery.Delivery{Channels: []string{"c"}, ContentType: "a", TraceParent: "b", TraceState: "c", Trace: "d", Span: "e", Attempts: 1, Pass: 1, Parks: 1, Due: at, Ready: at, Slot: at, First: at, Reason: "r", EventSource: "s"}
	for name := range d.Headers() {
		require.Contains(t, string(readme), "`"+name+"`")
	}
}
