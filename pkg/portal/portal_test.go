package portal_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/portal"
)

// hostile is text that is code wherever it is not escaped.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}`

// pagesOf are the addresses of all pages about an endpoint and its tenant.
func pagesOf(app, endpoint string) []string {
	base := "/portal/app/" + app
	return []string{
		base + "/endpoint", base + "/endpoint?search=x", base + "/endpoint/new", base + "/endpoint/" + endpoint,
		base + "/endpoint/" + endpoint + "/edit", base + "/endpoint/" + endpoint + "/secret", base + "/endpoint/" + endpoint + "/test",
		base + "/endpoint/" + endpoint + "/transformation", base + "/endpoint/" + endpoint + "/confirm/disable", base + "/endpoint/" + endpoint + "/confirm/delete",
		base + "/notices", base + "/event-type", base + "/event-type/order.created", base + "/event-type/order.created?endpoint=" + endpoint,
		base + "/endpoint/example?filter_type=order.created", base + "/event", base + "/event?window=day&type=order.created",
		base + "/event/" + ident.Derive("test", "kept").Base62("msg_"), base + "/event/" + ident.Derive("test", "expired").Base62("msg_"),
	}
}

// operatorPages are those that operators see besides.
func operatorPages(app, endpoint string) []string {
	return []string{"/portal/app", "/portal/audit", "/portal/status", "/portal/status/confirm/stop-egress", "/portal/app/" + app + "/audit", "/portal/app/" + app + "/endpoint/" + endpoint + "/confirm/lock", "/portal/app/" + app + "/endpoint/" + endpoint + "/confirm/pause"}
}

// The link of app-portal-access leads to a page that is not signed in, with the token in the fragment; the page's script
// sends it on. What a session is good for is not in any address, nor in the log.
func TestSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link, token := s.link("acme")
	u, err := url.Parse(link)
	require.NoError(t, err)
	require.Equal(t, "/portal/", u.Path)
	require.Equal(t, "token="+url.QueryEscape(token), u.EscapedFragment())
	b := s.stranger()
	got := b.get(u.Path)
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Contains(t, got.body, `action="/portal/session"`)
	got = b.post("/portal/session", url.Values{"token": {token}})
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "/portal/app/"+s.tenant("acme")+"/endpoint", got.at)
	require.NotContains(t, got.body, token)
	require.NotContains(t, s.log.String(), token)

	for name, bad := range map[string]string{"none": "", "not one": "prp_AAAA", "a key that there is not": access.NewToken(), "two": "a b", "long": strings.Repeat("x", 5000)} {
		got := s.stranger().post("/portal/session", url.Values{"token": {bad}})
		require.GreaterOrEqual(t, got.status, 400, name)
		require.Empty(t, got.header.Get("Set-Cookie"), name)
	}
}

func TestCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, token := s.link("acme")
	b := s.stranger()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cookie := b.post("/portal/session", url.Values{"token": {token}}).header.Get("Set-Cookie")
	for _, part := range []string{"Path=/portal/", "HttpOnly", "SameSite=Lax", "Max-Age=43200"} {
		require.Contains(t, cookie, part)
	}
	require.NotContains(t, cookie, strings.TrimPrefix(token, access.PortalPrefix))
	require.NotContains(t, cookie, "Secure", "there is no TLS here")

	embedded := newSite(t, func(o *portal.Options) {
		o.URL, o.FrameAncestors = "https://hooks.example/portal", []string{"https://app.example"}
	})
	_, token = embedded.link("acme")
	b = embedded.stranger()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cookie = b.post("/portal/session", url.Values{"token": {token}}).header.Get("Set-Cookie")
	for _, part := range []string{"HttpOnly", "Secure", "SameSite=None", "Partitioned"} {
		require.Contains(t, cookie, part)
	}
}

