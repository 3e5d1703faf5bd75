package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

// account is what a router says of a range of source offsets.
type account struct {
	first, last, registry int64
	// events, expanded, filtered, unmatched and rejected are as in [pipeline.RoutedRecord].
	events, expanded, filtered, unmatched, rejected int
}

// readRouted reads the accounts that touch the span, by partition and in the order of their first offsets. A crash leaves more
// than one for an offset.
func (r *reconciler) readRouted(ctx context.Context) error {
	r.routed = map[int32][]account{}
	return r.readAll(ctx, topics.Routed, nil, "routed", func(rec *kafka.Record) error {
		var v pipeline.RoutedRecord
		if err := form.Read(rec.Value, &v, &v.Version, pipeline.RoutedVersion); err != nil {
			return fmt.Errorf("reading routed record %d/%d: %w", rec.Partition, rec.Offset, err)
		}
		st, ok := r.span.Partitions[v.Partition]
		if v.Topic != r.span.Topic || !ok || v.Last < st.From || v.First >= st.To {
			return nil
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.routed[v.Partition] = append(r.routed[v.Partition], account{
			first: v.First, last: v.Last, registry: v.Registry,
			events: v.Events, expanded: v.Expanded, filtered: v.Filtered, unmatched: v.Unmatched, rejected: v.Rejected,
		})
		r.earliest(rec.Timestamp)
		return nil
	})
}

// sortRouted orders the accounts and returns how many deliveries and rejected records they speak of.
func (r *reconciler) sortRouted() (n int) {
	for _, all := range r.routed {
		slices.SortFunc(all, func(a, b account) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last)) })
		for _, a := range all {
			n += a.expanded + a.rejected
		}
	}
	return n
}

// covered reports whether routers account for an offset, and whether the registry of all versions they name is known.
func (r *reconciler) covered(partition int32, offset int64) (covered, known bool) {
	known = true
	for _, a := range r.routed[partition] {
		if a.first > offset {
			break
		}
		if a.last >= offset {
			covered = true
			known = known && a.registry >= r.knownFrom
		}
	}
	return covered, covered && known
}

// sweep follows the accounts of a partition while its offsets rise.
type sweep struct {
	all    []account
	active []tally
}

// tally is an account and what was counted of its range.
type tally struct {
	account
	counted account
	// unsure: whom some of its events matched is not known.
	unsure bool
}

// to moves on to an offset and returns the accounts that ended before it.
func (s *sweep) to(offset int64) (ended []tally) {
	kept := s.active[:0]
	for _, t := range s.active {
		if t.last < offset {
			ended = append(ended, t)
		} else {
			kept = append(kept, t)
		}
	}
	s.active = kept
	for len(s.all) > 0 && s.all[0].first <= offset {
		t := tally{account: s.all[0]}
		if s.all = s.all[1:]; t.last < offset {
			ended = append(ended, t)
		} else {
			s.active = append(s.active, t)
		}
	}
	return ended
}
