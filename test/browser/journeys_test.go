package browser

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/test/internal/rig"
)

// signed counts the signatures of a request that the secret makes, as Standard Webhooks 1.0 has it.
func (r received) signed(t *testing.T, secret string) int {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(t, err)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(r.header.Get("Webhook-Id") + "." + r.header.Get("Webhook-Timestamp") + "."))
	mac.Write(r.body)
	want, count := "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), 0
	for one := range strings.SplitSeq(r.header.Get("Webhook-Signature"), " ") {
		if one == want {
			count++
		}
	}
	return count
}

// add adds an endpoint by clicking and typing, for one event type of the demo, and returns its secret.
func (b *tab) add(name, url string) (secret string) {
	b.t.Helper()
	b.link("Endpoints")
	b.link("Add endpoint")
	b.do(
		typed(`#name`, name),
		typed(`#url`, url),
		pressed("Check"),
		seen(`#url-check .right`),
		clicked(`input[name="which"][value="some"]`),
		typed(`#type-search`, "conversation_created"),
		chromedp.WaitNotVisible(chromedp.CSS(`input[value="CONVERSATION_RATED"]`)),
		clicked(`input[value="CONVERSATION_CREATED"]`),
	)
	b.shoot("add-" + name)
	b.press("Create endpoint")
	secret = b.value(`#key`)
	require.Regexp(b.t, `^whsec_`, secret)
	return secret
}

// send sends a test event from the page of an endpoint.
func (b *tab) send(payload string) {
	b.t.Helper()
	b.link("Test")
	b.do(set(`#payload`, payload))
	b.press("Send to this endpoint")
	require.Contains(b.t, b.text(`.note.good`), "on its way")
}

// Set up and verify: from the link to the first request that proves to be authentic.
func TestSetUpAndVerify(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	b.open()
	require.NotContains(t, b.address(), "token", "the token does not stay in the address")
	require.NotContains(t, evaluated[string](b, `performance.getEntriesByType("navigation").map((e) => e.name).join() + document.referrer`), "prk_")
	secret := b.add("set-up", r.URL+"/in")
	require.Contains(t, b.text(`#snippet`), "standardwebhooks")
	b.link("Python")
	require.Contains(t, b.text(`#snippet`), "pip install standardwebhooks")
	b.shoot("verify")
	b.send(`{"from":"the portal"}`)
	b.shoot("test-event")
	got := r.next(t, "the portal")
	require.Equal(t, got.header.Get("Webhook-Id"), b.text(`.note.good a`), "what the receiver sees")
	b.leave(clicked(`.note.good a`))
	require.Contains(t, b.text(`#payload-text`), `"from": "the portal"`)
	require.Equal(t, 1, got.signed(t, secret))
	require.Contains(t, string(got.body), `"type":"CONVERSATION_`)
	// What the demo sends of that type comes as well, in its time.
	require.Equal(t, 1, r.next(t, `"type":"CONVERSATION_CREATED"`).signed(t, secret))
}

