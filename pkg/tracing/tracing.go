// Package tracing makes the spans of an event's way, with OpenTelemetry:
//
//	the producer's span              traceparent and tracestate of the event
//	└─ process <source topic>        the router; its context goes with the deliveries as pr-trace
//	   ├─ POST                       an attempt; its id goes with the retry as pr-span
//	   ├─ wait <retry topic>         a stay in a retry tier; links to the attempt before it
//	   └─ POST                       the next attempt; links to the one before it
//
// The router decides what is traced, once for all: a delivery without pr-trace is not, whatever its event came with. See
// [Sampling]. What is not traced costs nothing, and a nil [Tracer] traces nothing. DESIGN.md says why spans are not made by
// hooks of the Kafka client.
//
// Spans hold no secret and nothing of a payload: ids, the event's type, positions, and of a URL neither query nor userinfo.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes spans. It is safe for concurrent use; nil traces nothing.
type Tracer struct {
	spans    trace.Tracer
	provider *sdk.TracerProvider
	sampling sampling
}

// scope is the name of the instrumentation.
const scope = "github.com/postrider/postrider"

// Open returns a tracer that exports over OTLP/HTTP. Endpoint is the collector's URL, such as http://collector:4318; if it is
// empty, OTEL_EXPORTER_OTLP_ENDPOINT says where it is, or it is at http://localhost:4318. All other variables that
// OpenTelemetry has for the exporter (OTEL_EXPORTER_OTLP_…), the batches (OTEL_BSP_…), limits (OTEL_SPAN_…) and the resource
// (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) hold, but not those for a sampler. With OTEL_SDK_DISABLED=true there is none:
// the tracer is nil.
//
// Nothing is connected to yet. A collector that does not answer is told to log and costs no more than the spans: they are
// dropped when the batches are full. Close the tracer.
func Open(ctx context.Context, endpoint string, s Sampling, log *slog.Logger) (*Tracer, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil // a nil tracer works
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing", "error", err) }))
	var opts []otlptracehttp.Option
	if endpoint != "" {
		opts = append(opts, otlptracehttp.WithEndpointURL(endpoint))
	}
	exporter, err := otlptracehttp.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("opening the exporter of traces: %w", err)
	}
	named, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(semconv.ServiceName("postrider")),
		resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return New(s, sdk.WithBatcher(exporter), sdk.WithResource(named)), nil
}

// New returns a tracer whose spans go where the options say: see [sdk.WithBatcher].
func New(s Sampling, opts ...sdk.TracerProviderOption) *Tracer {
	// What is to be traced was decided before a span is begun.
	p := sdk.NewTracerProvider(append(opts, sdk.WithSampler(sdk.AlwaysSample()))...)
	return &Tracer{spans: p.Tracer(scope), provider: p, sampling: s.sampling()}
}

// Close exports what there is, until ctx ends, and ends the tracer.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}
