package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/history"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
)

func TestExplain(t *testing.T) {
	cfg := kafkaCmdEnv(t)
	client, err := kafka.NewClient(cfg)
	require.NoError(t, err)
	defer client.Close()
	r := &kgo.Record{
		Topic: "conversations", Value: []byte(`{"event_id":"e-1","event_fqn":"A.B","organization":{"id":"nobody"},"event_timestamp":"2026-01-02T03:04:05Z","data":{}}`),
	}
	require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
	out, _, err := runKafkaCmd(t, newExplainCmd(), "", "e-1")
	require.NoError(t, err)
	require.Contains(t, out, "written to the source topic")
	require.Contains(t, out, "Note: no routed record accounts for it")
	require.Contains(t, out, `Note: the registry had no tenant "nobody"`)

	out, _, err = runKafkaCmd(t, newExplainCmd(), "", "e-1", "-o", "json")
	require.NoError(t, err)
	var lives []history.Life
	require.NoError(t, json.Unmarshal([]byte(out), &lives))
	require.Equal(t, "e-1", lives[0].EventID)
	require.Equal(t, []delivery.Position{{Topic: "conversations", Partition: r.Partition, Offset: 0}}, lives[0].Places)

	for want, args := range map[string][]string{
		`"e-2": no such event since`:    {"e-2"},
		"there is no tenant":            {"e-1", "--tenant", "nobody"},
		"malformed identifier":          {"msg_1"},
		`--output: "xml": want text or`: {"e-1", "-o", "xml"},
	} {
		_, _, err := runKafkaCmd(t, newExplainCmd(), "", args...)
		require.ErrorContains(t, err, want)
	}
}

func TestPrintLife(t *testing.T) {
	orders, off := ident.Derive("test", "orders"), ident.Derive("test", "off")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	sub := orders.UUID()
	moment := func(m history.Moment) history.Moment {
		at = at.Add(time.Second)
		m.At, m.Place = at, delivery.Position{Topic: "t", Offset: 7}
		return m
	}
	l := &history.Life{
		EventID: "4711", EventType: "order.created", Tenant: "acme", Bytes: 12, Registry: 9, More: 3,
		Places:  []delivery.Position{{Topic: "events", Partition: 1, Offset: 2}},
		Choices: []history.Choice{{Subscription: orders, UID: "orders", Matched: true}, {Subscription: off, UID: "off", Why: "is disabled"}},
		Ends:    []history.End{{Delivery: "dlv_1", Subscription: orders, State: "waiting"}},
		Notes:   []string{"something is not known"},
		Moments: []history.Moment{
			moment(history.Moment{Kind: history.MomentReceived}),
			moment(history.Moment{Kind: history.MomentRouted, Registry: 9}),
			moment(history.Moment{Kind: history.MomentMade, Subscription: sub, Trigger: "event"}),
			moment(history.Moment{Kind: history.MomentOutcome, Subscription: sub, Attempt: 1, Status: 503, Result: "server_error", Verdict: "retry", Reason: "failed", DurationMS: 12.3}),
			moment(history.Moment{Kind: history.MomentOutcome, Subscription: sub, Result: "none", Verdict: "parked", Reason: "breaker_open"}),
			moment(history.Moment{Kind: history.MomentWaits, Subscription: sub, Reason: "breaker_open", Due: at}),
			moment(history.Moment{Kind: history.MomentDue, Subscription: sub}),
			moment(history.Moment{Kind: history.MomentOutcome, Subscription: sub, Attempt: 2, Result: "timeout", Verdict: "dead", Reason: "exhausted", Detail: "no answer"}),
			moment(history.Moment{Kind: history.MomentBuried, Subscription: sub, Reason: "exhausted"}),
			moment(history.Moment{Kind: history.MomentRedriven, Subscription: sub}),
			moment(history.Moment{Kind: history.MomentMade, Subscription: sub, Trigger: "resend/1"}),
		},
	}
	var out bytes.Buffer
	require.NoError(t, printLife(&out, l))
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	require.Equal(t, []string{
		"event 4711", "type order.created", "tenant acme", "read at events/1/2", "data 12 bytes", "",
		"subscriptions, at registry version 9", "orders matches", "off is disabled", "and 3 more that do not match", "",
		"2026-01-02 03:04:06.000 written to the source topic t/0/7",
		"2026-01-02 03:04:07.000 routed, at registry version 9 t/0/7",
		"2026-01-02 03:04:08.000 orders to be delivered t/0/7",
		"2026-01-02 03:04:09.000 orders attempt 1: 503 after 12 ms: retry, failed t/0/7",
		"2026-01-02 03:04:10.000 orders parked: breaker_open t/0/7",
		"2026-01-02 03:04:11.000 orders waits until 2026-01-02 03:04:10.000: breaker_open t/0/7",
		"2026-01-02 03:04:12.000 orders due again t/0/7",
		"2026-01-02 03:04:13.000 orders attempt 2: timeout after 0 ms: dead, exhausted no answer t/0/7",
		"2026-01-02 03:04:14.000 orders dead letter: exhausted t/0/7",
		"2026-01-02 03:04:15.000 orders dead letter put back t/0/7",
		"2026-01-02 03:04:16.000 orders to be delivered (resend/1) t/0/7",
		"", "deliveries", "orders dlv_1 waiting", "Note: something is not known.", "",
	}, got)
}
