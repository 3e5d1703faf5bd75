// Package history checks what happened against what was promised. It is told everything that the outside can see: the
// events that were produced, the subscriptions and how long they lived, the requests that endpoints received, and the
// records of the outcome, deliveries and dead-letter topics. It shares no code with the product, not even the form of
// its records, so that a mistake is not made twice.
package history

import "time"

// History is everything that is known of one run, after it has drained.
type History struct {
	Events        []Event
	Subscriptions []Subscription
	Receipts      []Receipt
	Outcomes      []Outcome
	Deliveries    []Record
	DeadLetters   []Record
	Commits       []Commit
	// Routed are the router's accounts of the source topic in the order they were written, SourceEnds its end offsets.
	Routed     []Range
	SourceEnds map[int32]int64
	// Resends is how often each pair was sent again by hand, and Redrives how often its dead letter was put back.
	Resends, Redrives map[Pair]int
}

// Pair is an event for a subscription: one delivery.
type Pair struct{ Event, Subscription string }

// Event is an event that Kafka acknowledged. Its ID is unique in a history.
type Event struct {
	ID, Tenant, Type string
	At               time.Time // of the acknowledgement
}

// Subscription wants events of its tenant, of the given types or of all.
type Subscription struct {
	ID     string // UUID
	Tenant string
	Types  []string
	Lives  []Life
	// MaxTries is the retry policy's maximum; 0 is not checked.
	MaxTries int
}

// Life is a time in which a subscription was enabled, between acknowledgements; a zero To means to the end.
type Life struct{ From, To time.Time }

// Receipt is a request that reached an endpoint.
type Receipt struct {
	Pair
	Message string // webhook-id
	At      time.Time
	// Answered is when the answer was written, with Status; zero if the sender went away before.
	Answered time.Time
	Status   int
	Body     uint64 // hash
	// Signed says that the signature was valid.
	Signed bool
}

func (r *Receipt) accepted() bool { return r.Status >= 200 && r.Status < 300 }

// Outcome is a record of the outcome topic, by its published schema.
type Outcome struct {
	Delivery     string     `json:"delivery"`
	Message      string     `json:"message"`
	Event        string     `json:"event_id"`
	Subscription string     `json:"subscription"`
	Trigger      string     `json:"trigger"`
	TriggerID    string     `json:"trigger_id"`
	Attempt      int        `json:"attempt"`
	Pass         int        `json:"pass"`
	Verdict      string     `json:"verdict"`
	Reason       string     `json:"reason"`
	Result       string     `json:"result"`
	Status       int        `json:"status"`
	At           time.Time  `json:"at"`
	DurationMS   float64    `json:"duration_ms"`
	Due          *time.Time `json:"due"`
	Record       Position   `json:"record"`
}

// Position is the place of a record.
type Position struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

func (o *Outcome) attempted() bool { return o.Result != "none" }

// Record is a record of the deliveries or the dead-letter topic.
type Record struct {
	Pair
	Delivery, Message, Trigger, Reason string
	Pass                               int
	Position
}

// Range is a stretch of a source partition that was routed.
type Range struct {
	Partition int32 `json:"partition"`
	First     int64 `json:"first"`
	Last      int64 `json:"last"` // included
}

// Commit is what a group had committed for a partition when it was looked at.
type Commit struct {
	Partition int32
	Offset    int64
}
