package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// build makes the binary to verify.
func build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "postrider")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/postrider/postrider/cmd/postrider")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building postrider: %w\n%s", err, out)
	}
	return path, nil
}

// process is one role in a process of its own, and in a process group of its own.
type process struct {
	name string
	ops  string // base URL of its operational listener
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has been waited for
	err  error         // of its end
}

// start runs a role, with further arguments. The process ends with [process.stop] or [process.kill], at the latest with this one.
func (in *installation) start(ctx context.Context, role string, args ...string) (*process, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	in.started++
	p := &process{name: fmt.Sprintf("%s-%d", role, in.started), ops: "http://127.0.0.1:" + port, done: make(chan struct{})}
	p.log = filepath.Join(in.dir, p.name+".log")
	out, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("opening log of %s: %w", p.name, err)
	}
	// The context bounds the start: the process lives until it is ended.
	args = append([]string{role, "--config", in.config, "--set", "http.listen=127.0.0.1:" + port, "--set", "kafka.client_id=" + p.name}, args...)
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), in.bench.binary, args...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = out, out, in.env()
	p.cmd.SysProcAttr = attributes()
	started := make(chan error)
	go func() {
		// The kernel ends the child with the thread that made it, so the thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = out.Close() }()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	in.processes = append(in.processes, p)
	return p, nil
}

// startReady starts roles and waits until all are in their groups.
func (in *installation) startReady(ctx context.Context, roles ...string) ([]*process, error) {
	var all []*process
	for _, role := range roles {
		p, err := in.start(ctx, role)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	for _, p := range all {
		if err := p.ready(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (p *process) ready(ctx context.Context) error {
	err := await(ctx, time.Minute, func() (bool, error) {
		select {
		case <-p.done:
			return false, fmt.Errorf("%s has ended: %w\n%s", p.name, p.err, tail(p.log))
		default:
		}
		_, err := get(ctx, p.ops+"/readyz")
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting until %s is ready: %w", p.name, err)
	}
	return nil
}

// kill is kill -9.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// termLimit is how long an orderly end may take before it counts as none.
const termLimit = 60 * time.Second

// term is SIGTERM; it returns the exit code and how long the end took.
func (p *process) term() (code int, took time.Duration, err error) {
	begin := time.Now()
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		return 0, 0, fmt.Errorf("ending %s: %w", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(termLimit):
		p.kill()
		return -1, time.Since(begin), fmt.Errorf("ending %s: still there after %s\n%s", p.name, termLimit, tail(p.log))
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(begin), nil
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// metric returns a figure of the process's own metrics, summed over labels.
func (p *process) metric(ctx context.Context, name string) (float64, error) {
	text, err := get(ctx, p.ops+"/metrics")
	if err != nil {
		return 0, fmt.Errorf("reading metrics of %s: %w", p.name, err)
	}
	sum, found := 0.0, false
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s of %s: %w", name, p.name, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("metric %s of %s: not there", name, p.name)
	}
	return sum, nil
}

// cpu returns the CPU seconds that the process has used.
func (p *process) cpu(ctx context.Context) (float64, error) {
	return p.metric(ctx, "process_cpu_seconds_total")
}

// maxScrape bounds what is read of a process's answer.
const maxScrape = 4 << 20

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxScrape))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return text, err
}

// tailBytes is how much of a log is shown.
const tailBytes = 3000

func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-tailBytes):])
}
