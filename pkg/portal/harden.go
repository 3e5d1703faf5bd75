package portal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/postrider/postrider/pkg/api"
)

// ValidateAncestors refuses what is no origin.
func ValidateAncestors(origins []string) error {
	var errs []error
	for i, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != o || strings.ContainsAny(o, "; ,'\"") {
			errs = append(errs, fmt.Errorf("frame_ancestors[%d]: %q: want an origin such as https://app.example.com", i, o))
		}
	}
	return errors.Join(errs...)
}

// contentPolicy lets a page use what this portal serves, and nothing inline. Pages of other sites embed it only if they are
// configured; forms go nowhere else.
func (p *Portal) contentPolicy() string {
	ancestors := "'none'"
	if len(p.opts.FrameAncestors) > 0 {
		ancestors = strings.Join(p.opts.FrameAncestors, " ")
	}
	images := "'self' data:"
	if o := p.opts.Theme.logoOrigin(); o != "" {
		images += " " + o
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src " + images + "; connect-src 'self'; form-action 'self'; " +
		"base-uri 'none'; object-src 'none'; frame-ancestors " + ancestors
}

// status notes that of an answer.
type status struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements [http.ResponseWriter].
func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap is for [http.ResponseController].
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// log gives every request an id, which its requests to the API have as well, and leaves one line of it: the path, in which there
// are ids alone, without the query.
func (p *Portal) log(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, id := p.opts.Now(), "req_"+rand.Text()
		w.Header().Set("X-Request-Id", id)
		ctx, noted := api.OnBehalf(r.Context(), id), &status{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(noted, r.WithContext(ctx))
		if strings.HasPrefix(r.URL.Path, p.base+"/assets/") {
			return
		}
		p.opts.Log.LogAttrs(ctx, slog.LevelInfo, "page", slog.String("request", id), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", noted.code), slog.Duration("duration", p.opts.Now().Sub(began)))
	})
}

// harden sets the headers of all answers, and turns a panic into a page.
func (p *Portal) harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", p.policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
		h.Set("Cache-Control", "no-store")
		if len(p.opts.FrameAncestors) == 0 {
			h.Set("X-Frame-Options", "DENY")
		}
		defer func() { //nolint:contextcheck // it has the request's
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			p.opts.Log.ErrorContext(r.Context(), "panic", "path", r.URL.Path, "stack", string(debug.Stack()))
			http.Error(w, "Something went wrong on this side. Try again.", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

// refuseCross answers for a form that a page of another site sent.
func (p *Portal) refuseCross(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, http.StatusForbidden, "error", &page{Title: title(http.StatusForbidden), Data: &Refusal{
		Status: http.StatusForbidden, Code: "cross_origin", Detail: "This was sent by a page of another site. Open the portal itself and repeat.",
	}})
}
