package portal

import (
	"errors"
	"net/http"
	"slices"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/api"
)

// visit is one request of somebody who is signed in.
type visit struct {
	p       *Portal
	w       http.ResponseWriter
	r       *http.Request
	session *session
	calls   caller

	who api.WhoamiOut
	may []access.Permission
	// app is the tenant of the path; nil if it names none.
	app *api.ApplicationOut
}

// visited is the way to a page: who asks, may they, which tenant. What goes wrong is a page as well.
func (p *Portal) visited(show func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := p.session(r)
		if s == nil {
			p.askToSignIn(w, r, http.StatusUnauthorized, "")
			return
		}
		v := &visit{p: p, w: w, r: r, session: s, calls: caller{p.opts.API, r, s.Token, new(string)}}
		err := v.prepare() //nolint:contextcheck // it has the request's
		if err == nil {
			err = show(v)
		}
		if err != nil {
			v.tell(err) //nolint:contextcheck // likewise
		}
	}
}

// prepare finds out who asks, and refuses forms that are not of this portal.
func (v *visit) prepare() error {
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
		if !v.session.made(v.r.PostFormValue(formToken)) {
			return &Refusal{Status: http.StatusForbidden, Code: "form", Detail: "This form was not made by this page, or is too old or too large. Load the page again and repeat."}
		}
	}
	if err := v.calls.get("/auth/whoami", &v.who); err != nil {
		return err
	}
	var may api.PermissionsOut
	if err := v.calls.get("/auth/permissions", &may); err != nil {
		return err
	}
	v.may = may.Permissions
	name := v.r.PathValue("app")
	if name == "" {
		return nil
	}
	v.app = &api.ApplicationOut{}
	return v.calls.get("/app"+path(name), v.app)
}

// tell answers with what went wrong.
func (v *visit) tell(err error) {
	refused, ok := errors.AsType[*Refusal](err)
	switch {
	case !ok:
		v.p.opts.Log.ErrorContext(v.r.Context(), "answering a page", "path", v.r.URL.Path, "error", err)
		refused = &Refusal{Status: http.StatusInternalServerError, Code: "error", Detail: "Something went wrong on this side. Try again."}
	case refused.Status == http.StatusUnauthorized:
		v.p.askToSignIn(v.w, v.r, http.StatusUnauthorized, "Your session has ended. Open the portal again from where you came.")
		return
	}
	if v.fragment() {
		v.show(refused.Status, "refused", &page{Data: refused}) // a page has no place in a page
		return
	}
	page := &page{Title: title(refused.Status), Data: refused}
	if refused.Status == http.StatusNotFound {
		v.app = nil // it may be what was not found
	}
	v.show(refused.Status, "error", page)
}

func title(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusPreconditionFailed, http.StatusConflict:
		return "Changed meanwhile"
	case http.StatusTooManyRequests:
		return "Too many requests"
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return "Not accepted"
	}
	return "Something went wrong"
}

// May reports whether the permission is the visitor's; pages offer only what they may do.
func (v *visit) May(p string) bool { return slices.Contains(v.may, access.Permission(p)) }

// redirect leads to a path of the portal, by GET.
func (v *visit) redirect(to string) error {
	http.Redirect(v.w, v.r, v.p.base+to, http.StatusSeeOther)
	return nil
}

// fragment reports whether htmx asks for a piece of a page.
func (v *visit) fragment() bool { return v.r.Header.Get("HX-Request") == "true" }

// appPath is a path below the tenant's, in the API, and but for the base in the portal.
func (v *visit) appPath(segments ...string) string {
	return "/app" + path(append([]string{v.app.ID}, segments...)...)
}

// show answers with a page of this visit.
func (v *visit) show(status int, name string, page *page) {
	page.visit, page.App, page.Form = v, v.app, v.session.Form
	v.p.render(v.w, v.r, status, name, page)
}

// piece answers with a part of a page for htmx, or with all of it around that part for who has no script.
func (v *visit) piece(name, title string, data any) error {
	page := &page{Title: title, Data: data}
	if !v.fragment() {
		page.Piece = name
		name = "piece"
	}
	v.show(http.StatusOK, name, page)
	return nil
}
