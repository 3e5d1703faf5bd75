package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
)

// runRole runs a process with the roles that add adds, until a signal ends it: configuration, log, metrics, probes.
func runRole(cmd *cobra.Command, add func(context.Context, *app.App) error) error {
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	log := newLogger(conf.Log, cmd.ErrOrStderr())
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ctx := cmd.Context()
	a, err := app.New(ctx, conf, app.Options{Log: log, Metrics: metrics})
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

// newLogger returns the logger of a process: one line an event, to w.
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // validated
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
