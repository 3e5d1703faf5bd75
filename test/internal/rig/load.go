package rig

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// EventType is the type of all events that say nothing else.
const EventType = "contact.updated"

// Event makes the record of an event as an upstream service does: a CloudEvent in binary mode, of now.
func (in *Installation) Event(id, tenant, eventType string, data []byte) *kgo.Record {
	r := &kgo.Record{Topic: in.Topic("events"), Key: []byte(id), Value: data}
	for name, v := range map[string]string{
		"ce_specversion": "1.0", "ce_id": id, "ce_source": in.Rig.Program, "ce_type": eventType, "ce_tenant": tenant,
		"ce_time": time.Now().UTC().Format(time.RFC3339Nano), "content-type": "application/json",
	} {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(v)})
	}
	return r
}

// tick is how often a steady load sends.
const tick = 5 * time.Millisecond

// Pace calls send so many times a second, until ctx ends. It catches up when it was late.
func Pace(ctx context.Context, rate float64, send func(n int)) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for begin, sent := time.Now(), 0; ; {
		select {
		case <-ticker.C:
			for due := int(time.Since(begin).Seconds() * rate); sent < due; sent++ {
				send(sent)
			}
		case <-ctx.Done():
			return
		}
	}
}
