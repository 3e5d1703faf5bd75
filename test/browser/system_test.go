package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	// What is tested runs as a process of its own: these make go test see when it changes.
	_ "github.com/postrider/postrider/pkg/app"
	_ "github.com/postrider/postrider/pkg/portal"
	"github.com/postrider/postrider/test/internal/node"
	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/suite"
)

// startLimit bounds the build and the start of Postrider, on a busy machine.
const startLimit = 5 * time.Minute

// system is a Postrider that all tests share: postrider dev, with its demo.
var system struct {
	// link opens the portal as the demo's tenant; key is an operator's.
	link, key string
	chromium  string
	axe       string // its source
}

func TestMain(m *testing.M) { os.Exit(tested(m)) }

func tested(m *testing.M) int {
	suite.Shuffle()
	dir, err := os.MkdirTemp("", "postrider-browser-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		var stop func()
		if stop, err = start(dir); err == nil {
			defer stop()
			return m.Run()
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// start runs Postrider and gets what the tests need beside it.
func start(dir string) (stop func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if system.chromium, err = node.Program(ctx, "chromium", "chromium"); err != nil {
		return nil, err
	}
	packages, err := node.NPM(ctx, "axe-core@4.14.1")
	if err != nil {
		return nil, err
	}
	source, err := os.ReadFile(filepath.Join(packages, "node_modules/axe-core/axe.min.js"))
	if err != nil {
		return nil, err
	}
	system.axe = string(source)
	binary := filepath.Join(dir, "postrider")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/postrider/postrider/cmd/postrider").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building postrider: %w\n%s", err, out)
	}
	log := filepath.Join(dir, "dev.log")
	child := &node.Child{Command: []string{binary, "dev", "--data-dir", filepath.Join(dir, "data"), "--rate", "5"}, LogFile: log}
	if err := apart(ctx, child); err != nil {
		return nil, err
	}
	if err := child.Start(ctx); err != nil {
		return nil, err
	}
	stop = func() { _ = child.Remove() }
	err = rig.Await(ctx, startLimit, func() (bool, error) {
		if !child.Running(ctx) {
			return false, errors.New("postrider dev has ended:\n" + child.Log())
		}
		said, err := os.ReadFile(log)
		link := regexp.MustCompile(`http://\S+/portal/#token=\S+`).Find(said)
		key := regexp.MustCompile(`POSTRIDER_TOKEN=(\S+)`).FindSubmatch(said)
		if err != nil || link == nil || key == nil {
			return false, err
		}
		system.link, system.key = string(link), string(key[1])
		return true, nil
	})
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// apart gives a dev process ports of its own: another test's may be about to take the usual ones.
func apart(ctx context.Context, child *node.Child) error {
	child.Env = append(os.Environ(), "POSTRIDER_CONFIG=")
	for _, flag := range []string{"--kafka-port", "--redis-port", "--receiver-port"} {
		port, err := rig.FreePort(ctx)
		if err != nil {
			return err
		}
		child.Command = append(child.Command, flag, strconv.Itoa(port))
	}
	for _, name := range []string{"POSTRIDER_API_LISTEN", "POSTRIDER_HTTP_LISTEN"} {
		address, err := rig.FreeAddress(ctx)
		if err != nil {
			return err
		}
		child.Env = append(child.Env, name+"="+address)
	}
	return nil
}

// base is where the portal is, with a slash at the end.
func base() string {
	before, _, _ := strings.Cut(system.link, "#")
	return before
}

// receiver is an endpoint: it keeps what it gets.
type receiver struct {
	*httptest.Server
	got chan received
	// answers is the status of its answers, says their body and a header. With about it is only that of answers to what has this text
	// in its body, and others get 200: what the demo sends of the same type comes when it likes.
	answers atomic.Int64
	says    atomic.Value
	about   atomic.Value
}

// received is a request.
type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: make(chan received, 100)}
	r.answers.Store(http.StatusOK)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		text, _ := r.says.Load().(string)
		if text != "" {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("X-Says", text)
		}
		status := int(r.answers.Load())
		if about, _ := r.about.Load().(string); !strings.Contains(string(body), about) {
			status = http.StatusOK
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
		select {
		case r.got <- received{request.Header, body}:
		default: // more than a test looks at
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// next is the next request that has the text in its body, within a minute.
func (r *receiver) next(t *testing.T, text string) received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		select {
		case got := <-r.got:
			if strings.Contains(string(got.body), text) {
				return got
			}
		case <-ctx.Done():
			t.Fatalf("no request with %q came", text)
		}
	}
}
