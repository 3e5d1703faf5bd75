package portal

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/task"
)

// taskPage is what the page of a background task shows.
type taskPage struct {
	api.TaskProgressOut
	// Title says what it does.
	Title string
	// Again leads to the form that does what was counted; empty if nothing was.
	Again string
}

// taskTitles say what tasks do.
//
//nolint:gochecknoglobals // a table
var taskTitles = map[task.Kind]string{
	task.Recover: "Send again what failed", task.ReplayMissing: "Send what was never sent", task.BulkReplay: "Send again",
	task.RedriveLetters: "Redrive dead letters", task.DiscardLetters: "Discard dead letters",
}

// Running reports whether it is at work.
func (t taskPage) Running() bool { return t.Status == string(task.Running) }

// Handled is how many it has dealt with.
func (t taskPage) Handled() int {
	if t.DryRun {
		return t.Counted
	}
	return t.Done + t.Failed
}

// Badge is where it is.
func (t taskPage) Badge() badge { return taskBadge(t.Status) }

func taskBadge(status string) badge {
	switch task.Status(status) {
	case task.Running:
		return badge{"off", "Running"}
	case task.Finished:
		return badge{"good", "Finished"}
	case task.Cancelled:
		return badge{"off", "Cancelled"}
	case task.Failed:
	}
	return badge{"bad", "Failed"}
}

// task reads the background task of the path. One of another tenant is not there on the pages of this one.
func (v *visit) task() (taskPage, error) {
	var out taskPage
	if err := v.calls.get("/background-task"+path(v.r.PathValue("task"), "progress"), &out.TaskProgressOut); err != nil {
		return out, err
	}
	if out.AppID != v.app.ID {
		return out, v.unknown()
	}
	out.Title = taskTitles[out.Task]
	if out.EndpointID != nil && out.DryRun {
		typed, keep := v.r.URL.Query(), url.Values{}
		for _, name := range againFields {
			if typed.Has(name) {
				keep.Set(name, typed.Get(name))
			}
		}
		out.Again = v.p.base + v.appPath("endpoint", *out.EndpointID, "again") + "?" + keep.Encode()
	}
	return out, nil
}

// showTask shows how far a background task is. The page asks again by itself while it runs.
func (v *visit) showTask() error {
	t, err := v.task()
	if err != nil {
		return err
	}
	v.show(http.StatusOK, "task", &page{Title: t.Title, Data: t})
	return nil
}

// showProgress is the part of that page that changes.
func (v *visit) showProgress() error {
	t, err := v.task()
	if err != nil {
		return err
	}
	return v.piece("progress", t.Title, t)
}

// cancelTask ends a background task.
func (v *visit) cancelTask() error {
	t, err := v.task()
	if err != nil {
		return err
	}
	if _, err := v.calls.do(http.MethodPost, "/background-task"+path(t.ID, "cancel"), nil, nil); err != nil {
		return err
	}
	return v.redirect(v.appPath("task", t.ID))
}

// tasksPage is what the list of background tasks shows.
type tasksPage struct {
	Rows       []taskRow
	Next, Prev string
}

// taskRow is one of them.
type taskRow struct {
	api.BackgroundTaskOut
	Title string
	Badge badge
}

// listTasks shows the tenant's background tasks, newest first.
func (v *visit) listTasks() error {
	iterator := v.r.URL.Query().Get("iterator")
	var list api.List[api.BackgroundTaskOut]
	if err := v.calls.get(query("/background-task", "all", "true", "order", "descending", "limit", strconv.Itoa(pageSize), "iterator", iterator), &list); err != nil {
		return err
	}
	var out tasksPage
	for _, t := range list.Data {
		if t.Data.AppID == v.app.ID { // an operator's list is of all
			out.Rows = append(out.Rows, taskRow{t, taskTitles[t.Task], taskBadge(t.Status)})
		}
	}
	if !list.Done && list.Iterator != nil {
		out.Next = v.p.base + query(v.appPath("task"), "iterator", *list.Iterator)
	}
	if iterator != "" && list.PrevIterator != nil && len(list.Data) > 0 {
		out.Prev = v.p.base + query(v.appPath("task"), "iterator", *list.PrevIterator)
	}
	v.show(http.StatusOK, "tasks", &page{Title: "Background tasks", Data: out})
	return nil
}
