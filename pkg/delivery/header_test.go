package delivery_test

import (
	"iter"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
)

// header is one header of a record, in the order of the record.
type header struct{ name, value string }

func headersOf(d *delivery.Delivery) (out []header) {
	for name, v := range d.Headers() {
		out = append(out, header{name, string(v)})
	}
	return out
}

func each(hs []header) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, h := range hs {
			if !yield(h.name, []byte(h.value)) {
				return
			}
		}
	}
}

func decode(d *delivery.Delivery, hs []header) (*delivery.Delivery, error) {
	return delivery.Decode([]byte(d.Subscription.UUID()), d.Data, each(hs))
}

var at = time.Date(2026, 2, 1, 8, 30, 0, 123_000_000, time.UTC)

// fill gives every field below v a value of its own that is not zero. n counts them.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = at.Add(time.Duration(*n) * time.Hour)
		return
	case *ident.ID:
		*x = ident.Derive("field", string(rune('a'+*n)))
		return
	case *delivery.TriggerKind:
		*x = delivery.TriggerResend
		return
	case *[]byte:
		*x = []byte(`{"n": 1}`)
		return
	case *[]string:
		*x = []string{"a:1", "b+2"}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(t, field, n)
		}
	case reflect.String:
		v.SetString("text " + string(rune('a'+*n)))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(1000 + *n))
	default:
		t.Fatalf("a field of kind %s: teach fill about it", v.Kind())
	}
}

func full(t *testing.T) *delivery.Delivery {
	t.Helper()
	d, n := &delivery.Delivery{}, 0
	fill(t, reflect.ValueOf(d).Elem(), &n)
	return d
}

// minimal has nothing but what every record has.
func minimal() *delivery.Delivery {
	tenant := ident.Derive("tenant")
	msg, sub := delivery.MessageID(tenant, "s", "e"), ident.Derive("subscription")
	return &delivery.Delivery{
		ID: delivery.ID(msg, sub), Message: msg, Subscription: sub, Tenant: tenant, EventType: "order.created",
		EventTime: at, Trigger: delivery.Trigger{Kind: delivery.TriggerEvent}, Data: []byte("{}"),
	}
}

// A field that has no header does not survive a hop: a new one fails here until it has.
func TestEveryFieldTravels(t *testing.T) {
	want := full(t)
	got, err := decode(want, headersOf(want))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, got))

	for i := range reflect.TypeFor[delivery.Delivery]().NumField() {
		field := reflect.TypeFor[delivery.Delivery]().Field(i)
		if field.Name == "Subscription" || field.Name == "Data" {
			continue // key and value of the record
		}
		changed := full(t)
		v := reflect.ValueOf(changed).Elem().Field(i)
		v.SetZero()
		require.NotEqual(t, headersOf(want), headersOf(changed), "field %s is in no header", field.Name)
	}
}

func TestMinimalTravels(t *testing.T) {
	want := minimal()
	got, err := decode(want, headersOf(want))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, got))
}

