package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/outcome"
)

const (
	// lead is how long before there is something to do the roles are there: they join their groups meanwhile.
	lead = 2 * time.Second
	// worth is the shortest time without anything to do that the roles are stopped for.
	worth = 2 * lead
	// looks are how often it is looked whether deliveries have ended: while they are parked, once a linger.
	looks = 2000
	// linger is what the last acknowledgements of a delivery take.
	linger = time.Second
)

// settle lets time pass until every delivery has ended.
func (p *player) settle(t *testing.T) {
	t.Helper()
	for range looks {
		time.Sleep(linger)
		due, waiting := p.pending()
		if !waiting {
			return
		}
		p.sleepUntil(due)
	}
	require.Fail(t, "a delivery does not end")
}

// until lets time pass until then.
func (p *player) until(at time.Time) {
	for time.Now().Before(at) {
		time.Sleep(min(linger, time.Until(at)))
		due, waiting := p.pending()
		if !waiting || due.After(at) {
			due = at
		}
		p.sleepUntil(due)
	}
}

// sleepUntil sleeps while nothing is due. For as long as it is worth it, the roles are stopped, as by SIGTERM, and started
// again in time: then time passes over Kafka alone, which costs nothing, and what has to last until then has to last in
// Kafka. (test/flow's ladder waits with the roles.)
func (p *player) sleepUntil(at time.Time) {
	if left := time.Until(at); left > worth {
		p.asleep()
		time.Sleep(left - lead)
		p.awake()
	}
	time.Sleep(time.Until(at))
}

// pending returns when the next try of any delivery is due, and whether there is one. A request without an answer is one that
// is due.
func (p *player) pending() (due time.Time, waiting bool) {
	if p.receiver.unanswered() {
		return time.Now(), true
	}
	last := map[string]outcome.Outcome{}
	for _, row := range p.outcomes() {
		last[row.Delivery] = row
	}
	for _, row := range last {
		if row.Due == nil {
			continue
		}
		if !waiting || row.Due.Before(due) {
			due = *row.Due
		}
		waiting = true
	}
	return due, waiting
}

// outcomes are those of the case.
func (p *player) outcomes() (rows []outcome.Outcome) {
	for _, row := range p.w.Outcomes() {
		if row.Subscription == p.sub.ID {
			rows = append(rows, row)
		}
	}
	return rows
}

func (p *player) awake() {
	if p.process == nil {
		p.process = p.w.Start(p.attempts, "router", "deliverer", "retrier", "disabler")
	}
}

func (p *player) asleep() {
	if p.process != nil {
		require.NoError(p.w.T, p.process.Stop())
		p.process = nil
	}
}
