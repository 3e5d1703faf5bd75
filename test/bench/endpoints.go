package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/rig"
)

// sink is the process that stands for all endpoints, see [sinkServer].
type sink struct {
	*child
	port, hosts int
}

// sinkState is what a sink has counted.
type sinkState struct{ Accepted, Connections, Streams, Bytes int64 }

func startSink(ctx context.Context, r *rig.Rig, hosts int, http1 bool) (*sink, error) {
	s := &sink{hosts: hosts}
	var err error
	if s.port, err = rig.FreePort(ctx); err != nil {
		return nil, err
	}
	s.child, err = startChild(ctx, r.Dir, "sink", "--port", strconv.Itoa(s.port), "--hosts", strconv.Itoa(hosts), fmt.Sprintf("--http1=%t", http1))
	return s, err
}

// url is the URL of an endpoint that behaves so.
func (s *sink) url(behaviour string, endpoint int) string {
	return fmt.Sprintf("https://%s:%d/%s/%d", hostAddress(endpoint%s.hosts), s.port, behaviour, endpoint)
}

// turn changes how the endpoints of /switch behave.
func (s *sink) turn(ctx context.Context, behaviour string) error {
	_, err := s.call(ctx, http.MethodPost, "/switch", "to", behaviour)
	return err
}

// refuse lets hosts refuse connections from now on.
func (s *sink) refuse(ctx context.Context, from, to int) error {
	_, err := s.call(ctx, http.MethodPost, "/refuse", "from", strconv.Itoa(from), "to", strconv.Itoa(to))
	return err
}

func (s *sink) state(ctx context.Context) (state sinkState, err error) {
	return state, s.ask(ctx, &state, http.MethodGet, "/state")
}

// awaitAccepted waits until so many requests were answered 2xx, and returns how many were.
func (s *sink) awaitAccepted(ctx context.Context, n int64, limit time.Duration) (int64, error) {
	var state sinkState
	err := rig.Await(ctx, limit, func() (ok bool, err error) {
		state, err = s.state(ctx)
		return state.Accepted >= n, err
	})
	return state.Accepted, err
}

// receipts returns all that was received, in order of time.
func (s *sink) receipts(ctx context.Context) ([]receipt, error) {
	raw, err := s.call(ctx, http.MethodGet, "/receipts")
	if err != nil {
		return nil, fmt.Errorf("asking for receipts: %w", err)
	}
	all := make([]receipt, len(raw)/binary.Size(receipt{}))
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, all); err != nil {
		return nil, fmt.Errorf("reading receipts: %w", err)
	}
	slices.SortFunc(all, func(a, b receipt) int { return int(a.At - b.At) })
	return all, nil
}

// latencies are of deliveries, from the acknowledgement of the event to its first receipt that was answered 2xx. Sorted.
type latencies []time.Duration

// latenciesOf returns those of some endpoints and the events from a number on. An event that was received by several of
// them counts for each.
func latenciesOf(all []receipt, acked []time.Time, from int, endpoint func(uint32) bool) latencies {
	type pair struct{ event, endpoint uint32 }
	seen := map[pair]bool{}
	var out latencies
	for _, r := range all {
		p := pair{r.Event, r.Endpoint}
		if int(r.Event) < from || int(r.Event) >= len(acked) || r.Status >= 300 || !endpoint(r.Endpoint) || seen[p] {
			continue
		}
		seen[p] = true
		out = append(out, time.Unix(0, r.At).Sub(acked[r.Event]))
	}
	slices.Sort(out)
	return out
}

// at returns a quantile; 0 of none.
func (l latencies) at(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[int(q*float64(len(l)-1))]
}

// routing is how long the router took for the events of some tenants from a number on, from the acknowledgement of an event
// to the time in the records of its deliveries, which is of the millisecond. Sorted.
func (s *scene) routing(ctx context.Context, from int, tenants []rig.Tenant) (out latencies, err error) {
	acked, of := s.load.times(), s.load.of
	mine := map[string]bool{}
	for _, t := range tenants {
		mine[t.UID] = true
	}
	type delivery struct {
		event        uint32
		subscription string
	}
	seen := map[delivery]bool{} // a delivery that was parked comes again
	err = s.Read(ctx, "deliveries", func(r *kgo.Record) error {
		n := eventNumber(r.Value)
		if d := (delivery{n, string(r.Key)}); int(n) >= from && int(n) < len(acked) && mine[of[n]] && !seen[d] {
			seen[d] = true
			out = append(out, r.Timestamp.Sub(acked[n]))
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}
