package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// verdict of a figure.
type verdict string

const (
	passed verdict = "ok"
	failed verdict = "FAIL"
	told   verdict = "" // a figure without a target
)

// figure is one line of the table.
type figure struct {
	Check    string  `json:"check"`
	What     string  `json:"what"`
	Target   string  `json:"target,omitempty"`
	Measured string  `json:"measured"`
	Verdict  verdict `json:"verdict,omitempty"`
}

// report collects figures.
type report struct {
	started time.Time
	short   bool

	mu      sync.Mutex
	figures []figure
}

func (r *report) add(f figure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figures = append(r.figures, f)
	fmt.Fprintf(os.Stderr, "verify:   %-4s %s: %s\n", f.Verdict, f.What, f.Measured)
}

func (r *report) ok() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.figures {
		if f.Verdict == failed {
			return false
		}
	}
	return len(r.figures) > 0
}

func (r *report) print(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHECK\tFIGURE\tTARGET\tMEASURED\tVERDICT")
	last := ""
	for _, f := range r.figures {
		name := f.Check
		if name == last {
			name = ""
		}
		last = f.Check
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", name, f.What, f.Target, oneLine(f.Measured), f.Verdict)
	}
	_ = table.Flush()
}

// maxCell is how much of a text fits a cell of the table; the JSON file has all of it.
const maxCell = 120

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxCell {
		return string(runes[:maxCell-1]) + "…"
	}
	return s
}

func (r *report) write(path string) error {
	text, err := json.MarshalIndent(struct {
		Started time.Time `json:"started"`
		Seconds float64   `json:"seconds"`
		Short   bool      `json:"short"`
		CPUs    int       `json:"cpus"`
		OK      bool      `json:"ok"`
		Figures []figure  `json:"figures"`
	}{r.started, time.Since(r.started).Seconds(), r.short, runtime.NumCPU(), r.ok(), r.figures}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing report: %w", err)
	}
	return nil
}

// tell adds a figure without a target.
func (in *installation) tell(what, format string, args ...any) {
	in.report.add(figure{Check: in.name, What: what, Measured: fmt.Sprintf(format, args...), Verdict: told})
}

// want adds a figure with a target.
func (in *installation) want(ok bool, what, target, format string, args ...any) {
	v := passed
	if !ok {
		v = failed
	}
	in.report.add(figure{Check: in.name, What: what, Target: target, Measured: fmt.Sprintf(format, args...), Verdict: v})
}

// wantZero adds a count that has to be zero.
func (in *installation) wantZero(n int, what string) { in.want(n == 0, what, "0", "%d", n) }
