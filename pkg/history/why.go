package history

import (
	"fmt"
	"strings"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
)

// WhyNot says in words why a subscription of the event's tenant does not get the event: all of it, so that who mends one thing
// need not come back for the next. It is empty if it does get it.
func WhyNot(s *subscription.Subscription, ev *event.Event, in *filter.Input, filters *filter.Cache) string {
	var reasons []string
	if s.Disabled {
		reasons = append(reasons, "is disabled")
	}
	if !match.Covers(s.EventTypes, ev.Type) {
		return strings.Join(append(reasons, "wants "+strings.Join(s.EventTypes, ", ")), " and ")
	}
	enabled := *s
	enabled.Disabled = false
	switch selection, text := pipeline.Select(&enabled, ev, in, filters); selection {
	case pipeline.Selected, pipeline.SelectDisabled:
	case pipeline.SelectChannel:
		reasons = append(reasons, "wants channel "+strings.Join(s.Channels, " or "))
	case pipeline.SelectFilter:
		reasons = append(reasons, "its filter is false: "+oneLine(s.Filter))
	default:
		reasons = append(reasons, fmt.Sprintf("its filter could not be evaluated (%s: %s): %s", selection, text, oneLine(s.Filter)))
	}
	return strings.Join(reasons, " and ")
}

// oneLine returns an expression without line breaks; a table has one line for each subscription.
func oneLine(expression string) string { return strings.Join(strings.Fields(expression), " ") }
