package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// taskProgress tells how far a task is: a bar on a terminal, lines elsewhere.
type taskProgress struct {
	out  io.Writer
	bar  *progressbar.ProgressBar // nil without a terminal
	told time.Time
}

func newTaskProgress(out io.Writer) *taskProgress {
	p := &taskProgress{out: out, told: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("counting"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("deliveries"),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// show shows a task as it is now.
func (p *taskProgress) show(t *shownTask) {
	switch {
	case p.bar != nil && t.Counted > 0:
		p.bar.Describe(map[bool]string{true: "counting", false: "sending"}[t.DryRun])
		p.bar.ChangeMax(t.Counted)
		_ = p.bar.Set(min(t.Done+t.Failed, t.Counted)) // a bar that cannot be drawn is no reason to stop
	case p.bar == nil && time.Since(p.told) >= plainEvery:
		p.told = time.Now()
		_, _ = fmt.Fprintf(p.out, "%d of %s %s\n", t.Done, t.counted(), t.done()) // as above
	}
}

// end takes the bar away.
func (p *taskProgress) end() {
	if p.bar != nil {
		_ = p.bar.Finish() // as in show
	}
}