// Names and forms are read by whoever looks at the topics, and by the version before and after this one.
func TestHeadersGolden(t *testing.T) {
	tenant := must(ident.ParseUUID("8c5ad2cf-4f1e-4a33-9f8e-0d7a1f6f6d11"))
	sub := must(ident.ParseUUID("0b8f3a52-66f0-4d0f-8a3e-3b1d2f4c5e6a"))
	msg := delivery.MessageID(tenant, "//shop", "o-1")
	d := &delivery.Delivery{
		ID: delivery.ID(msg, sub), Message: msg, Subscription: sub, Tenant: tenant,
		EventID: "o-1", EventType: "order.created", EventSource: "//shop", ContentType: "application/json",
		EventTime:   time.Date(2026, 2, 1, 9, 30, 0, 120_999_999, time.FixedZone("", 3600)),
		Channels:    []string{"vip", "shop:1"},
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "acme=1",
		Trace: "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01", Span: "b9c7c989f97918e1",
		Trigger:  delivery.Trigger{Kind: delivery.TriggerReplay, ID: "r/1"},
		Attempts: 3, Base: 1, Pass: 4, Parks: 2,
		Due: at, Ready: at.Add(-time.Second), Slot: at.Add(time.Second), First: at.Add(-time.Minute),
		Reason: "failed", Source: delivery.Position{Topic: "shop.orders", Partition: 7, Offset: 123}, Registry: 42,
	}
	require.Equal(t, []header{
		{"pr-delivery", "dlv_000000PaRcqoJBzlIqAV396lCsH"},
		{"pr-message", "msg_000007GXX0bNqB4rSGWsfLPbdvF"},
		{"pr-tenant", "8c5ad2cf-4f1e-4a33-9f8e-0d7a1f6f6d11"},
		{"pr-event", "o-1"},
		{"pr-type", "order.created"},
		{"pr-event-source", "//shop"},
		{"pr-time", "2026-02-01T08:30:00.120Z"},
		{"pr-channels", "vip,shop:1"},
		{"content-type", "application/json"},
		{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		{"tracestate", "acme=1"},
		{"pr-trace", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"},
		{"pr-span", "b9c7c989f97918e1"},
		{"pr-trigger", "replay/r/1"},
		{"pr-attempts", "3"},
		{"pr-base", "1"},
		{"pr-pass", "4"},
		{"pr-parks", "2"},
		{"pr-due", "1769934600123"},
		{"pr-ready", "1769934599123"},
		{"pr-slot", "1769934601123"},
		{"pr-first", "1769934540123"},
		{"pr-reason", "failed"},
		{"pr-source", "shop.orders/7/123"},
		{"pr-registry", "42"},
	}, headersOf(d))
}

func TestHeadersStopWhenTold(t *testing.T) {
	d := full(t)
	for stop := 1; stop <= len(headersOf(d)); stop++ {
		var seen []header
		for name, v := range d.Headers() {
			if seen = append(seen, header{name, string(v)}); len(seen) == stop {
				break
			}
		}
		require.Equal(t, headersOf(d)[:stop], seen)
	}
}

func TestDecodeNamesTheMissingHeader(t *testing.T) {
	d := minimal()
	for _, name := range []string{
		delivery.HeaderDelivery, delivery.HeaderMessage, delivery.HeaderTenant, delivery.HeaderType, delivery.HeaderTrigger,
	} {
		hs := slices.DeleteFunc(headersOf(d), func(h header) bool { return h.name == name })
		_, err := decode(d, hs)
		require.ErrorContains(t, err, name)
	}
}

func TestDecodeNamesTheMalformedHeader(t *testing.T) {
	d := full(t)
	id := d.ID.Base62("")
	for name, bad := range map[string][]string{
		delivery.HeaderDelivery: {"", "dlv_", id, "msg_" + id, d.ID.UUID()},
		delivery.HeaderMessage:  {"", "msg_1", "dlv_" + id},
		delivery.HeaderTenant:   {"", "app_" + id, "x"},
		delivery.HeaderTime: {
			"", "2026-02-01", "2026-02-30T00:00:00Z", "1769934600123", "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-00:01",
		},
		delivery.HeaderTrigger:  {"", "/", "/x", "Event", "again/1"},
		delivery.HeaderAttempts: {"", "-1", "1.5", "x", "9223372036854775808"},
		delivery.HeaderBase:     {"-1", " 1"},
		delivery.HeaderPass:     {"-1", "1e3"},
		delivery.HeaderParks:    {"-1", "0x1"},
		delivery.HeaderDue:      {"", "x", "1.0", "9223372036854775808", "2026-02-01T08:30:00Z"},
		delivery.HeaderReady:    {"", "x"},
		delivery.HeaderSlot:     {"", "x"},
		delivery.HeaderFirst:    {"", "x"},
		delivery.HeaderSource:   {"", "t", "t/1", "t/x/1", "t/1/x", "t/2147483648/1", "t/1/9223372036854775808"},
		delivery.HeaderRegistry: {"", "x", "1.5"},
	} {
		for _, v := range bad {
			hs := headersOf(d)
			i := slices.IndexFunc(hs, func(h header) bool { return h.name == name })
			hs[i].value = v
			_, err := decode(d, hs)
			require.ErrorContains(t, err, "header "+name+":", "%s: %q", name, v)
		}
	}
	for _, key := range []string{"", "ep_" + id, "x"} {
		_, err := delivery.Decode([]byte(key), nil, each(headersOf(d)))
		require.ErrorIs(t, err, ident.ErrMalformed)
		require.ErrorContains(t, err, "record key")
	}
}

// Headers that only dead letters have, and those of other programs, change nothing.
func TestDecodeIgnoresOtherHeaders(t *testing.T) {
	want := full(t)
	hs := append(headersOf(want), header{delivery.HeaderResult, "timeout"}, header{"x-other", "\xff"}, header{"", ""})
	got, err := decode(want, hs)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, got))
}

