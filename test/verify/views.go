package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/redistest"
)

// Figures of the views check.
const (
	viewRows          = 1_000_000
	viewSubscriptions = 10_000
	viewRate          = 50_000 // rows/s of a core: the machine has other things to do
	viewLimit         = 3 * time.Minute
	// recordsRead is of how many subscriptions the records of the last attempts are read too.
	recordsRead = 500
	windowLimit = 250
)

// views: 1,000,000 outcomes of the last hour are in the topic when the recorder starts; then everybody looks.
func views(ctx context.Context, in *installation) (err error) {
	v, err := newViewing(ctx, in)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, v.close) }()
	n := in.scale(viewRows)
	if err := v.produce(ctx, 0, n); err != nil {
		return err
	}
	cpu, memory, err := v.redisUse(ctx)
	if err != nil {
		return err
	}
	p, err := v.start(ctx)
	if err != nil {
		return err
	}
	var first time.Time
	err = rig.Await(ctx, viewLimit, func() (bool, error) {
		done, err := p.Metric(ctx, "postrider_recorder_outcomes_total")
		if done > 0 && first.IsZero() {
			first = time.Now()
		}
		return int(done) >= n, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the recorder: %w", err)
	}
	rate := float64(n) / time.Since(first).Seconds()
	used, err := p.CPU(ctx)
	if err != nil {
		return err
	}
	cpuAfter, memoryAfter, err := v.redisUse(ctx)
	if err != nil {
		return err
	}
	in.tell(fmt.Sprintf("outcomes recorded, of %d for %d subscriptions", n, viewSubscriptions), "%.0f/s, beside Kafka and Redis", rate)
	in.want(float64(n)/used > viewRate, "outcomes a core of the recorder records", fmt.Sprintf("> %d/s", viewRate), "%.0f/s", float64(n)/used)
	in.tell("CPU an outcome", "%.1f µs of the recorder, its start among it; %.1f µs of Redis", used/float64(n)*1e6, (cpuAfter-cpu)/float64(n)*1e6)
	in.tell("memory of Redis", "%.0f bytes an outcome, of a subscription %d", (memoryAfter-memory)/float64(n), n/viewSubscriptions)
	if err := v.memory(ctx, in, n); err != nil {
		return err
	}
	return v.look(ctx, in)
}

// memory says what the memory is of, key by key.
func (v *viewing) memory(ctx context.Context, in *installation, rows int) error {
	sums := map[string]float64{}
	keys := v.client.Scan(ctx, 0, "{"+in.Prefix+"*", 1000).Iterator()
	for keys.Next(ctx) {
		_, kind, _ := strings.Cut(keys.Val(), "}:")
		n, err := v.client.MemoryUsage(ctx, keys.Val(), 0).Result()
		if err != nil {
			return err
		}
		kind, _, _ = strings.Cut(kind, ":")
		sums[kind] += float64(n)
	}
	if err := keys.Err(); err != nil {
		return err
	}
	of := func(kind string) float64 { return sums[kind] / float64(rows) }
	in.tell("of it, bytes an outcome", "rows %.0f, messages %.0f, digests %.0f; statuses %.0f a subscription",
		of("h"), of("m"), of("d"), sums["s"]/viewSubscriptions)
	return nil
}

// viewing is an installation whose recorder has a Redis of its own, which may be emptied.
type viewing struct {
	in     *installation
	server *redistest.Server
	client *redis.Client
	views  *view.Redis
	fetch  *kafka.Fetcher
	begin  time.Time
	// change, if it is not nil, makes another row of the n-th.
	change func(n int, o *outcome.Outcome)
}

func newViewing(ctx context.Context, in *installation) (_ *viewing, err error) {
	v := &viewing{in: in, begin: time.Now().Add(-time.Hour).Truncate(time.Millisecond).UTC()}
	defer func() {
		if err != nil {
			err = joinClose(err, v.close)
		}
	}()
	if v.server, err = redistest.Launch(ctx); err != nil {
		return v, fmt.Errorf("starting Redis: %w", err)
	}
	v.client = redis.NewClient(&redis.Options{Addr: v.server.Addr})
	if v.views, err = view.Open(view.Config{Addresses: []string{v.server.Addr}, Prefix: in.Prefix}); err != nil {
		return v, err
	}
	v.fetch, err = kafka.NewFetcher(kafka.Config{Brokers: in.Rig.Brokers})
	return v, err
}

func (v *viewing) close() error {
	if v.fetch != nil {
		v.fetch.Close()
	}
	if v.views != nil {
		_ = v.views.Close()
	}
	if v.client != nil {
		_ = v.client.Close()
	}
	if v.server != nil {
		return v.server.Close()
	}
	return nil
}

// start runs a recorder and returns when it is in its group.
func (v *viewing) start(ctx context.Context) (*rig.Process, error) {
	p, err := v.in.Start(ctx, "recorder", v.set()...)
	if err != nil {
		return nil, err
	}
	return p, p.Ready(ctx)
}

func (v *viewing) set() []string { return []string{"--set", "redis.addresses=" + v.server.Addr} }

func viewSubscription(n int) ident.ID { return ident.Derive("views", strconv.Itoa(n)) }

