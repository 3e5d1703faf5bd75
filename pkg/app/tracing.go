package app

import (
	"context"
	"log/slog"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/tracing"
)

// OpenTracer returns the tracer of a configuration, nil if nothing is traced, and what ends it: that waits until the last spans
// are exported, a few seconds at most.
func OpenTracer(ctx context.Context, conf *config.Config, log *slog.Logger) (tracer *tracing.Tracer, end func(), err error) {
	if !conf.Tracing.Enabled {
		return nil, func() {}, nil
	}
	tracer, err = tracing.Open(ctx, conf.Tracing.Endpoint, conf.Tracing.Sampling(), log)
	if err != nil {
		return nil, nil, err
	}
	return tracer, func() {
		if err := flushed(ctx, tracer.Close); err != nil {
			log.Warn("ending tracing", "error", err)
		}
	}, nil
}
