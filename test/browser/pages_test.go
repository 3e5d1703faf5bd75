package browser

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the screenshots of the README")

// everyPage visits all pages, of the demo's tenant and of operators, and calls each on every one of them.
func everyPage(t *testing.T, b *tab, each func(name string)) {
	t.Helper()
	b.goTo("/portal/")
	each("sign-in")
	b.open()
	app := strings.TrimSuffix(path(b.address()), "/endpoint")
	crm := evaluated[string](b, `[...document.querySelectorAll(".card h2 a")].find((a) => a.textContent.includes("CRM")).getAttribute("href")`)
	visit := func(name, at string) {
		b.goTo(at)
		each(name)
	}
	visit("endpoints", app+"/endpoint")
	visit("endpoints-none", app+"/endpoint?search=absent")
	visit("notices", app+"/notices")
	visit("new", app+"/endpoint/new")
	b.do(script(`document.querySelectorAll("details").forEach((d) => d.open = true); document.querySelector("[name=which][value=some]").click();
		document.querySelector("#retry").value = "exponential"; document.querySelector("#failure").value = "rate"; document.querySelector("[name=auth][value=basic]").click()`))
	each("new-open")
	b.do(script(`document.querySelector("[name=auth][value=oauth]").click()`))
	each("new-oauth")
	b.do(set(`#url`, "ftp://nowhere"), set(`#timeout`, "soon"))
	b.press("Create endpoint")
	each("new-refused")
	visit("endpoint", crm)
	visit("edit", crm+"/edit")
	visit("secret", crm+"/secret")
	b.press("Show the secret")
	each("secret-shown")
	visit("test", crm+"/test")
	b.do(pressed("Show the request"), seen(`#preview pre`))
	each("test-preview")
	visit("transformation", crm+"/transformation")
	b.do(set(`#code`, ".payload |= {agent}"), pressed("Try the program"), seen(`#simulated pre`))
	each("transformation-tried")
	visit("confirm", crm+"/confirm/delete")
	visit("event-types", app+"/event-type")
	visit("event-type", app+"/event-type/CONVERSATION_CREATED?endpoint="+crm[strings.LastIndex(crm, "/")+1:])
	visit("events", app+"/event")
	b.leave(clicked(`main table a`))
	each("event")
	b.await(crm+"/attempt", `document.querySelector("main table a") !== null`)
	each("attempts")
	b.link("Follow live")
	each("attempts-live")
	b.leave(clicked(`main table a`))
	each("attempt")
	visit("last-50", crm+"/last")
	visit("health", crm+"?window=hour")
	visit("send-again", crm+"/again")
	b.press("Count first, and send nothing")
	each("task")
	visit("tasks", app+"/task")
	visit("dead-letters", app+"/dead-letter")
	visit("changes", app+"/audit")
	visit("not-found", "/portal/nothing")
	b.leave(clicked(`form.out button`))
	each("signed-out")
	b.operate()
	each("tenants")
	visit("audit", "/portal/audit")
	visit("status", "/portal/status")
	visit("status-confirm", "/portal/status/confirm/stop-egress")
	visit("endpoint-of-a-tenant", crm)
}

func path(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Path
}

// axe-core finds nothing on any page, in light and dark.
func TestAccessible(t *testing.T) {
	t.Parallel()
	for _, dark := range []bool{false, true} {
		t.Run(fmt.Sprintf("dark=%t", dark), func(t *testing.T) {
			t.Parallel()
			b := newTab(t, 1100, 800)
			b.dark(dark)
			everyPage(t, b, func(name string) {
				b.accessible(name)
				b.shoot(fmt.Sprintf("%s-dark-%t", name, dark))
			})
		})
	}
}

// On a phone nothing has to be scrolled sideways, nor is anything cut off.
func TestOnAPhone(t *testing.T) {
	t.Parallel()
	b := newTab(t, 360, 740)
	everyPage(t, b, func(name string) {
		require.LessOrEqual(t, evaluated[int](b, `document.documentElement.scrollWidth`), 360, name)
		beyond := evaluated[[]string](b, `[...document.querySelectorAll("main *:not(pre *):not(.scroll *):not(pre)")].filter((e) => e.getClientRects().length && e.getBoundingClientRect().right > 361)
			.map((e) => e.outerHTML.slice(0, 120))`)
		require.Empty(t, beyond, name)
		b.shoot(name + "-phone")
	})
}

// The pictures of the README are of the portal as it is: with -update they are taken anew.
func TestPicturesOfTheREADME(t *testing.T) {
	t.Parallel()
	b := newTab(t, 1000, 640)
	b.open()
	pictures := map[string][]byte{"portal-endpoints.png": b.shoot("readme-endpoints")}
	b.do(script(`[...document.querySelectorAll(".card h2 a")].find((a) => a.textContent.includes("till")).id = "till"`))
	b.leave(clicked(`#till`))
	b.link("Test")
	b.do(
		script(`document.querySelector("#payload").rows = 3`),
		pressed("Show the request"), seen(`#preview pre`),
		script(`document.querySelector(".head").scrollIntoView()`),
	)
	pictures["portal-test.png"] = b.shoot("readme-test")
	for name, png := range pictures {
		file := filepath.Join("screenshots", name)
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, png, 0o644))
		}
		kept, err := os.Stat(file)
		require.NoError(t, err)
		require.Less(t, kept.Size(), int64(200<<10), "README pictures are small")
	}
}
