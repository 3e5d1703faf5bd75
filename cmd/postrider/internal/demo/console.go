package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// How often a console shows something new.
const (
	drawEvery = 250 * time.Millisecond // a terminal: as often as a person can follow
	lineEvery = 5 * time.Second        // anything else
)

// Console shows a board: redrawn in place on a terminal, as plain lines elsewhere.
type Console struct {
	out      io.Writer
	terminal *os.File // nil without one
	color    bool
	mu       sync.Mutex // one writer at a time
}

// NewConsole returns a console that writes to out. Colours are for terminals only, and not if NO_COLOR is set
// (https://no-color.org).
func NewConsole(out io.Writer) *Console {
	c := &Console{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		c.terminal = f
		c.color = os.Getenv("NO_COLOR") == ""
	}
	return c
}

// Terminal reports whether the board is redrawn in place.
func (c *Console) Terminal() bool { return c.terminal != nil }

// Say writes a line, unless the board is redrawn in place and shows it itself.
func (c *Console) Say(line string) {
	if c.terminal != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(time.Now().Format("15:04:05 ") + line + "\n")
}

// Run shows the board until ctx ends; frame says what stands beside it. A terminal is left as it was.
func (c *Console) Run(ctx context.Context, board *Board, frame func() Frame) {
	every := lineEvery
	show := func() { c.Say(board.Line(frame())) }
	if c.terminal != nil {
		every = drawEvery
		show = func() { c.draw(board, frame()) }
		// The alternate screen, and no cursor.
		c.write("\x1b[?1049h\x1b[?25l")
		defer c.write("\x1b[?25h\x1b[?1049l")
		show()
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			show()
		case <-ctx.Done():
			return
		}
	}
}

// Size of a terminal that does not tell: what they all had once.
const (
	defaultWidth  = 80
	defaultHeight = 24
)

func (c *Console) draw(board *Board, f Frame) {
	var err error
	if f.Width, f.Height, err = term.GetSize(int(c.terminal.Fd())); err != nil || f.Width == 0 {
		f.Width, f.Height = defaultWidth, defaultHeight
	}
	f.Color = c.color
	lines := board.Render(f)
	// Home, then each line with the rest of the old one erased, then everything below.
	c.write("\x1b[H" + strings.Join(lines[:min(len(lines), f.Height)], "\x1b[K\r\n") + "\x1b[K\x1b[J")
}

// write writes. That nobody sees it is no reason to stop.
func (c *Console) write(s string) { _, _ = fmt.Fprint(c.out, s) }
