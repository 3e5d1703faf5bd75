package report

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine is where a run was made.
type Machine struct {
	CPUs  int    `json:"cpus"`
	Model string `json:"cpu_model,omitempty"`
	OS    string `json:"os"`
	Go    string `json:"go"`
	// Load is what else the machine had to do: its load averages.
	Load string `json:"load,omitempty"`
}

// ThisMachine describes the machine now. What only Linux tells is empty elsewhere.
func ThisMachine() Machine {
	m := Machine{CPUs: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return m
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			m.Model = strings.TrimSpace(value)
			break
		}
	}
	return m
}

// String is one line for people.
func (m Machine) String() string {
	return fmt.Sprintf("%d CPUs (%s), %s, %s, load %s", m.CPUs, m.Model, m.OS, m.Go, m.Load)
}
