package api

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

type requestIDKey struct{}

// requestID is the id under which the log has a request.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

type behalfKey struct{}

// OnBehalf is the context of requests that another face makes in this process to answer one of its own, whose id it gives
// them: audit entries lead to that one. That face has a line in the log; these have one at level debug.
func OnBehalf(ctx context.Context, request string) context.Context {
	return context.WithValue(ctx, behalfKey{}, request)
}

// recorder notes the status and size of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += n
	return n, err
}

// Unwrap is for [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// logAccess gives every request an id and leaves one line of it in the log: the path without the query, in which there may
// be iterators of others' making, and no header.
func (a *API) logAccess(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := a.opts.Now()
		id, level := "req_"+rand.Text(), slog.LevelInfo
		if of, ok := r.Context().Value(behalfKey{}).(string); ok {
			id, level = of, slog.LevelDebug
		}
		w.Header().Set("X-Request-Id", id)
		rec := &recorder{ResponseWriter: w}
		var who string
		ctx := context.WithValue(r.Context(), requestIDKey{}, id)
		ctx = context.WithValue(ctx, noteKey{}, func(n string) { who = n })
		next.ServeHTTP(rec, r.WithContext(ctx))
		a.opts.Log.LogAttrs(ctx, level, "request", slog.String("request", id), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", rec.status), slog.Int("bytes", rec.bytes),
			slog.Duration("duration", a.opts.Now().Sub(began)), slog.String("by", who), slog.String("address", a.address(r)))
	})
}

// noteKey is where a request keeps the function that tells the access log who makes it.
type noteKey struct{}

func noteCaller(ctx context.Context, who string) {
	if note, ok := ctx.Value(noteKey{}).(func(string)); ok {
		note(who)
	}
}

// recover turns a panic into 500. The log gets where it was, not the value, which may be anything.
func (a *API) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { //nolint:contextcheck // it has the request's
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			a.opts.Log.ErrorContext(r.Context(), "panic", "request", requestID(r.Context()), "stack", string(debug.Stack()))
			answerError(w, &Error{
				status: http.StatusInternalServerError, Code: "server_error",
				Detail: "something went wrong on this side; request " + requestID(r.Context()),
			})
		}()
		next.ServeHTTP(w, r)
	})
}

// address is where a request came from: the peer, or, if that is a trusted proxy, the last address of X-Forwarded-For that is not one.
func (a *API) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	hops := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
	for i := len(hops) - 1; i >= 0 && a.trusts(host); i-- {
		hop := strings.TrimSpace(hops[i])
		if _, err := netip.ParseAddr(hop); err != nil {
			break
		}
		host = hop
	}
	return host
}

func (a *API) trusts(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(a.opts.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

// Limits of the server that serves the API.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// Server returns a server with the API's limits for the handler.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
}
