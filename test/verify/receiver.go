package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// hit is a request as the script of the endpoints sees it.
type hit struct {
	history.Pair
	// N counts the requests of the pair, from 1.
	N int
}

// answer is what an endpoint does with a request. Status 0 is 200.
type answer struct {
	Status int
	After  time.Duration
}

// receiver stands for all endpoints: https://127.0.0.1:port/<subscription>.
type receiver struct {
	url      string
	server   *http.Server
	webhook  *standardwebhooks.Webhook
	seed     maphash.Seed
	script   atomic.Pointer[func(hit) answer]
	accepted atomic.Int64 // pairs with a 2xx

	mu       sync.Mutex
	receipts []*history.Receipt
	pairs    map[history.Pair]*seen
}

type seen struct {
	requests int
	accepted bool
}

// maxBody is above the event limit and the envelope.
const maxBody = 2 << 20

func newReceiver(ctx context.Context, ca *rig.Authority) (*receiver, error) {
	webhook, err := standardwebhooks.NewWebhook(rig.Secret)
	if err != nil {
		return nil, fmt.Errorf("making verifier: %w", err)
	}
	leaf, err := ca.Leaf(net.IPv4(127, 0, 0, 1))
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for deliveries: %w", err)
	}
	r := &receiver{
		url: "https://" + listener.Addr().String() + "/", webhook: webhook, seed: maphash.MakeSeed(),
		pairs: map[history.Pair]*seen{},
	}
	r.answerWith(func(hit) answer { return answer{} })
	r.server = &http.Server{
		Handler: r, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12},
	}
	r.server.Protocols.SetHTTP1(true) // cheaper, and what most endpoints are behind their proxies
	go func() {
		if err := r.server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Println("verify: serving endpoints:", err)
		}
	}()
	return r, nil
}

// answerWith sets what the endpoints do from now on.
func (r *receiver) answerWith(script func(hit) answer) { r.script.Store(&script) }

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody))
	if err != nil {
		return // the sender went away; nothing was received
	}
	receipt := &history.Receipt{
		Pair:    history.Pair{Event: gjson.GetBytes(body, "data.id").String(), Subscription: strings.TrimPrefix(req.URL.Path, "/")},
		Message: req.Header.Get("webhook-id"), At: at, Body: maphash.Bytes(r.seed, body),
		Signed: r.webhook.Verify(body, req.Header) == nil,
	}
	a := (*r.script.Load())(r.note(receipt))
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	if a.After > 0 {
		select {
		case <-time.After(a.After):
		case <-req.Context().Done():
			return
		}
	}
	r.answered(receipt, a.Status)
	w.WriteHeader(a.Status)
}

func (r *receiver) note(receipt *history.Receipt) hit {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receipts = append(r.receipts, receipt)
	s := r.pairs[receipt.Pair]
	if s == nil {
		s = &seen{}
		r.pairs[receipt.Pair] = s
	}
	s.requests++
	return hit{Pair: receipt.Pair, N: s.requests}
}

func (r *receiver) answered(receipt *history.Receipt, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	receipt.Status, receipt.Answered = status, time.Now()
	if s := r.pairs[receipt.Pair]; status < 300 && !s.accepted {
		s.accepted = true
		r.accepted.Add(1)
	}
}

// snapshot returns all receipts so far.
func (r *receiver) snapshot() []history.Receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]history.Receipt, len(r.receipts))
	for i, receipt := range r.receipts {
		out[i] = *receipt
	}
	return out
}

// count returns how many requests of a pair were received.
func (r *receiver) count(p history.Pair) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.pairs[p]; s != nil {
		return s.requests
	}
	return 0
}

func (r *receiver) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.receipts)
}

// requests returns how many came to a subscription's endpoint.
func (r *receiver) requests(subscription string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, receipt := range r.receipts {
		if receipt.Subscription == subscription {
			n++
		}
	}
	return n
}
