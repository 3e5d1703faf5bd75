package portal

import (
	"fmt"

	"github.com/postrider/postrider/pkg/api"
)

// waterfall is how long the steps of an attempt took, as bars of a drawing that is 100 wide.
type waterfall struct {
	Steps []fallStep
	// Height is that of the drawing, and Text says it without.
	Height int
	Text   string
}

// fallStep is one of them.
type fallStep struct {
	Name string
	// Took is its length for people.
	Took string
	// X and Width are of 100, Y is where its bar is.
	X, Width string
	Y        int
}

// fallRow is how high a step of the drawing is, in its units.
const fallRow = 8

// fallOf makes it; without steps if nothing was measured.
func fallOf(t api.TimingsOut) waterfall {
	var out waterfall
	total := t.DurationMs
	if total <= 0 {
		return out
	}
	at := 0.0
	add := func(name string, ms float64) {
		if ms <= 0 {
			return
		}
		begin, width := min(at, total), min(ms, max(total-at, 0))
		out.Steps = append(out.Steps, fallStep{
			Name: name, Took: millis(ms), X: fmt.Sprintf("%.2f", begin/total*100), Width: fmt.Sprintf("%.2f", max(width/total*100, 0.5)),
			Y: len(out.Steps)*fallRow + 1,
		})
		at += ms
		out.Text += name + " " + millis(ms) + ", "
	}
	add("Looking up the name", t.DNSMs)
	add("Connecting", t.ConnectMs)
	add("TLS handshake", t.TLSMs)
	if t.FirstByteMs > 0 {
		add("Sending, and waiting for the response", t.FirstByteMs-at)
		add("Reading the response", t.DurationMs-t.FirstByteMs)
	} else {
		add("Waiting", t.DurationMs-at)
	}
	out.Height = len(out.Steps) * fallRow
	out.Text += "in all " + millis(total)
	return out
}

// millis says a number of milliseconds for people.
func millis(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.0f s", ms/1000)
	case ms >= 1000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}
