package outcome_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

var at = time.Date(2026, 2, 1, 8, 30, 0, 123_000_000, time.UTC)

func full() outcome.Outcome {
	due, first := at.Add(time.Minute), at.Add(-time.Hour)
	return outcome.Outcome{
		Version: outcome.Version, Delivery: "dlv_000000PaRcqoJBzlIqAV396lCsH", Message: "msg_000007GXX0bNqB4rSGWsfLPbdvF",
		EventID: "o-1", EventType: "order.created", EventTime: at, Channels: []string{"vip", "shop:1"}, Tenant: ident.Derive("tenant"),
		Subscription: ident.Derive("subscription"), Profile: "standard", Trigger: delivery.TriggerResend, TriggerID: "r-1",
		Attempt: 2, Pass: 3, Verdict: outcome.Retry, Reason: outcome.ReasonRetryAfter, Result: outcome.ResultThrottled, Status: 429,
		Detail: "429", URL: "https://example.com/in", At: at, DurationMS: 12.5, QueueMS: 0.25, DNSMS: 0.5, ConnectMS: 1,
		TLSMS: 2.125, FirstByteMS: 12.25, Due: &due, First: &first,
		ResponseBody: "busy", ResponseTruncated: true, ResponseHeaders: "server: x\nset-cookie: [redacted]\n",
		ResponseHeadersTruncated: true, Redacted: outcome.Redactions(), Source: delivery.Position{Topic: "shop.orders", Partition: 1, Offset: 2},
		Record:   delivery.Position{Topic: "postrider.deliveries", Partition: 3, Offset: 4},
		Registry: 7, Generation: 5, BodySHA256: strings.Repeat("0a", 32),
	}
}

const golden = `{"version":1,"delivery":"dlv_000000PaRcqoJBzlIqAV396lCsH","message":"msg_000007GXX0bNqB4rSGWsfLPbdvF",` +
	`"event_id":"o-1","event_type":"order.created","event_time":"2026-02-01T08:30:00.123Z",` +
	`"channels":["vip","shop:1"],` +
	`"tenant":"fad6a6e4-ad89-3f34-bf8f-9a21a739997a","subscription":"3dff8ca0-40de-87f3-7b37-428bd7c197b5",` +
	`"profile":"standard","trigger":"resend","trigger_id":"r-1","attempt":2,"pass":3,"verdict":"retry",` +
	`"reason":"retry_after","result":"throttled","status":429,"detail":"429","url":"https://example.com/in",` +
	`"at":"2026-02-01T08:30:00.123Z","duration_ms":12.5,"queue_ms":0.25,` +
	`"dns_ms":0.5,"connect_ms":1,"tls_ms":2.125,"first_byte_ms":12.25,"due":"2026-02-01T08:31:00.123Z",` +
	`"first":"2026-02-01T07:30:00.123Z","response_body":"busy","response_truncated":true,` +
	`"response_headers":{"server":"x","set-cookie":"[redacted]"},"response_headers_truncated":true,` +
	`"redacted":["url","response_body","response_headers"],` +
	`"source":{"topic":"shop.orders","partition":1,"offset":2},` +
	`"record":{"topic":"postrider.deliveries","partition":3,"offset":4},"registry_version":7,"generation":5,` +
	`"body_sha256":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}`

// Analysts read these names: they may be added to, and may never change.
func TestJSONGolden(t *testing.T) {
	o := full()
	for i := range reflect.TypeOf(o).NumField() {
		require.False(t, reflect.ValueOf(o).Field(i).IsZero(), "the golden outcome has no %s", reflect.TypeOf(o).Field(i).Name)
	}
	text, err := json.Marshal(o)
	require.NoError(t, err)
	require.Equal(t, golden, string(text))
	var back outcome.Outcome
	require.NoError(t, json.Unmarshal(text, &back))
	require.Empty(t, cmp.Diff(o, back))
}

// What every row has is there even when it is zero, so that a query need not ask whether it is.
func TestJSONOfAnEmptyRow(t *testing.T) {
	text, err := json.Marshal(outcome.Outcome{})
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	for _, name := range []string{
		"version", "delivery", "message", "event_id", "event_type", "event_time", "tenant", "subscription", "trigger", "attempt",
		"pass", "verdict", "reason", "result", "at", "duration_ms", "queue_ms", "source", "record", "registry_version", "generation",
	} {
		require.Contains(t, members, name)
		delete(members, name)
	}
	require.Empty(t, members)
}

// constants returns the values of the constants that the package declares of a type, in source order.
func constants(t *testing.T, typ string) (out []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !isNamed(spec.Type, typ) {
				return true
			}
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				require.NoError(t, err)
				out = append(out, text)
			}
			return false
		})
	}
	return out
}

func isNamed(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func text[T ~string](list []T) (out []string) {
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}

func TestListsAreComplete(t *testing.T) {
	require.Equal(t, constants(t, "Result"), text(outcome.Results()))
	require.Equal(t, constants(t, "Reason"), text(outcome.Reasons()))
	require.Equal(t, constants(t, "Redaction"), text(outcome.Redactions()))
	require.Len(t, constants(t, "Verdict"), 5)
	for _, list := range [][]string{constants(t, "Result"), constants(t, "Reason"), constants(t, "Verdict")} {
		seen := map[string]bool{}
		for _, v := range list {
			require.Regexp(t, `^[a-z]+(_[a-z]+)*$`, v, "it is a metric label")
			require.False(t, seen[v], "%q twice", v)
			seen[v] = true
		}
	}
}

var unhealthy = map[outcome.Result]bool{
	outcome.ResultNone: false, outcome.ResultSuccess: false, outcome.ResultRedirect: false, outcome.ResultClientError: false,
	outcome.ResultGone: false, outcome.ResultRequest: false,
	outcome.ResultThrottled: true, outcome.ResultServerError: true, outcome.ResultTimeout: true, outcome.ResultDNS: true,
	outcome.ResultRefused: true, outcome.ResultUnreachable: true, outcome.ResultReset: true, outcome.ResultTLS: true,
	outcome.ResultProtocol: true, outcome.ResultBlocked: true,
	outcome.ResultAuthorization: true, outcome.ResultProxy: true,
	outcome.ResultTransformation: false,
}

func TestUnhealthy(t *testing.T) {
	require.Len(t, unhealthy, len(outcome.Results()))
	for _, r := range outcome.Results() {
		want, ok := unhealthy[r]
		require.True(t, ok, "say whether %s is unhealthy", r)
		require.Equal(t, want, r.Unhealthy(), r)
	}
	require.False(t, outcome.Result("from a later version").Unhealthy())
}

func TestReadRefusesNewerForms(t *testing.T) {
	for text, newer := range map[string]bool{
		golden: false, `{"version":2}`: true, `{"version":2,"delivery":7}`: true, `{"version":1,"delivery":7}`: false, `{`: false,
	} {
		_, err := outcome.Read([]byte(text))
		require.Equal(t, newer, errors.Is(err, form.ErrNewer), "%s: %v", text, err)
		require.Equal(t, text == golden, err == nil, "%s: %v", text, err)
		_, err = outcome.ReadStatus([]byte(text))
		require.Equal(t, newer, errors.Is(err, form.ErrNewer), "status %s: %v", text, err)
	}
}
