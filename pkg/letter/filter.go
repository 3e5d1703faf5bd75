package letter

import (
	"iter"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// DeadFilter says which dead letters are meant. What is empty allows all. Its JSON form is what a background task keeps.
type DeadFilter struct {
	IDs           []ident.ID       `json:"ids,omitempty"`
	Subscriptions []ident.ID       `json:"subscriptions,omitempty"`
	Types         []string         `json:"types,omitempty"`
	Reasons       []outcome.Reason `json:"reasons,omitempty"`
	Results       []outcome.Result `json:"results,omitempty"`
	Statuses      []int            `json:"statuses,omitempty"`
	// After and Before bound when it died, the first inclusive, the second not.
	After  time.Time `json:"after,omitzero"`
	Before time.Time `json:"before,omitzero"`
}

// Matches reports whether the filter lets d through.
func (f *DeadFilter) Matches(d *Dead) bool {
	return allows(f.IDs, d.ID) && allows(f.Subscriptions, d.Subscription) && allows(f.Types, d.Type()) &&
		allows(f.Reasons, d.Reason()) && allows(f.Results, d.Result()) && allows(f.Statuses, int(d.Status)) &&
		within(d.At, f.After, f.Before)
}

// IsZero reports whether the filter lets everything through.
func (f *DeadFilter) IsZero() bool {
	return len(f.IDs)+len(f.Subscriptions)+len(f.Types)+len(f.Reasons)+len(f.Results)+len(f.Statuses) == 0 &&
		f.After.IsZero() && f.Before.IsZero()
}

// RejectedFilter says which rejected records are meant. What is empty allows all.
type RejectedFilter struct {
	IDs     []ident.ID `json:"ids,omitempty"`
	Topics  []string   `json:"topics,omitempty"`
	Reasons []string   `json:"reasons,omitempty"`
	Fields  []string   `json:"fields,omitempty"`
	After   time.Time  `json:"after,omitzero"`
	Before  time.Time  `json:"before,omitzero"`
}

// Matches reports whether the filter lets r through.
func (f *RejectedFilter) Matches(r *Rejected) bool {
	return allows(f.IDs, r.ID) && allows(f.Topics, r.Topic()) && allows(f.Reasons, r.Reason()) && allows(f.Fields, r.Field()) &&
		within(r.At, f.After, f.Before)
}

// IsZero reports whether the filter lets everything through.
func (f *RejectedFilter) IsZero() bool {
	return len(f.IDs)+len(f.Topics)+len(f.Reasons)+len(f.Fields) == 0 && f.After.IsZero() && f.Before.IsZero()
}

func allows[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

func within(at int64, after, before time.Time) bool {
	return (after.IsZero() || at >= after.UnixMilli()) && (before.IsZero() || at < before.UnixMilli())
}

// Cause is a group of letters that have the same K.
type Cause[K comparable, L Letter] struct {
	Key   K
	Count int
	// First and Last are when the oldest and the newest were written; Example is the newest.
	First, Last time.Time
	Example     L
}

// DeadCause is what dead letters are grouped by.
type DeadCause struct {
	Tenant, Subscription ident.ID
	Reason               outcome.Reason
	Result               outcome.Result
	Status               int
}

// Cause is what d died of.
func (d *Dead) Cause() DeadCause {
	return DeadCause{d.Tenant, d.Subscription, d.Reason(), d.Result(), int(d.Status)}
}

// RejectedCause is what rejected records are grouped by.
type RejectedCause struct{ Topic, Reason, Field string }

// Cause is what r was rejected for.
func (r *Rejected) Cause() RejectedCause { return RejectedCause{r.Topic(), r.Reason(), r.Field()} }

// Causes groups letters, which come oldest first; the largest group first, and of those of one size the one seen last.
func Causes[K comparable, L Letter](letters iter.Seq[L], key func(L) K) []Cause[K, L] {
	at := map[K]int{}
	var out []Cause[K, L]
	for l := range letters {
		k := key(l)
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k], out = i, append(out, Cause[K, L]{Key: k, First: l.head().Time()})
		}
		out[i].Count, out[i].Last, out[i].Example = out[i].Count+1, l.head().Time(), l
	}
	slices.SortStableFunc(out, func(a, b Cause[K, L]) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return b.Last.Compare(a.Last)
	})
	return out
}
