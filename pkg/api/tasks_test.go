package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/pkg/view"
)

// fakeTasks keeps tasks and carries none out.
type fakeTasks struct {
	mu        sync.Mutex
	tasks     []*task.Task
	refusal   error
	cancelled []ident.ID
	resent    []view.EventEntry
}

func (f *fakeTasks) Start(_ context.Context, t *task.Task, by audit.Actor) (*task.Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusal != nil {
		return nil, f.refusal
	}
	c := t.Clone()
	c.ID, c.Status, c.By, c.Created, c.Updated = ident.New(), task.Running, by, time.Now().UTC(), time.Now().UTC()
	f.tasks = append(f.tasks, c)
	return c, nil
}

func (f *fakeTasks) Get(_ context.Context, id ident.ID) (*task.Task, bool, error) {
	found := f.List(func(t *task.Task) bool { return t.ID == id })
	if len(found) == 0 {
		return nil, false, f.refusal
	}
	return found[0], true, nil
}

func (f *fakeTasks) List(keep func(*task.Task) bool) (out []*task.Task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.tasks {
		if keep(t) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *task.Task) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out
}

func (f *fakeTasks) Cancel(_ context.Context, t *task.Task, _ audit.Actor) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancelled = append(f.cancelled, t.ID)
	return f.refusal
}

func (f *fakeTasks) ResendEvent(
	_ context.Context, _ *subscription.Tenant, _ *subscription.Subscription, entry view.EventEntry,
) (*delivery.Delivery, error) {
	f.resent = append(f.resent, entry)
	return &delivery.Delivery{}, f.refusal
}

func withTasks(f *fakeTasks) func(*Options) {
	return func(o *Options) { o.Tasks, o.Resender = f, f }
}

// newTasksHarness has a tenant with an endpoint that is enabled, on, and one that is not, off.
func newTasksHarness(t *testing.T, f *fakeTasks, change ...func(*Options)) (*harness, *subscription.Tenant) {
	t.Helper()
	h := newHarness(t, append(change, withTasks(f))...)
	acme := h.tenant("acme")
	for uid, disabled := range map[string]bool{"on": false, "off": true} {
		got := h.call(h.operator, "POST", "/app/acme/endpoint", map[string]any{"url": "https://example.com", "uid": uid, "disabled": disabled})
		require.Equal(t, http.StatusCreated, got.status, got.body)
	}
	return h, acme
}

// What the Svix API starts is what the endpoint's task says, in its form.
func TestStartTasks(t *testing.T) {
	t.Parallel()
	f := &fakeTasks{}
	h, acme := newTasksHarness(t, f)
	since, until := time.Now().Add(-time.Hour).UTC().Truncate(time.Second), time.Now().UTC().Truncate(time.Second)
	window := fmt.Sprintf(`"since":%q,"until":%q`, since.Format(time.RFC3339), until.Format(time.RFC3339))
	filter := task.Filter{Since: since, Until: until}
	bulk := filter
	bulk.EventTypes, bulk.Channel, bulk.Tag, bulk.StatusClass = []string{"a.b"}, "eu", "t", 500
	bulk.Verdicts = []outcome.Verdict{outcome.Dead}
	own := filter
	own.Verdicts, own.Reasons = []outcome.Verdict{outcome.Cancelled}, []outcome.Reason{outcome.ReasonDisabled}
	for _, c := range []struct {
		path, body string
		kind       task.Kind
		filter     task.Filter
		perSecond  int
		dryRun     bool
	}{
		{"recover", window, task.Recover, filter, task.DefaultPerSecond, false},
		{"recover", fmt.Sprintf(`"since":%q,"until":null`, since.Format(time.RFC3339)), task.Recover, task.Filter{Since: since}, task.DefaultPerSecond, false},
		{"replay-missing", window, task.ReplayMissing, filter, task.DefaultPerSecond, false},
		{"bulk-replay", window + `,"eventTypes":["a.b"],"channel":"eu","tag":"t","status":2,"statusCodeClass":500`, task.BulkReplay, bulk, task.DefaultPerSecond, false},
		{"background-task", window + `,"task":"endpoint.bulk-replay","verdicts":["cancelled"],"reasons":["disabled"],"perSecond":7,"dryRun":true`, task.BulkReplay, own, 7, true},
	} {
		got := h.call(h.portalToken("acme", access.CreateAttempts), "POST", "/app/acme/endpoint/on/"+c.path, "{"+c.body+"}")
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		made := f.tasks[len(f.tasks)-1]
		out := got.json(t)
		assert.Regexp(t, "^qtask_[A-Za-z0-9]{27}$", out["id"])
		assert.Equal(t, "running", out["status"])
		assert.Equal(t, string(c.kind), out["task"])
		assert.NotEmpty(t, out["updatedAt"])
		if c.path != "background-task" {
			assert.Len(t, out, 4, "clients refuse what they do not know")
		}
		assert.Equal(t, c.filter, made.Filter)
		assert.Equal(t, c.kind, made.Kind)
		assert.Equal(t, c.perSecond, made.PerSecond)
		assert.Equal(t, c.dryRun, made.DryRun)
		assert.Equal(t, acme.ID, made.Tenant)
		assert.Equal(t, audit.ActorPortal, made.By.Kind)
	}
}

