package portal_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// elements calls each for every start tag of a page.
func elements(t *testing.T, page string, each func(name string, attributes map[string]string)) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			attributes := map[string]string{}
			for _, a := range token.Attr {
				require.NotContains(t, attributes, a.Key, "an attribute that is there twice")
				attributes[a.Key] = a.Val
			}
			each(token.Data, attributes)
		default: // texts and ends of elements
		}
	}
}

// requireClean fails if a page has anything that its policy refuses, or an element that the templates do not have: what
// somebody typed stays text.
func requireClean(t *testing.T, path, page string) {
	t.Helper()
	ids, labelled := map[string]bool{}, map[string]bool{}
	elements(t, page, func(name string, attributes map[string]string) {
		require.NotContains(t, []string{"style", "img", "iframe", "object", "embed", "base"}, name, path)
		for a, v := range attributes {
			require.False(t, strings.HasPrefix(a, "on") || a == "style" || a == "srcdoc", "%s: %s of %s", path, a, name)
			if v == "https://jqlang.org" {
				continue // the one link that leads elsewhere
			}
			if a == "href" || a == "src" || a == "action" || a == "formaction" || strings.HasPrefix(a, "hx-post") || strings.HasPrefix(a, "hx-get") {
				require.Regexp(t, `^(/portal/|#|\?)`, v, "%s: %s of %s", path, a, name)
			}
		}
		if name == "script" {
			require.Contains(t, attributes["src"], "/portal/assets/", path)
		}
		if id := attributes["id"]; id != "" {
			require.False(t, ids[id], "%s: id %s is there twice", path, id)
			ids[id] = true
		}
		labelled[attributes["for"]] = true
	})
	elements(t, page, func(name string, attributes map[string]string) {
		if name == "label" && attributes["for"] != "" {
			require.True(t, ids[attributes["for"]], "%s: a label of %s, which is not there", path, attributes["for"])
		}
	})
	require.NotContains(t, page, "ZgotmplZ", path)
	require.NotContains(t, page, "&lt;no value&gt;", path)
}

// Whatever somebody wrote into whatever field is shown as what it is: text.
func TestHostileContentStaysText(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	quoted, err := json.Marshal(hostile)
	require.NoError(t, err)
	text := string(quoted)
	schema := `{"title":` + text + `,"properties":{` + text + `:{"type":` + text + `,"description":` + text + `,"enum":[` + text + `],"format":` + text + `}},"examples":[{"x":` + text + `}]}`
	s.apply(registry.PutEventType(&catalogue.EventType{
		Name: "order.created", Description: hostile, Schemas: map[string]json.RawMessage{"1": json.RawMessage(schema)}, Version: s.version("order.created"),
	}))
	s.api(http.MethodPatch, "/app/acme", `{"name":`+text+`}`)
	id := s.endpoint(`{"url":"https://a.example/\"><script>alert(1)</script>","name":` + text + `,"description":` + text + `,
		"headers":{"X-Own":` + text + `},"filter":"data.x == '\"><script>alert(1)</script>'","metadata":{"a":` + text + `}}`)
	app := s.tenant("acme")
	b := s.visitor(s.operator)
	seen := 0
	for _, path := range append(pagesOf(app, id), append(operatorPages(app, id),
		"/portal/app/"+app+"/endpoint?state="+url.QueryEscape(hostile)+"&search="+url.QueryEscape(hostile),
		"/portal/app/"+app+"/event-type?search="+url.QueryEscape(hostile),
		"/portal/app/"+app+"/endpoint/new?type="+url.QueryEscape(hostile),
		"/portal/app/"+app+"/endpoint/"+id+"/secret?language="+url.QueryEscape(hostile)+"&done="+url.QueryEscape(hostile),
		"/portal/app/"+app+"/endpoint/"+id+"/confirm/"+url.PathEscape(hostile),
		"/portal/app/"+url.PathEscape(hostile)+"/endpoint")...) {
		got := b.get(path)
		requireClean(t, path, got.body)
		seen += strings.Count(got.body, "&lt;script&gt;alert(1)")
	}
	require.Greater(t, seen, 30, "it is shown, as text")

	one := "/portal/app/" + app + "/endpoint/" + id
	form := url.Values{"etag": {hostile}, "types": {hostile}, "header_name": {hostile}, "header_value": {hostile}, "header_kept": {hostile}}
	for _, field := range []string{
		"name", "url", "description", "which", "patterns", "channels", "filter", "auth", "username", "profile", "timeout", "rate", "retry", "retry_interval",
		"retry_list", "retry_factor", "failure", "failure_within", "filter_type", "filter_payload", "type", "payload", "grace", "code", "variables",
	} {
		form.Set(field, hostile)
	}
	for _, path := range []string{"/edit", "/test", "/test/preview", "/secret/rotate", "/transformation", "/transformation/try", "/../new", "/../check", "/../try-filter"} {
		for _, headers := range [][]string{nil, {"HX-Request", "true"}} {
			target := strings.Replace(one+path, "/"+id+"/..", "", 1)
			got := b.submit(one, target, form, headers...)
			require.Less(t, got.status, 500, target)
			requireClean(t, target, got.body)
		}
	}
}

