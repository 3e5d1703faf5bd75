package portal

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

const (
	// cookieName is that of the session's cookie.
	cookieName = "postrider_portal"
	// sessionAssociated binds a sealed session to this use.
	sessionAssociated = "portal-session"
	// sessionLength bounds a session whose token lasts longer: a working day.
	sessionLength = 12 * time.Hour
	// maxToken bounds a token that somebody signs in with, in bytes: a portal token has about 600.
	maxToken = 4 << 10
	// maxForm bounds a form, in bytes: an event of 1 MiB and what stands around it, each byte written as three at worst.
	maxForm = 4 << 20
	// formToken is the field of a form that says that this portal made it.
	formToken = "csrf"
)

// session is who uses the portal. It lives in a cookie, sealed.
type session struct {
	Token string    `json:"t"`
	Form  string    `json:"f"` // of its forms
	Until time.Time `json:"u"`
}

// signIn begins a session with the token of a form. The script of a page that was opened with a token in its fragment sends
// one, so that the token is in no address; people who have a key paste it.
func (p *Portal) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 2*maxToken)
	token := strings.TrimSpace(r.PostFormValue("token"))
	if token == "" || len(token) > maxToken || strings.ContainsAny(token, " \t\r\n") {
		p.askToSignIn(w, r, http.StatusUnprocessableEntity, "Paste the link's token, or an API key.")
		return
	}
	if err := (caller{p.opts.API, r, token, new(string)}).get("/auth/whoami", nil); err != nil { //nolint:contextcheck // it has the request's
		detail := "This link or key is not valid, or not any more. Ask for a new one where you found it."
		if refused, ok := errors.AsType[*Refusal](err); !ok || refused.Status >= http.StatusInternalServerError {
			p.opts.Log.ErrorContext(r.Context(), "signing in", "error", err)
			detail = "Signing in does not work at this moment. Try again."
		}
		p.askToSignIn(w, r, http.StatusUnauthorized, detail)
		return
	}
	s := session{Token: token, Form: rand.Text(), Until: p.opts.Now().Add(sessionLength)}
	raw, err := json.Marshal(s)
	if err == nil {
		var sealed string
		if sealed, err = p.opts.Cipher.Seal(string(raw), sessionAssociated); err == nil {
			p.setCookie(w, sealed, int(sessionLength/time.Second))
			http.Redirect(w, r, p.base+"/", http.StatusSeeOther)
			return
		}
	}
	p.opts.Log.ErrorContext(r.Context(), "beginning a session", "error", err)
	p.askToSignIn(w, r, http.StatusInternalServerError, "Signing in does not work at this moment. Try again.")
}

// setCookie sets the session's cookie, or ends it with a negative age. Lax: it is not sent with what other sites' pages send,
// but there when somebody follows a link. Embedded in another site's page it has to be None, and Partitioned keeps it to
// pages of that site.
func (p *Portal) setCookie(w http.ResponseWriter, value string, age int) {
	c := &http.Cookie{ //nolint:gosec // secure wherever there is TLS; a portal on localhost has none
		Name: cookieName, Value: value, Path: p.base + "/", MaxAge: age, HttpOnly: true, Secure: p.secure, SameSite: http.SameSiteLaxMode,
	}
	if len(p.opts.FrameAncestors) > 0 && p.secure {
		c.SameSite, c.Partitioned = http.SameSiteNoneMode, true
	}
	http.SetCookie(w, c)
}

// session returns the session of a request, or nil.
func (p *Portal) session(r *http.Request) *session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	raw, err := p.opts.Cipher.Open(c.Value, sessionAssociated)
	if err != nil {
		return nil
	}
	s := &session{}
	if json.Unmarshal([]byte(raw), s) != nil || !p.opts.Now().Before(s.Until) {
		return nil
	}
	return s
}

// made reports whether a form was made by this portal for this session.
func (s *session) made(token string) bool {
	return subtle.ConstantTimeCompare([]byte(s.Form), []byte(token)) == 1
}

// askToSignIn answers with the page that asks for a token, and ends the session that there may be.
func (p *Portal) askToSignIn(w http.ResponseWriter, r *http.Request, status int, problem string) {
	if _, err := r.Cookie(cookieName); err == nil {
		p.setCookie(w, "", -1)
	}
	if r.Header.Get("HX-Request") == "true" {
		w.Header().Set("HX-Redirect", p.base+"/") // in place of a piece of a page
		w.WriteHeader(status)
		return
	}
	p.render(w, r, status, "signin", &page{Title: "Sign in", Data: problem})
}

// signOut ends the session. A portal token ends with it, so that nobody goes back; a key goes on.
func (v *visit) signOut() error {
	if _, err := v.calls.do(http.MethodPost, "/auth/logout", nil, nil); err != nil {
		return err
	}
	v.p.setCookie(v.w, "", -1)
	v.p.render(v.w, v.r, http.StatusOK, "signedout", &page{Title: "Signed out"})
	return nil
}
