package demo

import (
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// endpoints are two of one tenant: one wants everything, one only one type.
func endpoints() []Endpoint {
	tenant := ident.Derive("test", "tenant")
	return []Endpoint{
		{Subscription: ident.Derive("test", "crm"), Tenant: tenant, TenantName: "acme", Name: "crm", Profile: "standard"},
		{Subscription: ident.Derive("test", "dead"), Tenant: tenant, TenantName: "acme", Name: "dead", Profile: "standard", Types: []string{"CLOSED"}},
	}
}

// said is an outcome of an event at an endpoint.
func said(e Endpoint, ev Event, v outcome.Verdict, reason outcome.Reason) *outcome.Outcome {
	message := delivery.MessageID(e.Tenant, ev.Source, ev.ID)
	return &outcome.Outcome{
		Delivery: delivery.ID(message, e.Subscription).Base62(delivery.IDPrefix), Subscription: e.Subscription, Verdict: v, Reason: reason,
	}
}

func opened(id string) Event { return Event{ID: id, Type: "OPENED", Tenant: "acme", Source: "dixa"} }

func TestTallyFates(t *testing.T) {
	t.Parallel()
	crm := endpoints()[0]
	ev := opened("1")
	accepted := Receipt{Endpoint: "crm", Ref: "1", Accepted: true}
	delivered := said(crm, ev, outcome.Delivered, outcome.ReasonDelivered)
	for name, c := range map[string]struct {
		happens func(*Tally)
		want    Row
		open    int // unsettled
		ok      bool
	}{
		"nothing, and Kafka does not have it": {func(*Tally) {}, Row{Lost: 1}, 1, false},
		"waits as an event":                   {func(y *Tally) { y.WaitingEvent("1") }, Row{Waiting: 1}, 1, true},
		"waits as a delivery":                 {func(y *Tally) { y.Waiting(delivered.Delivery) }, Row{Waiting: 1}, 1, true},
		"delivered":                           {func(y *Tally) { y.Received(accepted); y.Outcome(delivered) }, Row{Delivered: 1, Requests: 1}, 0, true},
		"delivered, told the other way round": {func(y *Tally) { y.Outcome(delivered); y.Received(accepted) }, Row{Delivered: 1, Requests: 1}, 0, true},
		"delivered, told twice":               {func(y *Tally) { y.Outcome(delivered); y.Received(accepted); y.Outcome(delivered) }, Row{Delivered: 1, Requests: 1}, 0, true},
		"delivered twice": {
			func(y *Tally) { y.Received(accepted); y.Received(accepted); y.Outcome(delivered) },
			Row{Delivered: 1, Twice: 1, Requests: 2},
			0, true,
		},
		"said to be delivered, and nobody received it": {func(y *Tally) { y.Outcome(delivered) }, Row{Lost: 1}, 1, false},
		"said to be delivered, and in Kafka as well":   {func(y *Tally) { y.Outcome(delivered); y.Waiting(delivered.Delivery) }, Row{Lost: 1}, 1, false},
		"received, and its outcome is lost":            {func(y *Tally) { y.Received(accepted) }, Row{Lost: 1, Requests: 1}, 1, false},
		"received and cut off": {
			func(y *Tally) { y.Received(accepted); y.Waiting(delivered.Delivery) }, Row{Waiting: 1, Requests: 1}, 1, true,
		},
		"retry, and Kafka does not have it": {func(y *Tally) { y.Outcome(said(crm, ev, outcome.Retry, outcome.ReasonFailed)) }, Row{Lost: 1}, 1, false},
		"retry": {
			func(y *Tally) {
				y.Outcome(said(crm, ev, outcome.Retry, outcome.ReasonFailed))
				y.Waiting(delivered.Delivery)
			}, Row{Waiting: 1}, 1, true,
		},
		"dead": {
			func(y *Tally) { y.Outcome(said(crm, ev, outcome.Dead, outcome.ReasonExhausted)) },
			Row{Dead: 1, Reasons: map[outcome.Reason]int{outcome.ReasonExhausted: 1}},
			0, true,
		},
		"cancelled": {
			func(y *Tally) { y.Outcome(said(crm, ev, outcome.Cancelled, outcome.ReasonDeleted)) },
			Row{Cancelled: 1, Reasons: map[outcome.Reason]int{outcome.ReasonDeleted: 1}},
			0, true,
		},
		"a bad signature": {
			func(y *Tally) {
				y.Received(Receipt{Endpoint: "crm", Ref: "1", Err: errors.New("bad")})
				y.Outcome(said(crm, ev, outcome.Dead, outcome.ReasonNotRetryable))
			}, Row{Dead: 1, Requests: 1, Unverified: 1, Reasons: map[outcome.Reason]int{outcome.ReasonNotRetryable: 1}}, 0, false,
		},
		"other data": {
			func(y *Tally) {
				y.Received(Receipt{Endpoint: "crm", Ref: "1", Accepted: true, Data: [32]byte{1}})
				y.Outcome(delivered)
			}, Row{Delivered: 1, Requests: 1, Altered: 1}, 0, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := NewTally(endpoints())
			y.Sent(&ev)
			c.happens(y)
			c.want.Endpoint, c.want.Profile, c.want.Expected = "crm", "standard", 1
			s := y.Summary()
			require.Equal(t, []Row{c.want, {Endpoint: "dead", Profile: "standard"}}, s.Rows)
			require.Equal(t, c.open, y.Unsettled())
			require.Equal(t, c.ok, s.OK())
		})
	}
}

