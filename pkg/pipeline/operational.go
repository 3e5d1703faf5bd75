package pipeline

import (
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// attemptEvent is the type of the operational event that an attempt's row is worth; empty for none.
func attemptEvent(row *outcome.Outcome) string {
	switch {
	case row.Verdict == outcome.Dead:
		return operational.AttemptExhausted
	case row.Verdict == outcome.Retry && row.Attempt == operational.FailingAfter:
		return operational.AttemptFailing
	case row.Verdict == outcome.Delivered && row.Attempt > operational.FailingAfter:
		return operational.AttemptRecovered
	}
	return ""
}

// tellAttempt writes the operational event of an attempt, if it is worth one. Its id is derived from the attempt's, so
// that what a crash repeats is the same event. Attempts of operational events make none of their own: an endpoint that
// fails to receive them would be told of it without end.
func (d *Deliverer) tellAttempt(c *candidate, row *outcome.Outcome) bool {
	typ := attemptEvent(row)
	if typ == "" || c.d.EventSource == operational.Source {
		return true
	}
	id := delivery.AttemptID(c.d.ID, c.d.Trigger, row.Attempt).Base62(delivery.AttemptPrefix)
	return d.tell(c, operational.New(typ, c.tenant.ID, row.At, operational.Attempt{
		App: c.tenant.ID.Base62(subscription.TenantPrefix), AppUID: optional(c.tenant.UID),
		Message: row.Message, EventID: optional(c.d.EventID), Endpoint: c.sub.ID.Base62(subscription.SubscriptionPrefix),
		Last: operational.LastAttempt{ID: id, StatusCode: row.Status, Timestamp: row.At.UTC()},
	}, id))
}

// tell writes an operational event and waits until it is acknowledged.
func (d *Deliverer) tell(c *candidate, e operational.Event) bool {
	value, err := e.Value()
	if err != nil {
		return d.written(c.item, err)
	}
	return d.write(c.item, &kafka.Record{
		Topic: d.opts.Topics.Name(topics.Operational), Key: []byte(e.Tenant.UUID()), Value: value,
		Headers: []kafka.Header{{Key: "content-type", Value: []byte(operational.ContentType)}},
	})
}

// optional is nil for an empty text.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
