package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/test/internal/rig"
)

// stepLimit bounds one step of a journey: on a busy machine a browser takes seconds to show a page.
const stepLimit = time.Minute

// tab is a browser that somebody uses.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu sync.Mutex
	// wrong is what the browser complained about: errors of scripts, and what a page's policy refused.
	wrong []string
}

// step is what somebody does.
type step = chromedp.Action[chromedp.Void]

// newTab starts a browser of a size, and fails the test if the browser complains about a page.
func newTab(t *testing.T, width, height int64) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(system.chromium), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en-GB"))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(ctx)
	b := &tab{t: t, ctx: ctx}
	t.Cleanup(func() {
		end()
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		require.Empty(t, b.wrong, "what the browser complained about")
	})
	// The first run starts the browser, which lives as long as its context.
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, height)))
	require.NoError(t, chromedp.Listen(ctx, b.listen))
	b.do(command(emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Stockholm"}))
	return b
}

// command is a step that is a command of the protocol.
func command[P, R any](c cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *cdpruntime.EventExceptionThrown:
		b.wrong = append(b.wrong, e.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		// A refusal that a test provokes is logged as a failed load.
		if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
			b.wrong = append(b.wrong, e.Entry.Text)
		}
	}
}

// do makes steps, each within its limit.
func (b *tab) do(steps ...step) {
	b.t.Helper()
	for i, s := range steps {
		ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
		err := chromedp.Do(ctx, s)
		cancel()
		if err != nil {
			b.shoot("failed-" + strings.ReplaceAll(b.t.Name(), "/", "-"))
			require.NoError(b.t, err, "step %d at %s", i, b.address())
		}
	}
}

// script is a step that runs a script in the page.
func script(expression string) step { return chromedp.Evaluate[chromedp.Void](expression) }

// until waits until an expression is true. What chromedp has for it is evaluated by the page, whose policy refuses that.
func until(expression string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		err := rig.Await(ctx, stepLimit, func() (bool, error) {
			is, err := chromedp.Evaluate[bool](expression)(ctx, t)
			if err != nil && ctx.Err() == nil {
				return false, nil // a page that is being left has nothing to say
			}
			return is, err
		})
		if err != nil {
			return fmt.Errorf("waiting until %s: %w", expression, err)
		}
		return nil
	})
}

// ready is true once the page's scripts have run.
const ready = `document.readyState === "complete" && window.htmx !== undefined && document.querySelector("#main") !== null`

// leave makes a step that leads to another page, and waits until that is there.
func (b *tab) leave(s step) {
	b.t.Helper()
	b.do(script(`document.documentElement.dataset.left = "yes"`), s, until(`!document.documentElement.dataset.left && `+ready))
}

// open signs in as the demo's tenant.
func (b *tab) open() {
	b.t.Helper()
	b.do(chromedp.Navigate(system.link), until(`document.querySelector("form.out") !== null && `+ready))
}

// operate signs in with the operator's key, by typing it.
func (b *tab) operate() {
	b.t.Helper()
	b.goTo("/portal/")
	b.do(typed(`#token`, system.key))
	b.leave(clicked(`#signin button`))
}

func (b *tab) goTo(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(strings.TrimSuffix(base(), "/portal/")+path), until(ready))
}

// typed, clicked and seen are steps on the element of a CSS selector.
func typed(selector, text string) step { return chromedp.SendKeys(chromedp.CSS(selector), text) }
func clicked(selector string) step     { return chromedp.Click(chromedp.CSS(selector)) }
func seen(selector string) step        { return chromedp.WaitVisible(chromedp.CSS(selector)) }

// set replaces what is in a field.
func set(selector, text string) step { return chromedp.SetValue(chromedp.CSS(selector), text) }

// address is where the tab is.
func (b *tab) address() string {
	at, _ := chromedp.Run(b.ctx, chromedp.Location()) // for a message
	return at
}

// text is the text that is seen of an element, value what is in a field.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return result(b, chromedp.Text(chromedp.CSS(selector)))
}

func (b *tab) value(selector string) string {
	b.t.Helper()
	return result(b, chromedp.Value(chromedp.CSS(selector)))
}

// result is what an action comes to.
func result[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	out, err := chromedp.Run(ctx, a)
	require.NoError(b.t, err, b.address())
	return out
}

// evaluated is what an expression, or the promise that it is, comes to.
func evaluated[T any](b *tab, expression string) T {
	b.t.Helper()
	return result(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// link clicks a link by its text, and waits for where it leads.
func (b *tab) link(text string) {
	b.t.Helper()
	b.leave(chromedp.Click(fmt.Sprintf(`//main//a[normalize-space()=%q] | //header//a[normalize-space()=%q]`, text, text)))
}

// press clicks a button by its text, and waits for where it leads.
func (b *tab) press(text string) {
	b.t.Helper()
	b.leave(pressed(text))
}

// pressed is a click on a button by its text.
func pressed(text string) step {
	return chromedp.Click(fmt.Sprintf(`//main//button[normalize-space()=%q]`, text))
}

// dark has pages shown as the system's setting says.
func (b *tab) dark(dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.do(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}))
}

// key presses the Tab key until an element has the focus.
func (b *tab) key(selector string) {
	b.t.Helper()
	const most = 120
	for range most {
		b.do(chromedp.KeyEvent(kb.Tab))
		if evaluated[bool](b, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
			return
		}
	}
	b.t.Fatalf("the Tab key does not lead to %s at %s", selector, b.address())
}

// artefacts is where screenshots are kept.
func artefacts() string {
	if dir := os.Getenv("POSTRIDER_TEST_ARTEFACTS"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", ".artefacts")
}

// shoot keeps a screenshot of what is seen.
func (b *tab) shoot(name string) []byte {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	require.NoError(b.t, os.MkdirAll(artefacts(), 0o755))
	require.NoError(b.t, os.WriteFile(filepath.Join(artefacts(), name+".png"), png, 0o600))
	return png
}

// violation is what axe-core has against a page.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// accessible runs axe-core on the page, with all of its rules, also those of best practice.
func (b *tab) accessible(what string) {
	b.t.Helper()
	b.do(script(system.axe))
	report := evaluated[string](b, `axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations))`)
	var found []violation
	require.NoError(b.t, json.Unmarshal([]byte(report), &found))
	for _, v := range found {
		for _, n := range v.Nodes {
			b.t.Errorf("%s: %s (%s)\n%s\n%s", what, v.ID, v.Help, n.HTML, n.Summary)
		}
	}
}