// A session ends when its token does, and signing out ends the token.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, token := s.link("acme")
	b, home := s.visitor(token), "/portal/app/"+s.tenant("acme")+"/endpoint"
	s.api(http.MethodPost, "/auth/app/acme/expire-all", "{}")
	got := b.get(home)
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Contains(t, got.header.Get("Set-Cookie"), "Max-Age=0")

	_, token = s.link("acme")
	b = s.visitor(token)
	require.Equal(t, http.StatusOK, b.submit(home, "/portal/session/end", nil).status)
	require.Equal(t, http.StatusUnauthorized, b.get(home).status)
	require.Equal(t, http.StatusUnauthorized, s.stranger().post("/portal/session", url.Values{"token": {token}}).status)
}

// Every page, also of an error, has the headers; and nothing inline, which the policy would refuse.
func TestHeadersOfEveryPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in"}`)
	app := s.tenant("acme")
	b := s.visitor(s.operator)
	for _, path := range append(append(pagesOf(app, id), operatorPages(app, id)...), "/portal/nothing", "/portal/app/none/endpoint") {
		got := b.get(path)
		require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'", got.header.Get("Content-Security-Policy"), path)
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Content-Type": "text/html; charset=utf-8",
		} {
			require.Equal(t, want, got.header.Get(name), "%s of %s", name, path)
		}
		requireClean(t, path, got.body)
	}
	embedded := newSite(t, func(o *portal.Options) { o.FrameAncestors = []string{"https://app.example", "https://b.example:8443"} })
	got := embedded.stranger().get("/portal/")
	require.Contains(t, got.header.Get("Content-Security-Policy"), "frame-ancestors https://app.example https://b.example:8443")
	require.Empty(t, got.header.Get("X-Frame-Options"))
}

// A form of another site is refused by where it comes from, and one that this portal did not make by its token.
func TestForgedForms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in"}`)
	b, one := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint/"+id
	for name, c := range map[string]struct {
		form    url.Values
		headers []string
	}{
		"no token":           {url.Values{}, nil},
		"another token":      {url.Values{"csrf": {"AAAAAAAAAAAAAAAAAAAAAAAAAA"}}, nil},
		"another site":       {nil, []string{"Sec-Fetch-Site", "cross-site"}},
		"another origin":     {nil, []string{"Origin", "https://evil.example"}},
		"of a sister domain": {nil, []string{"Sec-Fetch-Site", "same-site"}},
	} {
		var got answer
		if c.form != nil {
			got = b.post(one+"/confirm/delete", c.form, c.headers...)
		} else {
			got = b.submit(one+"/confirm/delete", one+"/confirm/delete", nil, c.headers...)
		}
		require.Equal(t, http.StatusForbidden, got.status, name)
		s.api(http.MethodGet, "/app/acme/endpoint/"+id, "")
	}
	require.Equal(t, http.StatusForbidden, s.stranger().post("/portal/session", url.Values{"token": {s.operator}}, "Sec-Fetch-Site", "cross-site").status)
}

// What belongs to another tenant is not there.
func TestAnotherTenantSeesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://secret.example/in","name":"Confidential"}`)
	app := s.tenant("acme")
	_, token := s.link("other")
	b := s.visitor(token)
	for _, path := range append(pagesOf(app, id), operatorPages(app, id)...) {
		got := b.get(path)
		require.Contains(t, []int{http.StatusNotFound, http.StatusForbidden}, got.status, path)
		require.NotContains(t, got.body, "secret.example", path)
		require.NotContains(t, got.body, "Confidential", path)
		require.NotContains(t, got.body, "Acme", path)
	}
	own := "/portal/app/" + s.tenant("other")
	for _, path := range []string{"/endpoint/" + id, "/endpoint/" + id + "/secret", "/endpoint/" + id + "/test"} {
		require.Equal(t, http.StatusNotFound, b.get(own+path).status, path)
	}
	for _, path := range []string{"/confirm/delete", "/confirm/disable", "/secret/rotate", "/secret/reveal", "/edit", "/test"} {
		for _, app := range []string{"/portal/app/" + app, own} {
			got := b.submit(own+"/endpoint", app+"/endpoint/"+id+path, url.Values{"url": {"https://evil.example"}, "which": {"all"}, "payload": {"{}"}, "grace": {"0"}})
			require.Contains(t, []int{http.StatusNotFound, http.StatusForbidden}, got.status, app+path)
		}
	}
	require.Equal(t, "https://secret.example/in", s.api(http.MethodGet, "/app/acme/endpoint/"+id, "")["url"])
}