// produce writes rows, as deliverers do, from the n-th on: over an hour, 1 of 20 a failure, each message for 4 subscriptions.
func (v *viewing) produce(ctx context.Context, from, n int) error {
	random := rand.New(rand.NewPCG(uint64(from), 1))
	tenant := ident.Derive("views", "tenant")
	failed := make(chan error, 1)
	for i := from; i < from+n; i++ {
		message, sub := delivery.MessageID(tenant, "views", strconv.Itoa(i/4)), viewSubscription(random.IntN(viewSubscriptions))
		at := v.begin.Add(time.Duration(float64(i) / viewRows * float64(time.Hour)))
		o := outcome.Outcome{
			Version: outcome.Version, Delivery: delivery.ID(message, sub).Base62(delivery.IDPrefix),
			Message: message.Base62(delivery.MessagePrefix), EventID: strconv.Itoa(i / 4), EventTime: at, Tenant: tenant, Subscription: sub,
			EventType: []string{"contact.updated", "order.created", "order.paid", "order.shipped"}[random.IntN(4)],
			Profile:   "standard", Trigger: delivery.TriggerEvent, Attempt: 1, Verdict: outcome.Delivered, Reason: outcome.ReasonDelivered,
			Result: outcome.ResultSuccess, Status: 200, URL: "https://hooks.example.com/in/4711", At: at, QueueMS: 0.4,
			DurationMS: 20 * random.ExpFloat64(), First: &at, ResponseBody: `{"ok":true}`,
			Source: delivery.Position{Topic: "postrider.events", Partition: 3, Offset: int64(i)},
			Record: delivery.Position{Topic: "postrider.deliveries", Partition: 3, Offset: int64(i)}, Registry: 7, Generation: 1,
			BodySHA256: strings.Repeat("0a", 32),
		}
		if random.IntN(20) == 0 {
			o.Verdict, o.Reason, o.Result, o.Status = outcome.Retry, outcome.ReasonFailed, outcome.ResultServerError, 503
		}
		if v.change != nil {
			v.change(i, &o)
		}
		text, err := json.Marshal(o)
		if err != nil {
			return err
		}
		v.in.Client.Produce(ctx, &kgo.Record{Topic: v.in.Topic("outcomes"), Key: []byte(o.Subscription.UUID()), Value: text}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := v.in.Client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return fmt.Errorf("writing outcomes: %w", err)
	default:
		return nil
	}
}

// redisUse is what Redis has used of the processor, in seconds, and what it uses of memory, in bytes.
func (v *viewing) redisUse(ctx context.Context) (cpu, memory float64, err error) {
	text, err := v.client.Info(ctx, "cpu", "memory").Result()
	if err != nil {
		return 0, 0, err
	}
	fields := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			fields[name] = n
		}
	}
	return fields["used_cpu_user"] + fields["used_cpu_sys"], fields["used_memory"], nil
}

// look measures what people ask, of every subscription.
func (v *viewing) look(ctx context.Context, in *installation) error {
	lists := map[string]func(ident.ID) (int, error){
		"the last 50 attempts": func(sub ident.ID) (int, error) {
			list, err := v.views.LastAttempts(ctx, sub, "", view.KeptAttempts)
			return len(list), err
		},
		fmt.Sprintf("a page of %d of a window of 7 days", windowLimit): func(sub ident.ID) (int, error) {
			page, err := v.views.Attempts(ctx, view.AttemptQuery{
				Subscription: sub, After: v.begin.Add(-7 * 24 * time.Hour), Limit: windowLimit, AllRows: true,
			})
			return len(page.Attempts), err
		},
		"the health of a day, by the minute": func(sub ident.ID) (int, error) {
			now := time.Now()
			h, err := v.views.Health(ctx, view.HealthQuery{Subscription: sub, From: now.Add(-24 * time.Hour), To: now, Step: time.Minute})
			return len(h.Series), err
		},
	}
	for _, what := range []string{"the last 50 attempts", fmt.Sprintf("a page of %d of a window of 7 days", windowLimit), "the health of a day, by the minute"} {
		if err := v.ask(in, what, viewSubscriptions, lists[what]); err != nil {
			return err
		}
	}
	return v.ask(in, "the last 50 attempts with their records", recordsRead, func(sub ident.ID) (int, error) {
		list, err := v.views.LastAttempts(ctx, sub, "", view.KeptAttempts)
		if err != nil {
			return 0, err
		}
		places := make([]kafka.Place, len(list))
		for i, a := range list {
			places[i] = kafka.Place(a.Position)
		}
		found, _, err := v.fetch.Fetch(ctx, places, 16<<20)
		if err == nil && len(found) != len(list) {
			err = fmt.Errorf("%d of %d records are there", len(found), len(list))
		}
		return len(found), err
	})
}

// ask asks for subscriptions one after the other.
func (v *viewing) ask(in *installation, what string, n int, ask func(ident.ID) (int, error)) error {
	took, found := make([]time.Duration, n), 0
	for i := range took {
		begin := time.Now()
		got, err := ask(viewSubscription(i))
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took[i], found = time.Since(begin), found+got
	}
	slices.Sort(took)
	in.tell(what, "p50 %.2f ms, p99 %.2f ms, of %d subscriptions, %d entries on average", took[n/2].Seconds()*1e3, took[n*99/100].Seconds()*1e3, n, found/n)
	return nil
}
