package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

func TestTheSinkReadsRequests(t *testing.T) {
	t.Parallel()
	text := "POST /status/503/7 HTTP/1.1\r\nHost: h\r\ncontent-LENGTH: 17\r\nCookie: a\r\n\r\n" + `{"data":{"n":42}}`
	q := &requestReader{r: bufio.NewReader(strings.NewReader(text))}
	require.NoError(t, q.next())
	require.Equal(t, "/status/503/7", string(q.path))
	require.EqualValues(t, 42, eventNumber(q.body))
	require.ErrorIs(t, q.next(), io.EOF)
}

func TestAPathSaysWhatBecomesOfARequest(t *testing.T) {
	t.Parallel()
	s := &sinkServer{}
	behaviour := "/status/500/"
	s.behaviour.Store(&behaviour)
	for path, want := range map[string]struct {
		status   int
		after    time.Duration
		endpoint uint32
	}{
		"/ok/3":         {http.StatusNoContent, 0, 3},
		"/status/429/4": {http.StatusTooManyRequests, 0, 4},
		"/delay/30s/5":  {http.StatusNoContent, 30 * time.Second, 5},
		"/switch/6":     {http.StatusInternalServerError, 0, 6},
	} {
		status, after, endpoint := s.judge([]byte(path))
		require.Equal(t, want.status, status, "%s", path)
		require.Equal(t, want.after, after, "%s", path)
		require.Equal(t, want.endpoint, endpoint, "%s", path)
	}
}

// Every event and endpoint counts once, by its first receipt that was answered well.
func TestLatenciesAreOfFirstReceipts(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	after := func(d time.Duration) int64 { return start.Add(d).UnixNano() }
	acked := []time.Time{start, start, start.Add(time.Second)}
	all := []receipt{
		{At: after(time.Second), Event: 1, Endpoint: 1, Status: 503},
		{At: after(2 * time.Second), Event: 0, Endpoint: 1, Status: 204},
		{At: after(3 * time.Second), Event: 1, Endpoint: 1, Status: 204},
		{At: after(4 * time.Second), Event: 1, Endpoint: 1, Status: 204},
		{At: after(5 * time.Second), Event: 2, Endpoint: 2, Status: 204},
		{At: after(6 * time.Second), Event: 2, Endpoint: 9, Status: 204},
		{At: after(7 * time.Second), Event: 8, Endpoint: 1, Status: 204},
	}
	got := latenciesOf(all, acked, 1, func(endpoint uint32) bool { return endpoint < 9 })
	require.Equal(t, latencies{3 * time.Second, 4 * time.Second}, got)
	require.Equal(t, 4*time.Second, got.at(1))
	require.Zero(t, latencies(nil).at(0.99))
}

func TestTheRampBeginsWithTheFirstSuccess(t *testing.T) {
	t.Parallel()
	up := time.Unix(1000, 0)
	at := func(windows float64) int64 {
		return up.Add(time.Second + time.Duration(windows*float64(recoveryAnswer))).UnixNano()
	}
	windows, first := ramp([]receipt{
		{At: up.UnixNano() - 1, Status: 204},
		{At: up.UnixNano() + 1, Status: 503},
		{At: at(0), Status: 204},
		{At: at(1.1), Status: 204},
		{At: at(1.2), Status: 204},
		{At: at(100), Status: 204},
	}, up)
	require.Equal(t, []int{1, 2, 0, 0, 0, 0, 0, 0}, windows)
	require.Equal(t, time.Second, first)
}

// The workers of a loop go through all hosts, and no two of them share one of many.
func TestWorkersShareTheHosts(t *testing.T) {
	t.Parallel()
	for _, hosts := range []int{1, 10, limitWorkers, 1000} {
		of := map[int]map[int]bool{}
		for w := range limitWorkers {
			for i := range 2 * hosts {
				h := hostOf(w, i, hosts)
				if of[h] == nil {
					of[h] = map[int]bool{}
				}
				of[h][w] = true
			}
		}
		require.Len(t, of, hosts)
		for h, workers := range of {
			require.LessOrEqual(t, h, hosts-1)
			require.LessOrEqual(t, len(workers), (limitWorkers+hosts-1)/hosts, "of host %d", h)
		}
	}
}

func TestEventsHaveOneSize(t *testing.T) {
	t.Parallel()
	require.Len(t, limitBody(), bodySize)
	for _, n := range []int{0, 9, 123_456} {
		require.Len(t, data(n), bodySize-envelopeSize, "of event %d", n)
		require.EqualValues(t, n, eventNumber(data(n)))
	}
}

func TestBenchmarksAreRead(t *testing.T) {
	t.Parallel()
	got := parseBenchmark("goos: linux\nBenchmarkMatching/subscriptions=1000-2  \t 10 \t 702.3 ns/op\t 0 allocs/op\nPASS\nBenchmark\n")
	require.Equal(t, []benchmarkResult{{name: "subscriptions=1000", units: map[string]float64{"ns/op": 702.3, "allocs/op": 0}}}, got)
}