// Who may see only is offered nothing else, and refused it.
func TestReader(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in"}`)
	app := s.tenant("acme")
	_, token := s.link("acme", "ViewBase")
	b := s.visitor(token)
	list := "/portal/app/" + app + "/endpoint"
	require.NotContains(t, b.get(list).body, "Add endpoint")
	one := b.get(list + "/" + id).body
	for _, offered := range []string{"/confirm/", "/edit", "/secret", "/test", "/transformation"} {
		require.NotContains(t, one, offered)
	}
	require.Equal(t, http.StatusForbidden, b.get(list+"/"+id+"/secret").status)
	for path, form := range map[string]url.Values{
		"/new": {"url": {"https://b.example"}, "which": {"all"}}, "/" + id + "/confirm/delete": {}, "/" + id + "/secret/rotate": {"grace": {"0"}},
		"/" + id + "/test": {"type": {"order.created"}, "payload": {"{}"}}, "/" + id + "/secret/reveal": {},
		"/" + id + "/transformation": {"code": {".payload = {}"}}, "/" + id + "/transformation/try": {"code": {"."}, "filter_payload": {"{}"}, "filter_type": {"order.created"}},
	} {
		require.Equal(t, http.StatusForbidden, b.submit(list, list+path, form).status, path)
	}
}

// A page is one line in the log, and what it asks the API for none; what it changes is in the audit log under the page's id.
func TestLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in"}`)
	b := s.owner()
	before := strings.Count(s.log.String(), "\n")
	got := b.get("/portal/app/" + s.tenant("acme") + "/endpoint/" + id + "?done=saved")
	lines := strings.Split(s.log.String(), "\n")[before:]
	pages := slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, "msg=page") })
	require.Len(t, pages, 1)
	require.Contains(t, pages[0], "request="+got.header.Get("X-Request-Id"))
	require.Contains(t, pages[0], "status=200")
	require.NotContains(t, pages[0], "done=saved")
	require.NotContains(t, s.log.String(), "path=/api/v1/auth/permissions", "requests of pages")
}

func TestAssets(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *portal.Options) { o.Theme = portal.Theme{Name: "Northwind", Accent: "#ffcc00"} })
	page := s.stranger().get("/portal/").body
	require.Contains(t, page, "Northwind")
	start := strings.Index(page, `href="/portal/assets/portal-`)
	require.Positive(t, start)
	at, _, _ := strings.Cut(page[start+len(`href="`):], `"`)
	css := s.stranger().get(at)
	require.Equal(t, "text/css; charset=utf-8", css.header.Get("Content-Type"))
	require.Equal(t, "public, max-age=31536000, immutable", css.header.Get("Cache-Control"))
	require.Contains(t, css.body, "--accent: #")
	require.NotContains(t, css.body, "--accent: #ffcc00; --on-accent: #ffffff", "nobody reads that")
	require.Equal(t, http.StatusNotFound, s.stranger().get("/portal/assets/nothing.js").status)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for want, theme := range map[string]portal.Theme{
		"accent: ": {Accent: "red; } body { display: none"},
		"name: ":   {Name: "a\nb"},
		"logo: ":   {Logo: "javascript:alert(1)"},
		"logo":     {Logo: "http://plain.example/logo.png"},
	} {
		require.ErrorContains(t, theme.Validate(), want)
	}
	require.NoError(t, portal.Theme{Logo: "https://cdn.example/logo.svg", Accent: "#112233", Name: "Å"}.Validate())
	require.NoError(t, portal.Theme{Logo: "data:image/png;base64,iVBORw0KGgo="}.Validate())
	for _, origin := range []string{"*", "https://a.example/path", "https://a.example; script-src *", "a.example", "'self'"} {
		require.ErrorContains(t, portal.ValidateAncestors([]string{origin}), "frame_ancestors[0]", origin)
	}
	_, err := portal.New(portal.Options{URL: "nowhere"})
	require.ErrorContains(t, err, "URL: ")
}
