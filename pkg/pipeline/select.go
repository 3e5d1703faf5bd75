package pipeline

import (
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// Selection says whether a subscription whose event types cover an event receives it. It is a closed set, and a label of
// metrics but for Selected and SelectDisabled.
type Selection string

// Selections.
const (
	// Selected: it does.
	Selected Selection = "selected"
	// SelectDisabled: it is disabled.
	SelectDisabled Selection = "disabled"
	// SelectChannel: it has channels, and the event none of them.
	SelectChannel Selection = "channel"
	// SelectFilter: its filter is false.
	SelectFilter Selection = "filter"
	// SelectError, SelectCost and SelectNotJSON: its filter could not be evaluated, see [filter.Problem].
	SelectError   Selection = "filter_error"
	SelectCost    Selection = "filter_cost"
	SelectNotJSON Selection = "filter_not_json"
	// SelectInvalid: its filter does not compile. What is written is checked, so it was written by a version that allows
	// more. To deliver nothing is less harm than to deliver what was to be kept back.
	SelectInvalid Selection = "filter_invalid"
)

// filteredSelections are those that the router counts.
func filteredSelections() []Selection {
	return []Selection{SelectChannel, SelectFilter, SelectError, SelectCost, SelectNotJSON, SelectInvalid}
}

// Select says whether sub, whose event types cover the event, receives it, and if its filter could not be evaluated, why:
// a text for people.
func Select(sub *subscription.Subscription, ev *event.Event, in *filter.Input, filters *filter.Cache) (Selection, string) {
	if sub.Disabled {
		return SelectDisabled, ""
	}
	return selectEnabled(sub, ev, in, filters)
}

// selectEnabled is [Select] of a subscription as if it were enabled.
func selectEnabled(sub *subscription.Subscription, ev *event.Event, in *filter.Input, filters *filter.Cache) (Selection, string) {
	switch {
	case !subscription.ShareChannel(sub.Channels, ev.Channels):
		return SelectChannel, ""
	case sub.Filter == "":
		return Selected, ""
	}
	program, err := filters.Get(sub.Filter)
	if err != nil {
		return SelectInvalid, err.Error()
	}
	ok, problem, text := program.Explain(in)
	switch problem {
	case filter.ProblemNone:
		if ok {
			return Selected, ""
		}
		return SelectFilter, ""
	case filter.ProblemCost:
		return SelectCost, text
	case filter.ProblemNotJSON:
		return SelectNotJSON, text
	default:
		return SelectError, text
	}
}

// RecordsDisabled reports whether deliveries are made for sub while it is disabled, as its profile wants: they end as cancelled,
// so that its events of that time can be listed.
func RecordsDisabled(profiles Profiles, sub *subscription.Subscription, tenant *subscription.Tenant) bool {
	if profiles == nil {
		return false
	}
	p, ok := profiles.Get(subscription.ProfileOf(sub, tenant))
	return ok && p.RecordDisabled
}

// selector finds the subscriptions of event after event, with the same memory. It is for one goroutine.
type selector struct {
	filters  *filter.Cache
	profiles Profiles // nil for none
	metrics  *Metrics
	tenant   *subscription.Tenant
	ev       *event.Event
	in       filter.Input
	filtered int
	named    bool
	found    []*subscription.Subscription
	keep     func(*subscription.Subscription) bool // the method, made once
}

func newSelector(filters *filter.Cache, profiles Profiles, metrics *Metrics) *selector {
	s := &selector{filters: filters, profiles: profiles, metrics: metrics}
	s.keep = s.selects
	return s
}

// match returns the subscriptions that receive ev, until the next call, and how many others channels and filters kept
// from it.
func (s *selector) match(snap *registry.Snapshot, to recipient, ev *event.Event) ([]*subscription.Subscription, int) {
	s.ev, s.tenant, s.filtered, s.named = ev, to.tenant, 0, to.named
	s.in.Reset(ev)
	s.found = snap.AppendMatch(s.found[:0], to.tenant.ID, ev.Type, s.keep)
	return s.found, s.filtered
}

func (s *selector) selects(sub *subscription.Subscription) bool {
	if s.named && !names(sub, s.ev.Type) {
		return false
	}
	if sub.Disabled && !RecordsDisabled(s.profiles, sub, s.tenant) {
		return false
	}
	if len(sub.Channels) == 0 && sub.Filter == "" {
		return true
	}
	selection, _ := selectEnabled(sub, s.ev, &s.in, s.filters)
	if selection == Selected {
		return true
	}
	s.filtered++
	s.metrics.filtered[selection].Inc()
	return false
}
