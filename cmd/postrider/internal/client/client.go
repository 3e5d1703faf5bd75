// Package client is an HTTP client of the management API for the commands: it repeats what the API asks to repeat, reads lists
// to their end and turns refusals into one line. Bodies stay JSON as the API sent it, so that scripts see every field.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// timeout bounds one request: ?wait=applied takes ten seconds at the most.
	timeout = 30 * time.Second
	// maxTries bounds the requests for one call, maxPause the pause between two that the API may ask for.
	maxTries = 5
	maxPause = 30 * time.Second
	// firstPause is the pause when the API asks for none; it doubles.
	firstPause = 250 * time.Millisecond
	// maxBody bounds an answer: a page of 250 elements.
	maxBody = 64 << 20
	// maxPages bounds a list.
	maxPages = 100_000
	// pageSize is the largest that the API gives.
	pageSize = 250
)

// Client calls the API. Its methods are safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
	pause func(context.Context, time.Duration) error
}

// New returns a client of the API at base, http://localhost:8070 for example, which sends the token of a key.
func New(base, token string) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q: want a URL such as http://localhost:8070", base)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("token: want it without spaces or line breaks")
	}
	return &Client{base: u, token: token, http: &http.Client{
		Timeout: timeout,
		// A redirect would take the token to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, pause: pause}, nil
}

// Call is one operation of the API.
type Call struct {
	Method string
	// Path is below /api/v1; [Path] makes one of names.
	Path  string
	Query url.Values
	// Body is sent as JSON, [json.RawMessage] byte for byte; nil sends none.
	Body any
	// IdempotencyKey makes a POST happen once however often it is sent; one is made if it is empty.
	IdempotencyKey string
	// Header is sent too.
	Header http.Header
}

// Answer is what the API answered with success.
type Answer struct {
	Status int
	Header http.Header
	Body   json.RawMessage // empty without content
}

// Path joins a path of names: what is no letter, digit, "-", "_" or "." of a name is escaped.
func Path(names ...string) string {
	var b strings.Builder
	for _, n := range names {
		b.WriteString("/" + url.PathEscape(n))
	}
	return b.String()
}

// Do makes the call. It is repeated, after a pause, while the API is not reached, or says 429 or 503: the calls of this API
// may be repeated, POST by its idempotency key. The error is an [*Error] if the API refused.
func (c *Client) Do(ctx context.Context, call Call) (*Answer, error) {
	var body []byte
	switch b := call.Body.(type) {
	case nil:
	case json.RawMessage:
		body = b
	default:
		var err error
		if body, err = json.Marshal(b); err != nil {
			return nil, fmt.Errorf("encoding request: %w", err)
		}
	}
	if call.Method == http.MethodPost && call.IdempotencyKey == "" {
		call.IdempotencyKey = "cli_" + rand.Text()
	}
	wait := firstPause
	for try := 1; ; try++ {
		answer, after, err := c.try(ctx, call, body)
		if err == nil || after < 0 || try == maxTries {
			return answer, err
		}
		if after == 0 {
			after = wait
			wait *= 2
		}
		if after > maxPause {
			return nil, err
		}
		if c.pause(ctx, after) != nil {
			return nil, err
		}
	}
}

// Values of the pause after a try that failed.
const (
	never   = time.Duration(-1) // it would fail again
	unasked = time.Duration(0)  // the API names none
)

// try makes one request. after says how long to wait before another one.
func (c *Client) try(ctx context.Context, call Call, body []byte) (_ *Answer, after time.Duration, _ error) {
	request, err := c.request(ctx, call, body)
	if err != nil {
		return nil, never, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, never, context.Cause(ctx)
		}
		return nil, unasked, fmt.Errorf("the API does not answer: %w", err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, unasked, fmt.Errorf("reading answer: %w", err)
	}
	if len(raw) > maxBody {
		return nil, never, fmt.Errorf("the answer is larger than %d bytes", maxBody)
	}
	if response.StatusCode >= http.StatusOK && response.StatusCode < http.StatusMultipleChoices {
		return &Answer{Status: response.StatusCode, Header: response.Header, Body: bytes.TrimSpace(raw)}, never, nil
	}
	refusal := parseError(response, raw)
	if refusal.Status == http.StatusTooManyRequests || refusal.Status == http.StatusServiceUnavailable {
		return nil, retryAfter(response.Header.Get("Retry-After")), refusal
	}
	return nil, never, refusal
}

func (c *Client) request(ctx context.Context, call Call, body []byte) (*http.Request, error) {
	target := c.base.String() + "/api/v1" + call.Path
	if len(call.Query) > 0 {
		target += "?" + call.Query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, call.Method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making request: %w", err)
	}
	maps.Copy(request.Header, call.Header)
	request.Header.Set("Accept", "application/json")
	if body != nil && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if call.Method == http.MethodPost {
		request.Header.Set("Idempotency-Key", call.IdempotencyKey)
	}
	return request, nil
}

// retryAfter reads the header of that name: seconds, which is what the API sends.
func retryAfter(text string) time.Duration {
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 {
		return unasked
	}
	return time.Duration(min(seconds, int(maxPause/time.Second)+1)) * time.Second
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