func TestStartTasksRefusals(t *testing.T) {
	t.Parallel()
	f := &fakeTasks{}
	h, _ := newTasksHarness(t, f)
	since := `{"since":"` + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339) + `"`
	for _, c := range []struct {
		name, path, body string
		status           int
		says             string
	}{
		{"no since", "on/recover", `{}`, 422, "since"},
		{"future", "on/recover", `{"since":"2999-01-01T00:00:00Z"}`, 422, "past"},
		{"until before", "on/recover", since + `,"until":"2020-01-01T00:00:00Z"}`, 422, "until"},
		{"disabled", "off/recover", since + `}`, 409, "endpoint_disabled"},
		{"nobody", "nobody/recover", since + `}`, 404, "endpoint not found"},
		{"pending", "on/bulk-replay", since + `,"status":1}`, 422, "status"},
		{"verdict", "on/background-task", since + `,"task":"endpoint.bulk-replay","verdicts":["retry"]}`, 422, "verdicts"},
		{"kind", "on/background-task", since + `,"task":"endpoint.other"}`, 422, "task"},
		{"rate", "on/background-task", since + `,"task":"endpoint.recover","perSecond":20000}`, 422, "perSecond"},
	} {
		got := h.call(h.operator, "POST", "/app/acme/endpoint/"+c.path, c.body)
		assert.Equal(t, c.status, got.status, "%s: %s", c.name, got.body)
		assert.Contains(t, got.body, c.says, c.name)
	}
	f.refusal = pipeline.ErrTooManyTasks
	got := h.call(h.operator, "POST", "/app/acme/endpoint/on/recover", since+"}")
	assert.Equal(t, http.StatusConflict, got.status)
	assert.Contains(t, got.body, "too_many_tasks")
	assert.Empty(t, f.tasks)
}

// Tasks are listed and looked at in the form of the Svix API; a tenant sees its own.
func TestLookAtTasks(t *testing.T) {
	t.Parallel()
	f := &fakeTasks{}
	h, acme := newTasksHarness(t, f)
	other := h.tenant("other")
	for i := range 5 {
		made, err := f.Start(t.Context(), &task.Task{Tenant: acme.ID, Kind: task.Kinds()[i%2], Subscription: ident.New(), PerSecond: 5}, audit.Actor{})
		require.NoError(t, err)
		made.Status = []task.Status{task.Running, task.Finished, task.Cancelled, task.Failed, task.Running}[i]
		made.Progress = task.Progress{Counted: 10, Complete: i > 0, Done: i, Failed: 1}
	}
	administrator, stranger := h.key(access.RoleTenant, acme.ID), h.key(access.RoleTenant, other.ID)
	list := func(token, query string) []any {
		got := h.call(token, "GET", "/background-task"+query, nil)
		require.Equal(t, http.StatusOK, got.status, got.body)
		return got.json(t)["data"].([]any)
	}
	assert.Len(t, list(h.operator, ""), 5)
	assert.Len(t, list(administrator, ""), 5)
	assert.Empty(t, list(stranger, ""))
	assert.Len(t, list(administrator, "?status=failed"), 2, "with the cancelled one")
	assert.Len(t, list(administrator, "?status=running&task=endpoint.recover"), 2)
	assert.Empty(t, list(administrator, "?task=sdk.generate"))
	first := h.call(administrator, "GET", "/background-task?limit=2&order=descending", nil).json(t)
	assert.Equal(t, f.tasks[4].ID.Base62(task.IDPrefix), first["data"].([]any)[0].(map[string]any)["id"])
	assert.Equal(t, false, first["done"])
	rest := list(administrator, "?limit=10&order=descending&iterator="+first["iterator"].(string))
	assert.Len(t, rest, 3)
	assert.Equal(t, f.tasks[0].ID.Base62(task.IDPrefix), rest[2].(map[string]any)["id"])

	path := "/background-task/" + f.tasks[2].ID.Base62(task.IDPrefix)
	one := h.call(administrator, "GET", path, nil).json(t)
	assert.Equal(t, "failed", one["status"])
	assert.InDelta(t, 10, one["data"].(map[string]any)["total"], 0)
	progress := h.call(administrator, "GET", path+"/progress", nil).json(t)
	assert.Equal(t, "cancelled", progress["status"])
	assert.InDelta(t, 2, progress["done"], 0)
	assert.Nil(t, h.call(administrator, "GET", "/background-task/"+f.tasks[0].ID.Base62(task.IDPrefix)+"/progress", nil).json(t)["total"])
	for _, p := range []string{path, path + "/progress", "/background-task/" + ident.New().Base62(task.IDPrefix)} {
		assert.Equal(t, http.StatusNotFound, h.call(stranger, "GET", p, nil).status, p)
	}
	assert.Equal(t, http.StatusNotFound, h.call(stranger, "POST", path+"/cancel", nil).status)
	assert.Equal(t, http.StatusForbidden, h.call(h.reader, "POST", path+"/cancel", nil).status)
	assert.Equal(t, http.StatusConflict, h.call(administrator, "POST", path+"/cancel", nil).status, "it has ended")
	running := "/background-task/" + f.tasks[0].ID.Base62(task.IDPrefix)
	assert.Equal(t, http.StatusAccepted, h.call(administrator, "POST", running+"/cancel", nil).status)
	assert.Equal(t, []ident.ID{f.tasks[0].ID}, f.cancelled)
}

func TestResend(t *testing.T) {
	t.Parallel()
	f, events := &fakeTasks{}, &fakeEvents{}
	h, acme := newTasksHarness(t, f, withEvents(events))
	published, err := events.Publish(t.Context(), pipeline.Publication{Tenant: acme, EventType: "a.b", EventID: "e-1"})
	require.NoError(t, err)
	id := published.Message.Base62(messagePrefix)
	for _, name := range []string{id, "e-1"} {
		got := h.call(h.portalToken("acme", access.CreateAttempts), "POST", "/app/acme/msg/"+name+"/endpoint/on/resend", nil)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		assert.JSONEq(t, "{}", got.body)
	}
	require.Len(t, f.resent, 2)
	assert.Equal(t, published.Message, f.resent[0].Message)
	for path, status := range map[string]int{
		"/app/acme/msg/" + id + "/endpoint/off/resend": 409, "/app/acme/msg/nothing/endpoint/on/resend": 404,
		"/app/acme/msg/" + id + "/endpoint/nobody/resend": 404,
	} {
		assert.Equal(t, status, h.call(h.operator, "POST", path, nil).status, path)
	}
	f.refusal = pipeline.ErrExpired
	assert.Contains(t, h.call(h.operator, "POST", "/app/acme/msg/"+id+"/endpoint/on/resend", nil).body, "expired")
}
