package portal

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/outcome"
)

// letterFields narrow dead letters, in addresses and forms.
//
//nolint:gochecknoglobals // a table
var letterFields = []string{"endpoint", "reason", "result", "status", "id"}

// causesPage is what the first page of dead letters shows.
type causesPage struct {
	Rows    []causeRow
	Count   int
	LeftOut int
	More    bool // there are more groups than are shown
	Loading bool
}

// causeRow is a group of dead letters.
type causeRow struct {
	api.DeadLetterCauseOut
	// Name is the endpoint's; empty if it was deleted.
	Name string
	Says advice
	// Query selects the group.
	Query string
}

// listCauses shows the dead letters of a tenant by cause, the largest group first.
func (v *visit) listCauses() error {
	var list api.Causes[api.DeadLetterCauseOut]
	var out causesPage
	var err error
	if out.Loading, err = v.look(query(v.appPath("dead-letter", "cause"), "endpoint", v.r.URL.Query().Get("endpoint")), &list); err != nil {
		return err
	}
	names := map[string]string{}
	for _, c := range list.Data {
		row := causeRow{DeadLetterCauseOut: c, Says: letterAdvice(&c.Example), Query: letterQuery(&c)}
		if c.EndpointID != nil {
			row.Name = v.endpointName(names, *c.EndpointID)
		}
		out.Rows = append(out.Rows, row)
	}
	out.Count, out.LeftOut, out.More = list.Count, list.LeftOut, !list.Done && len(list.Data) > 0
	v.show(http.StatusOK, "deadletters", &page{Title: "Dead letters", Data: out})
	return nil
}

// endpointName is the name of an endpoint, empty for one that is not there; names keeps those that are known.
func (v *visit) endpointName(names map[string]string, id string) string {
	name, known := names[id]
	if !known {
		var s api.SettingsOut
		if v.calls.get(v.appPath("endpoint", id, "settings"), &s) == nil {
			name = displayName(s)
		}
		names[id] = name
	}
	return name
}

// letterQuery selects a group.
func letterQuery(c *api.DeadLetterCauseOut) string {
	status := "0"
	if c.Status != nil {
		status = strconv.Itoa(*c.Status)
	}
	return query("", "endpoint", value(c.EndpointID), "reason", c.Reason, "result", value(c.Result), "status", status)
}

// letterAdvice says why a delivery was given up.
func letterAdvice(l *api.DeadLetterOut) advice {
	return adviceFor(&api.AttemptDetail{AttemptResult: api.AttemptResult{
		StatusCode: l.Status, Result: outcome.Result(valueOr(l.Result, string(outcome.ResultNone))), Reason: outcome.Reason(l.Reason),
	}})
}

func valueOr(p *string, other string) string {
	if p == nil {
		return other
	}
	return *p
}

// lettersPage is what the list of a group shows.
type lettersPage struct {
	Rows       []api.DeadLetterOut
	Says       advice
	Query      string
	Next, Prev string
	Loading    bool
}

// listLetters shows a page of the dead letters of a group.
func (v *visit) listLetters() error {
	q := v.r.URL.Query()
	selection := []string{"endpoint", q.Get("endpoint"), "reason", q.Get("reason"), "result", q.Get("result"), "status", q.Get("status")}
	out := lettersPage{Query: query("", selection...)}
	var list api.List[api.DeadLetterOut]
	var err error
	out.Loading, err = v.look(query(v.appPath("dead-letter"), append(selection, "iterator", q.Get("iterator"))...), &list)
	if err != nil {
		return err
	}
	if out.Rows = list.Data; len(list.Data) > 0 {
		out.Says = letterAdvice(&list.Data[0])
	}
	here := func(iterator *string) string {
		return v.p.base + query(v.appPath("dead-letter", "list"), append(selection, "iterator", *iterator)...)
	}
	if !list.Done && list.Iterator != nil {
		out.Next = here(list.Iterator)
	}
	if q.Get("iterator") != "" && list.PrevIterator != nil && len(list.Data) > 0 {
		out.Prev = here(list.PrevIterator)
	}
	v.show(http.StatusOK, "letters", &page{Title: "Dead letters", Data: out})
	return nil
}

