package outcome_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// same checks that o is encoded as encoding/json does.
func same(t *testing.T, o *outcome.Outcome) {
	t.Helper()
	want, err := json.Marshal(o)
	require.NoError(t, err)
	const before = "before"
	require.Equal(t, before+string(want), string(o.AppendJSON([]byte(before))))
}

// Every member is there or not, alone and with all others, as encoding/json has it: one that is new fails here until it has
// been given its place.
func TestAppendJSONHasEveryMember(t *testing.T) {
	all := full()
	same(t, &all)
	same(t, &outcome.Outcome{})
	for i := range reflect.TypeFor[outcome.Outcome]().NumField() {
		var alone outcome.Outcome
		without := full()
		reflect.ValueOf(&alone).Elem().Field(i).Set(reflect.ValueOf(all).Field(i))
		reflect.ValueOf(&without).Elem().Field(i).SetZero()
		same(t, &alone)
		same(t, &without)
	}
	same(t, &outcome.Outcome{Channels: []string{}, Redacted: []outcome.Redaction{}})
}

func TestAppendJSONOfTexts(t *testing.T) {
	for c := range rune(0x300) {
		same(t, &outcome.Outcome{EventID: "a" + string(c) + "b", ResponseHeaders: outcome.Headers("x: " + string(c) + "\n")})
	}
	for _, text := range []string{"\u2028\u2029", "\xff", "a\xe2\x80", "\xed\xa0\x80", "\U0001F600é", "<&>\"\\/", "\x00\x7f", "�"} {
		same(t, &outcome.Outcome{Detail: text, Channels: []string{text, "", text}, ResponseHeaders: outcome.Headers(text)})
	}
}

func TestAppendJSONOfNumbers(t *testing.T) {
	numbers := []float64{
		0, math.Copysign(0, -1), 1, -1, 0.001, 0.01, 0.1, 0.0001, 0.0005, 12.5, 100, 1e6, 999_999_999.999, 1e9, 1e12, 1e15, 1e20, 1e21, 1e22,
		1e-6, 1e-7, 1.5e-9, -12.25, 1.0 / 3, math.Pi, 123456789.1234567, math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1 + 0.2, 1e-10, 1e100,
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		numbers = append(numbers, float64(r.Int64N(1e12))/1000, float64(r.Int64N(1e6))/1000, r.Float64()*1000, r.NormFloat64())
	}
	for _, f := range numbers {
		same(t, &outcome.Outcome{DurationMS: f, QueueMS: f, DNSMS: f})
	}
}

func TestAppendJSONOfTimes(t *testing.T) {
	for _, at := range []time.Time{
		{},
		at, time.Unix(0, 1).UTC(), time.Unix(1, 120_000_000).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), at.In(time.FixedZone("", 3600)), at.In(time.FixedZone("", -5*3600-1800)),
	} {
		same(t, &outcome.Outcome{At: at, EventTime: at, Due: &at, First: &at})
	}
}

// What JSON cannot say is still a record that can be read.
func TestAppendJSONOfWhatCannotBeSaid(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, at := range []time.Time{at.AddDate(9000, 0, 0), at.AddDate(-3000, 0, 0), at.In(time.FixedZone("", 100*3600))} {
			o := outcome.Outcome{DurationMS: f, TLSMS: f, At: at}
			_, err := json.Marshal(o)
			require.Error(t, err)
			var back outcome.Outcome
			require.NoError(t, json.Unmarshal(o.AppendJSON(nil), &back))
			require.Zero(t, back.DurationMS)
			require.Zero(t, back.At)
		}
	}
}

// values gives the fields of an outcome what the fuzzer made up.
type values struct {
	text    string
	numbers []float64
	n       int64
	at      time.Time
}

func (v values) fill(t *testing.T, to reflect.Value) {
	t.Helper()
	switch x := to.Addr().Interface().(type) {
	case *time.Time:
		*x = v.at
		return
	case *ident.ID:
		*x = ident.Derive(v.text)
		return
	}
	switch to.Kind() {
	case reflect.Struct:
		for _, field := range to.Fields() {
			v.fill(t, field)
		}
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		v.fill(t, to.Elem())
	case reflect.Slice:
		to.Set(reflect.MakeSlice(to.Type(), 2, 2))
		v.fill(t, to.Index(0))
	case reflect.String:
		to.SetString(v.text)
	case reflect.Bool:
		to.SetBool(v.n&1 > 0)
	case reflect.Float64:
		to.SetFloat(v.numbers[0])
	case reflect.Int, reflect.Int64:
		to.SetInt(v.n)
	case reflect.Int32:
		to.SetInt(int64(int32(v.n)))
	default:
		t.Fatalf("a field of kind %s: teach fill about it", to.Kind())
	}
}

// FuzzAppendJSON holds the encoder against encoding/json, with every field set at a time.
func FuzzAppendJSON(f *testing.F) {
	f.Add("", 0.0, int64(0), int64(0), 0)
	f.Add("a: b\nc: \xff\u2028<\"\n", 1.001, int64(-5), int64(1e18), 3600)
	f.Add("\x00\\", 1e21, int64(math.MaxInt64), int64(-1), -90)
	f.Fuzz(func(t *testing.T, text string, number float64, n, nanos int64, zone int) {
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return
		}
		at := time.Unix(0, nanos).In(time.FixedZone("", zone%(24*3600)))
		var o outcome.Outcome
		values{text: text, numbers: []float64{number}, n: n, at: at}.fill(t, reflect.ValueOf(&o).Elem())
		if _, err := json.Marshal(&o); err != nil { // a zone of half a minute, say
			require.True(t, json.Valid(o.AppendJSON(nil)))
			return
		}
		same(t, &o)
	})
}

// BenchmarkEncode compares the encoder with encoding/json for a delivery that was accepted, and one that was not.
func BenchmarkEncode(b *testing.B) {
	first := at
	delivered := full()
	delivered.Verdict, delivered.Reason, delivered.Result, delivered.Status = outcome.Delivered, outcome.ReasonDelivered, outcome.ResultSuccess, 200
	delivered.TriggerID, delivered.Trigger, delivered.Detail, delivered.ResponseBody, delivered.ResponseTruncated = "", "event", "", "", false
	delivered.Due, delivered.First, delivered.Channels, delivered.Redacted, delivered.ResponseHeadersTruncated = nil, &first, nil, nil, false
	delivered.DNSMS, delivered.ConnectMS, delivered.TLSMS = 0, 0, 0
	delivered.ResponseHeaders = "content-type: text/plain; charset=utf-8\ndate: Sun, 01 Mar 2026 12:00:30 GMT\ncontent-length: 0\n"
	failed := full()
	for name, o := range map[string]*outcome.Outcome{"delivered": &delivered, "failed": &failed} {
		b.Run(name+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(o); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/AppendJSON", func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = o.AppendJSON(buf[:0])
			}
		})
	}
}
