package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/report"
)

// Figures of the latency scenario.
const (
	latencyRate      = 200 // deliveries a second
	latencyEndpoints = 10
	latencyAbove     = 10 * time.Millisecond // at p99, above what the broker needs
)

// latency: how long a delivery takes at a rate that is no load, above what the broker itself needs from a producer to a
// plain consumer, and what it costs there.
func latency(ctx context.Context, b *bench) (err error) {
	s, err := b.scene(ctx, set{hosts: latencyEndpoints, partitions: 8})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }() //nolint:contextcheck // see close
	tenants := s.tenants(latencyEndpoints, 1, 0, fine)
	if err := s.start(ctx, tenants); err != nil {
		return err
	}
	paced, busy, err := s.limits(ctx, latencyEndpoints, latencyRate)
	if err != nil {
		return err
	}
	if _, err := s.capacity(ctx, tenants); err != nil { // opens the connections
		return err
	}
	d := 15 * time.Second
	if s.full {
		d = 2 * time.Minute
	}
	a := s.account()
	if err := a.begin(); err != nil {
		return err
	}
	ours, plain, err := s.besidePlain(ctx, d, func(ctx context.Context) (phase, error) {
		return s.healthy(ctx, latencyRate/latencyEndpoints, tenants, d, tenants)
	})
	if err != nil {
		return err
	}
	used, _, err := a.end()
	if err != nil {
		return err
	}
	above := ours.at(0.99) - plain.at(0.99)
	s.add(above <= latencyAbove && len(ours.latencies) == ours.want, report.Figure{
		What: "p99 above the broker's own", Target: "≤ " + latencyAbove.String(), Value: inMillis(above), Unit: "ms",
		Ratio:    ratio(ours.at(0.99), plain.at(0.99)),
		Measured: fmt.Sprintf("%s at %d/s (%d of %d made)", millis(above), latencyRate, len(ours.latencies), ours.want),
	})
	s.tell("from acknowledged event to receipt", "p50 %s, p99 %s, max %s", millis(ours.at(0.5)), millis(ours.at(0.99)), millis(ours.at(1)))
	routing, err := s.routing(ctx, s.load.count()-ours.want, tenants)
	if err != nil {
		return err
	}
	s.tell("of it until the router had it", "p50 %s, p99 %s, max %s", millis(routing.at(0.5)), millis(routing.at(0.99)), millis(routing.at(1)))
	s.tell("from producer to plain consumer", "p50 %s, p99 %s, max %s", millis(plain.at(0.5)), millis(plain.at(0.99)), millis(plain.at(1)))
	cost := per(s.product(used), ours.want)
	s.figures.Add(report.Figure{
		Check: s.name, What: "CPU per delivery at that rate", Value: inMicros(cost), Unit: "µs", Ratio: ratio(cost, paced),
		Measured: fmt.Sprintf("%s, %.1f × the limit of %s at that rate (%s when busy)", micros(cost), ratio(cost, paced), micros(paced), micros(busy)),
	})
	s.tell("of it", "%s; besides %s", spent(a, used, ours.want, "router", "deliver", "retry", "recorder"), spent(a, used, ours.want, "Kafka", "Redis"))
	return nil
}

// limits are the CPU of a request by the loop that only sends, at a rate and as fast as it can.
func (s *scene) limits(ctx context.Context, hosts, rate int) (paced, busy time.Duration, err error) {
	limit, err := startChild(ctx, s.rig.Dir, "limit", "--port", strconv.Itoa(s.sink.port), "--hosts", strconv.Itoa(hosts))
	if err != nil {
		return 0, 0, err
	}
	defer limit.close(ctx)
	if busy, err = limitCPU(ctx, limit, "net/http", hosts, 0); err != nil {
		return 0, 0, err
	}
	paced, err = limitCPU(ctx, limit, "net/http", hosts, rate)
	return paced, busy, err
}

// besidePlain runs something for a time and beside it a producer and a plain consumer of a topic of their own, with the
// latencies from the one to the other.
func (s *scene) besidePlain(ctx context.Context, d time.Duration, run func(context.Context) (phase, error)) (p phase, plain latencies, err error) {
	topic := s.Topic("plain")
	if _, err := s.Admin.CreateTopic(ctx, 1, -1, nil, topic); err != nil {
		return p, nil, fmt.Errorf("making topic: %w", err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Rig.Brokers...), kgo.ConsumeTopics(topic), kgo.ProducerLinger(0),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return p, nil, fmt.Errorf("making client: %w", err)
	}
	defer client.Close()
	consuming, stop := context.WithTimeout(ctx, d)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		plain = consumePlain(consuming, client)
	})
	wg.Go(func() {
		producePlain(consuming, client, topic)
	})
	p, err = run(ctx)
	wg.Wait()
	if err == nil && len(plain) == 0 {
		err = errors.New("the plain consumer received nothing")
	}
	slices.Sort(plain)
	return p, plain, err
}

// plainEvery is the time between two records of the plain producer.
const plainEvery = 20 * time.Millisecond

func producePlain(ctx context.Context, client *kgo.Client, topic string) {
	ticker := time.NewTicker(plainEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			now := strconv.FormatInt(time.Now().UnixNano(), 10)
			client.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(now), Value: data(0)}, nil)
		case <-ctx.Done():
			return
		}
	}
}

func consumePlain(ctx context.Context, client *kgo.Client) (out latencies) {
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		at := time.Now()
		for it := fetches.RecordIter(); !it.Done(); {
			if sent, err := strconv.ParseInt(string(it.Next().Key), 10, 64); err == nil {
				out = append(out, at.Sub(time.Unix(0, sent)))
			}
		}
	}
	return out
}
