//go:build unix

package attempt_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/sign"
)

// asSink in the environment makes this binary the endpoint of [BenchmarkDo]: a process of its own, whose CPU is not counted.
const asSink = "POSTRIDER_TEST_SINK"

// sinkAt precedes the endpoint's address, and follows what testing has to say.
const sinkAt = "listening at "

// sink starts that process, which ends with the benchmark.
func sink(b *testing.B) (url string, ca *x509.Certificate) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestSink$")
	cmd.Env = append(os.Environ(), asSink+"=1")
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	r := bufio.NewReader(out)
	var address string
	for ok := false; !ok; address, ok = strings.CutPrefix(address, sinkAt) {
		address, err = r.ReadString('\n')
		require.NoError(b, err)
	}
	var text strings.Builder
	for !strings.HasSuffix(text.String(), "-----END CERTIFICATE-----\n") {
		line, err := r.ReadString('\n')
		require.NoError(b, err)
		text.WriteString(line)
	}
	block, _ := pem.Decode([]byte(text.String()))
	ca, err = x509.ParseCertificate(block.Bytes)
	require.NoError(b, err)
	return "https://" + strings.TrimSpace(address), ca
}

// TestSink answers every request over TLS with 204 until its standard input ends.
func TestSink(t *testing.T) {
	if os.Getenv(asSink) == "" {
		t.Skip("the other half of BenchmarkDo")
	}
	ca := testCA(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{
		Certificates: []tls.Certificate{certificate(t, ca, time.Now().Add(time.Hour))}, NextProtos: []string{"h2", "http/1.1"},
	}
	srv.StartTLS()
	defer srv.CloseClientConnections()
	_, err := io.WriteString(os.Stdout, sinkAt+srv.Listener.Addr().String()+"\n")
	require.NoError(t, err)
	require.NoError(t, pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// benchHeader is a signed delivery's.
var benchHeader = []sign.Header{
	{Name: "Content-Type", Value: "application/json"},
	{Name: "User-Agent", Value: "Postrider/1"},
	{Name: "webhook-id", Value: "msg_00000000000000000000000001"},
	{Name: "webhook-timestamp", Value: "1614265330"},
	{Name: "webhook-signature", Value: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
}

// BenchmarkDo compares an attempt with the least that net/http needs for the same request (a transport that is tuned, a
// request that is made once, no deadline and no classification), and with the least that there is: bytes that are made
// once, written to a connection of TLS, and an answer that is not looked at. Attempts share a connection of HTTP/2, or do not. All take
// turns in one run, 16 requests at a time, so that the ratios hold on a busy machine too. CPU is this process' own; the time per
// operation is of all four together and says little.
func BenchmarkDo(b *testing.B) {
	const parallel, turn = 16, 25 // requests, each
	url, ca := sink(b)
	body := bytes.Repeat([]byte("x"), 1024)
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1", NextProtos: []string{"http/1.1"}}
	config.RootCAs.AddCert(ca)
	contestants := []*contestant{
		{name: "bare", new: func() func() { return bareRequests(b, url, config, body) }},
		{name: "raw", new: func() func() { return rawRequests(b, url, config, body) }},
		{name: "attempt", new: func() func() { return attempts(b, url, ca, body, egress.HTTP2Needed) }},
		{name: "shared", new: func() func() { return attempts(b, url, ca, body, egress.HTTP2Busy) }},
	}
	for _, c := range contestants {
		c.request = c.new()
		c.run(parallel, 1)
	}
	for b.Loop() {
		for _, c := range contestants {
			c.run(parallel, turn)
		}
	}
	bare := contestants[0]
	for _, c := range contestants {
		c.runs = c.runs[1:] // connections were made in the first
		b.ReportMetric(c.median(), c.name+"-cpu-ns")
		b.ReportMetric(c.median()/bare.median(), c.name+"-x-bare")
		b.ReportMetric(c.allocs/float64(len(c.runs)), c.name+"-allocs")
	}
	b.ReportMetric(0, "ns/op")
}

// contestant is a way to make a request.
type contestant struct {
	name    string
	new     func() func()
	request func()
	runs    []float64 // CPU per request, in nanoseconds
	allocs  float64   // per request, of all runs but the first together
}

// run makes requests and counts what they cost.
func (c *contestant) run(parallel, turn int) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := cpu()
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for range turn {
				c.request()
			}
		})
	}
	wg.Wait()
	n := float64(parallel * turn)
	if c.runs = append(c.runs, float64(cpu()-began)/n); len(c.runs) > 1 {
		runtime.ReadMemStats(&after)
		c.allocs += float64(after.Mallocs-before.Mallocs) / n
	}
}

// median is of the runs: a mean would follow the garbage collections, which are everybody's.
func (c *contestant) median() float64 {
	slices.Sort(c.runs)
	return c.runs[len(c.runs)/2]
}

// cpu is what this process has used.
func cpu() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used) // it cannot fail
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func bareRequests(b *testing.B, url string, config *tls.Config, body []byte) func() {
	b.Helper()
	rt := &http.Transport{TLSClientConfig: config.Clone(), DisableCompression: true, MaxIdleConnsPerHost: 100}
	b.Cleanup(rt.CloseIdleConnections)
	header := http.Header{}
	for _, f := range benchHeader {
		header[f.Name] = []string{f.Value}
	}
	made, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, http.NoBody)
	require.NoError(b, err)
	made.Header, made.ContentLength = header, int64(len(body))
	return func() {
		req := *made
		req.Body = io.NopCloser(bytes.NewReader(body))
		res, err := rt.RoundTrip(&req)
		if err != nil || res.StatusCode != http.StatusNoContent || res.Body.Close() != nil {
			panic(err)
		}
	}
}

func rawRequests(b *testing.B, url string, config *tls.Config, body []byte) func() {
	b.Helper()
	address := strings.TrimPrefix(url, "https://")
	text := "POST / HTTP/1.1\r\nHost: " + address + "\r\nContent-Length: 1024\r\n"
	for _, f := range benchHeader {
		text += f.Name + ": " + f.Value + "\r\n"
	}
	request := append([]byte(text+"\r\n"), body...)
	idle := make(chan *tls.Conn, 100)
	b.Cleanup(func() {
		for len(idle) > 0 {
			(<-idle).Close()
		}
	})
	return func() {
		var conn *tls.Conn
		select {
		case conn = <-idle:
		default:
			made, err := (&tls.Dialer{Config: config}).DialContext(b.Context(), "tcp", address)
			if err != nil {
				panic(err)
			}
			conn = made.(*tls.Conn)
		}
		if _, err := conn.Write(request); err != nil {
			panic(err)
		}
		var answer [100]byte
		if n, err := conn.Read(answer[:]); err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 204 ") {
			panic(err)
		}
		idle <- conn
	}
}

func attempts(b *testing.B, url string, ca *x509.Certificate, body []byte, http2 egress.HTTP2) func() {
	b.Helper()
	c := client(b, trustingCA(ca), func(conf *egress.Config) { conf.HTTP2 = http2 })
	return func() {
		got, err := c.Do(b.Context(), &attempt.Request{URL: url, Header: benchHeader, Body: body, Timeout: time.Minute})
		if err != nil || got.Result != outcome.ResultSuccess {
			panic(got.Detail)
		}
	}
}
