package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider/test/internal/report"
	"github.com/postrider/postrider/test/internal/rig"
)

// Figures of the cpu scenario.
const (
	cpuHosts      = 1000 // endpoints of the wide cases
	cpuDeliveries = 20_000
	cpuRatio      = 1.5 // CPU of all of Postrider per delivery, to that of the loop that does nothing else
)

// cpu: what a signed delivery of 1 KiB costs, its outcome included, beside a loop that only sends.
func cpu(ctx context.Context, b *bench) error {
	return b.cpu(ctx, set{hosts: cpuHosts, partitions: 8}, "Kafka")
}

// cpuKfake is the same on kfake, in a process of its own.
func cpuKfake(ctx context.Context, b *bench) error {
	return b.cpu(ctx, set{hosts: cpuHosts, partitions: 8, kfake: true}, "kfake")
}

// cpuCase is one way to spread the same number of deliveries.
type cpuCase struct {
	hosts, fanOut int
	tenants       []rig.Tenant
}

func (b *bench) cpu(ctx context.Context, what set, server string) (err error) {
	s, err := b.scene(ctx, what)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }() //nolint:contextcheck // see close
	limit, err := startChild(ctx, b.rig.Dir, "limit", "--port", strconv.Itoa(s.sink.port), "--hosts", strconv.Itoa(cpuHosts))
	if err != nil {
		return err
	}
	defer limit.close(ctx)
	var all []rig.Tenant
	var cases []cpuCase
	for _, c := range []cpuCase{{hosts: 1, fanOut: 1}, {hosts: 1, fanOut: 10}, {hosts: cpuHosts, fanOut: 1}, {hosts: cpuHosts, fanOut: 10}} {
		if what.kfake && c.fanOut > 1 && !b.full {
			continue // Kafka's figures tell
		}
		n := max(1, c.hosts/c.fanOut)
		c.tenants = rig.Tenants(n, c.fanOut, nil)
		for i := range c.tenants {
			c.tenants[i].UID = fmt.Sprintf("of-%d-%d-%d", c.hosts, c.fanOut, i)
			for j := range c.tenants[i].Subscriptions {
				c.tenants[i].Subscriptions[j].URL = s.sink.url("ok", (i*c.fanOut+j)%c.hosts)
			}
		}
		cases, all = append(cases, c), append(all, c.tenants...)
	}
	if err := s.start(ctx, all); err != nil {
		return err
	}
	return s.cpuCases(ctx, limit, cases, server)
}

// cpuCases measures the limit before and after the cases of as many endpoints, and takes the mean: the machine may have
// other work.
func (s *scene) cpuCases(ctx context.Context, limit *child, cases []cpuCase, server string) error {
	for len(cases) > 0 {
		hosts := cases[0].hosts
		before, err := limitCPU(ctx, limit, "net/http", hosts, 0)
		if err != nil {
			return err
		}
		raw, err := limitCPU(ctx, limit, "raw", hosts, 0)
		if err != nil {
			return err
		}
		var results []func(limit time.Duration)
		for ; len(cases) > 0 && cases[0].hosts == hosts; cases = cases[1:] {
			if hosts == 1 && len(results) > 0 {
				if err := rig.Pause(ctx, forgotten); err != nil {
					return err
				}
			}
			result, err := s.cpuCase(ctx, cases[0], server)
			if err != nil {
				return err
			}
			results = append(results, result)
		}
		after, err := limitCPU(ctx, limit, "net/http", hosts, 0)
		if err != nil {
			return err
		}
		base := (before + after) / 2
		s.figures.Add(report.Figure{
			Check: s.name, What: fmt.Sprintf("limit, %s", endpoints(hosts)), Value: inMicros(base), Unit: "µs", Ratio: 1,
			Measured: fmt.Sprintf("%s a request by a loop of net/http (%s and %s), %s by hand", micros(base), micros(before), micros(after), micros(raw)),
		})
		for _, result := range results {
			result(base)
		}
	}
	return nil
}

// forgotten is after what time the lanes of one case do not count as others' any more in the next: with an idle one beside it a busy
// lane is diverted, and not pushed back.
const forgotten = 11 * time.Second

func endpoints(n int) string {
	if n == 1 {
		return "1 endpoint"
	}
	return fmt.Sprintf("%d endpoints", n)
}