// What a newer form looks like nobody knows here, so nothing else of it counts.
func TestDecodeRefusesNewerForms(t *testing.T) {
	whole := headersOf(full(t))
	for _, version := range []string{"2", "3", "9223372036854775808"} {
		for _, hs := range [][]header{
			{{delivery.HeaderVersion, version}},
			append(slices.Clone(whole), header{delivery.HeaderVersion, version}),
			{{delivery.HeaderDelivery, "otherwise"}, {delivery.HeaderVersion, version}, {delivery.HeaderPass, "-1"}},
		} {
			_, err := delivery.Decode([]byte("otherwise"), nil, each(hs))
			require.ErrorIs(t, err, form.ErrNewer, "%v", hs)
			require.ErrorContains(t, err, "this release understands, which is 1")
		}
	}
	want := full(t)
	got, err := decode(want, append(slices.Clone(whole), header{delivery.HeaderVersion, "1"}))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, got))
	for _, version := range []string{"", "x", "-9223372036854775809"} {
		_, err := decode(want, append(slices.Clone(whole), header{delivery.HeaderVersion, version}))
		require.ErrorContains(t, err, "header "+delivery.HeaderVersion)
		require.NotErrorIs(t, err, form.ErrNewer)
	}
}

func TestPosition(t *testing.T) {
	for _, p := range []delivery.Position{
		{}, {"t", 0, 0}, {"a/b", math.MaxInt32, math.MaxInt64}, {"", 3, 4}, {"t", -1, -1},
	} {
		got, err := delivery.ParsePosition(p.String())
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
}

func TestTrigger(t *testing.T) {
	for _, k := range []delivery.TriggerKind{
		delivery.TriggerEvent, delivery.TriggerResend, delivery.TriggerRecover, delivery.TriggerReplay, delivery.TriggerTest,
	} {
		for _, id := range []string{"", "1", "a/b", "/"} {
			want := delivery.Trigger{Kind: k, ID: id}
			got, err := delivery.ParseTrigger(want.String())
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

// parseHeaders reads what the fuzzer mutates: a header a line, name and value apart by the first colon.
func parseHeaders(text string) (hs []header) {
	for line := range strings.Lines(text) {
		name, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		hs = append(hs, header{name, string(v)})
	}
	return hs
}

func FuzzDecode(f *testing.F) {
	write := func(d *delivery.Delivery) (text string) {
		for name, v := range d.Headers() {
			text += name + ":" + string(v) + "\n"
		}
		return text
	}
	d := minimal()
	key := d.Subscription.UUID()
	f.Add(key, write(d))
	d.Due, d.Attempts, d.Trigger = time.UnixMilli(math.MinInt64), math.MaxInt, delivery.Trigger{Kind: delivery.TriggerTest, ID: "/"}
	f.Add(key, write(d))
	f.Add(key, write(d)+"pr-time:0000-01-01T00:00:00+23:59\n")
	f.Add(key, write(d)+"pr-time:9999-12-31T23:59:59.9999-01:00\n")
	f.Add(key, write(d)+"pr-due:-62135596800000\npr-pass:+7\npr-source://1/2\n")
	f.Add(key, write(d)+"pr-version:1\n")
	f.Add(key, "pr-version:3\n"+write(d))
	f.Add("", "")
	f.Fuzz(func(t *testing.T, key, text string) {
		first, err := delivery.Decode([]byte(key), nil, each(parseHeaders(text)))
		if err != nil {
			return
		}
		hs := headersOf(first)
		second, err := decode(first, hs)
		require.NoError(t, err, "what was read can be written")
		require.Equal(t, hs, headersOf(second))
		first.EventTime = first.EventTime.Truncate(time.Millisecond)
		require.Empty(t, cmp.Diff(first, second))
	})
}

func BenchmarkHeaders(b *testing.B) {
	d := minimal()
	b.ReportAllocs()
	for b.Loop() {
		for range d.Headers() {
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	d := minimal()
	hs, key := each(headersOf(d)), []byte(d.Subscription.UUID())
	b.ReportAllocs()
	for b.Loop() {
		_, _ = delivery.Decode(key, nil, hs)
	}
}

func TestAppendTime(t *testing.T) {
	for _, nanos := range []int64{0, 1, 999_999, 1_000_000, 99_999_999, 120_000_000, 999_999_999} {
		for _, seconds := range []int64{-62_167_219_200, -1, 0, 1_700_000_000, 253_402_300_799} {
			at := time.Unix(seconds, nanos).In(time.FixedZone("", 3600))
			require.Equal(t, at.UTC().Format("x2006-01-02T15:04:05.000Z"), string(delivery.AppendTime([]byte("x"), at)))
		}
	}
}
