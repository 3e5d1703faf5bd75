package attempt_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/sign"
)

// endpoint serves h over TLS, in the protocols that it is given alone, and counts connections.
func endpoint(t *testing.T, protocols []string, h http.HandlerFunc) (srv *httptest.Server, connections *atomic.Int32) {
	t.Helper()
	connections = new(atomic.Int32)
	srv = httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		config := srv.TLS.Clone()
		config.GetConfigForClient, config.NextProtos = nil, protocols
		return config, nil
	}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv, connections
}

// An endpoint is told the same in HTTP/2 as in HTTP/1.1.
func TestHTTP2SaysTheSame(t *testing.T) {
	for _, method := range []string{"", "PUT", "DELETE", "GET", "X"} {
		for _, path := range []string{"", "/", "/a%20b/ü?x=%2F&y=ü", "?q", "//a/../b#fragment"} {
			var told []string
			for _, protocol := range []string{"http/1.1", "h2"} {
				srv, _ := endpoint(t, []string{protocol}, func(w http.ResponseWriter, r *http.Request) {
					body, err := io.ReadAll(r.Body)
					_, _ = fmt.Fprintln(w, r.Method, r.RequestURI, r.Host == r.Context().Value(http.LocalAddrContextKey).(net.Addr).String(),
						r.ContentLength, r.Header, string(body), err)
				})
				res := do(t, client(t, trusting(srv)), &attempt.Request{
					Method: method, URL: srv.URL + path, Body: []byte("{}"), Header: []sign.Header{
						{Name: "webhook-id", Value: "msg_1"},
						{Name: "User-Agent", Value: "Postrider/1"},
						{Name: "X-Many", Value: " 2"},
						{Name: "content-type", Value: "application/json"},
						{Name: "X-Many", Value: "1"},
						{Name: "X-DIXA-SIGNATURE", Value: "t=1,v1=2"},
					},
				})
				require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
				require.Equal(t, map[string]string{"http/1.1": "HTTP/1.1", "h2": "HTTP/2.0"}[protocol], res.Proto)
				told = append(told, string(res.Body))
			}
			require.Equal(t, told[0], told[1])
		}
	}
}

// load makes requests, 32 at a time, until one of them was answered in HTTP/2.
func load(t *testing.T, c *attempt.Client, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	var shared atomic.Bool
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for !shared.Load() {
				res, err := c.Do(ctx, &attempt.Request{URL: url, Body: []byte("x"), Timeout: generous})
				if err != nil || res.Result != outcome.ResultSuccess {
					t.Errorf("%s %s: %v", res.Result, res.Detail, err)
					return
				}
				if res.Proto == "HTTP/2.0" {
					shared.Store(true)
				}
			}
		})
	}
	workers.Wait()
}

// A busy endpoint that has both is spoken to in HTTP/2, over one connection, and from then on always.
func TestBusyEndpointsShare(t *testing.T) {
	var requests atomic.Int32
	srv, connections := endpoint(t, []string{"h2", "http/1.1"}, func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
	})
	c := client(t, trusting(srv), patient)
	require.Equal(t, "HTTP/1.1", do(t, c, &attempt.Request{URL: srv.URL}).Proto)
	load(t, c, srv.URL)
	before, sent := connections.Load(), requests.Load()
	var workers sync.WaitGroup
	for range 64 {
		workers.Go(func() {
			for range 10 {
				res, err := c.Do(t.Context(), &attempt.Request{URL: srv.URL + "/other", Body: []byte("x"), Timeout: generous})
				if err != nil || res.Status != 200 || res.Proto != "HTTP/2.0" {
					t.Errorf("%s %s %s: %v", res.Proto, res.Result, res.Detail, err)
				}
			}
		})
	}
	workers.Wait()
	require.Equal(t, before, connections.Load())
	require.EqualValues(t, 640, requests.Load()-sent)
}

