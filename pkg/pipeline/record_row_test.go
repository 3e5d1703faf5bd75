package pipeline

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// anOutcome is one with everything in it that may trouble a reader.
func anOutcome(body string) *outcome.Outcome {
	at := time.Date(2026, 2, 1, 8, 30, 0, 123_456_000, time.UTC)
	return &outcome.Outcome{
		Version: outcome.Version, Delivery: "dlv_1", Message: delivery.MessageID(acme.ID, "s", "1").Base62(delivery.MessagePrefix),
		EventID: `"quoted"\`, EventType: "order.created", EventTime: at, Tenant: acme.ID, Subscription: ident.Derive("sub"),
		Trigger: delivery.TriggerEvent, Attempt: 2, Verdict: outcome.Retry, Reason: outcome.ReasonFailed,
		Result: outcome.ResultServerError, Status: 503, At: at, DurationMS: 12.625, Due: &at, ResponseBody: body,
		Source: delivery.Position{Topic: "a", Offset: 7}, BodySHA256: "00",
	}
}

func viewRow(o *outcome.Outcome) view.Row {
	message, _ := ident.ParseBase62(delivery.MessagePrefix, o.Message)
	return view.Row{
		Tenant: o.Tenant, Subscription: o.Subscription, Message: message, EventType: o.EventType, At: o.At,
		Duration: time.Duration(o.DurationMS * float64(time.Millisecond)), Status: o.Status, Result: o.Result, Verdict: o.Verdict,
		Reason: o.Reason,
	}
}

func TestRowReaderReadsAnyOutcome(t *testing.T) {
	r := newRowReader()
	rapid.Check(t, func(t *rapid.T) {
		o := anOutcome(rapid.String().Draw(t, "body"))
		o.EventID = rapid.String().Draw(t, "event id")
		o.Status = rapid.SampledFrom([]int{0, 200, 503}).Draw(t, "status")
		text, err := json.Marshal(o)
		require.NoError(t, err)
		if rapid.Bool().Draw(t, "spaces") {
			text, err = json.MarshalIndent(o, " ", "\t")
			require.NoError(t, err)
		}
		var row view.Row
		require.NoError(t, r.read(text, &row), "%s", text)
		require.Equal(t, viewRow(o), row)
		for _, cut := range []int{1, 2, len(text) / 2, len(text) - 1} {
			require.Error(t, r.read(text[:len(text)-cut], &view.Row{}))
		}
	})
}

func TestRowReaderRefuses(t *testing.T) {
	r := newRowReader()
	good, err := json.Marshal(anOutcome("x"))
	require.NoError(t, err)
	for text, want := range map[string]string{
		"":                 "want a JSON object",
		"null":             "want a JSON object",
		"{}":               "want subscription, message",
		`{"status":"200"}`: "status: ",
		`{"status":200`:    "want a JSON object",
		`{"at":{}}`:        "at: want a string",
		strings.Replace(string(good), `"message":"msg_`, `"message":"`, 1):                    "message: ",
		strings.Replace(string(good), `"subscription":"`, `"subscription":"x`, 1):             "subscription: ",
		strings.Replace(string(good), `"event_type":"order.created"`, `"event_type":null`, 1): "event_type: want a string",
	} {
		require.ErrorContains(t, r.read([]byte(text), &view.Row{}), want, text)
	}
	escaped := strings.Replace(string(good), "order.created", `order\u002ecreated`, 1)
	var row view.Row
	require.NoError(t, r.read([]byte(escaped), &row))
	require.Equal(t, "order.created", row.EventType)
}

func BenchmarkReadRow(b *testing.B) {
	text, err := json.Marshal(anOutcome(strings.Repeat("ok ", 20)))
	require.NoError(b, err)
	b.Run("reader", func(b *testing.B) {
		r := newRowReader()
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			var row view.Row
			if err := r.read(text, &row); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			var o outcome.Outcome
			if err := json.Unmarshal(text, &o); err != nil {
				b.Fatal(err)
			}
		}
	})
}
