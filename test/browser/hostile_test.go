package browser

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// hostile is what somebody types who wants scripts of theirs to run for others: it leaves attributes, elements and scripts.
const hostile = `'"><script>window.hacked=1</script><img src=x onerror="window.hacked=1">{{.Title}}`

// Whatever somebody types, or their receiver answers, stays text on every page. That the policy refused nothing is looked at by
// the tab: it fails if it did.
func TestHostileContent(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	r.says.Store(hostile)
	r.answers.Store(http.StatusBadRequest)
	b.open()
	app := strings.TrimSuffix(path(b.address()), "/endpoint")
	b.link("Add endpoint")
	b.do(script(`document.querySelectorAll("details").forEach((d) => d.open = true)`),
		set(`#name`, hostile), set(`#url`, r.URL+"/in/"+url.PathEscape(hostile)+"?q="+url.QueryEscape(hostile)), set(`#description`, hostile),
		set(`#hn0`, "X-Hostile"), set(`#hv0`, hostile), set(`#filter`, `type != "</textarea><script>window.hacked=1</script>"`),
		set(`#filter_payload`, `{"x":"</textarea><script>window.hacked=1</script>"}`), pressed("Try the filter"), seen(`#filter-trial p`),
		clicked(`input[name="which"][value="some"]`), clicked(`input[value="CONVERSATION_CREATED"]`))
	clean := func(what string) {
		t.Helper()
		require.True(t, evaluated[bool](b, `window.hacked === undefined && document.querySelectorAll("main script, main img, main [onerror]").length === 0`), what)
	}
	clean("the form")
	b.do(set(`#f-channels`, hostile))
	b.press("Create endpoint")
	clean("what was refused")
	require.Contains(t, b.value(`#name`), hostile, "what was typed is there again")
	b.do(script(`document.querySelector("#f-channels").value = ""`))
	b.press("Create endpoint")
	clean("the secret")
	b.link("Overview")
	require.Equal(t, strings.TrimSpace(hostile), b.text(`h1`))
	clean("the overview")
	one := path(b.address())
	b.tryOnce()
	b.link("Test")
	payload := `{"</pre><script>window.hacked=1</script>":"<img src=x onerror=window.hacked=1>"}`
	b.do(set(`#payload`, payload), pressed("Show the request"), seen(`#preview pre`))
	clean("the preview")
	b.press("Send to this endpoint")
	clean("sent")
	id := r.next(t, "window.hacked").header.Get("Webhook-Id")
	b.await(one+"/attempt?status=2", `document.querySelector('main table a[href*="`+id+`"]') !== null`)
	clean("the attempts")
	b.leave(clicked(`main table a[href*="` + id + `"]`))
	require.Contains(t, b.text(`main`), hostile, "the body of the response")
	clean("the attempt")
	b.shoot("hostile-attempt")
	for _, at := range []string{
		app + "/endpoint", one + "/edit", one + "/attempt?live=1", one + "/last", app + "/event/" + id, app + "/event", app + "/task", app + "/audit",
		app + "/endpoint?search=" + url.QueryEscape(hostile), one + "/attempt?type=" + url.QueryEscape(hostile) + "&channel=" + url.QueryEscape(hostile),
		app + "/event?id=" + url.QueryEscape(hostile), app + "/event-type/" + url.PathEscape(hostile),
	} {
		b.goTo(at)
		clean(at)
	}
	b.await(app+"/dead-letter", `document.querySelector("main").innerText.includes("onerror")`)
	clean("the dead letters")
	b.do(script(`[...document.querySelectorAll(".card")].find((c) => c.innerText.includes("onerror")).querySelector("h2 a").id = "hostile"`))
	b.leave(clicked(`#hostile`))
	clean("the dead letters of a cause")
	b.leave(chromedp.Click(`//main//a[contains(@href, "/dead-letter/one/")]`))
	clean("a dead letter")
}

// Somebody with another tenant's link sees nothing of this one, neither on its pages nor in what they follow.
func TestAnotherTenantSeesNothing(t *testing.T) {
	t.Parallel()
	b := newTab(t, 1100, 800)
	b.open()
	app := strings.TrimSuffix(path(b.address()), "/endpoint")
	crm := evaluated[string](b, `[...document.querySelectorAll(".card h2 a")].find((a) => a.textContent.includes("CRM")).getAttribute("href")`)
	b.await(crm+"/attempt", `document.querySelector("main table a") !== null`)
	attempt := evaluated[string](b, `document.querySelector("main table a").getAttribute("href")`)

	other := call(t, http.MethodPost, "/app", `{"name":"Somebody else"}`)["id"].(string)
	link := call(t, http.MethodPost, "/auth/app-portal-access/"+other, `{}`)["url"].(string)
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(link), until(`document.querySelector(".empty") !== null && !location.hash && `+ready))
	require.Contains(t, b.text(`main`), "Somebody else")
	for _, at := range []string{
		app + "/endpoint", app + "/event", app + "/dead-letter", app + "/task", app + "/audit", crm, crm + "/edit", crm + "/secret", crm + "/test", crm + "/attempt",
		crm + "/attempt?live=1", crm + "/last", crm + "/again", crm + "/confirm/delete", attempt, strings.Split(attempt, "/attempt/")[0],
		strings.Replace(crm, path(app), "/portal/app/"+other, 1),
	} {
		b.goTo(at)
		require.Equal(t, "Not found", b.text(`h1`), at)
		require.NotContains(t, b.text(`body`), "CRM", at)
		require.NotContains(t, b.text(`body`), "Northwind", at)
	}
	require.Equal(t, 404, evaluated[int](b, `fetch("`+crm+`/attempt/live").then((r) => r.status)`))
	b.goTo("/portal/app")
	require.Equal(t, "Not allowed", b.text(`h1`))
	b.shoot("another-tenant")
}
