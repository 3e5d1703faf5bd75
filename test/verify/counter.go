package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
)

// Figures of the counter check.
const (
	counterWriters = 8
	counterTotal   = 1000
)

// counter: eight writers at two APIs raise one counter by reading it, comparing and setting it. One API is killed in the
// middle and starts again; then all writers stand still while the broker is restarted under an API that has just replayed.
func counter(ctx context.Context, in *installation) error {
	token, err := in.key(ctx)
	if err != nil {
		return err
	}
	c := &counting{in: in, token: token, total: in.scale(counterTotal)}
	for i := range c.apis {
		p, err := in.startAPI(ctx)
		if err != nil {
			return err
		}
		c.apis[i].Store(p)
	}
	first, err := c.apis[0].Load().call(ctx, token, http.MethodPost, "/app", map[string]any{"name": "counter", "uid": "counter"}, "")
	if err != nil || first.status != http.StatusCreated {
		return fmt.Errorf("creating the counter: %v, %w", first, err)
	}
	begin := time.Now()
	if err := c.until(ctx, c.total*2/3, func() error { return c.killInTheMiddle(ctx) }); err != nil {
		return err
	}
	working := time.Since(begin)
	if err := c.restartBroker(ctx); err != nil {
		return err
	}
	begin = time.Now()
	if err := c.until(ctx, c.total, nil); err != nil {
		return err
	}
	working += time.Since(begin)
	return c.judge(ctx, working)
}

type counting struct {
	in    *installation
	token string
	total int
	apis  [2]atomic.Pointer[apiProcess]

	mu                 sync.Mutex
	successes          int
	conflicts, unknown int
	other              []string // answers that are neither success nor conflict nor a way of saying "try again"
	lost               int      // successes that were not there when they were read again
	fenced             float64  // of processes that are gone
}

// app is the counter: its metadata holds the count and the last number that each writer has set.
type app struct {
	Metadata map[string]string `json:"metadata"`
}

// until lets all writers write until the counter stands at target; meanwhile runs beside them.
func (c *counting) until(ctx context.Context, target int, meanwhile func() error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for w := range counterWriters {
		wg.Go(func() {
			if err := c.writer(ctx, w, target); err != nil {
				cancel(err)
			}
		})
	}
	if meanwhile != nil {
		if err := meanwhile(); err != nil {
			cancel(err)
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}

// writer raises the counter until it stands at target. What became of a write without an answer is read from the counter:
// only this writer sets its own number.
func (c *counting) writer(ctx context.Context, w, target int) error {
	name := "w" + strconv.Itoa(w)
	pending := 0 // the number of a write of unknown fate
	for {
		p := c.apis[w%len(c.apis)].Load()
		got, err := p.call(ctx, c.token, http.MethodGet, "/app/counter", nil, "")
		if err != nil || got.status != http.StatusOK {
			if err := rig.Pause(ctx, 50*time.Millisecond); err != nil { // it is being started again
				return err
			}
			continue
		}
		var a app
		if err := json.Unmarshal(got.body, &a); err != nil {
			return fmt.Errorf("reading the counter: %w", err)
		}
		count, _ := strconv.Atoi(a.Metadata["count"])
		mine, _ := strconv.Atoi(a.Metadata[name])
		if pending != 0 && mine == pending {
			c.note(func() { c.successes++ })
		}
		if count >= target {
			return nil
		}
		next := map[string]string{}
		maps.Copy(next, a.Metadata)
		next["count"], next[name] = strconv.Itoa(count+1), strconv.Itoa(mine+1)
		answer, err := p.call(ctx, c.token, http.MethodPatch, "/app/counter", map[string]any{"metadata": next}, got.etag)
		if pending, err = c.judgeAnswer(ctx, p, answer, err, name, mine+1); err != nil {
			return err
		}
	}
}

// judgeAnswer counts an answer; it returns the number of the write if its fate is open.
func (c *counting) judgeAnswer(ctx context.Context, p *apiProcess, a *apiAnswer, err error, name string, number int) (int, error) {
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err != nil || a.status >= http.StatusInternalServerError:
		c.note(func() { c.unknown++ })
		return number, nil //nolint:nilerr // the process was killed or is going; the next read tells
	case a.status == http.StatusOK:
		c.note(func() { c.successes++ })
		return 0, c.again(ctx, p, a, name, number)
	case a.status == http.StatusPreconditionFailed || a.status == http.StatusConflict:
		c.note(func() { c.conflicts++ })
		return 0, nil
	}
	c.note(func() { c.other = append(c.other, fmt.Sprintf("%d %s", a.status, a.body)) })
	return 0, nil
}

// again reads a success again: at its version it is what was written, and later versions contain it.
func (c *counting) again(ctx context.Context, p *apiProcess, written *apiAnswer, name string, number int) error {
	got, err := p.call(ctx, c.token, http.MethodGet, "/app/counter", nil, "")
	if err != nil {
		return nil //nolint:nilerr // the process was killed; the total tells
	}
	var a app
	if err := json.Unmarshal(got.body, &a); err != nil {
		return fmt.Errorf("reading the counter: %w", err)
	}
	mine, _ := strconv.Atoi(a.Metadata[name])
	if mine < number || got.etag == written.etag && mine != number {
		c.note(func() { c.lost++ })
	}
	return nil
}

func (c *counting) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *counting) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.successes
}

