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

// sendProgress tells how many events were acknowledged: a bar on a terminal, lines elsewhere.
type sendProgress struct {
	out io.Writer
	bar *progressbar.ProgressBar // nil without a terminal

	mu   sync.Mutex
	done int
	told time.Time
}

func newSendProgress(out io.Writer) *sendProgress {
	p := &sendProgress{out: out, told: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("sending"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// begin sets how many events will come; -1 if nobody knows.
func (p *sendProgress) begin(total int) {
	if p.bar != nil {
		p.bar.ChangeMax(total)
	}
}

// add counts an event. It may be called concurrently.
func (p *sendProgress) add() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.bar != nil {
		_ = p.bar.Add(1) // a bar that cannot be drawn is no reason to stop
		return
	}
	if time.Since(p.told) >= plainEvery {
		p.told = time.Now()
		p.say("%d events sent\n", p.done)
	}
}

// end writes the last line.
func (p *sendProgress) end(topic string, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish() // as in add
	}
	p.say("%d events sent to %s in %s\n", p.done, topic, took.Round(time.Millisecond))
}

// say writes a line. That it cannot be written is no reason to stop sending.
func (p *sendProgress) say(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }
