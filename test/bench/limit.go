package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
)

// limitWorkers are how many requests are in flight at a time.
const limitWorkers = 64

// limitServer is the limit of the run: loops that do nothing but send signed requests of 1 KiB to the sink. What Postrider
// does with a delivery can cost no less.
type limitServer struct {
	port  int
	hosts int
	trust *x509.CertPool
	plain *http.Transport
	raw   [limitWorkers]map[int]*rawConn // of a worker, by host
}

// limitResult is what a run of the loop took.
type limitResult struct {
	Requests int
	Seconds  float64
}

func newLimit(o childOptions, calls *http.ServeMux) error {
	ca, err := os.ReadFile(filepath.Join(o.dir, "ca.pem"))
	if err != nil {
		return err
	}
	l := &limitServer{port: o.port, hosts: o.hosts, trust: x509.NewCertPool()}
	l.trust.AppendCertsFromPEM(ca)
	l.plain = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: l.trust, MinVersion: tls.VersionTLS12}, DisableCompression: true,
		MaxIdleConnsPerHost: limitWorkers, Protocols: new(http.Protocols),
	}
	l.plain.Protocols.SetHTTP1(true)
	calls.HandleFunc("POST /run", func(w http.ResponseWriter, r *http.Request) {
		run := l.worker
		if r.FormValue("kind") == "raw" {
			run = l.rawWorker
		}
		n, hosts := number(r, "requests"), number(r, "hosts")
		if rate := number(r, "rate"); rate > 0 {
			run = l.paced(run, rate)
		}
		begin := time.Now()
		errs := make([]error, limitWorkers)
		var wg sync.WaitGroup
		for i := range limitWorkers {
			wg.Go(func() { errs[i] = run(i, n/limitWorkers, hosts) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		answer(w, limitResult{Requests: n / limitWorkers * limitWorkers, Seconds: time.Since(begin).Seconds()})
	})
	return nil
}

// paced spreads what a worker sends over time, so that all together send rate requests a second.
func (l *limitServer) paced(run func(worker, n, hosts int) error, rate int) func(worker, n, hosts int) error {
	return func(worker, n, hosts int) error {
		every := time.Second * limitWorkers / time.Duration(rate)
		<-time.After(every * time.Duration(worker) / limitWorkers)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for range n {
			<-ticker.C
			if err := run(worker, 1, hosts); err != nil {
				return err
			}
		}
		return nil
	}
}

// signature is that of Standard Webhooks, with the memory of one worker.
type signature struct {
	mac  hash.Hash
	head []byte
	sum  []byte
}

// messageID is as long as the real ones.
const messageID = "msg_000000000000000000000000001"

func newSignature() *signature {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rig.Secret, "whsec_"))
	return &signature{mac: hmac.New(sha256.New, key)}
}

// of returns the time stamp and the signature of a body sent now.
func (s *signature) of(body []byte) (stamp, signature string) {
	stamp = strconv.FormatInt(time.Now().Unix(), 10)
	s.head = append(append(append(append(s.head[:0], messageID...), '.'), stamp...), '.')
	s.mac.Reset()
	s.mac.Write(s.head)
	s.mac.Write(body)
	s.sum = s.mac.Sum(s.sum[:0])
	return stamp, "v1," + base64.StdEncoding.EncodeToString(s.sum)
}

// limitBody is a request's.
func limitBody() []byte {
	body := []byte(`{"type":"contact.updated","timestamp":"2026-01-02T03:04:05.123456789Z","data":`)
	return append(append(body, data(0)...), '}')
}

// hostOf is the host of a worker's request i. Of many hosts every worker has a share of its own.
func hostOf(worker, i, hosts int) int {
	if hosts <= limitWorkers {
		return worker % hosts
	}
	share := (hosts - worker + limitWorkers - 1) / limitWorkers
	return worker + i%share*limitWorkers
}

// worker sends n requests with net/http, one after the other, in the cheapest way it has.
func (l *limitServer) worker(worker, n, hosts int) error {
	sign, body := newSignature(), limitBody()
	reader := bytes.NewReader(nil)
	requests := make([]*http.Request, hosts)
	for i := range n {
		h := hostOf(worker, i, hosts)
		req := requests[h]
		if req == nil {
			var err error
			if req, err = http.NewRequestWithContext(context.Background(), http.MethodPost, (&sink{port: l.port, hosts: hosts}).url("ok", h), http.NoBody); err != nil {
				return err
			}
			req.Header = http.Header{
				"Content-Type": {"application/json"}, "User-Agent": {"Postrider/1"}, "Webhook-Id": {messageID},
				"Webhook-Timestamp": {""}, "Webhook-Signature": {""},
			}
			req.ContentLength = int64(len(body))
			requests[h] = req
		}
		reader.Reset(body)
		req.Body = io.NopCloser(reader)
		req.Header["Webhook-Timestamp"][0], req.Header["Webhook-Signature"][0] = sign.of(body)
		resp, err := l.plain.RoundTrip(req)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusNoContent {
			return fmt.Errorf("answered %s: %w", resp.Status, err)
		}
	}
	return nil
}

// rawConn is a connection that HTTP/1.1 is written to by hand.
type rawConn struct {
	conn net.Conn
	in   *bufio.Reader
	head string
}

// rawWorker does what [limitServer.worker] does, without net/http.
func (l *limitServer) rawWorker(worker, n, hosts int) error {
	sign, body := newSignature(), limitBody()
	if l.raw[worker] == nil {
		l.raw[worker] = map[int]*rawConn{}
	}
	conns := l.raw[worker]
	var out []byte
	for i := range n {
		h := hostOf(worker, i, hosts)
		if conns[h] == nil {
			var err error
			if conns[h], err = l.dial(h); err != nil {
				return err
			}
		}
		c := conns[h]
		stamp, signed := sign.of(body)
		out = append(append(out[:0], c.head...), "webhook-timestamp: "...)
		out = append(append(out, stamp...), "\r\nwebhook-signature: "...)
		out = append(append(append(out, signed...), "\r\n\r\n"...), body...)
		if _, err := c.conn.Write(out); err != nil {
			return err
		}
		if _, err := contentLength(c.in); err != nil { // of a 204, which has none
			return err
		}
	}
	return nil
}

func (l *limitServer) dial(host int) (*rawConn, error) {
	address := net.JoinHostPort(hostAddress(host).String(), strconv.Itoa(l.port))
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: l.trust, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return &rawConn{conn: conn, in: bufio.NewReader(conn), head: fmt.Sprintf("POST /ok/%d HTTP/1.1\r\nHost: %s\r\n"+
		"User-Agent: Postrider/1\r\nContent-Type: application/json\r\nContent-Length: %d\r\nwebhook-id: %s\r\n", host, address, len(limitBody()), messageID)}, nil
}