// version is that of an event type, which a change has to name.
func (s *site) version(eventType string) int64 {
	et, ok := s.store.Snapshot().EventType(eventType)
	require.True(s.t, ok)
	return et.Version
}

// endpointForm is what a browser sends of the form that adds an endpoint.
func endpointForm(change ...string) url.Values {
	form := url.Values{"url": {"https://crm.example/in"}, "which": {"all"}, "auth": {"none"}, "enabled": {"on"}}
	for i := 0; i+1 < len(change); i += 2 {
		form.Del(change[i])
		for v := range strings.SplitSeq(change[i+1], "|") {
			form.Add(change[i], v)
		}
	}
	return form
}

func TestCreateEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, list := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint"
	got := b.submit(list+"/new", list+"/new", endpointForm(
		"name", "CRM updates", "which", "some", "types", "order.created", "patterns", "contact.*\r\nlead.**", "channels", "vip, se",
		"filter", "data.id != ''", "header_name", "X-Shop|X-Own|", "header_value", "7|hush|", "header_sensitive", "1",
		"auth", "basic", "username", "u", "password", "p", "profile", "dixa", "timeout", "10", "rate", "5",
		"retry", "exponential", "retry_interval", "5s", "retry_list", "left over", "retry_max_tries", "4", "failure", "never", "failure_within", "left over", "enabled", ""))
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Regexp(t, `/endpoint/ep_\w+/secret$`, got.at)
	require.Contains(t, got.body, "The endpoint was created.")
	require.Regexp(t, `value="[0-9a-f]{64}"`, got.body, "the secret, to be copied")
	require.Contains(t, got.body, "X-Dixa-Signature", "how to verify under this profile")
	one := strings.TrimSuffix(got.at, "/secret")
	id := one[strings.LastIndex(one, "/")+1:]

	now := s.api(http.MethodGet, "/app/acme/endpoint/"+id+"/settings", "")
	for name, want := range map[string]any{
		"name": "CRM updates", "url": "https://crm.example/in", "eventTypes": []any{"order.created", "contact.*", "lead.**"}, "channels": []any{"vip", "se"},
		"filter": "data.id != ''", "headers": map[string]any{"X-Shop": "7"}, "sensitiveHeaders": []any{"X-Own"}, "throttleRate": 5.0,
		"authorization": map[string]any{"kind": "basic", "username": "u"}, "profile": "dixa", "timeoutSeconds": 10.0, "disabled": true,
	} {
		require.Equal(t, want, now[name], name)
	}
	page := b.get(one).body
	for _, want := range []string{"CRM updates", "4 tries in all", "stays enabled", "10 seconds", "At most 5 requests a second", "<code>X-Own</code>: <em>not shown</em>", "Disabled"} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "hush")

	// The form shows all of it, and saving it as it is changes nothing.
	form := formOf(t, b.get(one+"/edit").body)
	require.Equal(t, http.StatusOK, b.post(one+"/edit", form).status)
	after := s.api(http.MethodGet, "/app/acme/endpoint/"+id+"/settings", "")
	delete(now, "updatedAt")
	delete(after, "updatedAt")
	require.Equal(t, now, after)
	sub, ok := s.store.Snapshot().Subscription(idOf(t, id))
	require.True(t, ok)
	require.Equal(t, "hush", sub.Headers["X-Own"])
	require.Equal(t, "p", sub.Authorization.Password)
}

