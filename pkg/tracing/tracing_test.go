package tracing

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/outcome"
)

// received is what a collector got.
type received struct {
	path, token string
	request     *collector.ExportTraceServiceRequest
}

// newCollector takes traces over OTLP/HTTP.
func newCollector(t *testing.T) (url string, got <-chan received) {
	t.Helper()
	ch := make(chan received, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body = unzipped
		}
		raw, err := io.ReadAll(body)
		in := &collector.ExportTraceServiceRequest{}
		if err == nil {
			err = proto.Unmarshal(raw, in)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ch <- received{r.URL.Path, r.Header.Get("X-Token"), in}
	}))
	t.Cleanup(server.Close)
	return server.URL, ch
}

func TestSpansAreExported(t *testing.T) {
	for name, way := range map[string]func(t *testing.T, url string) string{
		"by the configuration": func(_ *testing.T, url string) string { return url },
		"by the environment": func(t *testing.T, url string) string {
			t.Helper()
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
			return ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=one")
			t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
			t.Setenv("OTEL_TRACES_SAMPLER", "always_off") // does not hold
			url, got := newCollector(t)
			tracer, err := Open(t.Context(), way(t, url), Sampling{Ratio: 1}, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			d := newDelivery()
			routed := tracer.Route(newEvent(), acme, delivery.Position{Topic: "events"})
			routed.Trace(d)
			routed.Routed(1, 0)
			s := tracer.Attempt(d, at)
			s.Sends("POST", "https://hooks.example.com/in?token=hush", 7)
			s.Tried(&outcome.Outcome{Attempt: 1, At: at, Result: outcome.ResultSuccess, Status: 200}, "HTTP/1.1")
			require.NoError(t, tracer.Close(t.Context()), "the last spans go out")

			one := <-got
			require.Equal(t, "/v1/traces", one.path)
			require.Equal(t, "one", one.token)
			require.Len(t, one.request.GetResourceSpans(), 1)
			resource := map[string]string{}
			for _, kv := range one.request.GetResourceSpans()[0].GetResource().GetAttributes() {
				resource[kv.GetKey()] = kv.GetValue().GetStringValue()
			}
			require.Subset(t, resource, map[string]string{"service.name": "postrider", "deployment.environment.name": "test"})
			spans := one.request.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()
			require.Len(t, spans, 2)
			require.Equal(t, []string{"process events", "POST"}, []string{spans[0].GetName(), spans[1].GetName()})
			require.Equal(t, spans[0].GetSpanId(), spans[1].GetParentSpanId())
			require.Equal(t, spans[0].GetTraceId(), spans[1].GetTraceId())
			raw, err := proto.Marshal(one.request)
			require.NoError(t, err)
			require.NotContains(t, string(raw), "hush")
		})
	}
}

func TestACollectorThatDoesNotAnswerIsTold(t *testing.T) {
	refuses := httptest.NewServer(http.NotFoundHandler())
	defer refuses.Close()
	var log bytes.Buffer
	tracer, err := Open(t.Context(), refuses.URL, Sampling{Ratio: 1}, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err, "nothing waits for a collector")
	tracer.Route(newEvent(), acme, delivery.Position{}).Routed(0, 0)
	err = tracer.Close(t.Context())
	require.True(t, err != nil || log.Len() > 0, "nobody was told")
}

func TestTheSDKCanBeDisabled(t *testing.T) {
	t.Setenv("OTEL_SDK_DISABLED", "true")
	tracer, err := Open(t.Context(), "", Sampling{Ratio: 1}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Nil(t, tracer)
}
