package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// plainEvery is how often progress is told where there is no terminal.
const plainEvery = 5 * time.Second

// progress tells how many things were dealt with: a bar on a terminal, lines elsewhere.
type progress struct {
	out io.Writer
	// what they are, and what was done to them.
	what, done string
	bar        *progressbar.ProgressBar // nil without a terminal

	mu    sync.Mutex
	count int
	told  time.Time
}

// newProgress returns the progress of "sending" "events", which are "sent" in the end.
func newProgress(out io.Writer, doing, what, done string) *progress {
	p := &progress{out: out, what: what, done: done, told: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(doing),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(what),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// begin sets how many will come; -1 if nobody knows.
func (p *progress) begin(total int) {
	if p.bar != nil {
		p.bar.ChangeMax(total)
	}
}

// add counts n more. It may be called concurrently.
func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count += n
	if p.bar != nil {
		_ = p.bar.Add(n) // a bar that cannot be drawn is no reason to stop
		return
	}
	if time.Since(p.told) >= plainEvery {
		p.told = time.Now()
		p.say("%d %s %s\n", p.count, p.what, p.done)
	}
}

// end writes the last line: where to, or from where, is empty or begins with a space.
func (p *progress) end(where string, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish() // as in add
	}
	p.say("%d %s %s%s in %s\n", p.count, p.what, p.done, where, took.Round(time.Millisecond))
}

// say writes a line. That it cannot be written is no reason to stop sending.
func (p *progress) say(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }
