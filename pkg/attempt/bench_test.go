package attempt_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/sign"
)

// sink answers every request over TLS with 204, as cheaply as it can: what is measured is the sender.
func sink(b *testing.B) (url string, ca *x509.Certificate) {
	b.Helper()
	ca = testCA(b)
	config := &tls.Config{Certificates: []tls.Certificate{certificate(b, ca, time.Now().Add(time.Hour))}}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(b, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { drain(conn) })
		}
	})
	b.Cleanup(func() { l.Close(); wg.Wait() })
	return "https://" + l.Addr().String(), ca
}

func drain(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
			return
		}
	}
}

// BenchmarkDo compares an attempt with the least that net/http needs for the same request: a transport of the same
// settings, a request that is made once, no deadline, no trace and no classification. Both take turns in one loop, so
// x-bare, of medians, holds on a busy machine too. The time per operation is of both together and of the sink.
func BenchmarkDo(b *testing.B) {
	url, ca := sink(b)
	config := egress.Config{AnyPort: true, AllowNetworks: loopback}
	trustingCA(ca)(&config)
	tr, err := egress.New(config)
	require.NoError(b, err)
	b.Cleanup(tr.Close)
	bare := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: config.RootCAs}, DisableCompression: true}
	b.Cleanup(bare.CloseIdleConnections)

	body := bytes.Repeat([]byte("x"), 1024)
	header := []sign.Header{
		{Name: "Content-Type", Value: "application/json"},
		{Name: "User-Agent", Value: "Postrider/1"},
		{Name: "webhook-id", Value: "msg_00000000000000000000000001"},
		{Name: "webhook-timestamp", Value: "1614265330"},
		{Name: "webhook-signature", Value: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}
	plain, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, nil)
	require.NoError(b, err)
	for _, f := range header {
		plain.Header.Set(f.Name, f.Value)
	}
	plain.ContentLength = int64(len(body))
	client := attempt.New(tr)
	request := &attempt.Request{URL: url, Header: header, Body: body, Timeout: time.Minute}

	var ofBare, ofAttempt []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		plain.Body = io.NopCloser(bytes.NewReader(body))
		res, err := bare.RoundTrip(plain)
		if err != nil || res.StatusCode != http.StatusNoContent || res.Body.Close() != nil {
			b.Fatal("bare request failed: ", err)
		}
		between := time.Now()
		got, err := client.Do(b.Context(), request)
		if err != nil || got.Result != outcome.ResultSuccess {
			b.Fatal("attempt failed: ", err, got.Detail)
		}
		ofBare = append(ofBare, between.Sub(began))
		ofAttempt = append(ofAttempt, time.Since(between))
	}
	bareMedian, attemptMedian := median(ofBare), median(ofAttempt)
	b.ReportMetric(bareMedian, "bare-ns")
	b.ReportMetric(attemptMedian, "attempt-ns")
	b.ReportMetric(attemptMedian/bareMedian, "x-bare")
}

// median is in nanoseconds; a mean would follow the stalls of a busy machine.
func median(of []time.Duration) float64 {
	slices.Sort(of)
	return float64(of[len(of)/2].Nanoseconds())
}
