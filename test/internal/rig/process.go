package rig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/test/internal/node"
)

// Process is one role in a process of its own.
type Process struct {
	Name string
	// Role is the subcommand.
	Role string

	ops   string // base URL of its operational listener
	child *node.Child
}

// Start runs a role, with further arguments. The process ends with [Process.Term] or [Process.Kill], at the latest with
// this one.
func (in *Installation) Start(ctx context.Context, role string, args ...string) (*Process, error) {
	address, err := FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	in.started++
	p := &Process{Name: fmt.Sprintf("%s-%d", role, in.started), Role: role, ops: "http://" + address}
	command := []string{in.Binary, role, "--config", in.config, "--set", "http.listen=" + address, "--set", "kafka.client_id=" + p.Name}
	p.child = &node.Child{
		Command: append(command, args...), Env: in.env(), LogFile: filepath.Join(in.Dir, p.Name+".log"),
	}
	if err := p.child.Start(ctx); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Name, err)
	}
	in.processes = append(in.processes, p)
	return p, nil
}

// StartReady starts roles and waits until all are in their groups.
func (in *Installation) StartReady(ctx context.Context, roles ...string) ([]*Process, error) {
	var all []*Process
	for _, role := range roles {
		p, err := in.Start(ctx, role)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	for _, p := range all {
		if err := p.Ready(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Ready waits until the process says that it is.
func (p *Process) Ready(ctx context.Context) error {
	err := Await(ctx, time.Minute, func() (bool, error) {
		if !p.child.Running(ctx) {
			return false, fmt.Errorf("%s has ended:\n%s", p.Name, p.child.Log())
		}
		_, err := get(ctx, p.ops+"/readyz")
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting until %s is ready: %w", p.Name, err)
	}
	return nil
}

// Kill is kill -9. It does nothing if the process has ended.
func (p *Process) Kill(ctx context.Context) { _ = p.child.Kill(ctx) }

// termLimit is how long an orderly end may take before it counts as none.
const termLimit = 60 * time.Second

// Term is SIGTERM; it returns the exit code and how long the end took.
func (p *Process) Term(ctx context.Context) (code int, took time.Duration, err error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, termLimit, fmt.Errorf("still there after %s", termLimit))
	defer cancel()
	if err := p.child.Stop(ctx); err != nil {
		return -1, time.Since(begin), fmt.Errorf("ending %s: %w\n%s", p.Name, err, p.child.Log())
	}
	return p.child.ExitCode(), time.Since(begin), nil
}

// Address is where the process shows its metrics, host:port.
func (p *Process) Address() string { return strings.TrimPrefix(p.ops, "http://") }

// Pause freezes the process; its connections stay open and it does nothing.
func (p *Process) Pause(ctx context.Context) error { return p.child.Pause(ctx) }

// Resume lets a frozen process go on.
func (p *Process) Resume(ctx context.Context) error { return p.child.Resume(ctx) }

// PID is the process's id.
func (p *Process) PID() int { return p.child.PID() }

// Profile returns a CPU profile of the next so many seconds. The process has to be started with http.profiling.
func (p *Process) Profile(ctx context.Context, seconds int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, getLimit+time.Duration(seconds)*time.Second)
	defer cancel()
	profile, err := fetch(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", p.ops, seconds))
	if err != nil {
		return nil, fmt.Errorf("profiling %s: %w", p.Name, err)
	}
	return profile, nil
}

// Metric returns a figure of the process's own metrics, summed over those labels that hold all the given ones
// (`reason="breaker_open"`).
func (p *Process) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	text, err := get(ctx, p.ops+"/metrics")
	if err != nil {
		return 0, fmt.Errorf("reading metrics of %s: %w", p.Name, err)
	}
	sum, found := 0.0, false
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		found = true
		if !containsAll(rest, labels) {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s of %s: %w", name, p.Name, err)
		}
		sum += v
	}
	if !found && len(labels) == 0 { // one with labels appears with its first value
		return 0, fmt.Errorf("metric %s of %s: not there", name, p.Name)
	}
	return sum, nil
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// CPU returns the CPU seconds that the process has used, by its own account.
func (p *Process) CPU(ctx context.Context) (float64, error) {
	return p.Metric(ctx, "process_cpu_seconds_total")
}

// FreePort returns a port of the loopback interface on which nobody listens.
func FreePort(ctx context.Context) (int, error) {
	ports, err := node.FreePorts(ctx, 1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// FreeAddress returns an address of the loopback interface with such a port.
func FreeAddress(ctx context.Context) (string, error) {
	port, err := FreePort(ctx)
	return "127.0.0.1:" + strconv.Itoa(port), err
}

// MaxScrape bounds what is read of a process's answer, in bytes.
const MaxScrape = 4 << 20

// getLimit is how long a process has for an answer.
const getLimit = 5 * time.Second

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, getLimit)
	defer cancel()
	return fetch(ctx, url)
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxScrape))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return text, err
}
