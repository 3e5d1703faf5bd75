package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/outcome"
)

// Frame is what a console shows beside the board.
type Frame struct {
	// State is what goes on, in a few words: "running", "waiting for what is due".
	State string
	Now   time.Time
	Start time.Time
	// Demo says that events are sent and requests verified here; without it the four counts mean nothing.
	Demo bool
	// Sent events, and those that nobody wants.
	Sent, Unwanted int
	// Requests that were verified, and those that could not be.
	Verified, Unverified int
	// Facts are names and values to go by: addresses, directories.
	Facts []Fact
	// Width and Height are the terminal's, in columns and rows.
	Width, Height int
	Color         bool
}

// Fact is something to go by.
type Fact struct{ Name, Value string }

// Colours, as the escape sequences of a terminal; see [style.paint].
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

type style struct{ color bool }

func (s style) paint(code, text string) string {
	if !s.color || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// verdictColor is the colour of a verdict.
func verdictColor(v outcome.Verdict) string {
	switch v {
	case outcome.Delivered:
		return green
	case outcome.Retry:
		return yellow
	case outcome.Dead:
		return red
	case outcome.Parked, outcome.Cancelled:
	}
	return dim
}

// mark is a result in the bar. Heights tell them apart without colour, too.
func mark(v outcome.Verdict) string {
	switch v {
	case outcome.Delivered:
		return "▇"
	case outcome.Retry:
		return "▄"
	case outcome.Dead:
		return "✗"
	case outcome.Parked, outcome.Cancelled:
	}
	return "·"
}

// Render draws the board as lines that fit the frame.
func (b *Board) Render(f Frame) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := style{f.Color}
	head := []string{b.title(s, f), ""}
	head = append(head, b.endpoints(s, f.Width)...)
	foot := append([]string{""}, b.footer(s, f)...)
	// What is left goes to the latest deliveries: an empty line, their heading, and as many as fit.
	room := min(max(f.Height-len(head)-len(foot)-2, 0), maxRecent)
	lines := head
	if room > 0 {
		lines = append(append(lines, ""), b.latest(s, f.Width, room)...)
	}
	return append(lines, foot...)
}

func (b *Board) title(s style, f Frame) string {
	age := f.Now.Sub(f.Start).Truncate(time.Second)
	return s.paint(bold, "Postrider dev") + "  " + s.paint(cyan, f.State) + s.paint(dim, "  "+age.String()+"  Ctrl-C ends it")
}

var endpointColumns = []column{
	{"ENDPOINT", 10, false},
	{"DELIVERED", 9, true},
	{"RETRYING", 8, true},
	{"PARKED", 6, true},
	{"DEAD", 5, true},
	{"BREAKER", 7, false},
	{"LAST", 7, false},
	{"P50", 6, true},
	{"P95", 6, true},
	{"PROFILE", 15, false},
}

func (b *Board) endpoints(s style, width int) []string {
	room := min(width-tableWidth(endpointColumns)-1, maxMarks)
	titles := endpointColumns
	if room >= minMarks {
		titles = append(slices.Clone(titles), column{"LATEST", room, false})
	}
	lines := []string{heading(s, titles, width)}
	for _, l := range b.lanes {
		line := tableRow(s, endpointColumns, l.cells(), width)
		if room >= minMarks {
			line += " " + l.bar(s, room)
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

// minMarks is how many results are worth a bar.
const minMarks = 8

func (l *lane) cells() []cell {
	number := func(n int, color string) cell {
		if n == 0 {
			color = dim
		}
		return cell{itoa(n), color}
	}
	breaker, last := cell{"closed", dim}, dim
	if l.open {
		breaker = cell{"open", red}
	}
	if len(l.marks) > 0 {
		last = verdictColor(l.marks[len(l.marks)-1])
	}
	return []cell{
		{l.name, bold},
		number(l.delivered, green), number(l.retrying, yellow), number(l.parked, yellow), number(l.dead, red), breaker,
		{l.last, last},
		{millis(quantile(l.times, 0.5)), ""},
		{millis(quantile(l.times, 0.95)), ""},
		{l.profile, dim},
	}
}

// bar draws the latest results, at most as many as fit.
func (l *lane) bar(s style, room int) string {
	var b strings.Builder
	for _, v := range l.marks[max(len(l.marks)-max(room, 0), 0):] {
		b.WriteString(s.paint(verdictColor(v), mark(v)))
	}
	return b.String()
}

func millis(ms float64) string {
	switch {
	case ms == 0:
		return "-"
	case ms < 10:
		return fmt.Sprintf("%.1fms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.0fms", ms)
	}
	return fmt.Sprintf("%.1fs", ms/1000)
}

var latestColumns = []column{
	{"TIME", 12, false},
	{"EVENT TYPE", 30, false},
	{"ENDPOINT", 10, false},
	{"VERDICT", 9, false},
	{"REASON", 13, false},
	{"STATUS", 8, false},
	{"TOOK", 6, true},
	{"TRY", 3, true},
}

// latest lists outcomes, the newest on top.
func (b *Board) latest(s style, width, room int) []string {
	lines := []string{heading(s, latestColumns, width)}
	for _, o := range slices.Backward(b.recent) {
		if len(lines) > room {
			break
		}
		took := "-"
		if o.Attempted() {
			took = millis(o.DurationMS)
		}
		name := b.name(o.Subscription)
		if l := b.bySub[o.Subscription]; l != nil {
			name = l.name
		}
		lines = append(lines, strings.TrimRight(tableRow(s, latestColumns, []cell{
			{o.At.Local().Format("15:04:05.000"), dim},
			{o.EventType, ""},
			{name, bold},
			{string(o.Verdict), verdictColor(o.Verdict)},
			{string(o.Reason), ""},
			{status(&o), ""},
			{took, ""},
			{itoa(o.Attempt), dim},
		}, width), " "))
	}
	return lines
}

// factName is the width of a fact's name. What is left of 80 columns is enough for a token.
const factName = 10

func (b *Board) footer(s style, f Frame) []string {
	attempts := fmt.Sprintf("%s (%.1f/s)", count(b.total.attempts, "attempt"), b.rate.perSecond(f.Now))
	signatures := s.paint(green, count(f.Verified, "signature")+" verified")
	if f.Unverified > 0 {
		signatures += ", " + s.paint(red, itoa(f.Unverified)+" NOT VERIFIED")
	}
	lines := []string{attempts}
	if f.Demo {
		lines[0] = fmt.Sprintf("%s sent (%d for nobody) · %s · %s", count(f.Sent, "event"), f.Unwanted, attempts, signatures)
	}
	for _, fact := range f.Facts {
		lines = append(lines, s.paint(dim, left(fact.Name, factName))+cut(fact.Value, f.Width-factName))
	}
	return lines
}

// Line tells the board in one line, for where there is no terminal.
func (b *Board) Line(f Frame) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var parts []string
	for _, l := range b.lanes {
		parts = append(parts, fmt.Sprintf("%s %d", l.name, l.delivered))
	}
	line := f.State + ": "
	if f.Demo {
		line += count(f.Sent, "event") + " sent, "
	}
	line += itoa(b.total.delivered) + " delivered"
	if len(parts) > 0 {
		line += " (" + strings.Join(parts, ", ") + ")"
	}
	line += fmt.Sprintf(", %d retrying, %d parked, %d dead", b.total.retrying, b.total.parked, b.total.dead)
	if f.Demo {
		line += fmt.Sprintf(", %d/%d signatures good", f.Verified, f.Verified+f.Unverified)
	}
	return line
}