func TestTallyKnowsWhoWantsWhat(t *testing.T) {
	t.Parallel()
	y := NewTally(endpoints())
	closed := Event{ID: "1", Type: "CLOSED", Tenant: "acme", Source: "dixa"}
	foreign := Event{ID: "2", Type: "CLOSED", Tenant: "other", Source: "dixa"}
	only := opened("3")
	for _, ev := range []*Event{&closed, &foreign, &only} {
		y.Sent(ev)
	}
	require.Equal(t, 3, y.Unsettled())
	y.Received(Receipt{Endpoint: "dead", Ref: "3", Accepted: true})   // does not want that type
	y.Received(Receipt{Endpoint: "dead", Ref: "2", Accepted: true})   // is another tenant's
	y.Received(Receipt{Endpoint: "crm", Ref: "msg_", Accepted: true}) // of another run
	s := y.Summary()
	require.Equal(t, 3, s.Sent)
	require.Equal(t, 1, s.Unwanted)
	require.Equal(t, 1, s.Earlier)
	require.Equal(t, 2, s.Rows[1].Stray)
	require.False(t, s.OK())
}

func TestTallyTakesBack(t *testing.T) {
	t.Parallel()
	y := NewTally(endpoints())
	ev := opened("1")
	y.Sent(&ev)
	y.Withdraw(&ev)
	require.Zero(t, y.Unsettled())
	s := y.Summary()
	require.True(t, s.OK())
	require.Zero(t, s.Sent)
}

func TestTallyIsBounded(t *testing.T) {
	t.Parallel()
	y := NewTally(endpoints())
	y.limit = 2
	crm := endpoints()[0]
	for i := range 5 {
		ev := opened(strconv.Itoa(i))
		y.Sent(&ev)
		if i%2 == 0 {
			y.Outcome(said(crm, ev, outcome.Dead, outcome.ReasonExpired))
		}
	}
	require.Len(t, y.events, 4, "two, each by two names")
	require.Len(t, y.deliveries, 2)
	s := y.Summary()
	require.Equal(t, Row{
		Endpoint: "crm", Profile: "standard", Expected: 5, Dead: 3, Unfollowed: 1, Lost: 1, Reasons: map[outcome.Reason]int{outcome.ReasonExpired: 3},
	}, s.Rows[0])
	require.Equal(t, 1, y.Unsettled())
}
