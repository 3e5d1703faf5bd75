// Package pipeline is the path of an event, one stage per file:
//
//	route.go       source topics → deliveries, routed, rejected
//	select.go          which subscriptions receive an event: channels and filters
//	reject.go          records that could not be read, carried to where people look for them
//	deliver.go     deliveries → lanes → attempts
//	hold.go            when a partition waits, and who lets it go on
//	lane.go            a queue and a concurrency limit per subscription, served by the workers
//	patience.go        when a lane waits for its own rather than open another connection
//	saturation.go      whether the processors have all that they can do
//	try.go             one delivery through registry, transformation, breaker and attempt to its verdict
//	transform.go       the subscription's program, and what it ends without an attempt
//	sender.go          the prepared profile of each subscription
//	traced.go          the trace context that an endpoint gets
//	row.go             the outcome of a delivery, an attempt or none
//	settle.go          verdict → retry or dead-letter record → outcome → finished
//	operational.go     operational events, and the failures in a row that disable a subscription
//	endpoint.go        endpoint state: folded from outcomes, snapshotted to endpoint-states
//	breakers.go        which breakers are open, told to whoever shows it
//	restore.go         the same, taken up by a partition's next owner
//	window.go          recent (delivery, trigger, pass), to drop what a crash repeated
//	retry.go       retry tiers → deliveries when due
//	timer.go           what happens when
//	resend.go          an event → deliveries, once more, by hand
//	task_log.go    tasks: the background tasks and how far they are
//	task_run.go        who carries them out
//	task_step.go       one task: found, written, counted, step by step
//	task_outcomes.go   finds by outcomes → deliveries: recover, bulk replay
//	task_letters.go    finds dead letters → deliveries and marks: redrive, discard
//	task_missing.go    finds in source topics → deliveries: replay of what was never attempted
//	letters.go     deadletters and rejected: which are open, and work on them in batches
//	deadletter.go      deadletters → deliveries, or discarded, by hand
//	reingest.go        rejected → source topics, by hand
//	tried.go           what was tried of a delivery
//	publish.go     events of the API → source topic
//	publish_index.go   whether they were published before; found again at once
//	sendto.go      an event of the API → deliveries, for one subscription alone
//	record.go      source topics → the index of events in Redis
//	record_outcomes.go outcomes, statuses → the views of attempts in Redis; statuses
//	record_row.go      what they need of an outcome's JSON
//	record_tenants.go  whose attempts they are, as metrics
//	readback.go    the index's positions → events
//	disable.go     operational → the registry: endpoints that were disabled
//	notices.go     registry, views → mails and chats: failures, told to tenants
//	notices_facts.go   what is known of an endpoint
//	batch.go           what record and disable share: batches that are tried until they succeed
//
// DESIGN.md says why the writes are in their order and which accounts must balance.
//
// Every stage is a [kafka.Handler]: it is handed records, and finishes each one when everything that the record
// promises was acknowledged by Kafka. What a crash repeats has the same identities as before.
//
// Metrics (see metrics.go):
//
//	postrider_router_events_total, postrider_router_expansions_total, postrider_router_filtered_total,
//	postrider_deliverer_attempts_total,
//	postrider_deliverer_attempt_seconds, postrider_deliverer_verdicts_total, postrider_deliverer_transformations_total,
//	postrider_deliverer_repeats_total,
//	postrider_deliverer_in_flight, postrider_deliverer_queued, postrider_deliverer_bytes,
//	postrider_deliverer_unconfirmed_total, postrider_deliverer_breakers_open, postrider_deliverer_restore_seconds,
//	postrider_deliverer_aborted_total, postrider_retrier_moves_total, postrider_retrier_late_seconds,
//	postrider_retrier_waiting, postrider_recorder_events_total, postrider_recorder_retries_total,
//	postrider_recorder_outcomes_total, postrider_recorder_unreadable_total, postrider_recorder_tenant_attempts,
//	postrider_publisher_events_total, postrider_publisher_seconds, postrider_publisher_unchecked_total,
//	postrider_publisher_unindexed_total, postrider_disabler_events_total, postrider_disabler_retries_total,
//	postrider_notices_total, postrider_notices_away_total,
//	postrider_tasks_running, postrider_tasks_deliveries_total
package pipeline

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/pkg/backoff"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/topics"
)

