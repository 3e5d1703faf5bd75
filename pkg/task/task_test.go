package task_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/task"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// What is refused is refused with the field's name and what is allowed.
func TestValidate(t *testing.T) {
	valid := func() *task.Task {
		return &task.Task{Kind: task.BulkReplay, PerSecond: 1, Filter: task.Filter{Since: noon.Add(-time.Hour)}}
	}
	require.NoError(t, valid().Validate(noon))
	letters := &task.Task{Kind: task.DiscardLetters, PerSecond: 1, Letters: &letter.DeadFilter{}}
	require.NoError(t, letters.Validate(noon), "all of them, whenever they died")
	for says, change := range map[string]func(*task.Task){
		`task: "x": want one of`:           func(t *task.Task) { t.Kind = "x" },
		"since: missing":                   func(t *task.Task) { t.Filter.Since = time.Time{} },
		"since: want a time that is past":  func(t *task.Task) { t.Filter.Since = noon.Add(time.Second) },
		"until: want a time after since":   func(t *task.Task) { t.Filter.Until = t.Filter.Since },
		"perSecond: 0: want 1 to 10000":    func(t *task.Task) { t.PerSecond = 0 },
		"perSecond: 10001":                 func(t *task.Task) { t.PerSecond = 10_001 },
		"statusCodeClass: 404: want 100":   func(t *task.Task) { t.Filter.StatusClass = 404 },
		`verdicts: "retry": want any of`:   func(t *task.Task) { t.Filter.Verdicts = []outcome.Verdict{outcome.Retry} },
		`reasons: "x": want reasons`:       func(t *task.Task) { t.Filter.Reasons = []outcome.Reason{"x"} },
		"letters: missing: want which":     func(t *task.Task) { t.Kind = task.RedriveLetters },
		"letters: want none for endpoint.": func(t *task.Task) { t.Letters = &letter.DeadFilter{} },
		"verdicts: want none but for":      func(t *task.Task) { t.Kind, t.Filter.Verdicts = task.Recover, task.FinalVerdicts() },
		"reasons: want none for endpoint.": func(t *task.Task) { t.Kind, t.Filter.StatusClass = task.ReplayMissing, 500 },
	} {
		made := valid()
		change(made)
		require.ErrorContains(t, made.Validate(noon), says)
	}
}

func TestWants(t *testing.T) {
	row := outcome.Outcome{Verdict: outcome.Dead, Reason: outcome.ReasonExhausted, Status: 503, EventType: "a.b", At: noon}
	for name, c := range map[string]struct {
		kind   task.Kind
		filter task.Filter
		change func(*outcome.Outcome)
		want   bool
	}{
		"dead":               {kind: task.Recover, want: true},
		"delivered":          {kind: task.Recover, change: func(o *outcome.Outcome) { o.Verdict = outcome.Delivered }},
		"under way":          {kind: task.BulkReplay, change: func(o *outcome.Outcome) { o.Verdict = outcome.Retry }},
		"delivered, in bulk": {kind: task.BulkReplay, change: func(o *outcome.Outcome) { o.Verdict = outcome.Delivered }, want: true},
		"cancelled":          {kind: task.BulkReplay, change: func(o *outcome.Outcome) { o.Verdict = outcome.Cancelled }},
		"cancelled, asked for": {
			kind: task.BulkReplay, filter: task.Filter{Verdicts: []outcome.Verdict{outcome.Cancelled}},
			change: func(o *outcome.Outcome) { o.Verdict = outcome.Cancelled }, want: true,
		},
		"too early":     {kind: task.Recover, filter: task.Filter{Since: noon.Add(1)}},
		"at its start":  {kind: task.Recover, filter: task.Filter{Since: noon}, want: true},
		"at its end":    {kind: task.Recover, filter: task.Filter{Until: noon}},
		"type":          {kind: task.Recover, filter: task.Filter{EventTypes: []string{"a.b"}}, want: true},
		"another type":  {kind: task.Recover, filter: task.Filter{EventTypes: []string{"a"}}},
		"reason":        {kind: task.Recover, filter: task.Filter{Reasons: []outcome.Reason{outcome.ReasonGone}}},
		"class":         {kind: task.Recover, filter: task.Filter{StatusClass: 500}, want: true},
		"another class": {kind: task.Recover, filter: task.Filter{StatusClass: 400}},
	} {
		o := row
		if c.change != nil {
			c.change(&o)
		}
		require.Equal(t, c.want, (&task.Task{Kind: c.kind, Filter: c.filter}).Wants(&o), name)
	}
}

func TestKeys(t *testing.T) {
	made := &task.Task{ID: ident.New(), Tenant: ident.New(), Marks: map[int32]int64{1: 2}, Cursor: []byte("{}")}
	for key, cancel := range map[string]bool{made.Key(): false, made.CancelKey(): true} {
		id, asked, ok := task.ParseKey(key)
		require.True(t, ok)
		require.Equal(t, made.ID, id)
		require.Equal(t, cancel, asked)
	}
	for _, strange := range []string{"", "/", "swept/1", made.ID.UUID(), made.Key() + "/x"} {
		_, _, ok := task.ParseKey(strange)
		require.False(t, ok, strange)
	}
	c := made.Clone()
	c.Marks[1], c.Cursor[0] = 3, 'x'
	require.Equal(t, int64(2), made.Marks[1])
	require.Equal(t, "{}", string(made.Cursor))
}
