package flow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// A deliverer that was killed after it had parked a delivery, and before it committed that, leaves two records: the one
// that it read and the parked one. Read together, the second waits in its lane while the first is delivered.
func TestTwoRecordsOfOneDeliveryAreSentOnce(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(slow(time.Second))
		s := w.Subscribe("one")
		message := delivery.MessageID(w.Tenant.ID, "test", "ev")
		var records []*kgo.Record
		for pass := range 2 {
			d := &delivery.Delivery{
				ID: delivery.ID(message, s.ID), Message: message, Subscription: s.ID, Tenant: w.Tenant.ID,
				EventID: "ev", EventType: "contact.updated", EventSource: "test", EventTime: time.Now(),
				Trigger: delivery.Trigger{Kind: delivery.TriggerEvent}, Pass: pass, Parks: pass,
			}
			records = append(records, record(w.Conf.Kafka.Prefix+topics.Deliveries, s.ID, d))
		}
		w.Conf.Deliverer.LaneConcurrency = 1
		require.NoError(t, w.Client.ProduceSync(t.Context(), records...).FirstErr())
		start(w, e, "deliverer")
		time.Sleep(10 * time.Second)
		require.Len(t, e.times(s.URL), 1)
		require.Equal(t, map[string]int{"delivered/delivered": 1}, verdicts(w.Outcomes()))
	})
}

func record(topic string, key ident.ID, d *delivery.Delivery) *kgo.Record {
	r := &kgo.Record{Topic: topic, Key: []byte(key.UUID()), Value: []byte(`{}`)}
	for name, v := range d.Headers() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: v})
	}
	return r
}
