package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	samples "github.com/postrider/postrider/configs/demo"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/subscription"
)

// devRun runs a dev process on ports of its own until it ends or ctx does, and returns what it printed.
func devRun(ctx context.Context, t *testing.T, opts devOptions) (string, error) {
	t.Helper()
	t.Setenv("POSTRIDER_CONFIG", "")
	t.Setenv("POSTRIDER_HTTP_LISTEN", "127.0.0.1:0")
	cmd := newDevCmd() //nolint:contextcheck // the command carries it
	cmd.Flags().String("config", "", "")
	config.AddFlags(cmd.Flags())
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetContext(ctx)
	if opts.rate == 0 {
		opts.rate = 20
	}
	// What is due takes seconds, and far more on a busy machine.
	opts.settle = 5 * time.Minute
	err := runDev(cmd, opts) //nolint:contextcheck // likewise
	return out.String(), err
}

// untilRequests counts the requests to the endpoints, and calls enough once there were n.
func untilRequests(n int64, enough func()) func(http.Handler) http.Handler {
	var seen atomic.Int64
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if seen.Add(1) == n {
				enough()
			}
		})
	}
}

// untilFailure is [untilRequests], and waits for a failure then: that delivery is still to be tried again.
func untilFailure(n int64, enough func()) func(http.Handler) http.Handler {
	var seen atomic.Int64
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answered := httptest.NewRecorder()
			next.ServeHTTP(answered, r)
			maps.Copy(w.Header(), answered.Header())
			w.WriteHeader(answered.Code)
			_, _ = w.Write(answered.Body.Bytes())
			if seen.Add(1) >= n && answered.Code >= http.StatusInternalServerError {
				enough()
			}
		})
	}
}

// summaryNumbers returns the numbers of a line of the summary: expected, delivered, dead, waiting, lost, twice, requests, unverified.
func summaryNumbers(t *testing.T, out, name string) [8]int {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + ` +\d.*$`).FindString(out)
	require.NotEmpty(t, found, out)
	var n [8]int
	_, err := fmt.Sscan(strings.TrimPrefix(found, name), &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7])
	require.NoError(t, err)
	return n
}

// Positions in what [summaryNumbers] returns.
const (
	sumExpected = iota
	sumDelivered
	sumDead
	sumWaiting
	sumLost
	sumTwice
	_
	sumUnverified
)

// calm is a rate that the race detector on a busy machine keeps up with.
const calm = 5

func TestDevEndsByItself(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the demo's ladder")
	}
	out, err := devRun(t.Context(), t, devOptions{dir: t.TempDir(), duration: 4 * time.Second, rate: 10})
	require.NoError(t, err, out)
	require.Contains(t, out, "Nothing was lost, and every signature was good.")
	for _, healthy := range []string{"crm", "warehouse", "receipts", "loyalty", "calls"} {
		n := summaryNumbers(t, out, healthy)
		require.Positive(t, n[sumExpected])
		require.Equal(t, n[sumExpected], n[sumDelivered], healthy)
	}
	for _, name := range []string{"standard", "dixa", "flexengage", "voyado", "voice-platform"} {
		found := regexp.MustCompile(`(?m)^` + name + ` +([1-9]\d*) +(\d+)$`).FindStringSubmatch(out)
		require.Len(t, found, 3, name+" in "+out)
		require.Equal(t, found[1], found[2], name)
	}
	n := summaryNumbers(t, out, "flaky")
	require.Positive(t, n[sumDelivered])
	require.Equal(t, n[sumExpected], n[sumDelivered]+n[sumDead]+n[sumWaiting])
	n = summaryNumbers(t, out, "dead")
	require.Zero(t, n[sumDelivered])
	require.Positive(t, n[sumDead], "dead letters come within seconds")
	require.NotContains(t, out, "\x1b", "no terminal, no escape sequences")
	require.Contains(t, out, "/metrics")
	require.Regexp(t, `Portal +http://127\.0\.0\.1:\d+/portal/#token=prk_\w+`, out)
}