// Credentials of all kinds are typed into the one form, are never shown, and stay while they are not typed again.
func TestCredentials(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, list := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint"
	got := b.submit(list+"/new", list+"/new", endpointForm("name", "Guarded", "which", "all", "credentials", "1", "uid", "guarded", "metadata", "team = crm\r\nregion=eu",
		"auth", "oauth", "oauth_url", "https://login.example/token", "oauth_client", "client-1", "oauth_secret", "hush-secret", "oauth_scopes", "a b",
		"encryption", "voyado", "encryption_key", "0123456789abcdefghijABCDEFGHIJ01"))
	require.Equal(t, http.StatusOK, got.status, got.body)
	one := strings.TrimSuffix(got.at, "/secret")
	id := one[strings.LastIndex(one, "/")+1:]
	sub := func() *subscription.Subscription {
		sub, ok := s.store.Snapshot().Subscription(idOf(t, id))
		require.True(t, ok)
		return sub
	}
	require.Equal(t, "guarded", sub().UID)
	require.Equal(t, map[string]string{"team": "crm", "region": "eu"}, sub().Metadata)
	want := subscription.OAuth{
		GrantType: "clientCredentials", AuthMethod: "clientSecretBasic", ClientID: "client-1", ClientSecret: "hush-secret",
		TokenURL: "https://login.example/token", Scopes: []string{"a", "b"},
	}
	require.Equal(t, want, *sub().OAuth)
	require.Equal(t, "voyado", sub().Encryption.Scheme)
	edit := b.get(one + "/edit").body
	require.NotContains(t, edit+b.get(one).body, "hush-secret")
	require.NotContains(t, edit+b.get(one).body, "0123456789abcdef")
	require.Contains(t, b.get(one).body, "Encrypted: voyado")

	before := *sub()
	require.Equal(t, http.StatusOK, b.post(one+"/edit", formOf(t, edit)).status)
	after := *sub()
	require.Equal(t, before.OAuth, after.OAuth, "saved as it is")
	require.Equal(t, before.Encryption, after.Encryption)
	require.Equal(t, before.Metadata, after.Metadata)
	form := formOf(t, b.get(one+"/edit").body)
	form.Set("auth", "oauth")
	form.Set("oauth_scopes", "c")
	require.Equal(t, http.StatusOK, b.post(one+"/edit", form).status)
	require.Equal(t, "hush-secret", sub().OAuth.ClientSecret, "not typed again")
	require.Equal(t, []string{"c"}, sub().OAuth.Scopes)
	form = formOf(t, b.get(one+"/edit").body)
	form.Set("auth", "oauth")
	form.Set("oauth_url", "https://other.example/token")
	require.Equal(t, http.StatusUnprocessableEntity, b.post(one+"/edit", form).status, "a secret goes nowhere else")
	form.Set("metadata", "no value")
	require.Contains(t, b.post(one+"/edit", form).body, "an equals sign")

	_, token := s.link("acme", "ViewBase", "ManageEndpoint")
	other := s.visitor(token)
	plain := other.get(one + "/edit").body
	require.NotContains(t, plain, `name="oauth_url"`)
	require.Equal(t, http.StatusOK, other.post(one+"/edit", formOf(t, plain)).status)
	require.NotNil(t, sub().OAuth, "who may not manage it leaves it alone")
	require.NotNil(t, sub().Encryption)

	form = formOf(t, b.get(one+"/edit").body)
	form.Set("auth", "none")
	form.Set("encryption", "")
	require.Equal(t, http.StatusOK, b.post(one+"/edit", form).status)
	require.Nil(t, sub().OAuth)
	require.Nil(t, sub().Encryption)
}

