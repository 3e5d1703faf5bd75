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

// readProgress tells how far readings of topics are: a bar on a terminal, lines elsewhere if it takes long. Its methods may be
// called concurrently.
type readProgress struct {
	out      io.Writer
	terminal bool

	mu   sync.Mutex
	bar  *progressbar.ProgressBar
	what string
	told time.Time
}

func newReadProgress(out io.Writer) *readProgress {
	f, ok := out.(*os.File)
	return &readProgress{out: out, told: time.Now(), terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// tell says how far the reading of something is.
func (p *readProgress) tell(what string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.terminal {
		if time.Since(p.told) >= plainEvery {
			p.told = time.Now()
			fmt.Fprintf(p.out, "reading %s: %d of %d\n", what, done, total)
		}
		return
	}
	if p.bar == nil || p.what != what {
		p.close()
		p.what = what
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription("reading "+what),
			progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	_ = p.bar.Set64(min(done, total)) // a bar that cannot be drawn is no reason to stop
}

func (p *readProgress) close() {
	if p.bar != nil {
		_ = p.bar.Finish() // as in tell
		p.bar = nil
	}
}

// end takes the bar away.
func (p *readProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close()
}