// limitCPU lets a loop send, once to open its connections and then measured, and returns its CPU per request. A rate is in
// requests a second; 0 is as fast as it can.
func limitCPU(ctx context.Context, limit *child, kind string, hosts, rate int) (time.Duration, error) {
	var got limitResult
	run := func(requests, rate int) error {
		err := limit.ask(ctx, &got, http.MethodPost, "/run", "kind", kind, "hosts", strconv.Itoa(hosts),
			"requests", strconv.Itoa(requests), "rate", strconv.Itoa(rate))
		if err != nil {
			return fmt.Errorf("sending in a loop: %w", err)
		}
		return nil
	}
	if err := run(2*cpuHosts, 0); err != nil {
		return 0, err
	}
	n := cpuDeliveries
	if rate > 0 {
		n = rate * int(limitFor/time.Second)
	}
	a := &account{}
	a.watch("loop", limit.node.PID())
	if err := a.begin(); err != nil {
		return 0, err
	}
	if err := run(n, rate); err != nil {
		return 0, err
	}
	used, _, err := a.end()
	return per(used["loop"], got.Requests), err
}

// limitFor is how long a loop with a rate sends.
const limitFor = 5 * time.Second

// warmUp is how many deliveries come before those of a case: they open its connections, and have every process touch the memory
// that it will use again, 128 MiB between two collections. To touch a page for the first time is the kernel's work, up to 10 µs
// of it on a virtual machine, and a process does it once.
const warmUp = 100_000

// cpuCase sends deliveries and returns what adds their figures, once the limit is known.
func (s *scene) cpuCase(ctx context.Context, c cpuCase, server string) (func(limit time.Duration), error) {
	if _, err := s.deliver(ctx, c, warmUp); err != nil {
		return nil, err
	}
	n := cpuDeliveries
	if s.full {
		n *= 5
	}
	before, err := s.sink.state(ctx)
	if err != nil {
		return nil, err
	}
	profiled := s.profile(ctx, fmt.Sprintf("%s-%d-%d", s.name, c.hosts, c.fanOut))
	a := s.account()
	if err := a.begin(); err != nil {
		return nil, err
	}
	done, err := s.deliver(ctx, c, n)
	if err != nil {
		return nil, err
	}
	// The last outcomes and commits belong to the deliveries.
	if err := rig.Pause(ctx, time.Second); err != nil {
		return nil, err
	}
	used, took, err := a.end()
	if err != nil {
		return nil, err
	}
	if err := profiled(); err != nil {
		return nil, err
	}
	parked, diverted, err := s.parked(ctx)
	if err != nil {
		return nil, err
	}
	after, err := s.sink.state(ctx)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("%s, fan-out %d", endpoints(c.hosts), c.fanOut)
	return func(limit time.Duration) {
		cost := per(s.product(used), n)
		s.add(ratio(cost, limit) <= cpuRatio && done == n, report.Figure{
			What: "CPU per delivery, " + what, Target: fmt.Sprintf("≤ %.1f × the limit", cpuRatio),
			Value: inMicros(cost), Unit: "µs", Ratio: ratio(cost, limit),
			Measured: fmt.Sprintf("%s, %.1f × (%d of %d made, %.0f/s)", micros(cost), ratio(cost, limit), done, n, float64(done)/(took-time.Second).Seconds()),
		})
		s.tell("of it", "%s", spent(a, used, n, "router", "deliver", "retry", "recorder"))
		s.tell("besides", "%s; body of %d bytes, %d new connections, %d streams of HTTP/2, %.0f parked, %.0f of them diverted",
			spent(a, used, n, server, "Redis", "endpoints"), (after.Bytes-before.Bytes)/int64(max(1, done)),
			after.Connections-before.Connections, after.Streams-before.Streams, parked, diverted)
	}, nil
}

// profileFor and fullProfileFor are how long a profile takes, in seconds: less than a case.
const (
	profileFor     = 1
	fullProfileFor = 8
)

// profile begins to write profiles of all roles, if they are wanted. It returns what waits for their end. What profiling
// costs is in the figures of such a run.
func (s *scene) profile(ctx context.Context, name string) (wait func() error) {
	if s.profiles == "" {
		return func() error { return nil }
	}
	seconds := profileFor
	if s.full {
		seconds = fullProfileFor
	}
	var group errgroup.Group
	for _, p := range s.roles {
		group.Go(func() error {
			profile, err := p.Profile(ctx, seconds)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(s.profiles, name+"-"+p.Role+".pprof"), profile, 0o600)
		})
	}
	return group.Wait
}

// deliver produces the events of n deliveries and waits for them. It returns how many were made.
func (s *scene) deliver(ctx context.Context, c cpuCase, n int) (int, error) {
	before, err := s.sink.state(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.load.burst(ctx, n/c.fanOut, c.tenants); err != nil {
		return 0, err
	}
	accepted, err := s.sink.awaitAccepted(ctx, before.Accepted+int64(n), 2*time.Minute)
	if ctx.Err() != nil || accepted == 0 {
		return 0, err
	}
	return int(accepted - before.Accepted), nil // that some are missing, the figure tells
}