// Producer writes records. Promise is called once per record, in order for the records of one partition, and not
// from the goroutine of the caller; it must not block. [kafka.Producer] is one.
type Producer interface {
	Produce(ctx context.Context, r *kafka.Record, promise func(*kafka.Record, error))
}

// Registry is what a stage sees of the registry. [registry.View] is one. All methods may be called concurrently.
type Registry interface {
	// Snapshot returns the newest snapshot.
	Snapshot() *registry.Snapshot
	// ConfirmedAt returns an instant before which every acknowledged change is in the snapshot.
	ConfirmedAt() time.Time
	// Wait blocks until the snapshot is at least of that version.
	Wait(ctx context.Context, version int64) error
}

// Topics names the topics of an installation.
type Topics struct{ Prefix string }

// Name returns the full name of one of Postrider's topics.
func (t Topics) Name(topic string) string { return t.Prefix + topic }

// Retry returns the full name of a tier's topic.
func (t Topics) Retry(wait time.Duration) string { return t.Prefix + topics.Retry(wait) }

// RetryTopics returns the full names of all tiers' topics.
func (t Topics) RetryTopics() []string {
	var out []string
	for _, wait := range backoff.Tiers() {
		out = append(out, t.Retry(wait))
	}
	return out
}

// encode makes the record of a delivery for a topic.
func encode(topic string, d *delivery.Delivery) *kafka.Record {
	r := &kafka.Record{
		Topic:   topic,
		Key:     d.Subscription.AppendUUID(nil),
		Value:   d.Data,
		Headers: make([]kafka.Header, 0, usualHeaders),
	}
	for name, v := range d.Headers() {
		r.Headers = append(r.Headers, kafka.Header{Key: name, Value: v})
	}
	return r
}

// usualHeaders is how many headers a delivery has, but for one that was tried before.
const usualHeaders = 13

// encodeNext makes the record of a delivery that differs from the one of r, which [encode] made, in subscription and id alone.
// What is the same they share.
func encodeNext(r *kafka.Record, d *delivery.Delivery) *kafka.Record {
	const keyLen = 36
	own := d.Subscription.AppendUUID(make([]byte, 0, keyLen+len(delivery.IDPrefix)+ident.Width))
	key := own[:keyLen:keyLen]
	own = d.ID.AppendBase62(own, delivery.IDPrefix)
	next := &kafka.Record{Topic: r.Topic, Key: key, Value: r.Value, Headers: slices.Clone(r.Headers)}
	next.Headers[0].Value = own[keyLen:] // the first is its id, see [delivery.Delivery.Headers]
	return next
}

// decode reads the record of a delivery.
func decode(r *kafka.Record) (*delivery.Delivery, error) {
	return delivery.Decode(r.Key, r.Value, headers(r))
}

func headers(r *kafka.Record) func(yield func(string, []byte) bool) {
	return func(yield func(string, []byte) bool) {
		for _, h := range r.Headers {
			if !yield(h.Key, h.Value) {
				return
			}
		}
	}
}

// position returns where r was read.
func position(r *kafka.Record) delivery.Position {
	return delivery.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
}

// waiting makes the record that waits for d.Due in the retry tiers.
func (t Topics) waiting(d *delivery.Delivery, now time.Time) *kafka.Record {
	wait, ready := backoff.Ready(d.Due, now)
	d.Ready = ready
	return encode(t.Retry(wait), d)
}

// produceSync produces r and waits until it is acknowledged.
func produceSync(ctx context.Context, out Producer, r *kafka.Record) error {
	done := make(chan error, 1)
	out.Produce(ctx, r, func(_ *kafka.Record, err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ceilMilli rounds up to the milliseconds that headers carry: rounded down, a retry would be early.
func ceilMilli(t time.Time) time.Time {
	if r := t.Truncate(time.Millisecond); r.Before(t) {
		return r.Add(time.Millisecond)
	}
	return t
}

// safeText makes s fit for a header or JSON text of bounded length.
func safeText(s string, limit int) string {
	// A piece more than the limit, so that a rune is not cut in two; what is no text grows to three bytes.
	s = strings.ToValidUTF8(s[:min(len(s), limit+utf8.UTFMax)], "�")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
