package portal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/task"
)

// againFields are the fields of the form that sends many deliveries again. After a count the same ones lead back to it.
//
//nolint:gochecknoglobals // a table
var againFields = []string{"what", "window", "from", "until", "type", "channel", "became", "rate"}

// againPage is what that form shows.
type againPage struct {
	Values  map[string]string
	Windows []choice
	Became  []choice
	Wrong   []string
}

// whats are the kinds of task that the form offers, by the word in it.
//
//nolint:gochecknoglobals // a table
var whats = map[string]task.Kind{"failed": task.Recover, "missing": task.ReplayMissing, "all": task.BulkReplay}

// showAgain shows the form that sends many deliveries again.
func (v *visit) showAgain() error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.again(http.StatusOK, e, v.r.URL.Query(), nil)
}

func (v *visit) again(status int, e endpointPage, typed url.Values, wrong []string) error {
	out := againPage{Values: map[string]string{}, Wrong: wrong}
	for _, name := range againFields {
		out.Values[name] = strings.TrimSpace(typed.Get(name))
	}
	if _, ok := whats[out.Values["what"]]; !ok {
		out.Values["what"] = "failed"
	}
	out.Windows = choices(out.Values["window"], "day", "Last 24 hours", "hour", "Last hour", "week", "Last 7 days", "exact", "Between the times below")
	out.Became = choices(out.Values["became"], "", "Delivered or failed", "delivered", "Delivered", "dead", "Failed", "cancelled", "Cancelled, as the endpoint was disabled")
	e.More = out
	v.show(status, "again", &page{Title: "Send again", Data: e})
	return nil
}

// minuteForm is how a browser writes a time of the form: without a zone. The form says that it is UTC.
const minuteForm = "2006-01-02T15:04"

// minuteOf is the minute of a time, as the form has it.
func minuteOf(at time.Time) string { return at.UTC().Format(minuteForm) }

// againBody is the task that the form asks for, and what is wrong with the form.
func (v *visit) againBody(typed url.Values) (body map[string]any, wrong []string) {
	kind := whats[typed.Get("what")]
	body = map[string]any{"task": kind, "dryRun": typed.Get("count") != ""}
	if back, ok := windows[typed.Get("window")]; ok {
		body["since"] = v.p.opts.Now().Add(-back).UTC().Format(time.RFC3339)
	} else {
		for field, name := range map[string]string{"from": "since", "until": "until"} {
			text := strings.TrimSpace(typed.Get(field))
			if text == "" && field == "until" {
				continue
			}
			at, err := time.Parse(minuteForm, text)
			if err != nil {
				wrong = append(wrong, "Times: want a date and a time in UTC, such as 2026-02-01T08:00.")
				continue
			}
			body[name] = at.Format(time.RFC3339)
		}
	}
	if types := words(typed.Get("type")); len(types) > 0 {
		body["eventTypes"] = types
	}
	if channel := strings.TrimSpace(typed.Get("channel")); channel != "" {
		body["channel"] = channel
	}
	if became := typed.Get("became"); became != "" && kind == task.BulkReplay {
		body["verdicts"] = []outcome.Verdict{outcome.Verdict(became)}
	}
	if rate := strings.TrimSpace(typed.Get("rate")); rate != "" {
		n, ok := wholeNumber(rate)
		if !ok {
			wrong = append(wrong, "Deliveries a second: want a whole number, at least 1.")
		}
		body["perSecond"] = n
	}
	return body, wrong
}

// startAgain starts the task of the form, and leads to its progress.
func (v *visit) startAgain() error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	typed := v.r.PostForm
	body, wrong := v.againBody(typed)
	if len(wrong) > 0 {
		return v.again(http.StatusUnprocessableEntity, e, typed, wrong)
	}
	var out api.TaskProgressOut
	if _, err := v.calls.do(http.MethodPost, v.endpointPath("background-task"), body, &out); err != nil {
		if wrong, err = objections(err); err != nil {
			return err
		}
		return v.again(http.StatusUnprocessableEntity, e, typed, wrong)
	}
	at := v.appPath("task", out.ID)
	if out.DryRun && out.Since != nil { // the same window when it is done in earnest
		keep := []string{"window", "exact", "from", minuteOf(*out.Since)}
		for _, name := range againFields {
			if !slices.Contains(keep, name) {
				keep = append(keep, name, strings.TrimSpace(typed.Get(name)))
			}
		}
		at = query(at, keep...)
	}
	return v.redirect(at)
}

// objections are what the API has against a form, in its words; other errors are returned.
func objections(err error) ([]string, error) {
	refused, ok := errors.AsType[*Refusal](err)
	switch {
	case ok && refused.Status == http.StatusConflict:
		return []string{refused.Detail}, nil
	case !ok || refused.Status != http.StatusUnprocessableEntity:
		return nil, err
	}
	out := make([]string, 0, len(refused.Problems))
	for _, p := range refused.Problems {
		out = append(out, strings.Join(p.Loc[1:], ".")+": "+p.Msg)
	}
	return out, nil
}
