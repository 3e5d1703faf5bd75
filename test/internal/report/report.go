// Package report is the table of figures that test/verify and test/bench end with.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// Verdict of a figure.
type Verdict string

// The verdicts.
const (
	Passed Verdict = "ok"
	Failed Verdict = "FAIL"
	Told   Verdict = "" // a figure without a target
)

// Figure is one line of the table.
type Figure struct {
	Check    string  `json:"check"`
	What     string  `json:"what"`
	Target   string  `json:"target,omitempty"`
	Measured string  `json:"measured"`
	Verdict  Verdict `json:"verdict,omitempty"`
	// Value is the figure as a number, in Unit, and Ratio is it to what the same run says is possible; 0 is unknown.
	Value float64 `json:"value,omitempty"`
	Unit  string  `json:"unit,omitempty"`
	Ratio float64 `json:"ratio,omitempty"`
}

// Report collects figures.
type Report struct {
	// Program is whose report it is, for what is said on the way.
	Program string
	Started time.Time
	Short   bool

	mu      sync.Mutex
	figures []Figure
}

// Add adds a figure, and says it on standard error at once.
func (r *Report) Add(f Figure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figures = append(r.figures, f)
	fmt.Fprintf(os.Stderr, "%s:   %-4s %s: %s\n", r.Program, f.Verdict, f.What, f.Measured)
}

// OK reports whether there are figures, and none misses its target.
func (r *Report) OK() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.figures {
		if f.Verdict == Failed {
			return false
		}
	}
	return len(r.figures) > 0
}

// Print writes the table.
func (r *Report) Print(w io.Writer) {
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

// Write writes the figures to a file, as JSON, with the machine they are of.
func (r *Report) Write(path string) error {
	text, err := json.MarshalIndent(struct {
		Started time.Time `json:"started"`
		Seconds float64   `json:"seconds"`
		Short   bool      `json:"short"`
		Machine
		OK      bool     `json:"ok"`
		Figures []Figure `json:"figures"`
	}{r.Started, time.Since(r.Started).Seconds(), r.Short, ThisMachine(), r.OK(), r.figures}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing report: %w", err)
	}
	return nil
}
