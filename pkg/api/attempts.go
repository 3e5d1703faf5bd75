package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/view"
)

// AttemptIndex finds rows of outcomes; [view.Redis] is one. An error says that it is away. All methods may be called
// concurrently.
type AttemptIndex interface {
	// Attempts returns a page of an endpoint's rows, which may be short and not the last one.
	Attempts(ctx context.Context, q view.AttemptQuery) (view.AttemptPage, error)
	// MessageAttempts returns where the rows of an event are, of all endpoints; a few may be of another event.
	MessageAttempts(ctx context.Context, message ident.ID, since time.Time) ([]delivery.Position, error)
}

// EndpointViews say how an endpoint did; [view.Redis] does. An error says that it is away. All methods may be called
// concurrently.
type EndpointViews interface {
	Statuses(ctx context.Context, sub ident.ID) ([]view.TypeStatus, error)
	LastAttempts(ctx context.Context, sub ident.ID, eventType string, n int) ([]view.Attempt, error)
	Health(ctx context.Context, q view.HealthQuery) (view.Health, error)
}

// OutcomeReader reads rows of outcomes; [pipeline.OutcomeReader] is one. All methods may be called concurrently.
type OutcomeReader interface {
	// Read returns the rows at positions, in their order; those of other tenants are as if they were not there any more.
	Read(ctx context.Context, tenant ident.ID, at []delivery.Position) ([]pipeline.ReadOutcome, error)
	// Complete says how far the views are.
	Complete(ctx context.Context) (view.Completeness, error)
}

var _ OutcomeReader = (*pipeline.OutcomeReader)(nil)

const (
	tagAttempt = "Message Attempt"
	// attemptPrefix is that of an attempt's id, and of what lists of attempts have as iterators.
	attemptPrefix = delivery.AttemptPrefix
)

// viewed is a route whose answer is made of the views of attempts.
func viewed(path, id, tag, summary, doc string) route {
	return route{
		method: http.MethodGet, path: path, id: id, tag: tag, needs: access.ViewTenant, summary: summary, doc: doc, views: true,
	}
}

func (a *API) attempts() {
	const app = "/app/{app_id}"
	const short = " A page may hold fewer than asked for, even none, and not be the last one: see done."
	register(a, viewed(app+"/attempt/endpoint/{endpoint_id}", "v1.message-attempt.list-by-endpoint", tagAttempt,
		"List the attempts of an endpoint", "Newest first, those of the last 7 days unless the installation keeps more."+short+
			" With expanded_statuses also what was cancelled without an attempt, because the endpoint is disabled or gone."),
		a.listEndpointAttempts)
	register(a, viewed(app+"/attempt/msg/{msg_id}", "v1.message-attempt.list-by-msg", tagAttempt,
		"List the attempts of an event", "Newest first, of all endpoints. 409 for an event with more than 10,000 of them: list those of "+
			"its endpoints."), a.listMessageAttempts)
	register(a, viewed(app+"/endpoint/{endpoint_id}/msg", "v1.message-attempt.list-attempted-messages", tagAttempt,
		"List the events that an endpoint was sent", "Each once, by its first attempt, the newest first, with what became of it since."+
			short), a.listEndpointMessages)
	register(a, viewed(app+"/msg/{msg_id}/endpoint", "v1.message-attempt.list-attempted-destinations", tagAttempt,
		"List the endpoints that an event was sent to", "With what became of it. Deleted endpoints are left out."),
		a.listMessageEndpoints)
	one := app + "/msg/{msg_id}/attempt/{attempt_id}"
	register(a, viewed(one, "v1.message-attempt.get", tagAttempt, "Get an attempt", ""), a.getAttempt)
	register(a, viewed(one+"/headers", "v1.message-attempt.get-headers", tagAttempt, "Get the headers of an attempt's response",
		"Of the request's none are kept, since some are secret. The values of the response's that are likely to be a secret are not "+
			"kept either: their names are in sensitive."), a.getAttemptHeaders)
	a.attemptDetails()
	a.attemptTails()
	a.expunging()
	a.endpointStatuses()
	a.endpointEvents()
}

// expunging declares what cannot be done, so that whoever asks learns so.
func (a *API) expunging() {
	for path, id := range map[string]string{
		"/app/{app_id}/msg/{msg_id}/content":                      "v1.message.expunge-content",
		"/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content": "v1.message-attempt.expunge-content",
	} {
		r := route{
			method: http.MethodDelete, path: path, id: id, tag: tagMessage, needs: access.ManageTenant,
			summary: "Delete a payload or a response: refused", status: http.StatusNoContent,
			doc: "Always answers 409: what is in Kafka stays there until its topic's retention is over. To keep no responses, redact " +
				"them, for an endpoint or for the installation.",
		}
		if strings.Contains(path, "{attempt_id}") {
			r.tag = tagAttempt
			register(a, r, func(context.Context, *AttemptPath) (*answer[nothing], error) { return nil, notExpunged() })
			continue
		}
		register(a, r, func(context.Context, *MessagePath) (*answer[nothing], error) { return nil, notExpunged() })
	}
}

// notExpunged is a refusal for good, so it is none of 500 and above: clients repeat those.
func notExpunged() error {
	return refuse(http.StatusConflict, "not_supported",
		"single payloads and responses cannot be deleted: they are in Kafka until the retention of its topics is over")
}

// viewsHeader says how far the views are of which an answer is made.
const (
	viewsHeader  = "Postrider-Views"
	viewsUnknown = "unknown"
)

// viewsState is the value of that header. That it is not known is no reason to refuse what is.
func (a *API) viewsState(ctx context.Context, expired int) string {
	state := "complete"
	switch c, err := a.opts.Outcomes.Complete(ctx); {
	case err != nil:
		a.opts.Log.WarnContext(ctx, "it is not known how far the views are", "request", requestID(ctx), "error", err)
		state = viewsUnknown
	case c.Rebuild:
		state = "incomplete"
	case c.Behind > 0:
		state = "behind; records=" + strconv.FormatInt(c.Behind, 10)
		if !c.To.IsZero() {
			state += "; to=" + c.To.UTC().Format("2006-01-02T15:04:05.000Z07:00")
		}
	}
	if expired > 0 {
		state += "; expired=" + strconv.Itoa(expired)
	}
	return state
}

// viewAnswer answers with what was found in the views; expired are the rows that were left out.
func viewAnswer[T any](ctx context.Context, a *API, body T, expired int) *answer[T] {
	return &answer[T]{Body: body, Views: a.viewsState(ctx, expired)}
}

// lookTimeout bounds what one request looks for in the views and in Kafka.
const lookTimeout = 20 * time.Second
