package pipeline

import (
	"context"
	"log/slog"
	"net/url"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/tracing"
)

// OutcomeOptions say what outcomes hold of endpoints' answers and URLs. A subscription may hold back its own responses where
// the installation keeps them, not the other way round.
type OutcomeOptions struct {
	// DropBodies and DropHeaders leave out those of responses.
	DropBodies, DropHeaders bool
	// KeepQueries keeps the queries of URLs, which often hold a secret.
	KeepQueries bool
}

// row is an outcome that is being made, with what it points to and its record: one piece of memory for all of it, which serves again
// once Kafka has the record.
type row struct {
	outcome.Outcome
	due, first time.Time

	deliverer *Deliverer
	item      *item
	ep        *endpoint                   // nil if nobody looked for it
	policy    *subscription.FailurePolicy // see [Deliverer.record]
	record    kafka.Record
	text      []byte // the record's key and value
	// promise is row.acknowledged, made once.
	promise func(*kafka.Record, error)
}

// rows are the rows that may serve again.
type rows struct{ pool sync.Pool }

func (rs *rows) get(d *Deliverer) *row {
	if r, ok := rs.pool.Get().(*row); ok {
		return r
	}
	r := &row{deliverer: d, text: make([]byte, 0, usualRow)}
	r.promise = r.acknowledged
	return r
}

func (rs *rows) put(r *row) {
	if cap(r.text) <= maxKeptRow {
		r.item, r.ep, r.policy = nil, nil, nil
		rs.pool.Put(r)
	}
}

// usualRow is about what the key and the value of a row take, in bytes; those that take more than maxKeptRow are not kept, for
// thousands of rows wait for their acknowledgement.
const (
	usualRow   = 1 << 10
	maxKeptRow = 4 << 10
)

// row starts the outcome of a delivery.
func (d *Deliverer) row(it *item, v verdict, at time.Time) *row {
	dl := it.d
	r := d.rows.get(d)
	r.due, r.Outcome = v.due, outcome.Outcome{
		Version: outcome.Version, Delivery: dl.ID.Base62(delivery.IDPrefix), Message: dl.Message.Base62(delivery.MessagePrefix),
		EventID: dl.EventID, EventType: dl.EventType, EventTime: dl.EventTime, Channels: dl.Channels,
		Tenant: dl.Tenant, Subscription: dl.Subscription,
		Trigger: dl.Trigger.Kind, TriggerID: dl.Trigger.ID, Attempt: dl.Attempts, Pass: dl.Pass,
		Verdict: v.Verdict, Reason: v.reason, Result: outcome.ResultNone, At: at.UTC(),
		Source: dl.Source, Record: it.at, Registry: dl.Registry,
	}
	if !v.due.IsZero() {
		r.Due = &r.due
	}
	return r
}

// rowFor starts the outcome of a delivery whose subscription is known.
func (d *Deliverer) rowFor(c *candidate, v verdict, at time.Time) *row {
	r := d.row(c.item, v, at)
	r.ep = c.ep
	r.Profile, r.Generation = subscription.ProfileOf(c.sub, c.tenant), c.sub.Generation
	to := d.prepared(c)
	if r.URL = to.url; to.urlCut {
		r.Redacted = append(r.Redacted, outcome.RedactedURL)
	}
	return r
}

// rowOf makes the outcome of an attempt.
func (d *Deliverer) rowOf(c *candidate, resp *attempt.Response, j profile.Judgement, v verdict) *row {
	r := d.rowFor(c, v, resp.Started)
	r.Attempt++
	r.Result, r.Status, r.Detail = j.Result, resp.Status, safeText(resp.Detail, maxDetail)
	r.DurationMS, r.QueueMS = millis(resp.Duration), millis(resp.Started.Sub(c.arrived))
	took := &resp.Timings
	r.DNSMS, r.ConnectMS, r.TLSMS = someMillis(took.DNS), someMillis(took.Connect), someMillis(took.TLS)
	r.FirstByteMS = someMillis(resp.FirstByte)
	r.first = c.first()
	r.First = &r.first
	r.BodySHA256 = c.digest
	d.answer(r, c.sub, resp)
	return r
}

// answer puts into a row what the endpoint answered, as far as it may stand there.
func (d *Deliverer) answer(r *row, sub *subscription.Subscription, resp *attempt.Response) {
	switch {
	case !d.opts.Outcomes.DropBodies && !sub.RedactResponses:
		r.ResponseBody = safeText(string(resp.Body[:min(len(resp.Body), maxBody+utf8.UTFMax)]), maxBody)
		r.ResponseTruncated = resp.Truncated || len(resp.Body) > maxBody
	case len(resp.Body) > 0:
		r.Redacted = append(r.Redacted, outcome.RedactedResponseBody)
	}
	drop := d.opts.Outcomes.DropHeaders || sub.RedactResponses
	if !drop {
		r.ResponseHeaders, r.ResponseHeadersTruncated = resp.Headers, resp.HeadersTruncated
	}
	if resp.HeadersRedacted || drop && resp.Headers != "" {
		r.Redacted = append(r.Redacted, outcome.RedactedResponseHeaders)
	}
}

// encode makes the row's record, key and value in one piece.
func (r *row) encode(topic string, partition int32) *kafka.Record {
	r.text = r.AppendJSON(r.Subscription.AppendUUID(r.text[:0]))
	const keyLen = 36
	r.record = kafka.Record{Topic: topic, Partition: partition, Key: r.text[:keyLen:keyLen], Value: r.text[keyLen:]}
	return &r.record
}

// Bounds of texts in outcomes, in bytes.
const (
	maxDetail = 512
	maxBody   = 1 << 10
)

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// someMillis is for steps that may not have been made: one that took less than a microsecond took one.
func someMillis(d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return millis(max(d, time.Microsecond))
}

// shownURL is a URL without userinfo and fragment and, unless it is kept, without query: each may hold a secret. cut says
// that something is missing.
func shownURL(raw string, keepQuery bool) (shown string, cut bool) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", true
	}
	cut = u.User != nil || u.Fragment != "" || u.RawQuery != "" && !keepQuery
	if u.User, u.Fragment = nil, ""; !keepQuery {
		u.RawQuery = ""
	}
	return u.String(), cut
}

// logAttempt writes the one wide line per attempt.
func (d *Deliverer) logAttempt(row *outcome.Outcome, span *tracing.Span) {
	if !d.opts.Log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	d.opts.Log.LogAttrs(context.Background(), slog.LevelInfo, "attempt", append([]slog.Attr{
		slog.String("delivery", row.Delivery), slog.String("message", row.Message), slog.String("type", row.EventType),
		slog.String("tenant", row.Tenant.UUID()), slog.String("subscription", row.Subscription.UUID()),
		slog.String("url", row.URL), slog.Int("attempt", row.Attempt), slog.Int("pass", row.Pass),
		slog.String("trigger", string(row.Trigger)), slog.String("result", string(row.Result)),
		slog.Int("status", row.Status), slog.String("verdict", string(row.Verdict)), slog.String("reason", string(row.Reason)),
		slog.Float64("duration_ms", row.DurationMS), slog.Float64("queue_ms", row.QueueMS), slog.String("detail", row.Detail),
	}, span.LogAttrs()...)...)
}
