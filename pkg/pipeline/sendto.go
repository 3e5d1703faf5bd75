package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/topics"
)

// SendTo sends an event to one subscription alone, whatever it subscribed to, as a test: the delivery is written without
// the event going through the router. It returns when all in-sync replicas have it. The event is put into the index, at
// the position of its delivery; the recorder does not read deliveries, so a loss of Redis loses the entry.
//
// A deliverer that has an older registry waits until it has the subscription as given. Errors are those of
// [Publisher.Publish].
func (p *Publisher) SendTo(
	ctx context.Context, tenant *subscription.Tenant, sub *subscription.Subscription, eventType string, payload json.RawMessage,
) (Published, error) {
	now := time.Now()
	rec, out, err := p.record(Publication{Tenant: tenant, EventType: eventType, Payload: payload}, now)
	if err != nil {
		p.count("refused")
		return Published{}, err
	}
	ev, err := readEvent(p.decoder, rec)
	if err != nil {
		return Published{}, err
	}
	d := testDelivery(ev, tenant, sub)
	if out.Position, err = p.write(ctx, encode(p.opts.Topics.Name(topics.Deliveries), d)); err != nil {
		p.count("failed")
		return Published{}, fmt.Errorf("sending: %w", err)
	}
	p.count("sent")
	p.add(ctx, view.EventEntry{Tenant: tenant.ID, Message: out.Message, Position: out.Position, Time: out.Time, Type: eventType})
	return out, nil
}

// testDelivery makes the delivery of an event that only one subscription gets. It has no source position.
func testDelivery(ev *event.Event, tenant *subscription.Tenant, sub *subscription.Subscription) *delivery.Delivery {
	d := Expand(ev, tenant, sub, delivery.Position{}, max(tenant.Version, sub.Version))
	d.Trigger = delivery.Trigger{Kind: delivery.TriggerTest, ID: ident.New().UUID()}
	return d
}