// killInTheMiddle kills an API after a third of all, while it writes, and starts another in its place.
func (c *counting) killInTheMiddle(ctx context.Context) error {
	if err := rig.Await(ctx, 4*time.Minute, func() (bool, error) { return c.count() >= c.total/3, nil }); err != nil {
		return fmt.Errorf("waiting for a third: %w", err)
	}
	return c.replace(ctx, func(p *rig.Process) { p.Kill(ctx) })
}

// replace ends the first API and starts another.
func (c *counting) replace(ctx context.Context, end func(*rig.Process)) error {
	old := c.apis[0].Load()
	if n, err := old.Metric(ctx, "postrider_registry_fencings_total"); err == nil {
		c.fenced += n
	}
	end(old.Process)
	p, err := c.in.startAPI(ctx)
	if err != nil {
		return err
	}
	c.apis[0].Store(p)
	return nil
}

// restartBroker restarts the broker between an API's replay and its first write.
func (c *counting) restartBroker(ctx context.Context) error {
	if err := c.replace(ctx, func(p *rig.Process) { _, _, _ = p.Term(ctx) }); err != nil {
		return err
	}
	cluster := c.in.Rig.Cluster
	if cluster == nil {
		c.in.tell("broker restarted between replay and first write", "not done: the broker was given")
		return nil
	}
	if err := cluster.Stop(0); err != nil {
		return fmt.Errorf("stopping the broker: %w", err)
	}
	if err := cluster.Restart(0); err != nil {
		return fmt.Errorf("starting the broker again: %w", err)
	}
	c.in.tell("broker restarted between replay and first write", "yes")
	return nil
}

func (c *counting) judge(ctx context.Context, working time.Duration) error {
	for i := range c.apis {
		p := c.apis[i].Load()
		n, err := p.Metric(ctx, "postrider_registry_fencings_total")
		if err != nil {
			return err
		}
		c.fenced += n
		got, err := p.call(ctx, c.token, http.MethodGet, "/app/counter", nil, "")
		if err != nil {
			return err
		}
		var a app
		if err := json.Unmarshal(got.body, &a); err != nil {
			return fmt.Errorf("reading the counter: %w", err)
		}
		c.in.want(a.Metadata["count"] == strconv.Itoa(c.total), "counter at "+p.Name, strconv.Itoa(c.total), "%s", a.Metadata["count"])
	}
	c.in.want(c.successes == c.total, "writes that succeeded", strconv.Itoa(c.total), "%d", c.successes)
	c.in.wantZero(c.lost, "successes that were not there when read again")
	c.in.want(len(c.other) == 0, "answers that were neither success nor conflict", "0", "%d %.200v", len(c.other), c.other)
	c.in.tell("conflicts, answered 409 or 412", "%d", c.conflicts)
	c.in.tell("writes without an answer, found out by reading", "%d", c.unknown)
	c.in.tell("writes/s", "%.1f (8 writers, one key, 2 APIs)", float64(c.total)/working.Seconds())
	c.in.tell("fencings", "%.0f", c.fenced)
	return nil
}
