package alerts

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/rig"
)

// scene is a Postrider that something happens to, its endpoints, and the Prometheus that watches it.
type scene struct {
	t  *testing.T
	in *rig.Installation
	// url is where all endpoints are; what follows its slash is theirs.
	url  string
	prom *prometheus

	answer    atomic.Pointer[func(path string) (status int, after time.Duration)]
	processes []*rig.Process
	produced  atomic.Int64 // events
}

func newScene(t *testing.T, name string, r *rig.Rig, i *injection) *scene {
	t.Helper()
	s := &scene{t: t}
	s.serve(r.CA)
	in, err := r.Install(t.Context(), strings.ToLower(strings.TrimPrefix(name, "Postrider")), max(1, i.partitions))
	require.NoError(t, err)
	s.in = in
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Postrider:\n%s", in.Logs())
		}
		require.NoError(t, in.Close())
	})
	require.NoError(t, in.Configure(i.config))
	every := time.Second
	if i.scrape > 0 {
		every = i.scrape
	}
	s.prom = newPrometheus(t, every)
	return s
}

// serve starts the endpoints, which answer 200.
func (s *scene) serve(ca *rig.Authority) {
	s.t.Helper()
	leaf, err := ca.Leaf(net.IPv4(127, 0, 0, 1))
	require.NoError(s.t, err)
	s.answers(func(string) (int, time.Duration) { return http.StatusOK, 0 })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		status, after := (*s.answer.Load())(r.URL.Path[1:])
		select {
		case <-time.After(after):
			w.WriteHeader(status)
		case <-r.Context().Done():
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	s.t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	s.url = server.URL + "/"
}

// answers sets what the endpoints do from now on.
func (s *scene) answers(fn func(path string) (status int, after time.Duration)) { s.answer.Store(&fn) }

// run starts a role and has it scraped.
func (s *scene) run(role string, args ...string) *rig.Process {
	s.t.Helper()
	p, err := s.in.Start(s.t.Context(), role, args...)
	require.NoError(s.t, err)
	s.processes = append(s.processes, p)
	s.prom.scrape(s.processes)
	return p
}

// runReady starts a role and waits until it works.
func (s *scene) runReady(role string, args ...string) {
	s.t.Helper()
	require.NoError(s.t, s.run(role, args...).Ready(s.t.Context()))
}

// of returns the process of a role.
func (s *scene) of(role string) *rig.Process {
	s.t.Helper()
	i := slices.IndexFunc(s.processes, func(p *rig.Process) bool { return p.Role == role })
	require.GreaterOrEqual(s.t, i, 0, "%s runs", role)
	return s.processes[i]
}

// end ends the process of a role in order, and it is scraped no more.
func (s *scene) end(role string) {
	s.t.Helper()
	p := s.of(role)
	_, _, err := p.Term(s.t.Context())
	require.NoError(s.t, err)
	s.processes = slices.DeleteFunc(s.processes, func(other *rig.Process) bool { return other == p })
	s.prom.scrape(s.processes)
}

// quiet waits until the rules were evaluated on what all processes show, and the alert is not there.
func (s *scene) quiet(alert string) {
	s.t.Helper()
	var scraped time.Time
	s.prom.await(time.Minute, "all processes are scraped", func() (ok bool) {
		scraped, ok = s.prom.scraped(len(s.processes))
		return ok
	})
	s.prom.await(time.Minute, "the rules are evaluated and "+alert+" is quiet", func() bool {
		return s.prom.evaluatedSince(scraped) && len(s.prom.active(alert)) == 0
	})
}

// fires waits until the alert does, and returns it.
func (s *scene) fires(name string) (found alert) {
	s.t.Helper()
	s.prom.await(fireLimit, name+" fires", func() bool {
		all := s.prom.active(name)
		i := slices.IndexFunc(all, func(a alert) bool { return a.State == "firing" })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

// subscribe makes tenants with a subscription each, at endpoints called by the tenants' number; set says the rest.
func (s *scene) subscribe(n int, set func(*rig.Subscription)) []rig.Tenant {
	s.t.Helper()
	i := 0
	all := rig.Tenants(n, 1, func(sub *rig.Subscription) {
		sub.URL = fmt.Sprint(s.url, i)
		if i++; set != nil {
			set(sub)
		}
	})
	require.NoError(s.t, s.in.Apply(s.t.Context(), all))
	return all
}

// event produces an event of a tenant without waiting for Kafka. They are all in one partition, and so keep their order.
func (s *scene) event(tenant string) {
	id := fmt.Sprint(s.produced.Add(1))
	r := s.in.Event(id, tenant, rig.EventType, []byte(`{"id":"`+id+`"}`))
	r.Key = []byte("all")
	s.in.Client.Produce(s.t.Context(), r, func(_ *kgo.Record, err error) {
		if err != nil && s.t.Context().Err() == nil {
			s.t.Errorf("producing an event: %v", err)
		}
	})
}

// events produces n events, of the tenants in turn, and waits for Kafka.
func (s *scene) events(n int, all []rig.Tenant) {
	s.t.Helper()
	for i := range n {
		s.event(all[i%len(all)].UID)
	}
	require.NoError(s.t, s.in.Client.Flush(s.t.Context()))
}

// steadily calls fn so often a second until the test ends.
func (s *scene) steadily(rate float64, fn func(n int)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		rig.Pace(s.t.Context(), rate, fn)
	}()
	s.t.Cleanup(func() { <-done })
}

// flow produces so many events a second until the test ends, of the tenants in turn.
func (s *scene) flow(rate float64, all []rig.Tenant) {
	s.steadily(rate, func(n int) { s.event(all[n%len(all)].UID) })
}

// drained waits until a group has finished all of its records.
func (s *scene) drained(group string) {
	s.t.Helper()
	require.NoError(s.t, rig.Await(s.t.Context(), time.Minute, func() (bool, error) {
		lag, err := s.in.Lag(s.t.Context(), group)
		return lag == 0, err
	}), "%s is through", group)
}

// api is a process of the API, and a key for it.
type api struct {
	t           *testing.T
	base, token string
}

// runAPI starts an API.
func (s *scene) runAPI(args ...string) *api {
	s.t.Helper()
	address, err := rig.FreeAddress(s.t.Context())
	require.NoError(s.t, err)
	return s.runAPIAt(address, args...)
}

// runAPIAt starts an API at an address.
func (s *scene) runAPIAt(address string, args ...string) *api {
	s.t.Helper()
	text, err := s.in.Run(s.t.Context(), "key", "create", "--name", "alerts", "--role", "operator", "-o", "json")
	require.NoError(s.t, err)
	var key struct{ Token string }
	require.NoError(s.t, json.Unmarshal([]byte(text), &key))
	s.runReady("api", append(args, "--set", "api.listen="+address)...)
	return &api{s.t, "http://" + address + "/api/v1", key.Token}
}

// call makes a request and returns the status, 0 if there was no answer.
func (a *api) call(method, path string, body any) int {
	text, err := json.Marshal(body)
	if err != nil {
		return 0
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, bytes.NewReader(text))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
