package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
)

// runRole runs a process with the roles that add adds, until a signal ends it: configuration, log, metrics, probes.
func runRole(cmd *cobra.Command, add func(context.Context, *app.App) error) error {
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	log := newLogger(conf.Log, cmd.ErrOrStderr())
	redirectLogs(log)
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer app.CollectLess()()
	ctx := cmd.Context()
	views, err := app.OpenViews(conf, metrics)
	if err != nil {
		return err
	}
	defer func() { _ = views.Close() }() // nothing is buffered
	tracer, endTracing, err := app.OpenTracer(ctx, conf, log)
	if err != nil {
		return err
	}
	defer endTracing()
	a, err := app.New(ctx, conf, app.Options{Log: log, Metrics: metrics, Presence: views, Views: views, Tracer: tracer})
	if err != nil {
		return err
	}
	if err := add(ctx, a); err != nil {
		return err
	}
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	wait, err := a.ServeOps(serving, conf.HTTP.Listen, metrics)
	if err != nil {
		return err
	}
	defer wait()
	return a.Run(ctx)
}