// Ctrl-C ends it at once, with an account of what waits; the next start goes on with that.
func TestDevGoesOnWhereItWas(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, err := devRun(ctx, t, devOptions{dir: dir, rate: calm, wrap: untilFailure(60, cancel)})
	require.NoError(t, err, out)
	all := summaryNumbers(t, out, "all")
	require.Positive(t, all[sumWaiting], "of the flaky or the dead endpoint")
	require.Contains(t, out, "in Kafka: a start with the same data directory goes on with what waits.")
	require.Zero(t, all[sumLost])
	log, err := os.ReadFile(filepath.Join(dir, "postrider.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "msg=attempt")

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	out, err = devRun(ctx, t, devOptions{dir: dir, rate: calm, wrap: untilRequests(100, cancel)})
	require.NoError(t, err, out)
	require.Contains(t, out, "for events that this run did not send: an earlier one did", "what waited was sent; nothing was sent anew")
	require.Zero(t, summaryNumbers(t, out, "all")[sumLost])
}

func TestDevTellsOfALoss(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, err := devRun(ctx, t, devOptions{
		dir: t.TempDir(), rate: calm, wrap: untilRequests(30, cancel),
		lose: func(n int) bool { return n == 3 }, // the third event is of the demo's tenant
	})
	var code exitCode
	require.ErrorAs(t, err, &code)
	require.Equal(t, 1, code.ExitCode())
	require.Contains(t, out, "LOST:")
	require.Equal(t, 1, summaryNumbers(t, out, "crm")[sumLost])
	require.Zero(t, summaryNumbers(t, out, "all")[sumUnverified])
	require.NotContains(t, out, "Nothing was lost")
}

func TestDevTellsOfABadSignature(t *testing.T) {
	var tampered atomic.Bool
	out, err := devRun(t.Context(), t, devOptions{
		dir: t.TempDir(), duration: 4 * time.Second, rate: calm,
		wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/warehouse" && tampered.CompareAndSwap(false, true) {
					body, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(append(body, ' ')))
				}
				next.ServeHTTP(w, r)
			})
		},
	})
	var code exitCode
	require.ErrorAs(t, err, &code)
	require.Contains(t, out, "NOT VERIFIED: 1 request.")
	require.Equal(t, 1, summaryNumbers(t, out, "warehouse")[sumUnverified])
	require.Contains(t, out, "Given up at warehouse: 1 not_retryable (the answer is final).", "401 is final there")
	require.Zero(t, summaryNumbers(t, out, "all")[sumLost])
}

func TestDevWithoutDemo(t *testing.T) {
	out, err := devRun(t.Context(), t, devOptions{duration: time.Second, dir: t.TempDir(), noDemo: true})
	require.NoError(t, err, out)
	require.Contains(t, out, "Kafka")
	require.NotContains(t, out, "Receiver")
	require.Contains(t, out, "/portal/   sign in with the key")
}

func TestDevRefuses(t *testing.T) {
	for want, opts := range map[string]devOptions{
		"--rate: 1e+06: want":   {rate: 1e6},
		"--for: -1s: want":      {duration: -time.Second},
		"making data directory": {dir: file(t, "x", "")},
	} {
		_, err := devRun(t.Context(), t, opts)
		require.ErrorContains(t, err, want)
	}
}

// The example of a subscriptions file is what the demo subscribes; an installation as shipped refuses it.
func TestDemoSubscriptions(t *testing.T) {
	conf := config.Default()
	profiles, err := app.Profiles(&conf)
	require.NoError(t, err)
	rules, err := fileRules(&conf, profiles)
	require.NoError(t, err)
	_, err = subscription.ParseFile("subscriptions.yaml", samples.Subscriptions, rules)
	require.ErrorContains(t, err, "url")
	var one *subscription.FileError
	require.ErrorAs(t, err, &one)

	conf.Egress.AllowHTTP, conf.Egress.AnyPort = true, true
	conf.Egress.AllowNetworks = loopbackNetworks()
	rules, err = fileRules(&conf, profiles)
	require.NoError(t, err)
	f, err := subscription.ParseFile("subscriptions.yaml", samples.Subscriptions, rules)
	require.NoError(t, err)
	require.Len(t, f.Tenants, 1)
	require.Len(t, f.Tenants[0].Subscriptions, 7)
}
