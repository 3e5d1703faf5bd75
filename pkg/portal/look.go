package portal

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// lookCookie holds the look that somebody chose, light or dark; without it pages look as the system's setting says.
	lookCookie = "postrider_look"
	lookKept   = 365 * 24 * time.Hour
)

// lookOf is the look that somebody chose, empty for that of the system.
func lookOf(r *http.Request) string {
	c, err := r.Cookie(lookCookie)
	if err != nil || c.Value != "light" && c.Value != "dark" {
		return ""
	}
	return c.Value
}

// Look is the look that the visitor chose, empty for that of the system.
func (p *page) Look() string {
	if p.visit == nil {
		return ""
	}
	return lookOf(p.visit.r)
}

// Looks are those to choose from.
func (p *page) Looks() []choice {
	return choices(p.Look(), "", "as the system", "light", "light", "dark", "dark")
}

// Place is where the page is, to come back to. A page that answers a form is not one to come back to.
func (p *page) Place() string {
	if p.visit.r.Method != http.MethodGet {
		return p.portal.base + "/"
	}
	return p.visit.r.URL.RequestURI()
}

// chooseLook keeps the look that was chosen, and leads back to where it was.
func (v *visit) chooseLook() error {
	look := v.r.PostForm.Get("look")
	c := &http.Cookie{ //nolint:gosec // as the session's
		Name: lookCookie, Value: look, Path: v.p.base + "/", MaxAge: int(lookKept / time.Second), HttpOnly: true, Secure: v.p.secure, SameSite: http.SameSiteLaxMode,
	}
	if look != "light" && look != "dark" {
		c.Value, c.MaxAge = "", -1
	}
	if len(v.p.opts.FrameAncestors) > 0 && v.p.secure {
		c.SameSite, c.Partitioned = http.SameSiteNoneMode, true
	}
	http.SetCookie(v.w, c)
	to, err := url.Parse(v.r.PostForm.Get("to"))
	if err != nil || to.Host != "" || to.Scheme != "" || to.Opaque != "" || !strings.HasPrefix(to.Path, v.p.base+"/") || strings.HasPrefix(to.Path, "//") ||
		strings.ContainsAny(to.Path, "\\") {
		return v.redirect("/")
	}
	http.Redirect(v.w, v.r, to.RequestURI(), http.StatusSeeOther)
	return nil
}
