package demo

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), go test -update if it is right:\n%s", name, diff)
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)

// exampleBoard has seen a healthy endpoint, and one whose breaker opened.
func exampleBoard(notable func(string)) *Board {
	all := endpoints()
	b := NewBoard(all, ident.ID.UUID, notable)
	at := noon
	add := func(e Endpoint, id string, o outcome.Outcome) {
		at = at.Add(137 * time.Millisecond)
		o.Delivery, o.Subscription, o.EventType, o.At = id, e.Subscription, "CONVERSATION_CLOSED", at
		b.Add(&o, at)
	}
	for i := range 12 {
		add(all[0], "a"+itoa(i), outcome.Outcome{
			Verdict: outcome.Delivered, Reason: outcome.ReasonDelivered, Result: outcome.ResultSuccess, Status: 200, Attempt: 1, DurationMS: 10 + float64(i),
		})
	}
	failed := outcome.Outcome{Verdict: outcome.Retry, Reason: outcome.ReasonFailed, Result: outcome.ResultRefused, Attempt: 1, DurationMS: 0.3}
	for i := range 5 {
		add(all[1], "d"+itoa(i), failed)
	}
	parked := outcome.Outcome{Verdict: outcome.Parked, Reason: outcome.ReasonBreakerOpen, Result: outcome.ResultNone}
	add(all[1], "d5", parked)
	add(all[1], "d1", parked)
	add(all[1], "d0", outcome.Outcome{Verdict: outcome.Dead, Reason: outcome.ReasonExpired, Result: outcome.ResultRefused, Attempt: 2, DurationMS: 0.2})
	return b
}

func exampleFrame(width, height int) Frame {
	return Frame{
		State: "running", Start: noon, Now: noon.Add(3 * time.Second), Sent: 17, Unwanted: 3, Verified: 12, Demo: true,
		Facts: []Fact{{"Kafka", "127.0.0.1:9092   kcat -C -b 127.0.0.1:9092 -t postrider.outcomes -o end"}, {"Data", "/home/me/.cache/postrider/dev"}},
		Width: width, Height: height,
	}
}

func TestRenderGolden(t *testing.T) {
	t.Parallel()
	for name, size := range map[string][2]int{"wide": {120, 24}, "narrow": {80, 24}, "low": {100, 12}} {
		f := exampleFrame(size[0], size[1])
		lines := exampleBoard(nil).Render(f)
		require.LessOrEqual(t, len(lines), f.Height)
		for _, line := range lines {
			require.LessOrEqual(t, utf8.RuneCountInString(line), f.Width, line)
		}
		golden(t, name+".golden", strings.Join(lines, "\n")+"\n")
	}
}

func TestColourChangesNothingElse(t *testing.T) {
	t.Parallel()
	f := exampleFrame(120, 24)
	f.Unverified = 1
	plain := strings.Join(exampleBoard(nil).Render(f), "\n")
	require.NotContains(t, plain, "\x1b")
	f.Color = true
	coloured := strings.Join(exampleBoard(nil).Render(f), "\n")
	require.Contains(t, coloured, "\x1b[31m1 NOT VERIFIED\x1b[0m")
	for _, code := range []string{bold, dim, red, green, yellow, cyan, "0"} {
		coloured = strings.ReplaceAll(coloured, "\x1b["+code+"m", "")
	}
	trim := func(s string) string { // colours keep the spaces before them
		lines := strings.Split(s, "\n")
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], " ")
		}
		return strings.Join(lines, "\n")
	}
	require.Equal(t, trim(plain), trim(coloured))
}

func TestPlainLines(t *testing.T) {
	t.Parallel()
	var notable []string
	b := exampleBoard(func(line string) { notable = append(notable, line) })
	require.Equal(t, []string{
		"dead: breaker open: deliveries wait, and a few find out whether it is back",
		"dead: dead letter: CONVERSATION_CLOSED, given up after 2 attempts: expired (too old), last refused",
	}, notable)
	require.Equal(t, "running: 17 events sent, 12 delivered (crm 12, dead 0), 3 retrying, 2 parked, 1 dead, 12/12 signatures good",
		b.Line(exampleFrame(0, 0)))

	require.Equal(t, "idle: 12 delivered (crm 12, dead 0), 3 retrying, 2 parked, 1 dead", b.Line(Frame{State: "idle"}))

	var out bytes.Buffer
	c := NewConsole(&out)
	require.False(t, c.Terminal())
	c.Say("something")
	require.Regexp(t, `^\d\d:\d\d:\d\d something\n$`, out.String())
}

func TestBreakerIsSeenToClose(t *testing.T) {
	t.Parallel()
	var notable []string
	b := exampleBoard(func(line string) { notable = append(notable, line) })
	b.Add(&outcome.Outcome{
		Subscription: endpoints()[1].Subscription, Delivery: "d1", Verdict: outcome.Delivered, Result: outcome.ResultSuccess, Status: 200,
	}, noon)
	require.Equal(t, "dead: breaker closed: it is back", notable[len(notable)-1])
	require.Equal(t, 1, b.total.parked, "d1 waits no more")
}

// An endpoint that is never there is not told of with every letter.
func TestManyDeadLetters(t *testing.T) {
	t.Parallel()
	var notable []string
	b := exampleBoard(func(line string) { notable = append(notable, line) })
	told := len(notable)
	for i := range 149 {
		b.Add(&outcome.Outcome{
			Subscription: endpoints()[1].Subscription, Delivery: "e" + itoa(i), Verdict: outcome.Dead, Reason: outcome.ReasonExpired, Result: outcome.ResultRefused,
		}, noon)
	}
	require.Equal(t, []string{"dead: 10 dead letters by now", "dead: 100 dead letters by now"}, notable[told:])
}

func TestBoardIsBounded(t *testing.T) {
	t.Parallel()
	b := NewBoard(nil, ident.ID.UUID, nil)
	for i := range 1000 {
		b.Add(&outcome.Outcome{
			Subscription: ident.Derive("test", itoa(i%100)), Delivery: itoa(i), Verdict: outcome.Delivered, Result: outcome.ResultSuccess,
		}, noon.Add(time.Duration(i)*time.Second))
	}
	require.Len(t, b.lanes, maxLanes)
	require.Len(t, b.recent, maxRecent)
	require.Empty(t, b.pending)
	require.Equal(t, 1000, b.total.delivered)
	require.InDelta(t, 1, b.rate.perSecond(noon.Add(999*time.Second)), 0.01)
	require.Zero(t, b.rate.perSecond(noon.Add(2000*time.Second)))
}

func TestSummaryGolden(t *testing.T) {
	t.Parallel()
	good := Summary{Sent: 75, Unwanted: 22, Earlier: 2, Rows: []Row{
		{Endpoint: "crm", Profile: "standard", Expected: 53, Delivered: 53, Requests: 55, Twice: 2},
		{Endpoint: "calls", Profile: "voice-platform", Expected: 7, Delivered: 7, Requests: 7},
		{Endpoint: "dead", Profile: "standard", Expected: 11, Dead: 10, Waiting: 1, Reasons: map[outcome.Reason]int{outcome.ReasonExhausted: 1, outcome.ReasonExpired: 9}},
	}}
	require.True(t, good.OK())
	golden(t, "summary-good.golden", good.String())
	bad := Summary{Sent: 1, Rows: []Row{{Endpoint: "crm", Profile: "standard", Expected: 5, Delivered: 2, Lost: 2, Unfollowed: 1, Requests: 4, Unverified: 1, Stray: 1, Altered: 1}}}
	require.False(t, bad.OK())
	golden(t, "summary-bad.golden", bad.String())
}
