package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// Everything that a run leaves for others to read complies with its schema: outcomes of every verdict, dead letters and
// the events themselves.
func TestRecordsComplyWithTheirSchemas(t *testing.T) {
	outcomes, deadLetters, events := schema(t, "outcome.json"), schema(t, "dead-letter.json"), schema(t, "cloudevent.json")
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(func(_ context.Context, url string, n int) (attempt.Response, error) {
			switch {
			case url == "https://good.example.com/in":
				return attempt.Response{Result: reply(200).Result, Status: 200, Body: []byte("\xff not UTF-8"), Truncated: true}, nil
			case url == "https://gone.example.com/in":
				return reply(410), nil
			case n <= 2:
				return reply(429), nil
			default:
				return reply(503), nil
			}
		})
		w.Subscribe("good")
		w.Subscribe("gone")
		w.Subscribe("bad", func(s *subscription.Subscription) { s.Retry = retryList(time.Second, 2*time.Second) })
		start(w, e, "router", "deliverer", "retrier")
		w.Send(10, "a")
		time.Sleep(2 * time.Second)
		w.Send(3, "b")
		time.Sleep(3 * time.Minute)

		seen := map[string]bool{}
		w.Read(topics.Outcomes, func(r *kgo.Record) {
			var row struct{ Verdict string }
			require.NoError(t, json.Unmarshal(r.Value, &row))
			seen[row.Verdict] = true
			validate(t, outcomes, r.Value)
		})
		require.Equal(t, map[string]bool{"delivered": true, "retry": true, "dead": true, "cancelled": true, "parked": true}, seen)
		dead := 0
		w.Read(topics.DeadLetters, func(r *kgo.Record) {
			dead++
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			text, err := json.Marshal(map[string]any{"key": string(r.Key), "headers": headers, "value": json.RawMessage(r.Value)})
			require.NoError(t, err)
			validate(t, deadLetters, text)
		})
		require.Positive(t, dead)
		w.Read(topics.Events, func(r *kgo.Record) { validate(t, events, r.Value) })
	})
}

func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := topics.Schemas.ReadFile("schemas/" + name)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(name, doc))
	s, err := c.Compile(name)
	require.NoError(t, err)
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	require.NoError(t, s.Validate(doc), "%s", text)
}

// What cannot be read as an event goes to rejected with its bytes, its place and the reason, and what stands beside it
// goes on; every source offset is in exactly one routed range.
func TestRejectedAndRouted(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(always(200))
		w.Subscribe("one")
		start(w, e, "router", "deliverer")
		topic := w.Conf.Kafka.Prefix + topics.Events
		atLimit := cloudEvent("big", event.MaxBytes)
		require.Len(t, atLimit, event.MaxBytes)
		bad := map[string][]byte{
			"undecodable": []byte("{"),
			"no_tenant":   []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","data":1}`),
			"no_type":     []byte(`{"specversion":"1.0","id":"1","source":"s","tenant":"acme","data":1}`),
			"bad_type":    []byte(`{"specversion":"1.0","id":"1","source":"s","type":"a b","tenant":"acme","data":1}`),
			"no_id":       []byte(`{"specversion":"1.0","source":"s","type":"t","tenant":"acme","data":1}`),
			"bad_time":    []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","time":"noon","tenant":"acme","data":1}`),
			"too_large":   cloudEvent("big", event.MaxBytes+1),
		}
		for _, value := range bad {
			w.Produce("", value)
		}
		w.Produce("", atLimit)
		w.Send(3, "ev")
		time.Sleep(5 * time.Second)
		requireOnce(t, e, 4)

		reasons := map[string][]byte{}
		w.Read(topics.Rejected, func(r *kgo.Record) {
			for _, h := range r.Headers {
				switch h.Key {
				case letter.HeaderRejectReason:
					reasons[string(h.Value)] = r.Value
				case letter.HeaderRejectSource:
					require.Equal(t, string(r.Key), string(h.Value))
				}
			}
		})
		require.Len(t, reasons, len(bad))
		for reason, value := range bad {
			require.True(t, bytes.Equal(value, reasons[reason]), "%s: not the bytes as they came", reason)
		}
		requireRouted(w, topic, len(bad)+4, len(bad), 4)
		require.Zero(t, w.Lag("router", topics.Events))
	})
}

// cloudEvent makes an event of an exact size.
func cloudEvent(id string, size int) []byte {
	head, tail := `{"specversion":"1.0","id":"`+id+`","source":"s","type":"t","tenant":"acme","data":"`, `"}`
	return []byte(head + string(bytes.Repeat([]byte("x"), size-len(head)-len(tail))) + tail)
}

// requireRouted checks that the routed ranges cover every source offset once, and their sums.
func requireRouted(w *world.World, topic string, events, rejected, expanded int) {
	w.T.Helper()
	next := map[int32]int64{}
	var sum pipeline.RoutedRecord
	w.Read(topics.Routed, func(r *kgo.Record) {
		var routed pipeline.RoutedRecord
		require.NoError(w.T, json.Unmarshal(r.Value, &routed))
		require.Equal(w.T, topic, routed.Topic)
		require.Equal(w.T, next[routed.Partition], routed.First, "ranges follow each other")
		next[routed.Partition] = routed.Last + 1
		sum.Events += routed.Events
		sum.Rejected += routed.Rejected
		sum.Expanded += routed.Expanded
	})
	require.Equal(w.T, pipeline.RoutedRecord{Events: events, Rejected: rejected, Expanded: expanded}, sum)
}