// formOf are the fields of the one big form of a page, as a browser would send them untouched.
func formOf(t *testing.T, page string) url.Values {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	out := url.Values{}
	var walk func(n *html.Node, inside bool)
	walk = func(n *html.Node, inside bool) {
		attribute := func(name string) (string, bool) {
			i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
			if i < 0 {
				return "", false
			}
			return n.Attr[i].Val, true
		}
		name, _ := attribute("name")
		if class, _ := attribute("class"); n.Data == "form" {
			inside = class == "big"
		}
		if inside && name != "" {
			value, hasValue := attribute("value")
			kind, _ := attribute("type")
			_, checked := attribute("checked")
			switch {
			case n.Data == "input" && (kind == "checkbox" || kind == "radio") && !checked:
			case n.Data == "textarea" && n.FirstChild != nil:
				out.Add(name, n.FirstChild.Data)
			case n.Data == "select":
				out.Add(name, selected(n))
			case n.Data == "input" && (hasValue || kind != "checkbox"):
				out.Add(name, value)
			}
		}
		for c := range n.ChildNodes() {
			walk(c, inside)
		}
	}
	walk(doc, false)
	return out
}

// selected is the value of the option of a list that is chosen: the first if none is.
func selected(list *html.Node) string {
	var values, chosen []string
	for o := range list.Descendants() {
		if o.Data != "option" {
			continue
		}
		value, is := "", false
		for _, a := range o.Attr {
			switch a.Key {
			case "value":
				value = a.Val
			case "selected":
				is = true
			}
		}
		values = append(values, value)
		if is {
			chosen = append(chosen, value)
		}
	}
	return append(append(chosen, values...), "")[0]
}

func idOf(t *testing.T, name string) ident.ID {
	t.Helper()
	id, err := ident.ParseBase62(subscription.SubscriptionPrefix, name)
	require.NoError(t, err)
	return id
}

// What is refused is shown beside its field, and nothing that was typed is lost.
func TestFormRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, list := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint"
	for _, c := range []struct {
		change []string
		field  string
		want   string
	}{
		{[]string{"url", "http://plain.example"}, "url", "want https://host/path"},
		{[]string{"which", "some"}, "eventTypes", "Choose at least one"},
		{[]string{"which", "some", "types", "order.create"}, "eventTypes", "did you mean"},
		{[]string{"filter", "data.id =="}, "filter", "filter"},
		{[]string{"timeout", "soon"}, "timeoutSeconds", "whole number"},
		{[]string{"timeout", "61"}, "timeoutSeconds", "60"},
		{[]string{"rate", "0"}, "throttleRate", "1"},
		{[]string{"retry", "fixed", "retry_interval", "soon", "retry_max_tries", "2"}, "retry", "want a number with a unit"},
		{[]string{"failure", "consecutive", "failure_failures", "many"}, "failure", "whole number"},
		{[]string{"profile", "none"}, "profile", "none"},
		{[]string{"header_name", "Content-Length", "header_value", "1"}, "headers", "Content-Length"},
		{[]string{"channels", "not,a\x00channel"}, "channels", ""},
	} {
		form := endpointForm(append([]string{"name", "kept"}, c.change...)...)
		got := b.submit(list+"/new", list+"/new", form)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, c.change)
		require.Contains(t, got.body, `href="#f-`+c.field+`"`, c.change)
		require.Contains(t, got.body, `id="f-`+c.field+`"`, c.change)
		require.Contains(t, got.body, c.want, c.change)
		require.Contains(t, got.body, `value="kept"`, c.change)
		requireClean(t, list, got.body)
	}
	require.Empty(t, s.api(http.MethodGet, "/app/acme/endpoint", "")["data"])
}

