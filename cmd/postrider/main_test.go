package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) {
	suite.Shuffle()
	testscript.Main(m, map[string]func(){"postrider": main})
}

// TestScripts runs the program as a user does. Besides the commands of testscript there are:
//
//	kafka                    start an embedded broker, without topics, and point the environment at it
//	redis                    the same for an embedded Redis
//	fails REGEXP COMMAND…    the program exits with 1 in time, and standard error is one line that matches
//	events FILE BYTES        write an event of so many bytes
//	listen                   choose other ports for probes and the management API
//	capture VAR REGEXP       set VAR to what the group matches in the last standard output
//	ready                    wait until the role behind that port is ready
//	metric REGEXP            wait until its metrics match
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Deadline: time.Now().Add(3 * readyIn), // a script takes seconds, on a machine that has time
		Setup: func(e *testscript.Env) error {
			// Nothing that happens to run on this machine answers.
			e.Setenv("POSTRIDER_KAFKA_BROKERS", "127.0.0.1:1")
			e.Setenv("POSTRIDER_REDIS_ADDRESSES", "127.0.0.1:1")
			e.Setenv("POSTRIDER_HTTP_LISTEN", "127.0.0.1:0")
			keyset, err := seal.Generate()
			if err != nil {
				return err
			}
			text, err := keyset.JSON()
			e.Setenv("POSTRIDER_ENCRYPTION_KEYSET", text)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"kafka": startKafka, "redis": startRedis, "fails": fails, "events": writeEvent, "listen": listen, "capture": capture, "ready": ready, "metric": metric,
		},
	})
}

func startKafka(ts *testscript.TestScript, _ bool, _ []string) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	ts.Check(err)
	ts.Defer(c.Close)
	ts.Setenv("POSTRIDER_KAFKA_BROKERS", strings.Join(c.ListenAddrs(), ","))
}

func startRedis(ts *testscript.TestScript, _ bool, _ []string) {
	r, err := miniredis.Run()
	ts.Check(err)
	ts.Defer(r.Close)
	ts.Setenv("POSTRIDER_REDIS_ADDRESSES", r.Addr())
}

// inTime bounds a failure: the first contact with Kafka takes ten seconds, and the machine may be busy.
const inTime = time.Minute

func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails REGEXP COMMAND…")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	start := time.Now()
	err = ts.Exec(args[1], args[2:]...)
	took := time.Since(start)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		ts.Fatalf("ended with %v: want exit code 1", err)
	}
	line, ended := strings.CutSuffix(ts.ReadFile("stderr"), "\n")
	if !ended || strings.Contains(line, "\n") || !strings.HasPrefix(line, "postrider: ") || !want.MatchString(line) {
		ts.Fatalf("standard error:\n%s\nwant one line that matches %s", line, want)
	}
	if took > inTime {
		ts.Fatalf("took %s: want at most %s", took, inTime)
	}
}

func listen(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Setenv("POSTRIDER_HTTP_LISTEN", freePort(ts))
	api := freePort(ts)
	ts.Setenv("POSTRIDER_API_LISTEN", api)
	ts.Setenv("POSTRIDER_SERVER", "http://"+api)
}

func freePort(ts *testscript.TestScript) string {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Check(l.Close())
	return l.Addr().String()
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture VAR REGEXP")
	}
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	got := want.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(got) != 2 {
		ts.Fatalf("standard output does not match %s, which wants one group", want)
	}
	ts.Setenv(args[0], got[1])
}

// readyIn bounds the start of a role, on a busy machine.
const readyIn = 3 * time.Minute

func ready(ts *testscript.TestScript, _ bool, _ []string) {
	await(ts, "/readyz", regexp.MustCompile(`^ok\n$`))
}

func metric(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: metric REGEXP")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	await(ts, "/metrics", want)
}

// await asks the role until its answer matches.
func await(ts *testscript.TestScript, path string, want *regexp.Regexp) {
	ctx, cancel := context.WithTimeout(context.Background(), readyIn)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		body, err := get(ctx, "http://"+ts.Getenv("POSTRIDER_HTTP_LISTEN")+path)
		if err == nil && want.Match(body) {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			ts.Fatalf("%s does not match %s within %s: %v\n%s", path, want, readyIn, err, body)
		}
	}
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := new(http.Client).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(io.LimitReader(response.Body, 1<<20))
}

func writeEvent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: events FILE BYTES")
	}
	const head, tail = `{"specversion":"1.0","id":"1","source":"/s","type":"a.b","tenant":"acme","data":"`, `"}`
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := head + strings.Repeat("x", size-len(head)-len(tail)) + tail + "\n"
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}
