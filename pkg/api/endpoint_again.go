package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/pkg/view"
)

// Resender sends events once more: [pipeline.Resender] is one.
type Resender interface {
	// ResendEvent returns when the delivery cannot be lost any more. The error is [pipeline.ErrExpired] or Kafka's.
	ResendEvent(
		ctx context.Context, tenant *subscription.Tenant, sub *subscription.Subscription, entry view.EventEntry,
	) (*delivery.Delivery, error)
}

var _ Resender = (*pipeline.Resender)(nil)

// MessageEndpointPath names an event and an endpoint.
type MessageEndpointPath struct {
	EndpointPath
	Message string `path:"msg_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The event's id or eventId."`
}

// EmptyOut says that it was done.
type EmptyOut struct{}

// SinceIn says of which time.
type SinceIn struct {
	Since time.Time  `json:"since" doc:"From then on, RFC 3339."`
	Until *time.Time `json:"until,omitempty" nullable:"true" doc:"Up to then; up to now if left out."`
}

func (in *SinceIn) filter() task.Filter {
	return task.Filter{Since: in.Since.UTC(), Until: value(in.Until).UTC()}
}

// BulkReplayIn says which deliveries are to be sent again.
type BulkReplayIn struct {
	SinceIn
	EventTypes      *[]string `json:"eventTypes,omitempty" nullable:"true" uniqueItems:"true" maxItems:"250" doc:"Only events of these types."`
	Channel         *string   `json:"channel,omitempty" nullable:"true" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$" doc:"Only events of this channel."`
	Tag             *string   `json:"tag,omitempty" nullable:"true" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_./\\\\#]+$" doc:"Only events with this tag."`
	Status          *int      `json:"status,omitempty" nullable:"true" enum:"0,1,2,3" doc:"0: only what was delivered, 2: only what failed. Both if left out. 1 and 3, which are still being sent, are refused."`
	StatusCodeClass *int      `json:"statusCodeClass,omitempty" nullable:"true" enum:"0,100,200,300,400,500" doc:"Only where the last status code was of this class."`
}

// TaskIn starts a background task, with all that Postrider knows to say about it.
type TaskIn struct {
	SinceIn
	Task       task.Kind         `json:"task" enum:"endpoint.recover,endpoint.replay,endpoint.bulk-replay" doc:"endpoint.recover: what failed. endpoint.replay: what was never attempted. endpoint.bulk-replay: what the filters let through."`
	EventTypes []string          `json:"eventTypes,omitempty" uniqueItems:"true" maxItems:"250" doc:"Only events of these types."`
	Channel    string            `json:"channel,omitempty" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$" doc:"Only events of this channel."`
	Tag        string            `json:"tag,omitempty" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_./\\\\#]+$" doc:"Only events with this tag."`
	Verdicts   []outcome.Verdict `json:"verdicts,omitempty" uniqueItems:"true" maxItems:"3" doc:"For endpoint.bulk-replay, what became of it: delivered, dead, cancelled. delivered and dead if left out."`
	Reasons    []outcome.Reason  `json:"reasons,omitempty" uniqueItems:"true" maxItems:"50" doc:"Only where the last outcome has one of these reasons, for example exhausted."`
	PerSecond  int               `json:"perSecond,omitempty" minimum:"1" maximum:"10000" doc:"How many deliveries are handed over a second at most; 500 if left out."`
	DryRun     bool              `json:"dryRun,omitempty" doc:"Count, and send nothing."`
}

