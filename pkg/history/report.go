package history

import (
	"cmp"
	"slices"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/match"
)

// Kind says what is wrong with a finding. It is a closed set.
type Kind string

// Kinds of findings.
const (
	// Hole: source offsets that the routers have passed and that no routed record accounts for.
	Hole Kind = "hole"
	// Missed: a delivery that should have been made and was not.
	Missed Kind = "missed"
	// Lost: a delivery that was made, has no end and waits nowhere.
	Lost Kind = "lost"
	// Unrejected: a record that could not be read as an event and is not among the rejected ones.
	Unrejected Kind = "unrejected"
	// Extra: a delivery of an event that its subscription did not want.
	Extra Kind = "extra"
	// Counts: a routed record counts something else than there is.
	Counts Kind = "counts"
)

// Kinds lists every Kind.
func Kinds() []Kind { return []Kind{Hole, Missed, Lost, Unrejected, Extra, Counts} }

// Cause says why something can be neither proven nor denied. It is a closed set.
type Cause string

// Causes.
const (
	// NotRouted: the routers have not come to these source records yet.
	NotRouted Cause = "not_routed"
	// SourceGone: the source log does not have these records any more.
	SourceGone Cause = "source_gone"
	// RegistryCompacted: the registry of that version may have been compacted, so whom the events matched is not known.
	RegistryCompacted Cause = "registry_compacted"
	// RecordsExpired: the event is older than what Postrider's own topics still have.
	RecordsExpired Cause = "records_expired"
)

// Finding is something that is wrong.
type Finding struct {
	Kind      Kind  `json:"kind"`
	Partition int32 `json:"partition"`
	// First and Last are source offsets, the same but for a hole and for counts.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// Delivery, dlv_…, and Subscription, a UUID, are empty for what is not of one.
	Delivery     string `json:"delivery,omitempty"`
	Subscription string `json:"subscription,omitempty"`
	Detail       string `json:"detail"`
}

// PartitionReport is how much of a source partition was looked at.
type PartitionReport struct {
	Partition int32 `json:"partition"`
	From      int64 `json:"from"`
	To        int64 `json:"to"` // not included
	Records   int   `json:"records"`
}

// EventCounts are source records by what became of them; together they are Records.
type EventCounts struct {
	Records    int `json:"records"`
	Matched    int `json:"matched"`
	Unmatched  int `json:"unmatched"`
	Rejected   int `json:"rejected"`
	Unprovable int `json:"unprovable"`
	InHoles    int `json:"in_holes"`
}

// DeliveryCounts are deliveries by what became of them; together they are Expected.
type DeliveryCounts struct {
	Expected   int `json:"expected"`
	Delivered  int `json:"delivered"`
	Dead       int `json:"dead"`
	Cancelled  int `json:"cancelled"`
	Parked     int `json:"parked"`
	Waiting    int `json:"waiting"`
	Missing    int `json:"missing"`
	Unprovable int `json:"unprovable"`
}

func (c *DeliveryCounts) add(s state) {
	c.Expected++
	switch s {
	case delivered:
		c.Delivered++
	case dead:
		c.Dead++
	case cancelled:
		c.Cancelled++
	case parked:
		c.Parked++
	case waiting:
		c.Waiting++
	case unprovable:
		c.Unprovable++
	case missing:
		c.Missing++
	}
}

// SubscriptionReport is what became of the deliveries of one subscription.
type SubscriptionReport struct {
	Subscription ident.ID `json:"subscription"`
	DeliveryCounts
}

// Report is what a reconciliation came to.
type Report struct {
	Topic      string            `json:"topic"`
	Partitions []PartitionReport `json:"partitions"`
	Events     EventCounts       `json:"events"`
	Deliveries DeliveryCounts    `json:"deliveries"`
	// Filtered is how many deliveries channels and filters kept from being made.
	Filtered int `json:"filtered"`
	// Repeated is how many deliveries a crash left of expansions that were made again with a later registry.
	Repeated      int                  `json:"repeated"`
	Subscriptions []SubscriptionReport `json:"subscriptions"`
	Unprovable    map[Cause]int64      `json:"unprovable,omitempty"`
	// Found counts all findings; Findings are the first of them, at most 1,000.
	Found    map[Kind]int `json:"found,omitempty"`
	Findings []Finding    `json:"findings,omitempty"`
	// Passes is how often the topics were read to keep within memory.
	Passes int `json:"passes"`
}

// maxFindings bounds what a report lists.
const maxFindings = 1000

// OK reports whether nothing is wrong. What could not be proven is told by [Report.Proven].
func (r *Report) OK() bool { return len(r.Found) == 0 }

// Proven reports whether everything was accounted for.
func (r *Report) Proven() bool { return r.OK() && len(r.Unprovable) == 0 }

func (r *Report) find(f Finding) {
	if r.Found == nil {
		r.Found = map[Kind]int{}
	}
	if r.Found[f.Kind]++; len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, f)
	}
}

func (r *Report) cannot(c Cause, n int64) {
	if r.Unprovable == nil {
		r.Unprovable = map[Cause]int64{}
	}
	r.Unprovable[c] += n
}

func (r *Report) close(subs map[ident.ID]*DeliveryCounts) {
	for id, c := range subs {
		r.Subscriptions = append(r.Subscriptions, SubscriptionReport{id, *c})
		r.Deliveries.Expected += c.Expected
		r.Deliveries.Delivered += c.Delivered
		r.Deliveries.Dead += c.Dead
		r.Deliveries.Cancelled += c.Cancelled
		r.Deliveries.Parked += c.Parked
		r.Deliveries.Waiting += c.Waiting
		r.Deliveries.Missing += c.Missing
		r.Deliveries.Unprovable += c.Unprovable
	}
	slices.SortFunc(r.Subscriptions, func(a, b SubscriptionReport) int { return match.Compare(a.Subscription, b.Subscription) })
	slices.SortFunc(r.Partitions, func(a, b PartitionReport) int { return cmp.Compare(a.Partition, b.Partition) })
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.First, b.First), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Delivery, b.Delivery))
	})
}
