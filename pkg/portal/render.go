package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/api"
)

//go:embed pages
var pageFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// pages are the templates by the name of their file.
type pages map[string]*template.Template

// page is what a template gets.
type page struct {
	Title string
	// App is the tenant; nil on pages that are about none. Form is the token of forms.
	App  *api.ApplicationOut
	Form string
	// Piece names the part that is shown alone, to who has no script, and Inner is that part.
	Piece string
	Inner template.HTML
	// Done says what has just been done, in a word of [doneTexts].
	Done string
	Data any

	portal *Portal
	visit  *visit
}

// Base is the path of the portal, Theme its look.
func (p *page) Base() string { return p.portal.base }

// Theme is the portal's look.
func (p *page) Theme() Theme { return p.portal.opts.Theme }

// SignedIn reports whether somebody is.
func (p *page) SignedIn() bool { return p.visit != nil }

// May reports whether the visitor has a permission.
func (p *page) May(permission string) bool { return p.visit != nil && p.visit.May(permission) }

// General reports whether the visitor belongs to no tenant.
func (p *page) General() bool { return p.visit != nil && p.visit.who.AppID == nil }

// At is a path of the portal.
func (p *page) At(segments ...string) string {
	return p.portal.base + path(segments...)
}

// Of is a path of the portal below the tenant.
func (p *page) Of(segments ...string) string {
	return p.At(append([]string{"app", p.App.ID}, segments...)...)
}

// Asset is the path of a file that the pages use.
func (p *page) Asset(name string) string {
	return p.portal.base + "/assets/" + p.portal.assets[name].tagged
}

// Here is the class of a link of the navigation.
func (p *page) Here(prefix string) bool {
	return p.visit != nil && (p.visit.r.URL.Path == prefix || strings.HasPrefix(p.visit.r.URL.Path, prefix+"/"))
}

// With is the page for a part that gets other data.
func (p *page) With(data any) *page {
	c := *p
	c.Data = data
	return &c
}

// DoneText says what has just been done.
func (p *page) DoneText() string { return doneTexts[p.Done] }

// ViewsText says what a page may lack, because the views of attempts are not complete.
func (p *page) ViewsText() string {
	if p.visit == nil {
		return ""
	}
	return viewsWords(*p.visit.calls.views, p.portal.opts.Now())
}

// doneTexts are what a page says after a change; an address carries the word and never the text.
//
//nolint:gochecknoglobals // a table
var doneTexts = map[string]string{
	"created": "The endpoint was created.", "saved": "The changes are saved.", "deleted": "The endpoint was deleted.",
	"enabled": "The endpoint is enabled.", "disabled": "The endpoint is disabled.", "locked": "The endpoint is disabled and locked.",
	"egress-stopped": "Nothing leaves any more, a second from now.", "egress-started": "Everything leaves again.",
	"role-paused": "The role is paused.", "role-resumed": "The role is resumed.",
	"paused": "Deliveries are paused.", "resumed": "Deliveries are resumed.", "unlocked": "The endpoint is unlocked. It is still disabled.", "rotated": "The secret was rotated.",
	"resent": "The event is on its way once more. The new attempt is in this list in a moment: load it again.",
}

// asset is a file that the pages use. Its name has a hash, so that a browser may keep it.
type asset struct {
	tagged, kind string
	body         []byte
}

func (p *Portal) loadAssets() map[string]asset {
	out := map[string]asset{}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err) // it is inside the binary
	}
	for _, e := range entries {
		body, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err) // likewise
		}
		if e.Name() == "portal.css" {
			body = append(body, p.opts.Theme.style()...)
		}
		sum := sha256.Sum256(body)
		ext := filepath.Ext(e.Name())
		kind := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8"}[ext]
		a := asset{tagged: strings.TrimSuffix(e.Name(), ext) + "-" + hex.EncodeToString(sum[:6]) + ext, kind: kind, body: body}
		out[e.Name()], out[a.tagged] = a, a
	}
	return out
}

func (p *Portal) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := p.assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	if r.PathValue("name") == a.tagged {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

// parse reads the templates. It panics if one is wrong: they are inside the binary.
func (p *Portal) parse() pages {
	functions := template.FuncMap{
		"retryWords": retryWords, "failureWords": failureWords, "seconds": seconds, "instant": instant, "pretty": prettyJSON, "recipient": recipientWords,
		"typesWords": typesWords, "label": label, "disabledWords": disabledWords, "away": func() string { return awayWords },
		"millis": millis, "several": several[int64], "skipped": skippedWords,
		"lines":  func(s []string) string { return strings.Join(s, "\n") },
		"minute": minuteOf,
		"over":   func(t time.Time) bool { return !p.opts.Now().Before(t) },
		"rate":   func(share float64) string { return rateWords(&share) },
		"age":    func(ms int64) string { return (time.Duration(ms) * time.Millisecond).Round(time.Second).String() },
	}
	layout := template.Must(template.New("").Funcs(functions).ParseFS(pageFiles, "pages/layout.html", "pages/parts.html", "pages/watching.html"))
	entries, err := fs.ReadDir(pageFiles, "pages")
	if err != nil {
		panic(err)
	}
	out := pages{}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".html")
		out[name] = template.Must(template.Must(layout.Clone()).ParseFS(pageFiles, "pages/"+e.Name()))
	}
	return out
}

// render answers with a page, or, for the name of a part, with that alone.
func (p *Portal) render(w http.ResponseWriter, r *http.Request, status int, name string, page *page) {
	page.portal = p
	t, entry := p.pages[name], "layout"
	if t == nil {
		t, entry = p.pages["parts"], name
	}
	var b bytes.Buffer
	if page.Piece != "" {
		if err := p.pages["parts"].ExecuteTemplate(&b, page.Piece, page); err == nil {
			page.Inner = template.HTML(b.String()) //nolint:gosec // a template has made it
		}
		b.Reset()
	}
	if err := t.ExecuteTemplate(&b, entry, page); err != nil {
		p.opts.Log.ErrorContext(r.Context(), "rendering a page", "page", name, "error", err)
		http.Error(w, "Something went wrong on this side. Try again.", http.StatusInternalServerError)
		return
	}
	p.write(w, status, &b)
}
