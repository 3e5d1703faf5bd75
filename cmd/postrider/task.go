package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownTask is a background task with its progress, as the API has it.
type shownTask struct {
	ID         string    `json:"id"`
	Status     string    `json:"status"`
	Task       string    `json:"task"`
	AppID      string    `json:"appId"`
	EndpointID string    `json:"endpointId"`
	DryRun     bool      `json:"dryRun"`
	PerSecond  int       `json:"perSecond"`
	Counted    int       `json:"counted"`
	Total      *int      `json:"total"`
	Done       int       `json:"done"`
	Failed     int       `json:"failed"`
	Resumed    int       `json:"resumed"`
	Error      string    `json:"error"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"`
	CreatedAt  time.Time `json:"createdAt"`
	UpdatedAt  time.Time `json:"updatedAt"`
}

func (t *shownTask) text() string {
	flag := map[bool]string{true: "yes"}
	return lines("ID", t.ID, "Task", t.Task, "Status", t.Status, "Error", t.Error, "Application", t.AppID, "Endpoint", t.EndpointID,
		"Since", stamp(t.Since), "Until", stamp(t.Until), "Dry run", flag[t.DryRun], "Per second", strconv.Itoa(t.PerSecond),
		"Counted", t.counted(), "Done", strconv.Itoa(t.Done), "Failed", strconv.Itoa(t.Failed), "Resumed", strconv.Itoa(t.Resumed),
		"Started", stamp(t.CreatedAt), "Updated", stamp(t.UpdatedAt))
}

// counted is how many deliveries it is about, as far as that is known.
func (t *shownTask) counted() string {
	if t.Total == nil && t.Status == taskRunning {
		return strconv.Itoa(t.Counted) + " so far"
	}
	return strconv.Itoa(t.Counted)
}

// taskRunning is the status of a task that has not ended.
const taskRunning = "running"

func newTaskCmd() *cobra.Command {
	f := &apiFlags{}
	return group("task", "Look at background tasks, and end them", `Look at background tasks, and end them. What starts them is "postrider recover", "postrider replay" and
"postrider deadletters redrive --background".`, f,
		newTaskListCmd(f), newTaskShowCmd(f), newTaskWatchCmd(f), newTaskCancelCmd(f))
}

func newTaskListCmd(f *apiFlags) *cobra.Command {
	var status string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List background tasks, newest first", Args: cobra.NoArgs,
		RunE: f.managing(func(m *manager, _ []string) error {
			query := url.Values{"order": {"descending"}, "all": {"true"}}
			if status != "" {
				query.Set("status", status)
			}
			// In this list all that is Postrider's own stands below data.
			type row struct {
				shownTask
				Data shownTask `json:"data"`
			}
			return list(m, client.Path("background-task"), query, limit, "ID\tTASK\tSTATUS\tCOUNTED\tDONE\tFAILED\tENDPOINT\tUPDATED",
				func(t *row) []string {
					d := t.Data
					d.Status = t.Status
					return []string{t.ID, t.Task, t.Status, d.counted(), strconv.Itoa(d.Done), strconv.Itoa(d.Failed), d.EndpointID, stamp(t.UpdatedAt)}
				})
		}),
	}
	cmd.Flags().StringVar(&status, "status", "", "only tasks that are running, finished or failed")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most; 0 for all")
	return cmd
}

func taskProgressCall(id string) client.Call {
	return client.Call{Method: http.MethodGet, Path: client.Path("background-task", id, "progress")}
}

func newTaskShowCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "show TASK", Short: "Show a background task", Args: cobra.ExactArgs(1),
		RunE: f.managing(func(m *manager, args []string) error { return do(m, taskProgressCall(args[0]), (*shownTask).text) }),
	}
}

func newTaskWatchCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "watch TASK", Short: "Show how far a background task is until it ends", Args: cobra.ExactArgs(1),
		Long: "Show how far a background task is until it ends. The exit code is 1 if it did not finish." + apiHelp,
		RunE: f.managing(func(m *manager, args []string) error { return m.watch(args[0]) }),
	}
}

func newTaskCancelCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "cancel TASK", Short: "End a background task", Args: cobra.ExactArgs(1),
		Long: "End a background task, within about a second. What it has handed over by then is sent." + apiHelp,
		RunE: f.managing(func(m *manager, args []string) error {
			call := client.Call{Method: http.MethodPost, Path: client.Path("background-task", args[0], "cancel")}
			return do(m, call, func(*shownTask) string { return args[0] + " is being cancelled\n" })
		}),
	}
}

// watchEvery is how often a task is asked for: it counts what it does about as often.
const watchEvery = time.Second

// watch shows how far a task is until it ends, and how it ended. Whoever stops watching leaves it running.
func (m *manager) watch(id string) error {
	progress := newTaskProgress(m.err)
	for {
		var t shownTask
		answer, err := m.call(taskProgressCall(id), &t)
		if m.ctx.Err() != nil {
			progress.end()
			fmt.Fprintf(m.err, "the task goes on: postrider task watch %s\n", id)
			return context.Cause(m.ctx)
		}
		if err != nil {
			return err
		}
		progress.show(&t)
		if t.Status == taskRunning {
			timer := time.NewTimer(watchEvery)
			select {
			case <-timer.C:
			case <-m.ctx.Done():
				timer.Stop()
			}
			continue
		}
		progress.end()
		if m.json {
			err = m.printJSON(answer.Body)
		} else {
			_, err = fmt.Fprintln(m.out, t.summary())
		}
		if err == nil && t.Status != "finished" {
			return exitCode(1)
		}
		return err
	}
}

// done is what a task does, once it is done.
func (t *shownTask) done() string {
	if t.Task == "dead-letter.discard" {
		return "discarded"
	}
	return "sent again"
}

// summary says how a task ended.
func (t *shownTask) summary() string {
	if t.DryRun && t.Status == "finished" {
		return fmt.Sprintf("%d would be %s", t.Counted, strings.TrimSuffix(t.done(), " again"))
	}
	parts := []string{fmt.Sprintf("%s: %d of %s %s", t.Status, t.Done, t.counted(), t.done())}
	if t.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d are not in Kafka any more", t.Failed))
	}
	if t.Resumed > 0 {
		parts = append(parts, fmt.Sprintf("%d written by a process that ended, and not again", t.Resumed))
	}
	if t.Error != "" {
		parts = append(parts, t.Error)
	}
	return strings.Join(parts, "; ")
}
