package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// call makes a request to the management API with the operator's key and returns the answer.
func call(t *testing.T, method, path, body string) map[string]any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(base(), "/portal/")+"/api/v1"+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+system.key)
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Timeout: stepLimit}).Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Less(t, answer.StatusCode, 300, path)
	var out map[string]any
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&out))
	return out
}

// What was given up is found by its cause: one cause is mended and its deliveries are redriven, another one's are discarded.
func TestDeadLettersByCause(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	r.answers.Store(http.StatusTeapot)
	b.open()
	b.add("buried", r.URL+"/in")
	b.link("Overview")
	b.tryOnce()
	b.send(`{"to":"be redriven"}`)
	id := r.next(t, "be redriven").header.Get("Webhook-Id")
	all := strings.Split(path(b.address()), "/endpoint/")[0] + "/dead-letter"
	group := func(status int) string {
		return fmt.Sprintf(`[...document.querySelectorAll(".card")].find((c) => c.innerText.includes("buried") && c.innerText.includes("Status %d"))`, status)
	}
	b.await(all, group(http.StatusTeapot)+` !== undefined`)
	b.shoot("dead-letters-by-cause")
	r.answers.Store(http.StatusOK)
	b.leave(script(group(http.StatusTeapot) + `.querySelector('a[href*="/act/redrive"]').click()`))
	require.Contains(t, b.text(`main`), "They are delivered again")
	b.press("Redrive")
	require.Contains(t, b.text(`.note.good`), "on their way")
	require.Equal(t, id, r.next(t, "be redriven").header.Get("Webhook-Id"))
	b.await(all, group(http.StatusTeapot)+` === undefined`)

	b.link("Endpoints")
	b.leave(chromedp.Click(`//main//a[normalize-space()="buried"]`))
	r.answers.Store(http.StatusGatewayTimeout)
	b.send(`{"to":"be discarded"}`)
	r.next(t, "be discarded")
	b.await(all, group(http.StatusGatewayTimeout)+` !== undefined`)
	b.leave(script(group(http.StatusGatewayTimeout) + `.querySelector('a[href*="/act/discard"]').click()`))
	require.Contains(t, b.text(`main`), "This cannot be undone.")
	b.press("Discard")
	require.Contains(t, b.text(`.note.good`), "given up for good")
	b.await(all, group(http.StatusGatewayTimeout)+` === undefined`)
}

// A replay that goes on in the background is ended, also after the page was loaded again.
func TestCancelAReplay(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	b.open()
	app := strings.Split(path(b.address()), "/")[3]
	for range 60 { // a second each, below
		call(t, http.MethodPost, "/app/"+app+"/msg", `{"eventType":"CONVERSATION_CREATED","payload":{"to":"be replayed"}}`)
	}
	b.add("cancelled", r.URL+"/in")
	b.link("Overview")
	b.link("Send again")
	b.do(clicked(`input[name="what"][value="missing"]`), set(`#rate`, "1"))
	b.press("Send again")
	b.goTo(path(b.address()))
	require.Contains(t, b.text(`#progress`), "You can close this page")
	b.shoot("replaying")
	b.press("End it")
	b.do(until(`document.querySelector("#progress") !== null && !document.querySelector("#progress button")`))
	require.Contains(t, b.text(`#progress`), "Cancelled")
	b.shoot("cancelled")
}

// New attempts appear on top of the list by themselves, as rows like the others.
func TestFollowLive(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	b.open()
	b.add("followed", r.URL+"/in")
	b.link("Overview")
	b.link("Attempts")
	b.link("Follow live")
	b.do(until(`document.querySelector("#live").textContent === "New attempts appear by themselves."`))
	before := evaluated[int](b, `document.querySelectorAll("main table tbody tr").length`)
	b.do(script(`document.documentElement.dataset.stays = "yes"`))
	r.next(t, `"type":"CONVERSATION_CREATED"`)
	b.do(until(fmt.Sprintf(`document.querySelectorAll("main table tbody tr").length >= %d`, before+2)))
	require.True(t, evaluated[bool](b, `document.documentElement.dataset.stays === "yes"`), "without loading the page again")
	require.NotContains(t, b.text(`main table`), "UTC", "times are the reader's")
	require.Contains(t, b.text(`main table`), "Succeeded, 200")
	b.shoot("followed")
	b.leave(clicked(`main table tbody a`))
	require.Contains(t, b.text(`main`), "The endpoint accepted the event.")
}
