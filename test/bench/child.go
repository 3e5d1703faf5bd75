package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/test/internal/node"
	"github.com/postrider/postrider/test/internal/rig"
)

// child is this program in another process, in one of its roles. It is told what to do over HTTP, so that its CPU can be
// read before and after.
type child struct {
	node    *node.Child
	control string // base URL
}

// childRoles are what a child may be. Each registers its calls and returns; the process serves until it is killed.
func childRoles() map[string]func(o childOptions, calls *http.ServeMux) error {
	return map[string]func(o childOptions, calls *http.ServeMux) error{
		"sink": newSink, "limit": newLimit, "broker": newBroker,
	}
}

// childOptions are what a child is started with.
type childOptions struct {
	dir     string // of the rig: the authority
	port    int    // of the endpoints, or of the broker
	hosts   int    // endpoints
	http1   bool   // is all that the endpoints speak
	control string // host:port
}

// runChild is the main function of a child.
func runChild(role func(childOptions, *http.ServeMux) error, args []string) error {
	var o childOptions
	flags := flag.NewFlagSet("child", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", "", "")
	flags.StringVar(&o.control, "control", "", "")
	flags.IntVar(&o.port, "port", 0, "")
	flags.IntVar(&o.hosts, "hosts", 0, "")
	flags.BoolVar(&o.http1, "http1", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	calls := http.NewServeMux()
	calls.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	if err := role(o, calls); err != nil {
		return err
	}
	server := &http.Server{Addr: o.control, Handler: calls, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// startChild starts a child and waits until it answers. It ends with [child.close], at the latest with this process.
func startChild(ctx context.Context, dir, role string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	control, err := rig.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	c := &child{control: "http://" + control}
	c.node = &node.Child{
		Command: append([]string{self, role, "--dir", dir, "--control", control}, args...),
		LogFile: filepath.Join(dir, role+".log"),
	}
	if err := c.node.Start(ctx); err != nil {
		return nil, err
	}
	err = rig.Await(ctx, time.Minute, func() (bool, error) {
		if !c.node.Running(ctx) {
			return false, fmt.Errorf("it has ended:\n%s", c.node.Log())
		}
		_, err := c.call(ctx, http.MethodGet, "/ready")
		return err == nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", role, err)
	}
	return c, nil
}

func (c *child) close(ctx context.Context) { _ = c.node.Kill(ctx) }

// call makes a call; query is pairs of name and value.
func (c *child) call(ctx context.Context, method, path string, query ...string) ([]byte, error) {
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	req, err := http.NewRequestWithContext(ctx, method, c.control+path+"?"+values.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	return body, err
}

// ask makes a call whose answer is JSON.
func (c *child) ask(ctx context.Context, out any, method, path string, query ...string) error {
	body, err := c.call(ctx, method, path, query...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("reading answer of %s: %w", path, err)
	}
	return nil
}

// answer writes JSON.
func answer(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// number is a parameter of a call; 0 if it is missing.
func number(r *http.Request, name string) (n int) {
	_, _ = fmt.Sscan(r.FormValue(name), &n)
	return n
}