// Who saves a form that shows what is not so any more overwrites nothing.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in"}`)
	b, edit := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint/"+id+"/edit"
	form := formOf(t, b.get(edit).body)
	s.api(http.MethodPatch, "/app/acme/endpoint/"+id, `{"description":"theirs"}`)
	form.Set("description", "mine")
	got := b.post(edit, form)
	require.Equal(t, http.StatusPreconditionFailed, got.status)
	require.Contains(t, got.body, "Somebody else changed this endpoint")
	require.Contains(t, got.body, `value="mine"`)
	require.Equal(t, "theirs", s.api(http.MethodGet, "/app/acme/endpoint/"+id, "")["description"])
}

// The journeys of one endpoint, without a script.
func TestActions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in"}`)
	b, list := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint"
	one := list + "/" + id
	require.Contains(t, b.get(one+"/confirm/disable").body, "Nothing is sent to it any more")
	require.Contains(t, b.submit(one+"/confirm/disable", one+"/confirm/disable", nil).body, "The endpoint is disabled.")
	require.Contains(t, b.get(one).body, `confirm/enable"`)
	require.Contains(t, b.submit(one+"/test", one+"/test", url.Values{"type": {"order.created"}, "payload": {"{}"}}).body, "enable it first")
	require.Contains(t, b.submit(one+"/confirm/enable", one+"/confirm/enable", nil).body, "The endpoint is enabled.")
	require.Equal(t, http.StatusNotFound, b.get(one+"/confirm/explode").status)

	operator := s.visitor(s.operator)
	require.Contains(t, operator.submit(one+"/confirm/lock", one+"/confirm/lock", nil).body, "Locked by the operator")
	require.Equal(t, http.StatusForbidden, b.submit(one+"/confirm/enable", one+"/confirm/enable", nil).status)
	require.NotContains(t, b.get(one).body, `confirm/enable"`)
	require.Contains(t, operator.submit(one+"/confirm/unlock", one+"/confirm/unlock", nil).body, "unlocked")
	require.Contains(t, b.submit(one+"/confirm/delete", one+"/confirm/delete", nil).body, "The endpoint was deleted.")
	require.Equal(t, http.StatusNotFound, b.get(one).status)
}

// An operator pauses with a reason, which the owner reads; the owner can do neither.
func TestPausing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in"}`)
	owner, operator, list := s.owner(), s.visitor(s.operator), "/portal/app/"+s.tenant("acme")+"/endpoint"
	one := list + "/" + id
	require.Contains(t, operator.submit(one+"/confirm/pause", one+"/confirm/pause", url.Values{"reason": {"<b>moving</b>"}}).body, "Deliveries are paused.")
	for _, at := range []string{list, one} {
		require.Contains(t, owner.get(at).body, `<span class="state off">Paused by an operator</span>`, at)
	}
	require.Contains(t, owner.get(one).body, "&lt;b&gt;moving&lt;/b&gt;")
	require.NotContains(t, owner.get(one).body, "confirm/resume")
	require.Equal(t, http.StatusForbidden, owner.submit(one+"/edit", one+"/confirm/resume", nil).status)
	require.Contains(t, operator.submit(one+"/confirm/resume", one+"/confirm/resume", nil).body, "Deliveries are resumed.")
	require.NotContains(t, owner.get(one).body, "Paused</span>")

	s.api(http.MethodPut, "/pause/egress", `{"reason":"secret plans"}`)
	for _, at := range []string{list, one} {
		require.Contains(t, owner.get(at).body, "Nothing is sent to anybody at the moment", at)
		require.NotContains(t, owner.get(at).body, "secret plans", at)
	}
}

func TestSecretPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in"}`)
	b, page := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint/"+id+"/secret"
	secret := func() string { return s.api(http.MethodGet, "/app/acme/endpoint/"+id+"/secret", "")["key"].(string) }
	first := secret()
	require.NotContains(t, html.UnescapeString(b.get(page).body), first)
	require.Contains(t, html.UnescapeString(b.submit(page, page+"/reveal", nil).body), first)
	rotated := html.UnescapeString(b.submit(page, page+"/rotate", url.Values{"grace": {"3600"}}).body)
	require.NotEqual(t, first, secret())
	require.Contains(t, rotated, secret())
	require.Contains(t, rotated, "…"+first[len(first)-4:])
	require.Contains(t, rotated, "…"+secret()[len(secret())-4:])
	require.Equal(t, http.StatusUnprocessableEntity, b.submit(page, page+"/rotate", url.Values{"grace": {"-1"}}).status)
	require.Contains(t, b.get(page).body, "192.0.2.0/24")
	for _, language := range []string{"go", "js", "python", "java", "csharp", "php", "ruby"} {
		require.Regexp(t, `(?s)<pre class="code" id="snippet".{200}`, b.get(page+"?language="+language).body, language)
	}
}

func TestTestEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in","headers":{"X-Api-Key":"hush"}}`)
	b, page := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint/"+id+"/test"
	require.Contains(t, b.get(page+"?type=order.created").body, `&#34;id&#34;: &#34;o-1&#34;`)
	edited := url.Values{"type": {"order.created"}, "payload": {`{"id":"edited"}`}}
	got := b.submit(page, page, edited)
	require.Contains(t, got.body, "The event is on its way")
	require.Contains(t, got.body, `edited`)
	require.JSONEq(t, `{"id":"edited"}`, string(s.sent.payload))
	require.Contains(t, b.submit(page, page, url.Values{"type": {"order.created"}, "payload": {"{"}}).body, "is not JSON")
	require.Contains(t, b.submit(page, page, url.Values{"type": {"none"}, "payload": {"{}"}}).body, "unknown event type")

	for _, headers := range [][]string{nil, {"HX-Request", "true"}} {
		got = b.submit(page, page+"/preview", edited, headers...)
		require.Contains(t, got.body, "webhook-signature")
		require.Contains(t, got.body, "edited")
		require.NotContains(t, got.body, "hush")
		require.Equal(t, headers == nil, strings.Contains(got.body, "<!doctype html>"))
	}
}

func TestFilterAndURLAreTried(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, list := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint"
	try := func(filter, payload string) string {
		return b.submit(list+"/new", list+"/try-filter", url.Values{"filter": {filter}, "filter_type": {"order.created"}, "filter_payload": {payload}}, "HX-Request", "true").body
	}
	require.Contains(t, try("data.id == 'a'", `{"id":"a"}`), "would be delivered")
	require.Contains(t, try("data.id == 'a'", `{"id":"b"}`), "the filter is false")
	require.Contains(t, try("data.id == 'a'", `{}`), "cannot be evaluated")
	require.Contains(t, try("data.id ==", `{}`), "expression")
	require.Contains(t, try("", `{}`), "There is no filter")
	require.Contains(t, try("true", `{`), "not JSON")
	require.Contains(t, b.get(list+"/example?filter_type=order.created").body, "o-1")
	check := func(url string) string {
		return b.submit(list+"/new", list+"/check", map[string][]string{"url": {url}}, "HX-Request", "true").body
	}
	require.Contains(t, check("http://plain.example"), "want https://host/path")
	require.Contains(t, check("https://a.example"), "not tried", "this installation does not probe")
	require.NotContains(t, check(""), "can be reached")
}

