package portal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/api"
)

// Options are what the portal works with. All fields are needed unless they say otherwise.
type Options struct {
	// API is the handler of the management API.
	API http.Handler
	// Cipher seals sessions.
	Cipher api.Cipher
	// URL is where browsers reach the portal. Its path is that of all pages; https makes cookies secure.
	URL string
	// Theme is the portal's look; see [Theme].
	Theme Theme
	// FrameAncestors are the origins whose pages may embed the portal, as in https://app.example.com; nobody's by default.
	FrameAncestors []string
	// Now is the clock; the system's if nil.
	Now func() time.Time
	Log *slog.Logger
}

// Portal serves the pages. Make it with [New].
type Portal struct {
	opts    Options
	base    string // of all paths, without a slash at the end
	secure  bool   // browsers come over TLS
	pages   pages
	policy  string // Content-Security-Policy
	assets  map[string]asset
	handler http.Handler
}

// New returns the portal. Errors name the option.
func New(opts Options) (*Portal, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	u, err := url.Parse(opts.URL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("URL: %q: want http(s)://host/path", opts.URL)
	}
	if err := errors.Join(opts.Theme.Validate(), ValidateAncestors(opts.FrameAncestors)); err != nil {
		return nil, err
	}
	p := &Portal{opts: opts, base: strings.TrimRight(u.Path, "/"), secure: u.Scheme == "https"}
	p.assets = p.loadAssets()
	p.pages = p.parse()
	p.policy = p.contentPolicy()
	cross := http.NewCrossOriginProtection()
	if err := cross.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, fmt.Errorf("URL: %w", err)
	}
	cross.SetDenyHandler(http.HandlerFunc(p.refuseCross))
	p.handler = p.log(p.harden(cross.Handler(p.mux())))
	return p, nil
}

// Handler serves everything below [Portal.Base].
func (p *Portal) Handler() http.Handler { return p.handler }

// Base is the path that all pages are below: empty, or with a slash in front and none at the end.
func (p *Portal) Base() string { return p.base }

// mux is the listing of all pages.
func (p *Portal) mux() http.Handler {
	m := http.NewServeMux()
	open := func(pattern string, h http.HandlerFunc) { m.HandleFunc(p.at(pattern), h) }
	page := func(pattern string, show func(*visit) error) { m.HandleFunc(p.at(pattern), p.visited(show)) }
	open("GET /assets/{name}", p.serveAsset)
	open("POST /session", p.signIn)
	page("POST /session/end", (*visit).signOut)
	page("GET /{$}", (*visit).home)
	page("POST /look", (*visit).chooseLook)
	page("/", (*visit).unknown)

	const list, one = "/app/{app}/endpoint", "/app/{app}/endpoint/{endpoint}"
	page("GET "+list, (*visit).listEndpoints)
	page("GET "+list+"/new", (*visit).newEndpoint)
	page("POST "+list+"/new", (*visit).createEndpoint)
	page("POST "+list+"/check", (*visit).checkEndpoint)
	page("POST "+list+"/try-filter", (*visit).tryFilter)
	page("GET "+list+"/example", (*visit).filterExample)
	page("GET "+one, (*visit).showEndpoint)
	page("GET "+one+"/edit", (*visit).editEndpoint)
	page("POST "+one+"/edit", (*visit).saveEndpoint)
	page("GET "+one+"/secret", (*visit).showSecret)
	page("POST "+one+"/secret/reveal", (*visit).revealSecret)
	page("POST "+one+"/secret/rotate", (*visit).rotateSecret)
	page("GET "+one+"/test", (*visit).showTest)
	page("POST "+one+"/test", (*visit).sendTest)
	page("POST "+one+"/test/preview", (*visit).previewTest)
	page("GET "+one+"/transformation", (*visit).showTransformation)
	page("POST "+one+"/transformation", (*visit).saveTransformation)
	page("POST "+one+"/transformation/try", (*visit).tryTransformation)
	page("GET "+one+"/confirm/{action}", (*visit).confirm)
	page("POST "+one+"/confirm/{action}", (*visit).act)

	page("GET /app/{app}/event", (*visit).listEvents)
	page("GET /app/{app}/event/{event}", (*visit).showEvent)
	page("GET /app/{app}/event-type", (*visit).listEventTypes)
	page("GET /app/{app}/event-type/{type}", (*visit).showEventType)
	page("GET /app/{app}/audit", (*visit).listAudit)
	page("GET /app/{app}/notices", (*visit).showNotices)
	page("POST /app/{app}/notices", (*visit).saveNotices)
	page("POST /app/{app}/notices/test", (*visit).testNotices)
	page("GET /app", (*visit).listTenants)
	page("GET /audit", (*visit).listAudit)
	page("GET /status", (*visit).showStatus)
	page("GET /status/confirm/{operation}", (*visit).confirmOperation)
	page("POST /status/confirm/{operation}", (*visit).operate)
	watchingPages("/app/{app}", page)
	return m
}

// at puts the path of a pattern, "METHOD /path" or "/path", below the portal's.
func (p *Portal) at(pattern string) string {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		return p.base + pattern
	}
	return method + " " + p.base + path
}

// home leads to the page that one begins with.
func (v *visit) home() error {
	if v.who.AppID != nil {
		return v.redirect("/app/" + *v.who.AppID + "/endpoint")
	}
	return v.redirect("/app")
}

func (v *visit) unknown() error {
	return &Refusal{Status: http.StatusNotFound, Code: "not_found", Detail: "There is no such page."}
}

// write sends a page that is ready. It is never kept by a browser: it may hold a secret.
func (p *Portal) write(w http.ResponseWriter, status int, body *bytes.Buffer) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // nobody is there to read it
}