// Who chooses HTTP/1.1 is left alone, and so is who may not be spoken to otherwise.
func TestBusyEndpointsOfHTTP1(t *testing.T) {
	for name, c := range map[string]struct {
		protocols []string
		http2     egress.HTTP2
	}{
		"it chooses HTTP/1.1": {[]string{"http/1.1"}, egress.HTTP2Busy},
		"it may not be":       {[]string{"h2", "http/1.1"}, egress.HTTP2Needed},
		"nobody may":          {[]string{"h2", "http/1.1"}, egress.HTTP2Off},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := endpoint(t, c.protocols, func(http.ResponseWriter, *http.Request) {})
			cl := client(t, trusting(srv), patient, func(conf *egress.Config) { conf.HTTP2 = c.http2 })
			var workers sync.WaitGroup
			for range 16 {
				workers.Go(func() {
					for range 50 {
						res, err := cl.Do(t.Context(), &attempt.Request{URL: srv.URL, Timeout: generous})
						if err != nil || res.Status != 200 || res.Proto != "HTTP/1.1" {
							t.Errorf("%s %s %s: %v", res.Proto, res.Result, res.Detail, err)
						}
					}
				})
			}
			workers.Wait()
		})
	}
}

// An endpoint whose HTTP/2 is none costs nothing but time: all is sent in HTTP/1.1.
func TestHTTP2ThatIsNone(t *testing.T) {
	config := &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	var tried atomic.Bool
	url, trust := tlsEndpoint(t, config, func(conn net.Conn) {
		if conn.(*tls.Conn).ConnectionState().NegotiatedProtocol == "h2" {
			tried.Store(true)
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		new(counted).over(conn, saying(noContent))
	})
	c := client(t, trust, patient)
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for !tried.Load() && ctx.Err() == nil {
				res, err := c.Do(ctx, &attempt.Request{URL: url, Timeout: generous})
				if err != nil || res.Status != 204 {
					t.Errorf("%s %s: %v", res.Result, res.Detail, err)
				}
			}
		})
	}
	workers.Wait()
	require.True(t, tried.Load())
	for range 100 {
		res := do(t, c, &attempt.Request{URL: url})
		require.Equal(t, 204, res.Status, res.Detail)
		require.Equal(t, "HTTP/1.1", res.Proto)
	}
}

// An endpoint that begins HTTP/2 and then breaks its rules costs what was under way, once; from then on it is HTTP/1.1.
func TestHTTP2ThatBreaks(t *testing.T) {
	config := &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	var broken atomic.Int32
	url, trust := tlsEndpoint(t, config, func(conn net.Conn) {
		if conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != "h2" {
			new(counted).over(conn, saying(noContent))
			return
		}
		_, _ = io.WriteString(conn, "\x00\x00\x00\x04\x00\x00\x00\x00\x00") // settings
		_, _ = io.ReadFull(conn, make([]byte, 200))                         // the greeting, and some of a request
		broken.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	})
	c := client(t, trust, patient)
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	var after atomic.Int32 // made since it was found out
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for after.Load() < 3000 && ctx.Err() == nil {
				found := broken.Load() > 0
				res, err := c.Do(ctx, &attempt.Request{URL: url, Body: make([]byte, 1000), Timeout: generous})
				if err != nil || res.Status != 204 && (broken.Load() == 0 || after.Load() > 500) {
					t.Errorf("%s %s: %v", res.Result, res.Detail, err)
				}
				if found {
					after.Add(1)
				}
			}
		})
	}
	workers.Wait()
	require.EqualValues(t, 1, broken.Load())
	require.GreaterOrEqual(t, int(after.Load()), 3000)
}

// An endpoint that says goodbye after each answer gets each request once, over connections of their own.
func TestGoodbyeAfterEachAnswer(t *testing.T) {
	var requests atomic.Int32
	srv, _ := endpoint(t, []string{"h2"}, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Connection", "close") // a GOAWAY in net/http
	})
	c := client(t, trusting(srv), patient)
	for range 20 {
		res := do(t, c, &attempt.Request{URL: srv.URL, Body: []byte("x")})
		require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
	}
	require.EqualValues(t, 20, requests.Load())
}

