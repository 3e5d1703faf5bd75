package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/node"
)

// request is what a snippet is to verify.
type request struct {
	Secret  string            `json:"secret"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
	Now     int64             `json:"now"` // Unix milliseconds

	what string
	good bool
}

// driver runs a snippet: it reads requests as JSON from standard input and prints what the snippet says of each.
type driver struct {
	file    string
	source  func(snippet string) string
	program func(ctx context.Context) ([]string, error)
}

var drivers = map[string]driver{
	"go": {
		file: "main.go",
		source: func(snippet string) string {
			return `package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

var _, _ = base64.StdEncoding, hex.EncodeToString

type request struct {
	Secret  string
	Headers map[string]string
	Body    []byte
	Now     int64
}

func main() {
	var all []request
	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
		panic(err)
	}
	for _, r := range all {
		fmt.Println(verify(r.Secret, r.Headers, r.Body, time.UnixMilli(r.Now)))
	}
}

` + snippet
		},
		program: func(context.Context) ([]string, error) { return []string{"go", "run"}, nil },
	},
	"js": {
		file: "main.mjs",
		source: func(snippet string) string {
			return snippet + `
import { readFileSync } from "node:fs";
for (const r of JSON.parse(readFileSync(0))) {
  console.log(verify(r.secret, r.headers, Buffer.from(r.body, "base64"), r.now));
}
`
		},
		program: func(ctx context.Context) ([]string, error) {
			program, err := node.Program(ctx, "node", "nodejs")
			return []string{program}, err
		},
	},
	"python": {
		file: "main.py",
		source: func(snippet string) string {
			return snippet + `
import json, sys
for r in json.load(sys.stdin):
    print(str(verify(r["secret"], r["headers"], __import__("base64").b64decode(r["body"]), r["now"] / 1000)).lower())
`
		},
		program: func(ctx context.Context) ([]string, error) {
			program, err := node.Program(ctx, "python3", "python3")
			return []string{program}, err
		},
	},
}

// The functions that the README of the profiles gives to receivers accept what Postrider sends, and nothing else.
func TestSnippetsOfTheProfiles(t *testing.T) {
	text, err := os.ReadFile("../../configs/profiles/README.md")
	require.NoError(t, err)
	found := regexp.MustCompile("(?s)```(go|js|python)\n(?://|#) verify (\\w+)\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	require.Len(t, found, 6)
	for _, snippet := range found {
		language, scheme := snippet[1], snippet[2]
		t.Run(scheme+" in "+language, func(t *testing.T) {
			requests := requestsOf(t, scheme)
			got := runSnippet(t, drivers[language], snippet[3], requests)
			require.Len(t, got, len(requests))
			for i, r := range requests {
				require.Equal(t, fmt.Sprint(r.good), got[i], r.what)
			}
		})
	}
}

func runSnippet(t *testing.T, d driver, snippet string, requests []request) []string {
	t.Helper()
	directory := t.TempDir()
	file := filepath.Join(directory, d.file)
	require.NoError(t, os.WriteFile(file, []byte(d.source(snippet)), 0o600))
	input, err := json.Marshal(requests)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	program, err := d.program(ctx)
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, program[0], append(program[1:], file)...)
	cmd.Stdin = strings.NewReader(string(input))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

// requestsOf makes requests with the profiles whose signature it is: good ones, and each of them changed.
func requestsOf(t *testing.T, scheme string) (all []request) {
	t.Helper()
	set, err := profile.Load(configs.Profiles)
	require.NoError(t, err)
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		if p.Signature != scheme {
			continue
		}
		good := requestOf(t, p, time.UnixMilli(1_750_000_000_123))
		good.what = name
		all = append(all, good)
		for _, c := range []struct {
			what   string
			change func(r *request)
		}{
			{"another body", func(r *request) { r.Body = append([]byte(" "), r.Body...) }},
			{"another secret", func(r *request) { r.Secret, err = p.Scheme().NewSecret() }},
			{"six minutes late", func(r *request) { r.Now += 6 * time.Minute.Milliseconds() }},
			{"six minutes early", func(r *request) { r.Now -= 6 * time.Minute.Milliseconds() }},
			{"no headers", func(r *request) { r.Headers = map[string]string{} }},
		} {
			bad := good
			c.change(&bad)
			require.NoError(t, err)
			bad.what, bad.good = name+", "+c.what, false
			all = append(all, bad)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// requestOf makes a request with a profile, with two secrets, of which it returns the newer one.
func requestOf(t *testing.T, p *profile.Profile, at time.Time) request {
	t.Helper()
	secret, err := p.Scheme().NewSecret()
	require.NoError(t, err)
	old, err := p.Scheme().NewSecret()
	require.NoError(t, err)
	tenant := &subscription.Tenant{ID: ident.Derive("test", "acme"), UID: "acme", Name: "Acme"}
	sub := &subscription.Subscription{
		ID: ident.Derive("test", "sub"), Tenant: tenant.ID, URL: "https://example.com/in", Secrets: []string{secret},
		Retired: []subscription.RetiredSecret{{Secret: old, Expires: at.Add(time.Hour)}},
	}
	message := delivery.MessageID(tenant.ID, "test", "1")
	d := &delivery.Delivery{
		ID: delivery.ID(message, sub.ID), Message: message, Subscription: sub.ID, Tenant: tenant.ID, EventID: "1",
		EventType: "contact.updated", EventSource: "test", EventTime: at, ContentType: "application/json",
		Trigger: delivery.Trigger{Kind: delivery.TriggerEvent}, Data: []byte(`{"name":"Åsa \u0000 😀"}`),
	}
	sender, err := p.Sender(sub, at)
	require.NoError(t, err)
	body, err := sender.AppendBody(nil, &envelope.Input{
		Delivery: d, Tenant: tenant, Attempt: delivery.AttemptID(d.ID, d.Trigger, 1), At: at,
	})
	require.NoError(t, err)
	r := request{Secret: secret, Headers: map[string]string{}, Body: body, Now: at.UnixMilli(), good: true}
	for _, h := range sender.AppendHeaders(nil, &profile.Message{Delivery: d}, at, body) {
		r.Headers[strings.ToLower(h.Name)] = h.Value
	}
	return r
}