func (a *API) endpointAgain() {
	start := func(resource, id, summary, doc string) route {
		r := below(http.MethodPost, resource, id, summary, access.SendAgain, doc)
		r.status, r.versioned = http.StatusAccepted, false
		return r
	}
	const background = " It is done in the background, see the task. The ids of the deliveries stay what they were. 409 for an endpoint that is disabled."
	registerBody(a, start("/recover", "v1.endpoint.recover", "Send again what failed",
		"Every delivery whose last attempt is of that time, and whose failure is final."+background), a.recoverEndpoint)
	registerBody(a, start("/replay-missing", "v1.endpoint.replay-missing", "Send what was never attempted",
		"Every event published in that time that the endpoint would receive now and was never attempted for it, for example because "+
			"the endpoint is new. It goes back as far as the source topics do."+background), a.replayMissing)
	registerBody(a, start("/bulk-replay", "v1.endpoint.bulk-replay", "Send again what the filters let through",
		"Also what was delivered. The time is that of the last attempt."+background), a.bulkReplay)
	registerBody(a, start("/background-task", "postrider.endpoint.start-task", "Start a background task",
		"Recovers and replays as the other operations do, with more filters, at a rate, or only to count."+background), a.startAny)
	resend := start("", "v1.message-attempt.resend", "Send an event to an endpoint once more",
		"Whatever became of it, and whether it was sent there before or not. Asking twice sends twice; the id of the delivery stays "+
			"what it was. 409 for an endpoint that is disabled.")
	resend.path, resend.tag = "/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend", "Message Attempt"
	register(a, resend, a.resend)
}

func (a *API) recoverEndpoint(ctx context.Context, in *EndpointBody, body *SinceIn) (*answer[TaskOut], error) {
	return a.started(ctx, in, &task.Task{Kind: task.Recover, Filter: body.filter()})
}

func (a *API) replayMissing(ctx context.Context, in *EndpointBody, body *SinceIn) (*answer[TaskOut], error) {
	return a.started(ctx, in, &task.Task{Kind: task.ReplayMissing, Filter: body.filter()})
}

func (a *API) bulkReplay(ctx context.Context, in *EndpointBody, body *BulkReplayIn) (*answer[TaskOut], error) {
	f := body.filter()
	f.EventTypes, f.Channel, f.Tag = value(body.EventTypes), value(body.Channel), value(body.Tag)
	f.StatusClass = value(body.StatusCodeClass)
	if body.Status != nil {
		switch *body.Status {
		case 0:
			f.Verdicts = []outcome.Verdict{outcome.Delivered}
		case 2:
			f.Verdicts = []outcome.Verdict{outcome.Dead}
		default:
			return nil, invalid("status", "%d: want 0 or 2; others are still being sent", *body.Status)
		}
	}
	return a.started(ctx, in, &task.Task{Kind: task.BulkReplay, Filter: f})
}

func (a *API) started(ctx context.Context, in *EndpointBody, t *task.Task) (*answer[TaskOut], error) {
	t, err := a.startTask(ctx, in.Endpoint, t)
	if err != nil {
		return nil, err
	}
	return &answer[TaskOut]{Body: taskOut(t)}, nil
}

func (a *API) startAny(ctx context.Context, in *EndpointBody, body *TaskIn) (*answer[TaskProgressOut], error) {
	f := body.filter()
	f.EventTypes, f.Channel, f.Tag, f.Verdicts, f.Reasons = body.EventTypes, body.Channel, body.Tag, body.Verdicts, body.Reasons
	t, err := a.startTask(ctx, in.Endpoint, &task.Task{Kind: body.Task, Filter: f, PerSecond: body.PerSecond, DryRun: body.DryRun})
	if err != nil {
		return nil, err
	}
	return &answer[TaskProgressOut]{Body: taskProgressOut(t)}, nil
}

func (a *API) resend(ctx context.Context, in *MessageEndpointPath) (*answer[EmptyOut], error) {
	c := called(ctx)
	s, err := endpointNamed(ctx, in.Endpoint)
	switch {
	case err != nil:
		return nil, err
	case s.Disabled:
		return nil, endpointDisabled()
	}
	entry, ok, err := a.findEvent(ctx, c.tenant.ID, in.Message)
	switch {
	case err != nil:
		return nil, a.away(ctx, "finding an event", err)
	case !ok:
		return nil, notFound("message")
	}
	_, err = a.opts.Resender.ResendEvent(ctx, c.tenant, s, entry)
	switch {
	case errors.Is(err, pipeline.ErrExpired):
		return nil, refuse(http.StatusNotFound, "expired", "%s", err.Error())
	case err != nil:
		return nil, a.away(ctx, "sending an event again", err)
	}
	return &answer[EmptyOut]{}, nil
}