// The link that a product gets for its customer opens the portal, for that tenant and no more than was granted.
func TestLinkOfAPortalToken(t *testing.T) {
	t.Parallel()
	b := newTab(t, 1100, 800)
	b.open()
	app := strings.Split(path(b.address()), "/")[3]
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimSuffix(base(), "/portal/")+"/api/v1/auth/app-portal-access/"+app,
		strings.NewReader(`{"capabilities":["ViewBase"]}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+system.key)
	request.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Timeout: stepLimit}).Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	var granted struct{ URL string }
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&granted))
	require.Contains(t, b.text(`main`), "Add endpoint")
	// In the same tab it takes the place of the session that there is.
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(granted.URL), until(`document.querySelector(".card") !== null && !location.hash && !document.querySelector('a[href$="/new"]') && `+ready))
	require.NotContains(t, b.address(), "token")
	require.NotContains(t, b.text(`main`), "Add endpoint")
	require.Contains(t, b.text(`main`), "Northwind Outdoor")
}

// A secret is rotated, and requests prove to be authentic with both until the old one ends.
func TestRotateASecret(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	b.open()
	first := b.add("rotated", r.URL+"/in")
	b.press("Rotate the secret")
	second := b.value(`#key`)
	require.NotEqual(t, first, second)
	require.Contains(t, b.text(`#main`), "The secret was rotated.")
	require.Equal(t, 2, evaluated[int](b, `document.querySelectorAll("section[aria-labelledby=accepted] tbody tr").length`))
	require.NotContains(t, b.text(`section[aria-labelledby=accepted]`), "UTC", "times are the reader's")
	b.shoot("rotated")
	b.send(`{"signed":"twice"}`)
	got := r.next(t, "twice")
	require.Equal(t, []int{1, 1}, []int{got.signed(t, first), got.signed(t, second)})
}

// A test event is edited, looked at and sent, without leaving the page for the look.
func TestSendATestEvent(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	b.open()
	b.add("tested", r.URL+"/in")
	b.link("Test")
	require.Contains(t, b.value(`#payload`), `"conversation"`, "the example of the catalogue")
	b.do(
		set(`#payload`, `{"note":"<b>mine</b>"}`),
		pressed("Show the request"),
		seen(`#preview pre`),
	)
	shown := b.text(`#preview pre`)
	require.Contains(t, shown, "webhook-signature")
	require.Contains(t, shown, `<b>mine</b>`)
	b.shoot("preview")
	b.press("Send to this endpoint")
	require.Contains(t, string(r.next(t, "mine").body), `{"note":"<b>mine</b>"}`)
	b.do(set(`#payload`, `{`))
	b.press("Send to this endpoint")
	require.Contains(t, b.text(`.note.bad`), "not JSON")
}

// An endpoint is disabled, enabled and deleted, each after a page that says what that will do.
func TestDisableEnableDelete(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	b.open()
	b.add("switched", r.URL+"/in")
	b.link("Overview")
	b.link("Disable")
	require.Contains(t, b.text(`main`), "Nothing is sent to it any more")
	b.shoot("disable")
	b.press("Disable")
	require.Equal(t, "Disabled", b.text(`.head .state`))
	b.link("Enable")
	b.press("Enable")
	require.Equal(t, "Active", b.text(`.head .state`))
	b.send(`{"again":"there"}`)
	r.next(t, "there")
	b.link("Overview")
	b.link("Delete")
	b.press("Delete")
	require.Contains(t, b.text(`main`), "The endpoint was deleted.")
	require.NotContains(t, b.text(`main`), r.URL)
}

// An endpoint that says that it is gone is disabled. Its page says why, and enables it again.
func TestDisabledByItselfAndEnabled(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	r.about.Store(`"is":"gone"`)
	r.answers.Store(http.StatusGone)
	b.open()
	b.add("gone", r.URL+"/in")
	b.link("Overview")
	one := path(b.address())
	b.send(`{"is":"gone"}`)
	r.next(t, "gone")
	require.NoError(t, rig.Await(t.Context(), stepLimit, func() (bool, error) {
		b.goTo(one)
		return b.text(`.head .state`) == "Disabled", nil
	}))
	require.Contains(t, b.text(`main`), "It was disabled because it answered 410 Gone.")
	b.shoot("disabled-by-itself")
	r.answers.Store(http.StatusOK)
	b.link("Enable")
	b.press("Enable")
	require.NotContains(t, b.text(`main`), "It was disabled")
	b.send(`{"is":"back"}`)
	r.next(t, "back")
}

// The whole of a set-up with nothing but a keyboard: Tab, Space, Enter and what is typed.
func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	b.open()
	b.do(chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "Skip to content", evaluated[string](b, `document.activeElement.textContent`))
	b.do(chromedp.KeyEvent(kb.Enter))
	b.key(`a.button[href$="/endpoint/new"]`)
	b.leave(chromedp.KeyEvent(kb.Enter))
	b.key(`#name`)
	b.do(chromedp.KeyEvent("by keyboard"))
	b.key(`#url`)
	b.do(chromedp.KeyEvent(r.URL + "/keys"))
	b.key(`button[formaction$="/check"]`)
	b.do(chromedp.KeyEvent(kb.Enter), seen(`#url-check .right`))
	b.key(`input[name="which"]`)
	b.do(chromedp.KeyEvent(kb.ArrowDown)) // the other choice of the two
	b.key(`#type-search`)
	b.do(chromedp.KeyEvent("CONVERSATION_RATED"), chromedp.KeyEvent(kb.Enter))
	b.key(`input[value="CONVERSATION_RATED"]`)
	b.do(chromedp.KeyEvent(" "))
	b.key(`form.big .actions button`)
	require.Equal(t, "solid", evaluated[string](b, `getComputedStyle(document.activeElement).outlineStyle`), "one sees where one is")
	b.leave(chromedp.KeyEvent(kb.Enter))
	secret := b.value(`#key`)
	b.key(`.tabs a[href$="/test"]`)
	b.leave(chromedp.KeyEvent(kb.Enter))
	b.key(`#payload + p button`)
	b.leave(chromedp.KeyEvent(kb.Enter))
	require.Equal(t, 1, r.next(t, "CONVERSATION_RATED").signed(t, secret))
}

// Pages look as the system's setting says, until somebody chooses, and then as that.
func TestChooseTheLook(t *testing.T) {
	t.Parallel()
	b := newTab(t, 1100, 800)
	const ground = `getComputedStyle(document.body).backgroundColor`
	b.dark(false)
	b.open()
	light := evaluated[string](b, ground)
	at := b.address()
	b.leave(clicked(`form.look button[value="dark"]`))
	dark := evaluated[string](b, ground)
	require.NotEqual(t, light, dark)
	require.Equal(t, at, b.address(), "one is where one was")
	b.link("Event types")
	require.Equal(t, dark, evaluated[string](b, ground), "on other pages as well")
	b.accessible("chosen")
	b.dark(true)
	b.leave(clicked(`form.look button[value="light"]`))
	require.Equal(t, light, evaluated[string](b, ground), "whatever the system says")
	b.accessible("chosen, against the system")
	b.leave(clicked(`form.look button[value=""]`))
	require.Equal(t, dark, evaluated[string](b, ground))
}

// A page of another site cannot show the portal, nor send one of its forms.
func TestAnotherSite(t *testing.T) {
	t.Parallel()
	b := newTab(t, 800, 600)
	b.open()
	require.Contains(t, evaluated[string](b, `fetch(location.href).then((r) => r.headers.get("content-security-policy"))`), "frame-ancestors 'none'")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base()+"session", strings.NewReader(url.Values{"token": {system.key}}.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "https://evil.example")
	answer, err := (&http.Client{Timeout: stepLimit}).Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusForbidden, answer.StatusCode)
}
