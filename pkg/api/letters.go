package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
)

// DeadLetterQuery narrows a list of dead letters. Lists in it are repeated, or separated by commas.
type DeadLetterQuery struct {
	PageInput
	Endpoints  []string  `query:"endpoint,explode" maxItems:"100" doc:"Only those of these endpoints, by id or, below an app, uid."`
	EventTypes []string  `query:"event_types,explode" maxItems:"250" doc:"Only those of events of these types."`
	Reasons    []string  `query:"reason,explode" maxItems:"50" doc:"Only those with these reasons, such as exhausted or expired."`
	Results    []string  `query:"result,explode" maxItems:"50" doc:"Only those whose last attempt came to this, such as timeout."`
	Statuses   []int     `query:"status,explode" maxItems:"100" doc:"Only those whose last response had this status; 0 for none."`
	Before     time.Time `query:"before" doc:"Only those given up before it, RFC 3339."`
	After      time.Time `query:"after" doc:"Only those given up at it or after, RFC 3339."`
}

func (in *DeadLetterQuery) filter(c *call) (letter.DeadFilter, error) {
	named := deadLetterNames{
		where: "query", endpoints: split(in.Endpoints), types: split(in.EventTypes), reasons: split(in.Reasons), results: split(in.Results),
		statuses: in.Statuses, before: in.Before, after: in.After,
	}
	return named.filter(c)
}

// split takes lists apart that are separated by commas.
func split(lists []string) (out []string) {
	for _, l := range lists {
		out = append(out, strings.Split(l, ",")...)
	}
	return out
}

// deadLetterNames is a filter as a caller writes it.
type deadLetterNames struct {
	where                                   string // query or body
	ids, endpoints, types, reasons, results []string
	statuses                                []int
	before, after                           time.Time
}

// endpointField is what endpoints are called.
func (n *deadLetterNames) endpointField() string {
	if n.where == "query" {
		return "endpoint"
	}
	return "endpoints"
}

// filter resolves the names, or says everything that is wrong with them.
func (n *deadLetterNames) filter(c *call) (letter.DeadFilter, error) {
	f := letter.DeadFilter{Types: n.types, Statuses: n.statuses, Before: n.before, After: n.after}
	wrong := &ValidationError{}
	add := func(field, format string, args ...any) {
		wrong.Detail = append(wrong.Detail, problem(n.where, field, fmt.Sprintf(format, args...)))
	}
	for _, name := range n.ids {
		id, err := ident.ParseBase62("dlv_", name)
		if err != nil {
			add("ids", "want ids of deliveries, dlv_ and 27 letters and digits")
			break
		}
		f.IDs = append(f.IDs, id)
	}
	for _, name := range n.endpoints {
		id, ok := namedEndpoint(c, name)
		if !ok {
			add(n.endpointField(), "there is no endpoint %.100q", name)
			continue
		}
		f.Subscriptions = append(f.Subscriptions, id)
	}
	for _, r := range n.reasons {
		if f.Reasons = append(f.Reasons, outcome.Reason(r)); !slices.Contains(outcome.Reasons(), outcome.Reason(r)) {
			add("reason", "%.100q: want some of %q", r, outcome.Reasons())
		}
	}
	for _, r := range n.results {
		if f.Results = append(f.Results, outcome.Result(r)); !slices.Contains(outcome.Results(), outcome.Result(r)) {
			add("result", "%.100q: want some of %q", r, outcome.Results())
		}
	}
	if len(wrong.Detail) > 0 {
		return f, wrong
	}
	return f, nil
}

// namedEndpoint is the id of the endpoint of a name; one that was deleted is named by its id.
func namedEndpoint(c *call, name string) (ident.ID, bool) {
	if c.tenant != nil {
		if s, ok := c.snap.ResolveSubscription(c.tenant.ID, name); ok {
			return s.ID, true
		}
	}
	if id, err := ident.ParseBase62(subscription.SubscriptionPrefix, name); err == nil {
		return id, true
	}
	id, err := ident.ParseUUID(name)
	return id, err == nil
}

// letterError is what a caller is told of letters that are not known yet.
func letterError(err error) error {
	if loading, ok := errors.AsType[*pipeline.LoadingError](err); ok {
		return &comeAgain{&Error{http.StatusServiceUnavailable, "loading", loading.Error()}}
	}
	return err
}

// lettersAway answers for Kafka, which did not, and tells the log.
func (a *API) lettersAway(ctx context.Context, doing string, err error) error {
	if told := letterError(err); told != err { //nolint:errorlint // whether it was another
		return told
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.opts.Log.WarnContext(ctx, "letters are unavailable", "doing", doing, "request", requestID(ctx), "error", err)
	return &comeAgain{&Error{http.StatusServiceUnavailable, "unavailable", "Kafka did not answer; what was done is done: try again"}}
}
