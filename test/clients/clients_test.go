package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"
)

// programLimit bounds a program, which takes about ten seconds.
const programLimit = 5 * time.Minute

// line is what a program reports.
type line struct {
	Kind string `json:"kind"`
	Name string `json:"name"` // of a step that is done, or of an event that is asked for once more

	// Of a request to its receiver.
	Path    string            `json:"path"`
	Secrets []string          `json:"secrets"` // every one of them must verify
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
	Error   string            `json:"error"` // of the client's verifier
}

// The official clients, each going its way with the same installation.
func TestClients(t *testing.T) {
	type installed struct {
		client
		err error
	}
	clients := map[string]chan installed{"javascript": make(chan installed, 1), "python": make(chan installed, 1)}
	for name, into := range map[string]func(context.Context) (client, error){"javascript": installJavaScript, "python": installPython} {
		go func() { // beside the start of the system
			c, err := into(t.Context())
			clients[name] <- installed{c, err}
		}()
	}
	s := start(t)
	t.Run("JavaScript", func(t *testing.T) {
		c := <-clients["javascript"]
		require.NoError(t, c.err)
		flow(t, s, c.client, filepath.Join("javascript", "flow.mjs"), "POSTRIDER_CLIENT="+c.directory)
	})
	t.Run("Python", func(t *testing.T) {
		c := <-clients["python"]
		require.NoError(t, c.err)
		flow(t, s, c.client, filepath.Join("python", "flow.py"), "PYTHONPATH="+c.directory, "PYTHONDONTWRITEBYTECODE=1")
	})
	t.Run("Go", func(t *testing.T) { testGo(t, s) })
}

// flow runs a program and checks what it reports.
func flow(t *testing.T, s *system, c client, program string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, program)
	cmd.Env = append(append(os.Environ(), env...), "POSTRIDER_URL="+s.url, "POSTRIDER_TOKEN="+s.token, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	cmd.WaitDelay = 5 * time.Second
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	steps, bad := check(t, &out)
	require.NoError(t, errors.Join(err, ctx.Err()), "after %v:\n%s", steps, &problems)
	require.Empty(t, bad, "verified by the client")
	require.Len(t, steps, 9, "steps")
}

// check verifies every request that a program reports once more and returns the steps that it went, and what its own
// verifier refused.
func check(t *testing.T, out *bytes.Buffer) (steps, bad []string) {
	t.Helper()
	times, asked := map[string]int{}, map[string]int{}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l line
		require.NoError(t, json.Unmarshal(lines.Bytes(), &l), lines.Text())
		switch l.Kind {
		case "step":
			steps = append(steps, l.Name)
		case "resend":
			asked[l.Path+" "+l.Name]++
		case "bad":
			bad = append(bad, fmt.Sprintf("/%s: %s", l.Path, l.Error))
		case "request":
			id := verify(t, l)
			times[l.Path+" "+id]++
		default:
			require.Failf(t, "unknown line", "%s", lines.Text())
		}
	}
	require.NoError(t, lines.Err())
	for delivery, n := range times {
		require.Equal(t, 1+asked[delivery], n, delivery)
	}
	require.True(t, len(steps) < 4 || len(times) >= 4, "%d deliveries reported", len(times))
	return steps, bad
}

// verify verifies a request with all secrets and returns the id of its event.
func verify(t *testing.T, l line) string {
	t.Helper()
	headers := http.Header{}
	for name, value := range l.Headers {
		headers.Set(name, value)
	}
	require.NotEmpty(t, l.Secrets)
	for _, secret := range l.Secrets {
		wh, err := svix.NewWebhook(secret)
		require.NoError(t, err)
		require.NoError(t, wh.Verify(l.Body, headers), "/%s %s", l.Path, headers)
	}
	if id := headers.Get("svix-id"); id != "" {
		return id
	}
	return headers.Get("webhook-id")
}