// letterPage is what the page of a dead letter shows.
type letterPage struct {
	api.DeadLetterHistoryOut
	Says    advice
	Payload string
	Expired bool
}

// showLetter shows a dead letter with its event and what was tried.
func (v *visit) showLetter() error {
	var out letterPage
	if err := v.calls.get(v.appPath("dead-letter", v.r.PathValue("letter")), &out.DeadLetterHistoryOut); err != nil {
		return err
	}
	out.Says = letterAdvice(&out.DeadLetterOut)
	out.Payload = string(out.DeadLetterDetailOut.Payload)
	out.Expired = out.Payload == expiredPayload
	v.show(http.StatusOK, "letter", &page{Title: "Dead letter", Data: out})
	return nil
}

// letterActPage asks whether something shall be done to dead letters, and tells what was done.
type letterActPage struct {
	Redrive    bool
	Permission string
	// Count is how many it is about, or was when Done; Skipped how many stay as they are, by why.
	Count   int
	Skipped map[string]int
	Done    bool
	Fields  []header
}

// letterAct reads which action the path is about, and on which letters.
func (v *visit) letterAct(from url.Values) (out letterActPage, body map[string]any, err error) {
	switch v.r.PathValue("action") {
	case "redrive":
		out.Redrive, out.Permission = true, "send-again"
	case "discard":
		out.Permission = "manage-endpoints"
	default:
		return out, nil, v.unknown()
	}
	body = map[string]any{}
	for _, name := range letterFields {
		text := from.Get(name)
		if text == "" {
			continue
		}
		out.Fields = append(out.Fields, header{Name: name, Value: text})
		switch name {
		case "status":
			if status, err := strconv.Atoi(text); err == nil {
				body["statuses"] = []int{status}
			}
		default:
			body[name+"s"] = []string{text}
		}
	}
	return out, body, nil
}

// confirmLetters counts what an action would be done to, and asks.
func (v *visit) confirmLetters() error {
	out, body, err := v.letterAct(v.r.URL.Query())
	if err != nil {
		return err
	}
	if !v.May(out.Permission) {
		return &Refusal{Status: http.StatusForbidden, Code: "insufficient_permissions", Detail: "You may not do this."}
	}
	body["dryRun"] = true
	var counted api.LettersDoneOut
	if _, err := v.calls.do(http.MethodPost, v.appPath("dead-letter", v.r.PathValue("action")), body, &counted); err != nil {
		return err
	}
	out.Count, out.Skipped = counted.Count, counted.Skipped
	v.show(http.StatusOK, "letteract", &page{Title: "Dead letters", Data: out})
	return nil
}

// actOnLetters does it, or leads to the task that does: many are dealt with in the background.
func (v *visit) actOnLetters() error {
	out, body, err := v.letterAct(v.r.PostForm)
	if err != nil {
		return err
	}
	var done api.LettersDoneOut
	if _, err := v.calls.do(http.MethodPost, v.appPath("dead-letter", v.r.PathValue("action")), body, &done); err != nil {
		return err
	}
	if done.Task != nil {
		return v.redirect(v.appPath("task", done.Task.ID))
	}
	out.Done, out.Count, out.Skipped = true, done.Count, done.Skipped
	v.show(http.StatusOK, "letteract", &page{Title: "Dead letters", Data: out})
	return nil
}

// skippedWords says why a dead letter stays as it is.
func skippedWords(why string) string {
	switch why {
	case "endpoint_deleted":
		return "because their endpoint was deleted"
	case "endpoint_disabled":
		return "because their endpoint is disabled: enable it first"
	case "expired":
		return "because their data is not kept any more"
	case "undecodable":
		return "because their record cannot be read"
	}
	return "because of " + why
}