// What is refused within a page is a piece of it, and not a page.
func TestRefusalsWithinAPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, token := s.link("acme", "ViewBase")
	b, list := s.visitor(token), "/portal/app/"+s.tenant("acme")+"/endpoint"
	got := b.submit(list, list+"/check", url.Values{"url": {"https://a.example"}}, "HX-Request", "true")
	require.Equal(t, http.StatusForbidden, got.status)
	require.Regexp(t, `^<p class="wrong" role="alert">[^<]+</p>$`, strings.TrimSpace(got.body))
	s.api(http.MethodPost, "/auth/app/acme/expire-all", "{}")
	got = b.post(list+"/check", url.Values{}, "HX-Request", "true")
	require.Equal(t, http.StatusForbidden, got.status, "the form's token comes first")
	got = s.stranger().post(list+"/check", url.Values{}, "HX-Request", "true")
	require.Equal(t, "/portal/", got.header.Get("Hx-Redirect"))
	require.Empty(t, got.body)
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in","eventTypes":["order.*"]}`)
	b, list := s.owner(), "/portal/app/"+s.tenant("acme")+"/event-type"
	require.Regexp(t, `(?s)<h2>contacts</h2>.*contact\.updated.*<h2>orders</h2>.*order\.created`, b.get(list).body)
	found := b.get(list + "?search=PLACED").body
	require.Contains(t, found, "order.created")
	require.NotContains(t, found, "contact.updated")
	page := b.get(list + "/order.created?endpoint=" + id).body
	for _, want := range []string{"Of the order.", "always there", "lines[].sku", "array of object", "One of: 1, 2.", "&#34;o-1&#34;", "webhook-id", "webhook-signature"} {
		require.Contains(t, page, want)
	}
	require.Contains(t, b.get(list+"/contact.updated").body, "No endpoint receives this event type")
	// Only what is activated for the tenant is there.
	s.api(http.MethodPut, "/app/acme/event-types", `{"eventTypes":["order.*"]}`)
	for _, who := range []*browser{b, s.visitor(s.operator)} {
		require.NotContains(t, who.get(list).body, "contact.updated")
	}
	require.Equal(t, http.StatusNotFound, b.get(list+"/contact.updated").status)
}

func TestTransformation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.endpoint(`{"url":"https://a.example/in"}`)
	b, page := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint/"+id+"/transformation"
	etag := func() string {
		return html.UnescapeString(regexp.MustCompile(`name="etag" value="([^"]+)"`).FindStringSubmatch(b.get(page).body)[1])
	}
	try := func(code, payload string) string {
		form := url.Values{"code": {code}, "variables": {"shop=7"}, "filter_type": {"order.created"}, "filter_payload": {payload}}
		return html.UnescapeString(b.submit(page, page+"/try", form, "HX-Request", "true").body)
	}
	require.Contains(t, try(".payload = {n: $variables.shop}", "{}"), `"n": "7"`)
	require.Contains(t, try(".cancel = true", "{}"), "Nothing would be sent")
	require.Contains(t, try(".payload =", "{}"), "code: ")
	require.Contains(t, try("", "{}"), "There is no program")
	require.Contains(t, try(".", "{"), "not JSON")

	save := func(etag, code, variables, enabled string) answer {
		return b.submit(page, page, url.Values{"etag": {etag}, "code": {code}, "variables": {variables}, "enabled": {enabled}})
	}
	first := etag()
	require.Contains(t, save(first, ".payload |= {id}", "shop=7\r\nkey=a=b\r\n", "on").body, "The changes are saved.")
	now := s.api(http.MethodGet, "/app/acme/endpoint/"+id+"/transformation", "")
	require.Equal(t, ".payload |= {id}", now["code"])
	require.Equal(t, map[string]any{"shop": "7", "key": "a=b"}, now["variables"])
	require.Equal(t, true, now["enabled"])
	require.Contains(t, b.get(page).body, "key=a=b")
	require.Contains(t, save(first, ".", "", "").body, "Somebody else changed")
	require.Contains(t, save(etag(), ".", "no value", "").body, "want name=value")
	require.Contains(t, save(etag(), ".payload =", "", "on").body, "code")
	require.Contains(t, save(etag(), "", "", "").body, "The changes are saved.")
	require.Nil(t, s.api(http.MethodGet, "/app/acme/endpoint/"+id+"/transformation", "")["code"])
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, list := s.owner(), "/portal/app/"+s.tenant("acme")+"/event"
	kept, expired := ident.Derive("test", "kept").Base62("msg_"), ident.Derive("test", "expired").Base62("msg_")
	page := b.get(list).body
	require.Contains(t, page, kept)
	require.Contains(t, page, expired)
	require.Contains(t, page, `rel="next"`)
	require.Contains(t, b.get(list+"?type=none").body, "No event fits")
	require.Contains(t, b.get(list+"?window=hour").body, "No event fits")
	require.Equal(t, http.StatusUnprocessableEntity, b.get(list+"?channel="+url.QueryEscape(hostile)).status)
	for _, name := range []string{kept, "o-1"} {
		got := b.get(list + "?id=" + name)
		require.Equal(t, list+"/"+name, got.at)
		require.Contains(t, got.body, "{\n  &#34;")
	}
	require.Contains(t, b.get(list+"/"+expired).body, "not kept any more")
	require.Equal(t, http.StatusNotFound, b.get(list+"/msg_none").status)
}

