package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
)

// apiProcess is an API in a process of its own.
type apiProcess struct {
	*rig.Process
	base string
}

// startAPI starts an API on a port of its own, with further arguments, and waits until it is ready.
func (in *installation) startAPI(ctx context.Context, args ...string) (*apiProcess, error) {
	address, err := rig.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	args = append(args, "--set", "api.listen="+address, "--set", "api.requests_per_second=100000", "--set", "api.burst=100000")
	p, err := in.Start(ctx, "api", args...)
	if err != nil {
		return nil, err
	}
	return &apiProcess{Process: p, base: "http://" + address + "/api/v1"}, p.Ready(ctx)
}

// key makes an operator's key and returns its token.
func (in *installation) key(ctx context.Context) (string, error) {
	text, err := in.Run(ctx, "key", "create", "--name", "verify", "--role", "operator", "-o", "json")
	if err != nil {
		return "", err
	}
	var out struct{ Token string }
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return "", fmt.Errorf("reading the new key: %w", err)
	}
	return out.Token, nil
}

// apiAnswer is what the API said.
type apiAnswer struct {
	status int
	etag   string
	body   []byte
}

var apiClient = &http.Client{Timeout: 30 * time.Second}

// call makes a request; an error means that it is not known what became of it.
func (p *apiProcess) call(ctx context.Context, token, method, path string, body any, ifMatch string) (*apiAnswer, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	resp, err := apiClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, rig.MaxScrape))
	return &apiAnswer{status: resp.StatusCode, etag: resp.Header.Get("ETag"), body: text}, err
}
