package api

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/task"
)

// Tasks are the background tasks; [pipeline.TaskLog] is one. All methods may be called concurrently.
type Tasks interface {
	// Start starts a task and returns it when it cannot be lost any more. The error is [pipeline.ErrTooManyTasks] or Kafka's.
	Start(ctx context.Context, t *task.Task, by audit.Actor) (*task.Task, error)
	Get(ctx context.Context, id ident.ID) (*task.Task, bool, error)
	// List returns the tasks that keep lets through, oldest first.
	List(keep func(*task.Task) bool) []*task.Task
	// Cancel asks for the end of a task.
	Cancel(ctx context.Context, t *task.Task, by audit.Actor) error
}

var _ Tasks = (*pipeline.TaskLog)(nil)

const tagTask = "Background Task"

// TaskOut is a background task that has been started.
type TaskOut struct {
	ID        string    `json:"id" example:"qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	Status    string    `json:"status" enum:"running,finished,failed" doc:"A cancelled task is failed here; its progress says more."`
	Task      task.Kind `json:"task" enum:"endpoint.replay,endpoint.recover,endpoint.bulk-replay,dead-letter.redrive,dead-letter.discard"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// BackgroundTaskOut is one that is looked at.
type BackgroundTaskOut struct {
	TaskOut
	Data TaskData `json:"data"`
}

// TaskData is what a background task is about and how far it is.
type TaskData struct {
	AppID      string  `json:"appId" doc:"Empty for a task about all applications."`
	EndpointID *string `json:"endpointId,omitempty"`
	DryRun     bool    `json:"dryRun" doc:"It counts, and sends nothing."`
	PerSecond  int     `json:"perSecond" doc:"How many deliveries it writes a second at most."`
	Counted    int     `json:"counted" doc:"How many deliveries it has found so far."`
	Total      *int    `json:"total" nullable:"true" doc:"How many there are, once it has found all."`
	Done       int     `json:"done" doc:"How many it has handed over to be sent."`
	Failed     int     `json:"failed" doc:"How many it could not, because Kafka has their data no more."`
	Resumed    int     `json:"resumed" doc:"How many of those done were written by a process that ended before it could count them, and not again."`
	Error      *string `json:"error,omitempty" doc:"Why it failed."`
}

// TaskProgressOut is everything about a background task.
type TaskProgressOut struct {
	ID        string     `json:"id" example:"qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	Status    string     `json:"status" enum:"running,finished,failed,cancelled"`
	Task      task.Kind  `json:"task" enum:"endpoint.replay,endpoint.recover,endpoint.bulk-replay,dead-letter.redrive,dead-letter.discard"`
	Since     *time.Time `json:"since,omitempty"`
	Until     *time.Time `json:"until,omitempty"`
	CreatedAt time.Time  `json:"createdAt"`
	UpdatedAt time.Time  `json:"updatedAt"`
	TaskData
}

// TaskPath names a background task.
type TaskPath struct {
	Task string `path:"task_id" minLength:"33" maxLength:"33" pattern:"^qtask_[A-Za-z0-9]{27}$" doc:"The task's id."`
}

// TaskList narrows a list of background tasks.
type TaskList struct {
	ListInput
	Status string `query:"status" enum:"running,finished,failed" doc:"Only tasks of this status."`
	Task   string `query:"task" enum:"endpoint.replay,endpoint.recover,message.broadcast,sdk.generate,event-type.aggregate,application.stats,application.purge_content,endpoint.bulk-replay,dead-letter.redrive,dead-letter.discard" doc:"Only tasks of this kind; those that Postrider does not have are in no list."`
	All    bool   `query:"all" doc:"Also tasks about dead letters, of which clients of the Svix API do not know."`
}

func (a *API) tasks() {
	const list, one = "/background-task", "/background-task/{task_id}"
	register(a, route{
		method: http.MethodGet, path: list, id: "v1.background-task.list", tag: tagTask, needs: access.ViewTasks,
		summary: "List background tasks", doc: "Those of the key's or token's application, or of all. Ended ones are kept for 30 days.",
	}, a.listTasks)
	register(a, route{
		method: http.MethodGet, path: one, id: "v1.background-task.get", tag: tagTask, needs: access.ViewTasks,
		summary: "Get a background task",
	}, a.getTask)
	register(a, route{
		method: http.MethodGet, path: one + "/progress", id: "postrider.background-task.progress", tag: tagTask, needs: access.ViewTasks,
		summary: "Get how far a background task is",
	}, a.taskProgress)
	register(a, route{
		method: http.MethodPost, path: one + "/cancel", id: "postrider.background-task.cancel", tag: tagTask, needs: access.CancelTasks,
		summary: "End a background task", status: http.StatusAccepted,
		doc: "It ends within about a second. What it has handed over by then is sent. 409 for a task that has ended.",
	}, a.cancelTask)
}

func (a *API) listTasks(ctx context.Context, in *TaskList) (*answer[List[BackgroundTaskOut]], error) {
	from := func(after string, descending bool) (iter.Seq[*task.Task], error) {
		at, err := iteratorID(after)
		if err != nil {
			return nil, err
		}
		found := a.opts.Tasks.List(func(t *task.Task) bool {
			c := bytes.Compare(t.ID[:], at[:])
			return a.sees(ctx, t) && (at.IsZero() || c > 0 && !descending || c < 0 && descending)
		})
		if descending {
			slices.Reverse(found)
		}
		return slices.Values(found), nil
	}
	keep := func(t *task.Task) bool {
		return (in.Status == "" || plainStatus(t) == in.Status) && (in.Task == "" && (in.All || !t.Kind.OfLetters()) || string(t.Kind) == in.Task)
	}
	name := func(t *task.Task) string { return t.ID.Base62(task.IDPrefix) }
	return answerList(paginate(in.PageInput, in.descending(), from, keep, name, backgroundTaskOut))
}

func iteratorID(name string) (ident.ID, error) {
	if name == "" {
		return ident.ID{}, nil
	}
	id, err := ident.ParseBase62(task.IDPrefix, name)
	if err != nil {
		return ident.ID{}, errors.New("want the iterator of an earlier answer of this list")
	}
	return id, nil
}

// sees reports whether the caller may know of a task: one of another tenant is not there for it.
func (*API) sees(ctx context.Context, t *task.Task) bool {
	p := called(ctx).principal
	return p.General() || p.Tenant == t.Tenant
}

func (a *API) task(ctx context.Context, name string) (*task.Task, error) {
	id, err := ident.ParseBase62(task.IDPrefix, name)
	if err != nil {
		return nil, notFound("background task")
	}
	t, ok, err := a.opts.Tasks.Get(ctx, id)
	switch {
	case err != nil:
		return nil, a.away(ctx, "finding a background task", err)
	case !ok || !a.sees(ctx, t):
		return nil, notFound("background task")
	}
	return t, nil
}

func (a *API) getTask(ctx context.Context, in *TaskPath) (*answer[BackgroundTaskOut], error) {
	t, err := a.task(ctx, in.Task)
	if err != nil {
		return nil, err
	}
	return &answer[BackgroundTaskOut]{Body: backgroundTaskOut(t)}, nil
}

func (a *API) taskProgress(ctx context.Context, in *TaskPath) (*answer[TaskProgressOut], error) {
	t, err := a.task(ctx, in.Task)
	if err != nil {
		return nil, err
	}
	return &answer[TaskProgressOut]{Body: taskProgressOut(t)}, nil
}

func (a *API) cancelTask(ctx context.Context, in *TaskPath) (*answer[TaskProgressOut], error) {
	t, err := a.task(ctx, in.Task)
	switch {
	case err != nil:
		return nil, err
	case t.Ended():
		return nil, refuse(http.StatusConflict, "ended", "the task has ended: it is %s", t.Status)
	}
	if err := a.opts.Tasks.Cancel(ctx, t, called(ctx).actor); err != nil {
		return nil, a.away(ctx, "cancelling a background task", err)
	}
	return &answer[TaskProgressOut]{Body: taskProgressOut(t)}, nil
}

// plainStatus is a task's status in the words of the Svix API.
func plainStatus(t *task.Task) string {
	if t.Status == task.Cancelled {
		return string(task.Failed)
	}
	return string(t.Status)
}

func taskOut(t *task.Task) TaskOut {
	return TaskOut{ID: t.ID.Base62(task.IDPrefix), Status: plainStatus(t), Task: t.Kind, UpdatedAt: t.Updated}
}

func backgroundTaskOut(t *task.Task) BackgroundTaskOut {
	return BackgroundTaskOut{TaskOut: taskOut(t), Data: taskData(t)}
}

func taskData(t *task.Task) TaskData {
	out := TaskData{
		DryRun: t.DryRun, PerSecond: t.PerSecond, Counted: t.Progress.Counted,
		Done: t.Progress.Done, Failed: t.Progress.Failed, Resumed: t.Progress.Resumed, Error: optional(t.Error),
	}
	if !t.Tenant.IsZero() {
		out.AppID = t.Tenant.Base62(subscription.TenantPrefix)
	}
	if !t.Subscription.IsZero() {
		out.EndpointID = optional(t.Subscription.Base62(subscription.SubscriptionPrefix))
	}
	if t.Progress.Complete {
		out.Total = &out.Counted
	}
	return out
}

func taskProgressOut(t *task.Task) TaskProgressOut {
	return TaskProgressOut{
		ID: t.ID.Base62(task.IDPrefix), Status: string(t.Status), Task: t.Kind, Since: someTime(t.Filter.Since),
		Until: someTime(t.Filter.Until), CreatedAt: t.Created, UpdatedAt: t.Updated, TaskData: taskData(t),
	}
}

func someTime(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// startTask starts a task of an endpoint.
func (a *API) startTask(ctx context.Context, endpoint string, t *task.Task) (*task.Task, error) {
	c := called(ctx)
	s, err := endpointNamed(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	if s.Disabled {
		return nil, endpointDisabled()
	}
	t.Tenant, t.Subscription = c.tenant.ID, s.ID
	if t.PerSecond == 0 {
		t.PerSecond = task.DefaultPerSecond
	}
	return a.startValid(ctx, t)
}

// startValid starts a task, if nothing is wrong with it.
func (a *API) startValid(ctx context.Context, t *task.Task) (*task.Task, error) {
	if err := t.Validate(a.opts.Now()); err != nil {
		field, detail, _ := strings.Cut(err.Error(), ": ")
		return nil, invalid(field, "%s", detail)
	}
	t, err := a.opts.Tasks.Start(ctx, t, called(ctx).actor)
	switch {
	case errors.Is(err, pipeline.ErrTooManyTasks):
		return nil, refuse(http.StatusConflict, "too_many_tasks", "%s", err.Error())
	case err != nil:
		return nil, a.away(ctx, "starting a background task", err)
	}
	return t, nil
}

func endpointDisabled() error {
	return refuse(http.StatusConflict, "endpoint_disabled", "the endpoint is disabled, so that nothing is sent to it: enable it first")
}
