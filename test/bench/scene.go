package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/test/internal/report"
	"github.com/postrider/postrider/test/internal/rig"
)

// bench is what all scenarios share.
type bench struct {
	options
	rig     *rig.Rig
	figures *report.Report
	name    string // of the scenario that runs
}

// scene is one installation of the product with endpoints of its own.
type scene struct {
	*rig.Installation
	*bench
	sink   *sink
	load   *load
	broker *broker // nil: Kafka
	roles  []*rig.Process
}

// set describes a scene.
type set struct {
	hosts      int
	partitions int
	config     string // YAML, further sections
	kfake      bool   // in place of Kafka
}

// scene makes one, without subscriptions. [scene.close] ends it.
func (b *bench) scene(ctx context.Context, s set) (_ *scene, err error) {
	out := &scene{bench: b}
	defer func() { //nolint:contextcheck // what was started has to end, also when ctx has ended
		if err != nil {
			err = errors.Join(err, out.close())
		}
	}()
	if out.sink, err = startSink(ctx, b.rig, s.hosts, b.http1); err != nil {
		return nil, err
	}
	r := *b.rig
	if s.kfake {
		if out.broker, err = startBroker(ctx, b.rig); err != nil {
			return nil, err
		}
		r.Brokers = []string{out.broker.address}
	}
	if out.Installation, err = r.Install(ctx, b.name, s.partitions); err != nil {
		return nil, err
	}
	out.load = &load{in: out.Installation}
	return out, out.Configure(s.config)
}

// close ends everything that the scene has started.
func (s *scene) close() (err error) {
	if s.Installation != nil {
		err = s.Close()
	}
	ctx := context.Background() // that of the scenario may have ended
	if s.broker != nil {
		s.broker.close(ctx)
	}
	if s.sink != nil {
		s.sink.close(ctx)
	}
	return err
}

// start writes the subscriptions and starts all roles that a delivery passes.
func (s *scene) start(ctx context.Context, tenants []rig.Tenant) (err error) {
	if err := s.Apply(ctx, tenants); err != nil {
		return err
	}
	for _, role := range []string{"router", "deliver", "retry", "recorder"} {
		p, err := s.Start(ctx, role, "--set", "log.level="+s.logLevel, "--set", fmt.Sprintf("http.profiling=%t", s.profiles != ""))
		if err != nil {
			return err
		}
		s.roles = append(s.roles, p)
	}
	for _, p := range s.roles {
		if err := p.Ready(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, s.Logs())
		}
	}
	return nil
}

// deliverer returns the process of that role.
func (s *scene) deliverer() *rig.Process {
	return s.roles[slices.IndexFunc(s.roles, func(p *rig.Process) bool { return p.Role == "deliver" })]
}

// account watches the roles, the servers and the endpoints.
func (s *scene) account() *account {
	a := &account{}
	for _, p := range s.roles {
		a.watch(p.Role, p.PID())
	}
	servers := s.rig.Servers()
	if s.broker != nil {
		a.watch("kfake", s.broker.node.PID())
	} else {
		a.watch("Kafka", servers["Kafka"])
	}
	a.watch("Redis", servers["Redis"])
	a.watch("endpoints", s.sink.node.PID())
	return a
}

// product is the CPU of all processes of Postrider.
func (s *scene) product(used map[string]time.Duration) (sum time.Duration) {
	for _, p := range s.roles {
		sum += used[p.Role]
	}
	return sum
}

// tenants makes n tenants with m subscriptions each, whose endpoints behave so. Endpoints are numbered from first on.
func (s *scene) tenants(n, m, first int, behaviour func(endpoint int) string) []rig.Tenant {
	out := rig.Tenants(n, m, func(sub *rig.Subscription) {
		sub.URL = s.sink.url(behaviour(first), first)
		first++
	})
	return out
}

// fine endpoints answer at once.
func fine(int) string { return "ok" }

// parked returns how many deliveries were put back without an attempt, and how many of them because a lane, a window or
// a tenant's share was full.
func (s *scene) parked(ctx context.Context) (parked, diverted float64, err error) {
	const metric = "postrider_deliverer_verdicts_total"
	deliverer := s.deliverer()
	if parked, err = deliverer.Metric(ctx, metric, `verdict="parked"`); err != nil {
		return 0, 0, err
	}
	for _, reason := range []string{"lane_full", "tenant_share", "window_full"} {
		n, err := deliverer.Metric(ctx, metric, `verdict="parked"`, `reason="`+reason+`"`)
		if err != nil {
			return 0, 0, err
		}
		diverted += n
	}
	return parked, diverted, nil
}

// tell adds a figure without a target.
func (b *bench) tell(what, format string, args ...any) {
	b.figures.Add(report.Figure{Check: b.name, What: what, Measured: fmt.Sprintf(format, args...), Verdict: report.Told})
}

// want adds a figure with a target.
func (b *bench) want(ok bool, what, target, format string, args ...any) {
	b.add(ok, report.Figure{What: what, Target: target, Measured: fmt.Sprintf(format, args...)})
}

func (b *bench) add(ok bool, f report.Figure) {
	f.Check, f.Verdict = b.name, report.Passed
	if !ok {
		f.Verdict = report.Failed
	}
	b.figures.Add(f)
}

// spent says who used how much CPU, per one of n.
func spent(a *account, used map[string]time.Duration, n int, names ...string) string {
	var parts []string
	for _, name := range names {
		if a.pids[name] == nil {
			parts = append(parts, name+" not known")
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %s", name, micros(per(used[name], n))))
	}
	return strings.Join(parts, ", ")
}

// per is the share of one of n.
func per(d time.Duration, n int) time.Duration { return d / time.Duration(max(1, n)) }

func inMicros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func inMillis(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

func micros(d time.Duration) string { return fmt.Sprintf("%.1f µs", inMicros(d)) }

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", inMillis(d)) }

// ratio is a to b; 0 of nothing.
func ratio(a, b time.Duration) float64 {
	if b <= 0 {
		return 0
	}
	return float64(a) / float64(b)
}
