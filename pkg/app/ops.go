package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Timeouts of the operational listener. It serves probes and scrapes, and profiles of up to a minute.
const (
	opsReadTimeout  = 10 * time.Second
	opsWriteTimeout = 90 * time.Second
)

// ServeOps serves /healthz, /readyz, /metrics and, if the configuration wants it, the profiles of [net/http/pprof] on addr
// until ctx ends. It returns once it listens; an error says why it cannot. The returned function waits for its end.
func (a *App) ServeOps(ctx context.Context, addr string, gatherer prometheus.Gatherer) (wait func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("http.listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", probe(a.Live))
	mux.HandleFunc("GET /readyz", probe(a.Ready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	if a.conf.HTTP.Profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	server := &http.Server{Handler: mux, ReadTimeout: opsReadTimeout, WriteTimeout: opsWriteTimeout}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.opts.Log.Error("serving probes and metrics", "error", err)
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // scrapes in flight are worth no wait
	return func() {
		stop()
		_ = server.Close()
		<-done
	}, nil
}

func probe(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := check(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintln(w, err)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	}
}
