package browser

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/test/internal/rig"
)

// await loads a page until an expression is true there: what was delivered is in the views a moment later.
func (b *tab) await(path, expression string) {
	b.t.Helper()
	require.NoError(b.t, rig.Await(b.t.Context(), stepLimit, func() (bool, error) {
		b.goTo(path)
		return evaluated[bool](b, expression), nil
	}), "%s at %s", expression, path)
}

// A failure is seen in the log, told why and what to do, and repaired by a click.
func TestSeeAFailureAndRepairIt(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	r.answers.Store(http.StatusServiceUnavailable)
	b.open()
	b.add("failing", r.URL+"/in")
	b.link("Overview")
	one := path(b.address())
	b.send(`{"to":"be repaired"}`)
	id := r.next(t, "be repaired").header.Get("Webhook-Id")
	b.await(one+"/attempt?status=2", fmt.Sprintf(`document.querySelector('main table a[href*=%q]') !== null`, id))
	require.NotContains(t, b.text(`main table`), "UTC", "times are the reader's")
	b.shoot("attempts-failed")
	b.leave(clicked(fmt.Sprintf(`main table a[href*=%q]`, id)))
	for _, want := range []string{"The endpoint failed while it worked on the request.", "It is tried again.", "Look into the log of your receiver", "503", "be repaired"} {
		require.Contains(t, b.text(`main`), want)
	}
	b.shoot("attempt")
	r.answers.Store(http.StatusOK)
	b.press("Send this event again")
	require.Contains(t, b.text(`.note.good`), "on its way once more")
	b.await(one+"/attempt?status=0", fmt.Sprintf(`[...document.querySelectorAll("main table tr")].some((r) => r.innerText.includes("sent again") && r.querySelector('a[href*=%q]'))`, id))
	b.await(one, `document.querySelector(".chart rect.good") !== null && document.querySelector(".chart rect.bad") !== null`)
	b.shoot("health")
}

// The last deliveries of an event type are there with their payloads.
func TestLast50WithPayload(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	b.open()
	b.add("looked-at", r.URL+"/in")
	b.link("Overview")
	one := path(b.address())
	b.send(`{"look":"<b>at me</b>"}`)
	r.next(t, "at me")
	b.await(one+"/last?type=CONVERSATION_CREATED", `[...document.querySelectorAll("details.delivery pre")].some((p) => p.textContent.includes("<b>at me</b>"))`)
	b.do(script(`[...document.querySelectorAll("details.delivery")].find((d) => d.textContent.includes("at me")).querySelector("summary").click()`))
	require.Contains(t, b.text(`details.delivery[open]`), `"look": "<b>at me</b>"`)
	require.Contains(t, b.text(`details.delivery[open] summary`), "Succeeded, 200")
	b.shoot("last-50")
}

// tryOnce has the endpoint that the tab is at try deliveries once.
func (b *tab) tryOnce() {
	b.t.Helper()
	b.link("Edit")
	b.do(script(`document.querySelectorAll("details").forEach((d) => d.open = true); document.querySelector("#retry").value = "fixed"`),
		set(`#retry_interval`, "1s"), set(`#retry_max_tries`, "1"))
	b.press("Save changes")
}

// After an outage one counts what failed and sends it again; the page tells how far that is without being loaded again.
func TestRecoverAfterAnOutage(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	r.answers.Store(http.StatusServiceUnavailable)
	b.open()
	b.add("outage", r.URL+"/in")
	b.link("Overview")
	one := path(b.address())
	b.tryOnce()
	b.send(`{"lost":"in the outage"}`)
	id := r.next(t, "in the outage").header.Get("Webhook-Id")
	b.await(one+"/attempt?status=2", fmt.Sprintf(`document.querySelector('main table a[href*=%q]') !== null`, id))
	r.answers.Store(http.StatusOK)
	b.link("Send again")
	b.shoot("send-again")
	b.press("Count first, and send nothing")
	b.do(until(`document.querySelector("#progress .state.good") !== null`))
	require.NotContains(t, b.text(`#progress`), "0 would be")
	b.shoot("counted")
	b.link("Go on to send them")
	b.press("Send again")
	b.do(until(`document.querySelector("#progress .state.good") !== null`))
	require.Equal(t, id, r.next(t, "in the outage").header.Get("Webhook-Id"))
	b.shoot("recovered")
}

// What was sent before there was an endpoint is replayed to it.
func TestReplayToANewEndpoint(t *testing.T) {
	t.Parallel()
	r, b := newReceiver(t), newTab(t, 1100, 800)
	b.open()
	crm := evaluated[string](b, `[...document.querySelectorAll(".card h2 a")].find((a) => a.textContent.includes("CRM")).getAttribute("href")`)
	b.await(crm+"/attempt?type=CONVERSATION_CREATED", `document.querySelector("main table a") !== null`)
	earlier := strings.Split(evaluated[string](b, `document.querySelector("main table a").getAttribute("href")`), "/")[5]
	b.add("new", r.URL+"/in")
	b.link("Overview")
	b.link("Send again")
	b.do(clicked(`input[name="what"][value="missing"]`))
	b.press("Send again")
	b.do(until(`document.querySelector("#progress .state.good") !== null`))
	b.shoot("replayed")
	require.NoError(t, rig.Await(t.Context(), stepLimit, func() (bool, error) {
		return r.next(t, `"type":"CONVERSATION_CREATED"`).header.Get("Webhook-Id") == earlier, nil
	}))
}