func TestListIsSearchedAndPaged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 60 {
		s.endpoint(`{"url":"https://many.example/in"}`)
	}
	s.endpoint(`{"url":"https://one.example/in","name":"The one","disabled":true}`)
	b, list := s.owner(), "/portal/app/"+s.tenant("acme")+"/endpoint"
	rows := func(page string) int { return strings.Count(page, `<li class="card">`) }
	first := b.get(list).body
	require.Equal(t, 50, rows(first))
	next := regexp.MustCompile(`href="([^"]+)" rel="next"`).FindStringSubmatch(first)
	require.NotNil(t, next)
	second := b.get(html.UnescapeString(next[1])).body
	require.Equal(t, 11, rows(second))
	prev := regexp.MustCompile(`href="([^"]+)" rel="prev"`).FindStringSubmatch(second)
	require.NotNil(t, prev)
	require.Equal(t, 50, rows(b.get(html.UnescapeString(prev[1])).body))
	require.Equal(t, 1, rows(b.get(list+"?search=the+ONE").body))
	require.Equal(t, 1, rows(b.get(list+"?state=disabled").body))
	require.Equal(t, 0, rows(b.get(list+"?state=active&search=one.example").body))
	require.Contains(t, b.get(list+"?search=nothing").body, "No endpoint fits")
}

func TestOperatorsSeeAll(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.visitor(s.operator)
	tenants := b.get("/portal/").body
	require.Contains(t, tenants, "Acme")
	require.Contains(t, tenants, "Other")
	require.Contains(t, b.get("/portal/audit").body, "updated subscription")
	require.Contains(t, b.get("/portal/app/"+s.tenant("acme")+"/audit").body, "updated subscription")
	require.Contains(t, b.get("/portal/app/"+s.tenant("acme")+"/endpoint").body, "No endpoints yet")
}

func TestSessionEndsWithItsTenant(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.apply(registry.PutTenant(&subscription.Tenant{ID: ident.New(), UID: "third", Name: "Third"}))
	_, token := s.link("third")
	b := s.visitor(token)
	require.Contains(t, b.get("/portal/").body, "Third")
	s.api(http.MethodDelete, "/app/third", "")
	require.Equal(t, http.StatusUnauthorized, b.get("/portal/").status, "its tokens ended with it")
}