// However many race for the room that connections have, each is answered, and there are not more connections than it takes.
func TestRaceForRoom(t *testing.T) {
	for _, c := range []struct{ most, workers int }{{1, 60}, {20, 60}, {100, 300}} {
		t.Run(fmt.Sprint(c.most, " of ", c.workers), func(t *testing.T) {
			var connections atomic.Int32
			srv := onlyHTTP2(t, c.most, &connections, func(http.ResponseWriter, *http.Request) {})
			cl := client(t, trusting(srv), patient)
			require.Equal(t, 200, do(t, cl, &attempt.Request{URL: srv.URL}).Status)
			var workers sync.WaitGroup
			for range c.workers {
				workers.Go(func() {
					for range 20 {
						res, err := cl.Do(t.Context(), &attempt.Request{URL: srv.URL, Timeout: generous})
						if err != nil || res.Status != 200 {
							t.Errorf("%s %s: %v", res.Result, res.Detail, err)
						}
					}
				})
			}
			workers.Wait()
			// One more for the handshake that finds out, and one for each that leaves room while the next is opened.
			require.LessOrEqual(t, int(connections.Load()), 2*(c.workers/c.most)+4)
		})
	}
}

// onlyHTTP2 serves nothing else, so many requests at a time on each connection.
func onlyHTTP2(t *testing.T, most int, connections *atomic.Int32, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: most}
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.StartTLS() // it offers HTTP/2 alone
	t.Cleanup(srv.Close)
	return srv
}

// More requests than a connection takes go over another.
func TestMoreThanOneConnectionTakes(t *testing.T) {
	const all, most = 10, 2
	var under sync.WaitGroup
	under.Add(all)
	srv := onlyHTTP2(t, most, new(atomic.Int32), func(http.ResponseWriter, *http.Request) {
		under.Done()
		under.Wait() // until all are
	})
	c := client(t, trusting(srv), patient)
	var workers sync.WaitGroup
	for range all {
		workers.Go(func() {
			res, err := c.Do(t.Context(), &attempt.Request{URL: srv.URL, Timeout: generous})
			if err != nil || res.Status != 200 {
				t.Errorf("%s %s: %v", res.Result, res.Detail, err)
			}
		})
	}
	workers.Wait()
}

// Whoever brings a certificate shares connections with nobody who brings another, or none.
func TestOwnTLSSharesNothing(t *testing.T) {
	ca := testCA(t)
	var mu sync.Mutex
	whose := map[string]string{}
	srv, _ := endpoint(t, []string{"h2"}, func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		mu.Lock()
		defer mu.Unlock()
		if before, ok := whose[r.RemoteAddr]; ok && before != name {
			t.Errorf("%s was %s and is %s", r.RemoteAddr, before, name)
		}
		whose[r.RemoteAddr] = name
		_, _ = io.WriteString(w, name)
	})
	srv.TLS.ClientAuth = tls.RequestClientCert
	c := client(t, trusting(srv), patient)
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	own := []*egress.TLS{nil, newTLS(t, identity(t, ca, "a"), authority), newTLS(t, identity(t, ca, "b"), authority)}
	seen := map[string]bool{}
	for i := range 9 {
		res := do(t, c, &attempt.Request{URL: srv.URL, TLS: own[i%3]})
		require.Equal(t, outcome.ResultSuccess, res.Result, res.Detail)
		require.Equal(t, "HTTP/2.0", res.Proto)
		require.Equal(t, i%3 == 0, strings.Contains(string(res.Body), "nobody"))
		seen[string(res.Body)] = true
	}
	require.Len(t, seen, 3)
	require.Len(t, whose, 3, "and its own again and again")
}
